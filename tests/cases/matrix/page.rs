//! The matrix as a page to read.

use std::fmt::Write as _;
use std::io::Write as _;

use super::cell::Played;
use super::plan::{Course, Endpoint, Ill};

const HEAD: &str = "\
# What a CA can get wrong, and what comes of it
";

/// The whole page.
pub(super) fn page(played: &[Played]) -> String {
    let mut page = HEAD.to_owned();
    for (course, title) in [
        (Course::Once, "Once"),
        (Course::ForEver, "For ever"),
        (Course::WithSpare, "For ever, with another CA in the list"),
    ] {
        let of = |endpoint: Endpoint, ill: Ill| {
            let mut all = played.iter();
            all.find(|one| {
                one.cell.course == course && one.cell.endpoint == endpoint && one.cell.ill == ill
            })
        };
        let columns: Vec<Endpoint> = Endpoint::ALL
            .into_iter()
            .filter(|endpoint| {
                let mut all = played.iter();
                all.any(|one| one.cell.course == course && one.cell.endpoint == *endpoint)
            })
            .collect();
        let mut table = format!("\n## {title}\n\n| |");
        for endpoint in &columns {
            write!(table, " {} |", endpoint.title()).expect("text");
        }
        table.push_str("\n|---|");
        table.push_str(&"---|".repeat(columns.len()));
        for ill in Ill::ALL {
            write!(table, "\n| {} |", ill.title()).expect("text");
            for endpoint in &columns {
                let text = of(*endpoint, ill).map_or("", |one| one.text.as_str());
                let text = text.lines().next().unwrap_or_default();
                write!(table, " {text} |").expect("text");
            }
        }
        table.push('\n');
        page.push_str(&table);
    }
    page
}

/// Shows the page in the output of the test, which the harness keeps for failed tests unless it is
/// told not to.
pub(super) fn print(page: &str) {
    // Nobody has to read it.
    let _unheard = std::io::stdout().write_all(page.as_bytes());
}
