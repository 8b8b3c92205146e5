//! Accounts at CAs: the list, and what came of changes.

use serde_json::{Value, json};
use waxwing_core::name::CaName;
use waxwing_core::time::Timestamp;
use waxwing_flow::account::{AccountError, Drift};
use waxwing_flow::failure::Failure;
use waxwing_flow::ports::AccountRecord;

use super::page::{Context, GLUE, Ink, Line, Page, count};
use crate::commands::start;
use crate::exit::Exit;

/// Where what is said of a CA begins, unless its name is longer.
const BEHIND_NAME: usize = 14;

/// A CA and the accounts there.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The CA.
    pub(crate) ca: CaName,
    /// True if a `ca` list names it.
    pub(crate) named: bool,
    /// Its name in CAA records, if the profile has one.
    pub(crate) issuer: Option<String>,
    /// What the configuration says otherwise.
    pub(crate) drift: Vec<Drift>,
    /// The accounts, one for each directory.
    pub(crate) accounts: Vec<Known>,
}

/// An account.
#[derive(Debug)]
pub(crate) struct Known {
    directory: String,
    url: String,
    contact: Vec<String>,
    terms: Option<(String, Timestamp)>,
    /// True after a rollover whose answer was lost.
    key_unclear: bool,
    deactivated: Option<Timestamp>,
}

impl From<AccountRecord> for Known {
    fn from(record: AccountRecord) -> Self {
        Self {
            directory: record.directory,
            url: record.kid.unwrap_or_default(),
            contact: record.contact,
            terms: record.terms,
            key_unclear: record.next_key.is_some(),
            deactivated: record.deactivated,
        }
    }
}

impl Listed {
    /// The CAA record that lets an account issue and no other of this CA (RFC 8657 section 3).
    fn caa(&self, account: &Known) -> Option<String> {
        let issuer = self
            .issuer
            .as_ref()
            .filter(|_| account.deactivated.is_none())?;
        Some(format!(
            "CAA 0 issue \"{issuer}; accounturi={}\"",
            account.url
        ))
    }
}

/// All accounts, for people.
pub(crate) fn list(listed: &[Listed], context: &Context) -> String {
    let mut page = Page::new(context);
    let named = listed.iter().filter(|one| one.named).count();
    let in_use = |known: &&Known| known.deactivated.is_none();
    let accounts = listed
        .iter()
        .flat_map(|one| &one.accounts)
        .filter(in_use)
        .count();
    let head = format!(
        "{} at {} of the configuration",
        count(accounts, "account"),
        count(named, "CA")
    );
    page.line(&Line::indented(0).ink(Ink::Strong, head));
    let mut lines = 0;
    for one in listed {
        let begin = Line::indented(0)
            .ink(Ink::Strong, one.ca.as_str())
            .column(BEHIND_NAME, 2)
            .hang_here();
        if one.accounts.is_empty() {
            page.line(&begin.text("no account yet; the first renewal there makes one"));
            let hint = format!("`waxwing account register {}` makes it now", one.ca);
            page.hint(BEHIND_NAME, &hint);
            continue;
        }
        let mut begin = Some(begin);
        for account in &one.accounts {
            let indented = || Line::indented(BEHIND_NAME);
            page.line(&begin.take().unwrap_or_else(indented).text(&account.url));
            for line in about(one, account, context) {
                page.plain(BEHIND_NAME, line);
            }
            if let Some(caa) = one.caa(account) {
                // To be pasted, so that it stays whole on every terminal.
                page.plain(BEHIND_NAME, caa.replace(' ', &GLUE.to_string()));
                lines += 1;
            }
        }
        for drift in &one.drift {
            let line = indented_warning().text(drift.what());
            page.line(&line);
            if let Some(hint) = drift.hint() {
                page.hint(BEHIND_NAME, &hint);
            }
        }
    }
    if lines > 0 {
        page.plain(
            0,
            "A CAA line at your domain lets only that account issue (RFC 8657); a domain needs the \
             lines of all CAs of its list.",
        );
    }
    page.finish()
}

fn indented_warning() -> Line {
    Line::indented(BEHIND_NAME)
        .ink(Ink::Warn, "warning:")
        .text(" ")
        .hang_here()
}

