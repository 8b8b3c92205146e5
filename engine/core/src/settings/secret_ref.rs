//! References to secrets: where one is, never what it is.

use std::path::Path;

use super::SecretRef;
use super::path::{self, from_folder};
use crate::document::problem::{Form, Problem, Problems};
use crate::document::section::{At, KeyPath, Section};
use crate::document::{Entry, Value};
use crate::nearest::nearest;

/// Reads a reference. `store_as` is the name that the hint proposes for the secret.
///
/// No message repeats what was written: it may be the secret itself.
pub(crate) fn read(
    entry: &Entry,
    path: &KeyPath,
    folder: &Path,
    store_as: &str,
    problems: &Problems,
) -> Option<SecretRef> {
    problems.ask(|| path.as_str().to_owned(), Form::Secret, "");
    let wrong = |message: &str| Problem::new(entry.node.at.clone(), path.as_str(), message);
    let text = match &entry.node.value {
        Value::String(text) => text,
        Value::Table(_) => {
            let section = Section::of_entry(entry, path.clone(), problems)?;
            let argv = section.texts("command", r#"["/usr/bin/vault", "read", "-field=x", "y"]"#);
            if section.take("command").is_none() {
                problems.add(
                    wrong("a secret from a command needs `command = [...]`")
                        .hint("command = [\"/usr/bin/vault\", \"read\", \"-field=x\", \"y\"]"),
                );
            }
            section.finish(&[]);
            return command(argv?, path, problems);
        }
        other => {
            problems.add(
                wrong(&format!("a reference belongs here, not {}", other.kind()))
                    .hint(format!("{} = \"file:{store_as}\"", entry.key)),
            );
            return None;
        }
    };
    match text.split_once(':') {
        Some((kind @ ("file" | "env" | "credential"), rest)) => {
            if rest.is_empty() || rest != rest.trim() {
                problems.add(
                    wrong("nothing, or a space, stands behind the colon").hint(format!(
                        "{} = \"{kind}:{}\"",
                        entry.key,
                        proposed(kind, store_as)
                    )),
                );
                return None;
            }
            if let Err(bad) = path::check(rest) {
                let mut problem = wrong(&bad.message);
                problem.hint = bad.hint;
                problems.add(problem);
                return None;
            }
            Some(match kind {
                "file" => SecretRef::File(from_folder(folder, rest)),
                "env" => SecretRef::Env(rest.to_owned()),
                _ => SecretRef::Credential(rest.to_owned()),
            })
        }
        Some((kind, _)) if nearest(kind, ["file", "env", "credential"]).is_some() => {
            let near = nearest(kind, ["file", "env", "credential"]).unwrap_or("file");
            problems.add(wrong(&format!(
                "unknown kind of reference; did you mean `{near}:`?"
            )));
            None
        }
        _ => {
            problems.add(
                wrong("this looks like the secret itself; only a reference may stand here").hint(
                    format!(
                        "write it to the file {store_as} (mode 0600), then {} = \"file:{store_as}\"; \
                         make a new key if this file was shared",
                        entry.key
                    ),
                ),
            );
            None
        }
    }
}

/// A name of that kind for the secret: no shell exports a variable with a dash in its name.
fn proposed(kind: &str, store_as: &str) -> String {
    match kind {
        "env" => store_as.to_ascii_uppercase().replace(['-', '.'], "_"),
        _ => store_as.to_owned(),
    }
}

fn command(argv: At<Vec<At<&str>>>, path: &KeyPath, problems: &Problems) -> Option<SecretRef> {
    let Some(program) = argv.value.first() else {
        problems.add(
            Problem::new(argv.at, path.as_str(), "the command is empty")
                .hint("command = [\"/usr/bin/vault\", \"read\", \"-field=x\", \"y\"]"),
        );
        return None;
    };
    if !path::is_absolute(program.value) {
        problems.add(
            Problem::new(
                program.at.clone(),
                path.below("command").as_str(),
                format!("`{}` must be an absolute path", program.value),
            )
            .hint("whoever can change PATH could run another program"),
        );
        return None;
    }
    let words = argv.value.iter().map(|word| word.value.to_owned());
    Some(SecretRef::Command(words.collect()))
}
