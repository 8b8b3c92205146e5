//! What this program is and what it holds.

use serde_json::{Value, json};

use super::page::{Context, Ink, Line, Page};

/// This program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its version.
    pub(crate) version: &'static str,
    /// The plugin contract that it speaks.
    pub(crate) contract: &'static str,
    /// What it was built for.
    pub(crate) system: String,
    /// The plugins inside.
    pub(crate) plugins: Vec<BuiltIn>,
    /// The CA profiles inside.
    pub(crate) cas: Vec<BuiltIn>,
}

/// Something inside the program.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    /// Its name.
    pub(crate) name: String,
    /// Its version, or the day on which its data was checked.
    pub(crate) version: String,
}

/// For people.
pub(crate) fn text(program: &Program, context: &Context) -> String {
    let mut page = Page::new(context);
    page.line(
        &Line::indented(0)
            .ink(Ink::Strong, format!("waxwing {}", program.version))
            .text(format!(
                "   {}   plugin contract {}",
                program.system, program.contract
            )),
    );
    let list = |items: &[BuiltIn], between: &str| {
        let items = items.iter();
        let items = items.map(|item| format!("{}{between}{}", item.name, item.version));
        items.collect::<Vec<_>>().join(", ")
    };
    for (label, items) in [
        ("plugins", list(&program.plugins, "\u{a0}")),
        ("CAs", list(&program.cas, "\u{a0}of\u{a0}")),
    ] {
        let line = Line::indented(2).ink(Ink::Quiet, label).column(11, 1);
        page.line(&line.hang_here().text(items));
    }
    page.finish()
}

/// For machines.
pub(crate) fn json(program: &Program) -> Value {
    let list = |items: &[BuiltIn], key: &str| -> Vec<Value> {
        let items = items.iter();
        let items = items.map(|item| json!({ "name": item.name, key: item.version }));
        items.collect()
    };
    json!({
        "version": program.version,
        "contract": program.contract,
        "system": program.system,
        "plugins": list(&program.plugins, "version"),
        "cas": list(&program.cas, "checked"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::golden;
    use super::*;

    fn program() -> Program {
        let built_in = |name: &str, version: &str| BuiltIn {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        Program {
            version: "0.3.1",
            contract: "0.1",
            system: "linux x86_64".to_owned(),
            plugins: vec![built_in("example-dns", "1.2.0"), built_in("web", "0.1.0")],
            cas: (1..=7)
                .map(|nth| built_in(&format!("example-ca-{nth}"), "2026-11-01"))
                .collect(),
        }
    }

    #[test]
    fn the_version_names_what_is_built_in() {
        golden("version.txt", |context| text(&program(), context));
    }

    #[test]
    fn machines_get_the_same_facts() {
        let found = json(&program());
        assert_eq!(found["version"], "0.3.1");
        assert_eq!(
            found["plugins"][0],
            json!({ "name": "example-dns", "version": "1.2.0" })
        );
        assert_eq!(found["cas"][6]["checked"], "2026-11-01");
    }
}