/// What is known of an account besides its URL.
fn about(one: &Listed, account: &Known, context: &Context) -> Vec<String> {
    let mut lines = Vec::new();
    if one.accounts.len() > 1 {
        lines.push(format!("for {}", account.directory));
    }
    let contact: Vec<&str> = account.contact.iter().map(|url| plain(url)).collect();
    let contact = if contact.is_empty() {
        "no contact".to_owned()
    } else {
        format!("contact {}", contact.join(", "))
    };
    let terms = match &account.terms {
        Some((url, at)) => format!("terms {url} agreed {}", context.day(*at)),
        None => "no terms".to_owned(),
    };
    lines.push(format!("{contact}; {terms}"));
    if let Some(at) = account.deactivated {
        lines.push(format!(
            "given up {}; it cannot be used any more",
            context.day(at)
        ));
    }
    if account.key_unclear {
        lines.push("its key is being changed: the next call finds out which one counts".to_owned());
    }
    lines
}

/// A contact without its scheme.
fn plain(url: &str) -> &str {
    url.strip_prefix("mailto:").unwrap_or(url)
}

/// All accounts, for machines.
pub(crate) fn list_json(listed: &[Listed]) -> Value {
    let cas: Vec<Value> = listed
        .iter()
        .map(|one| {
            let accounts = one.accounts.iter().map(|account| {
                json!({
                    "directory": account.directory,
                    "url": account.url,
                    "contact": account.contact,
                    "terms": account.terms.as_ref().map(|(url, at)| json!({
                        "url": url,
                        "agreed": at.to_string(),
                    })),
                    "caa": one.caa(account),
                    "key_unclear": account.key_unclear,
                    "deactivated": account.deactivated.map(|at| at.to_string()),
                })
            });
            let warnings = one.drift.iter().map(ToString::to_string);
            json!({
                "name": one.ca.as_str(),
                "named": one.named,
                "accounts": accounts.collect::<Vec<_>>(),
                "warnings": warnings.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "cas": cas })
}

/// What came of a change at one account.
#[derive(Debug)]
pub(crate) struct Change {
    /// The CA.
    pub(crate) ca: CaName,
    /// The directory of the account, if it was there before.
    pub(crate) directory: Option<String>,
    /// What was done, or why not.
    pub(crate) outcome: Result<Outcome, AccountError>,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A new account.
    Registered {
        /// Its URL.
        account: String,
    },
    /// The CA knew the key already.
    Found {
        /// The account's URL.
        account: String,
    },
    /// It was there.
    Known {
        /// The account's URL.
        account: String,
    },
    /// The contact was what it should be.
    SameContact {
        /// Which.
        contact: Vec<String>,
    },
    /// The CA has another contact now.
    Contact {
        /// Before.
        from: Vec<String>,
        /// Now.
        to: Vec<String>,
    },
    /// Another key.
    RolledOver,
    /// An earlier change of the key had gone through.
    RolledOverBefore,
    /// Other terms are agreed to.
    Agreed {
        /// Where they stand.
        url: String,
    },
    /// The terms are those that were agreed to.
    SameTerms {
        /// Where they stand, if that is known.
        agreed: Option<String>,
    },
    /// The account is over.
    GivenUp {
        /// True if it was before.
        before: bool,
        /// True if a `ca` list names the CA, so that the next run makes another one.
        named: bool,
    },
}

impl Outcome {
    /// The stable name in JSON.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "registered",
            Self::Found { .. } => "found",
            Self::Known { .. } => "known",
            Self::SameContact { .. } => "same-contact",
            Self::Contact { .. } => "contact-changed",
            Self::RolledOver => "key-changed",
            Self::RolledOverBefore => "key-changed-before",
            Self::Agreed { .. } => "terms-agreed",
            Self::SameTerms { .. } => "same-terms",
            Self::GivenUp { before: false, .. } => "deactivated",
            Self::GivenUp { before: true, .. } => "deactivated-before",
        }
    }

    /// What was done, then what comes next.
    fn lines(&self, ca: &CaName) -> Vec<String> {
        let joined = |contact: &[String]| {
            let plain: Vec<&str> = contact.iter().map(|url| plain(url)).collect();
            if plain.is_empty() {
                "none".to_owned()
            } else {
                plain.join(", ")
            }
        };
        match self {
            Self::Registered { account } => vec![format!("registered: {account}")],
            Self::Found { account } => vec![format!("found by its key: {account}")],
            Self::Known { account } => vec![format!("there already: {account}")],
            Self::SameContact { contact } => {
                vec![format!("the contact is {} already", joined(contact))]
            }
            Self::Contact { from, to } => vec![format!(
                "the contact is {} now instead of {}",
                joined(to),
                joined(from)
            )],
            Self::RolledOver => vec!["the account has another key now; the old one is erased".into()],
            Self::RolledOverBefore => vec![
                "an earlier change whose answer was lost had gone through; its key counts, and none \
                 was changed now"
                    .into(),
            ],
            Self::Agreed { url } => vec![format!("noted that you agree to {url}")],
            Self::SameTerms { agreed } => vec![match agreed {
                Some(url) => format!("no other terms are known than {url}, which were agreed to"),
                None => "no terms are known".to_owned(),
            }],
            Self::GivenUp { before, named } => {
                let how = if *before { "was given up before" } else { "is given up" };
                let next = if *named {
                    format!(
                        "a `ca` list still names {ca}: the next order there registers another one"
                    )
                } else {
                    format!("no `ca` list names {ca}, so no other one is made")
                };
                vec![format!("the account {how}"), next]
            }
        }
    }
}

