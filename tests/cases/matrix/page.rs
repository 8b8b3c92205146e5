//! The matrix as a page to read.

use std::fmt::Write as _;
use std::io::Write as _;

use super::cell::Played;
use super::plan::{Course, Endpoint, Ill};

const HEAD: &str = "\
# What a CA can get wrong, and what comes of it

Every endpoint with every fault, as the test `matrix` has played it: the real engine on a simulated
clock, the real HTTP client, a CA with a fault. `WAXWING_BLESS=1 cargo test --workspace --test waxwing
matrix` writes this page anew; the test fails where it differs.

A certificate for an apex and its wildcard is wanted for the first time. The fault lasts for one
request (refused nonces: for three), or for ever.

- *recovered*: the run that met the fault has issued the certificate.
- *parked 1 min*: the run has failed, has told the URL and how it failed, and has stated when the next
  try is, which a run before that time keeps to. At that time there is a certificate, from the same order
  unless the square says otherwise. Under a fault for ever three tries fail so; then the fault is mended.
- *refused then*: the CA had taken up one challenge when the other one ended the run, which removed the
  records. The next try finds the order refused and the one after it places another order.
- *other CA*: the second CA of the list has issued it in the same run. A certificate that the first one
  has made and does not hand out stays there.
- A CA that denies an order which it has finalized (403, 404, 405) is asked again at the next tries, for
  a quarter of an hour. One that still denies it then has lost it for all that anybody can tell, and another
  order gives a second certificate there: nobody but the CA knows of the first.
- *2 orders*: so many were placed at the CA with the fault. An order whose URL is
  lost is known to nobody: its authorizations stay pending there until they expire.
- *issued; asked again in 6 h*: renewal information was not to be had. No certificate waits for it; the
  cause is kept, and the question is asked again then. 61 days later the certificate is renewed all the
  same.
- *told, revoked later*: revoking has failed, has told why, and nothing counts as revoked; doing it again
  without the fault has revoked it.

Done means that the CA has done what was asked although its answer is lost or spoilt. Whatever happens:
no run hangs or floods the CA; the CA's ledger has one certificate (unless the square says otherwise),
which is the stored one, with its key; one account; no record is left at the DNS provider; no journal stays open.
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
