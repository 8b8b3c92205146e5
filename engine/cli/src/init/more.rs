//! Lines of the configuration for which there is no question: `--add KEY=VALUE`.

use std::collections::BTreeMap;

use waxwing_core::ca::CaProfile;
use waxwing_core::name::CaName;
use waxwing_core::profiles;

use crate::render::toml::{key, quoted};

/// Lines by section; the head of a section is its path: `plugin.web`, `network`, nothing for the keys
/// above all sections.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct More {
    sections: BTreeMap<Vec<String>, Vec<String>>,
}

/// Sections that have a name of their own below them.
const NAMED: [&str; 3] = ["ca", "notify", "plugin"];

impl More {
    /// Reads what `--add` says.
    ///
    /// # Errors
    /// Every line that is none.
    pub(crate) fn read(written: &[String]) -> Result<Self, Vec<String>> {
        let (mut more, mut wrong) = (Self::default(), Vec::new());
        for line in written {
            match split(line) {
                Some((path, value)) => {
                    let named = path
                        .first()
                        .is_some_and(|first| NAMED.contains(&first.as_str()));
                    let head = if named { 2 } else { 1 };
                    // A key needs something to stand in the section for.
                    let head = head.min(path.len() - 1);
                    let (section, rest) = path.split_at(head);
                    let rest: Vec<String> = rest.iter().map(|word| key(word)).collect();
                    let lines = more.sections.entry(section.to_vec()).or_default();
                    lines.push(format!("{} = {value}", rest.join(".")));
                }
                None => {
                    let shown = line.split('=').next().unwrap_or_default();
                    wrong.push(format!(
                        "--add {shown}: KEY=VALUE belongs here, as in a line of the configuration"
                    ));
                }
            }
        }
        if wrong.is_empty() {
            Ok(more)
        } else {
            Err(wrong)
        }
    }

    /// Adds a text to a section, in the place of one that is there.
    pub(crate) fn set(&mut self, section: &str, name: &str, value: &str) {
        let lines = self.sections.entry(vec![section.to_owned()]).or_default();
        let begin = format!("{} = ", key(name));
        lines.retain(|line| !line.starts_with(&begin));
        lines.push(format!("{begin}{}", quoted(value)));
    }

    /// Takes the lines of a section.
    pub(crate) fn take(&mut self, section: &[&str]) -> Vec<String> {
        let section: Vec<String> = section.iter().map(|word| (*word).to_owned()).collect();
        self.sections.remove(&section).unwrap_or_default()
    }

    /// The sections that nobody has taken, each with its head.
    pub(crate) fn rest(self) -> impl Iterator<Item = (String, Vec<String>)> {
        self.sections.into_iter().map(|(path, lines)| {
            let path: Vec<String> = path.iter().map(|word| key(word)).collect();
            (path.join("."), lines)
        })
    }

    /// The CAs that may be named: those that are known, and those that these lines define.
    pub(crate) fn profiles(&self) -> BTreeMap<CaName, CaProfile> {
        let mut known = profiles::shipped();
        for section in self.sections.keys() {
            if let [first, name] = section.as_slice()
                && first == "ca"
                && let Ok(name) = CaName::parse(name)
            {
                let template = || CaProfile {
                    name: name.clone(),
                    ..profiles::template()
                };
                known.entry(name.clone()).or_insert_with(template);
            }
        }
        known
    }
}

/// The path and the value of a line; a value that is none of TOML is a text.
fn split(line: &str) -> Option<(Vec<String>, String)> {
    let (written, value) = line.split_once('=')?;
    let table: toml::Table = format!("{written} = 0").parse().ok()?;
    let mut path = Vec::new();
    let mut table = &table;
    loop {
        let (word, inner) = table.iter().next()?;
        path.push(word.clone());
        match inner {
            toml::Value::Table(below) => table = below,
            _ => break,
        }
    }
    let value = value.trim();
    let plain = !value.contains(['\n', '\r']);
    let is_toml = plain && format!("a = {value}").parse::<toml::Table>().is_ok();
    let value = if is_toml {
        value.to_owned()
    } else {
        quoted(value)
    };
    Some((path, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_finds_its_section() {
        let read = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            More::read(&lines)
        };
        let mut more = read(&[
            "include=[\"certs.d/*.toml\"]",
            "network.resolvers=[\"192.0.2.1:53\"]",
            "plugin.\"a.b\".grants.http = { hosts = [] }",
            "ca.mine.directories=[\"https://ca.example/\"]",
            "certificate.key=rsa-2048",
        ])
        .expect("good lines");
        assert!(
            more.profiles()
                .contains_key(&CaName::parse("mine").expect("a name"))
        );
        assert_eq!(more.take(&[]), ["include = [\"certs.d/*.toml\"]"]);
        assert_eq!(more.take(&["certificate"]), ["key = \"rsa-2048\""]);
        assert_eq!(
            more.take(&["plugin", "a.b"]),
            ["grants.http = { hosts = [] }"]
        );
        let rest: Vec<String> = more.rest().map(|(head, _)| head).collect();
        assert_eq!(rest, ["ca.mine", "network"]);
        let wrong = read(&["network", "a b=1"]).expect_err("no lines");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