/// What came of changes, for people.
pub(crate) fn changes(changes: &[Change], context: &Context) -> String {
    let mut page = Page::new(context);
    if changes.is_empty() {
        page.plain(0, "There is no account to change.");
    }
    for change in changes {
        let begin = Line::indented(0)
            .ink(Ink::Strong, change.ca.as_str())
            .column(BEHIND_NAME, 2)
            .hang_here();
        let lines = match &change.outcome {
            Ok(outcome) => outcome.lines(&change.ca),
            Err(error) => error.lines(),
        };
        let mut lines = lines.into_iter();
        let first = lines.next().unwrap_or_default();
        page.line(&match &change.outcome {
            Ok(_) => begin.text(first),
            Err(_) => begin.ink(Ink::Bad, "error:").text(" ").text(first),
        });
        let several = changes.iter().filter(|other| other.ca == change.ca).count() > 1;
        if let Some(directory) = change.directory.as_ref().filter(|_| several) {
            page.plain(BEHIND_NAME, format!("for {directory}"));
        }
        for line in lines {
            page.plain(BEHIND_NAME, line);
        }
        if let Some(hint) = change.outcome.as_ref().err().and_then(AccountError::hint) {
            page.hint(BEHIND_NAME, &hint);
        }
    }
    page.finish()
}

/// What came of changes, for machines.
pub(crate) fn changes_json(changes: &[Change]) -> Value {
    let accounts: Vec<Value> = changes
        .iter()
        .map(|change| {
            let account = match &change.outcome {
                Ok(
                    Outcome::Registered { account }
                    | Outcome::Found { account }
                    | Outcome::Known { account },
                ) => Some(account),
                _ => None,
            };
            let failure = change.outcome.as_ref().err().map(|error| {
                json!({
                    "class": error.class().as_str(),
                    "causes": error.lines(),
                    "hint": error.hint(),
                })
            });
            json!({
                "ca": change.ca.as_str(),
                "directory": change.directory,
                "result": change.outcome.as_ref().map_or("failed", Outcome::as_str),
                "account": account,
                "failure": failure,
            })
        })
        .collect();
    json!({ "exit": exit_of(changes) as u8, "accounts": accounts })
}

/// How the program ends after these changes.
pub(crate) fn exit_of(changes: &[Change]) -> Exit {
    let errors: Vec<&AccountError> = changes
        .iter()
        .filter_map(|change| change.outcome.as_ref().err())
        .collect();
    let Some(first) = errors.first() else {
        return Exit::Done;
    };
    if errors.len() < changes.len() {
        return Exit::SomeFailed;
    }
    match first {
        AccountError::Failed(Failure::Store(error)) => start::store_exit(error),
        _ => Exit::AllFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ca, days, golden, locked, silent};
    use super::*;
    use waxwing_core::http::TransportStage;
    use waxwing_flow::ports::StoreErrorKind;

    fn known(url: &str) -> Known {
        Known {
            directory: "https://acme.first.example/directory".to_owned(),
            url: url.to_owned(),
            contact: vec!["mailto:ops@example.com".to_owned()],
            terms: Some(("https://first.example/terms.pdf".to_owned(), days(-82))),
            key_unclear: false,
            deactivated: None,
        }
    }

    fn listed(name: &str, accounts: Vec<Known>) -> Listed {
        Listed {
            ca: ca(name),
            named: true,
            issuer: Some(format!("{name}.example")),
            drift: Vec::new(),
            accounts,
        }
    }

    #[test]
    fn each_account_brings_the_caa_line_to_paste() {
        let drift = Drift::Contact {
            ca: ca("first"),
            told: vec!["mailto:ops@example.com".to_owned()],
            configured: vec!["mailto:new@example.com".to_owned()],
        };
        let over = Known {
            deactivated: Some(days(-1)),
            contact: Vec::new(),
            terms: None,
            ..known("https://acme.old.example/acct/9")
        };
        let elsewhere = Known {
            directory: "https://acme2.first.example/directory".to_owned(),
            key_unclear: true,
            ..known("https://acme2.first.example/acct/2")
        };
        let all = [
            Listed {
                drift: vec![drift],
                ..listed(
                    "first",
                    vec![known("https://acme.first.example/acct/1"), elsewhere],
                )
            },
            listed("second", Vec::new()),
            Listed {
                named: false,
                ..listed("old", vec![over])
            },
        ];
        golden("account-list.txt", |context| list(&all, context));
        let machine = list_json(&all);
        assert_eq!(
            machine["cas"][0]["accounts"][0]["caa"],
            "CAA 0 issue \"first.example; accounturi=https://acme.first.example/acct/1\""
        );
        assert_eq!(machine["cas"][2]["accounts"][0]["caa"], Value::Null);
    }

    fn change(name: &str, outcome: Result<Outcome, AccountError>) -> Change {
        Change {
            ca: ca(name),
            directory: Some("https://acme.first.example/directory".to_owned()),
            outcome,
        }
    }

    #[test]
    fn every_change_says_what_was_done_and_what_comes_next() {
        let account = || "https://acme.first.example/acct/1".to_owned();
        let refused = silent("fourth", TransportStage::Connect, "connection refused");
        let all = [
            change("first", Ok(Outcome::Registered { account: account() })),
            change("second", Ok(Outcome::RolledOverBefore)),
            change(
                "third",
                Ok(Outcome::GivenUp {
                    before: false,
                    named: true,
                }),
            ),
            change("fourth", Err(AccountError::Failed(refused))),
            change("fifth", Err(AccountError::NoKeyChange(ca("fifth")))),
            change(
                "sixth",
                Ok(Outcome::Agreed {
                    url: "https://acme.sixth.example/terms/v2".to_owned(),
                }),
            ),
            change(
                "seventh",
                Ok(Outcome::SameTerms {
                    agreed: Some("https://acme.seventh.example/terms/v1".to_owned()),
                }),
            ),
        ];
        golden("account-changes.txt", |context| changes(&all, context));
        assert_eq!(
            changes_json(&all)["accounts"][3]["failure"]["class"],
            "transient"
        );
    }

    #[test]
    fn the_exit_code_tells_some_from_all() {
        let good = || change("a", Ok(Outcome::RolledOver));
        let bad = || change("b", Err(AccountError::NoKeyChange(ca("b"))));
        let store = |kind| {
            let error = Failure::Store(locked(kind));
            change("c", Err(AccountError::Failed(error)))
        };
        for (changes, want) in [
            (vec![], Exit::Done),
            (vec![good(), good()], Exit::Done),
            (vec![good(), bad()], Exit::SomeFailed),
            (vec![bad(), bad()], Exit::AllFailed),
            (vec![store(StoreErrorKind::Locked)], Exit::Locked),
            (vec![store(StoreErrorKind::Permission)], Exit::Denied),
        ] {
            assert_eq!(exit_of(&changes), want, "{changes:?}");
        }
    }
}
