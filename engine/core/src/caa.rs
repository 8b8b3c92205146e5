//! CAA records: which CAs the owner of a domain lets issue (RFC 8659).
//!
//! What a newcomer gets wrong: the records nearest to the name count alone, and for a wildcard
//! `issuewild` replaces `issue` as soon as there is one.

use crate::name::{DomainName, Identifier};

/// One CAA record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaRecord {
    /// True: a CA that does not know the tag must not issue.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef`, …
    pub tag: String,
    /// The value as text.
    pub value: String,
}

/// The records that count for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaaSet {
    /// The name at which they were found: the one asked about or one above it.
    pub at: DomainName,
    /// All of them.
    pub records: Vec<CaaRecord>,
}

/// Records that keep a CA from signing a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, so it would refuse {name}", self.what())]
pub struct Forbidden {
    /// The name that is to be signed.
    pub name: Identifier,
    /// Where the records are.
    pub at: DomainName,
    /// Who is allowed to; may be nobody.
    pub issuers: Vec<String>,
    /// The tag of the records that decide: a first `issuewild` would shut everybody else out of wildcards.
    pub tag: &'static str,
    /// The tag of a critical record that no CA has to know, if that is what keeps them all.
    pub unknown: Option<String>,
}

impl Forbidden {
    /// What the records say: `the CAA records of example.com let nobody issue`.
    pub fn what(&self) -> String {
        let at = &self.at;
        match &self.unknown {
            Some(tag) => format!(
                "{at} has the critical CAA record `{tag}`, which a CA must know to issue (RFC 8659 section 4.5)"
            ),
            None => format!("the CAA records of {at} let {} issue", self.whom()),
        }
    }

    /// Who may issue, for people: `only a.example, b.example` or `nobody`.
    pub fn whom(&self) -> String {
        if self.issuers.is_empty() {
            "nobody".to_owned()
        } else {
            format!("only {}", self.issuers.join(", "))
        }
    }

    /// The record that would let a CA issue which goes by `identity`, as it stands in a zone file.
    pub fn remedy(&self, identity: &str) -> String {
        match &self.unknown {
            Some(tag) => format!(
                "{} without the record `{tag}`, or with the flag 0 in it",
                self.at
            ),
            None => format!("{}. CAA 0 {} \"{identity}\"", self.at, self.tag),
        }
    }
}

/// What keeps a CA that goes by one of `identities` from signing `name`, if anything does. A CA of
/// which no identity is known is not judged.
pub fn forbids(set: &CaaSet, name: &Identifier, identities: &[String]) -> Option<Forbidden> {
    if identities.is_empty() || allows(&set.records, name.wildcard, identities) {
        return None;
    }
    let deciding = counting(&set.records, name.wildcard);
    let deciding: Vec<CaaRecord> = deciding.into_iter().cloned().collect();
    Some(Forbidden {
        name: name.clone(),
        at: set.at.clone(),
        issuers: issuers(&deciding),
        tag: deciding_tag(set, name),
        unknown: unknown(&set.records).map(|record| record.tag.clone()),
    })
}

/// The tag of the records that decide about a name: `issue`, or `issuewild` where a wildcard has such records.
pub fn deciding_tag(set: &CaaSet, name: &Identifier) -> &'static str {
    let deciding = counting(&set.records, name.wildcard);
    let mut deciding = deciding.iter();
    match deciding.any(|record| record.tag.eq_ignore_ascii_case("issuewild")) {
        true => "issuewild",
        false => "issue",
    }
}

/// True if these records, the nearest to a name, let a CA issue that goes by one of `identities`.
///
/// Parameters behind the CA's name, as `accounturi`, are not judged: only the CA knows them all.
pub fn allows(records: &[CaaRecord], wildcard: bool, identities: &[String]) -> bool {
    if unknown(records).is_some() {
        return false;
    }
    let counting = counting(records, wildcard);
    counting.is_empty() || counting.iter().any(|record| names_one(record, identities))
}

/// A critical record that is not understood: nobody issues then (RFC 8659 section 4.5).
fn unknown(records: &[CaaRecord]) -> Option<&CaaRecord> {
    const KNOWN: [&str; 6] = [
        "issue",
        "issuewild",
        "issuemail",
        "iodef",
        "contactemail",
        "contactphone",
    ];
    let known = |record: &CaaRecord| KNOWN.iter().any(|tag| record.tag.eq_ignore_ascii_case(tag));
    records
        .iter()
        .find(|record| record.critical && !known(record))
}

/// The records that decide who may issue.
fn counting(records: &[CaaRecord], wildcard: bool) -> Vec<&CaaRecord> {
    let named = |tag: &str| -> Vec<&CaaRecord> {
        let records = records.iter();
        records
            .filter(|record| record.tag.eq_ignore_ascii_case(tag))
            .collect()
    };
    let wild = named("issuewild");
    if wildcard && !wild.is_empty() {
        wild
    } else {
        named("issue")
    }
}

fn names_one(record: &CaaRecord, identities: &[String]) -> bool {
    let issuer = issuer(&record.value);
    let mut identities = identities.iter();
    identities.any(|identity| issuer.eq_ignore_ascii_case(identity))
}

/// How the records bind a CA that they let issue to other accounts than `accounts`, or to other methods than
/// `dns-01` (RFC 8657), if all that name it do. A CA that does not read these parameters issues all the same.
/// Without an account there is nothing to compare with.
pub fn binds(
    set: &CaaSet,
    name: &Identifier,
    identities: &[String],
    accounts: &[String],
) -> Option<String> {
    let ours: Vec<&CaaRecord> = counting(&set.records, name.wildcard)
        .into_iter()
        .filter(|record| names_one(record, identities))
        .collect();
    let mut wrong = ours.iter().map(|record| misfit(&record.value, accounts));
    let first = wrong.next()??;
    wrong.all(|why| why.is_some()).then_some(first)
}

/// Which parameter of a record excludes us.
fn misfit(value: &str, accounts: &[String]) -> Option<String> {
    let parameters = || {
        let parameters = value.split(';').skip(1).map(str::trim);
        parameters.filter(|one| !one.is_empty())
    };
    // What is not written as RFC 8659 section 4.2 has it is the word of a zone that lets nobody.
    if let Some(odd) = parameters().find(|one| !one.contains('=')) {
        return Some(format!("to nobody, for {odd} has no ="));
    }
    let parameters: Vec<_> = parameters()
        .filter_map(|one| one.split_once('='))
        .map(|(tag, value)| (tag.trim(), value.trim()))
        .collect();
    // A record that has one of them twice is kept by nobody (RFC 8657 sections 3 and 4).
    let tags = || parameters.iter().map(|(tag, _)| tag);
    let twice = |known: &&&str| {
        let same = tags().filter(|tag| tag.eq_ignore_ascii_case(known));
        same.count() > 1
    };
    if let Some(tag) = ["accounturi", "validationmethods"].iter().find(twice) {
        return Some(format!("to nobody, with {tag} twice in one record"));
    }
    for (tag, value) in parameters {
        let methods = || {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case("dns-01"))
        };
        if tag.eq_ignore_ascii_case("validationmethods") && !methods() {
            return Some(format!("only for names that are proved by {value}"));
        }
        let known = accounts.is_empty() || accounts.iter().any(|one| one == value);
        if tag.eq_ignore_ascii_case("accounturi") && !known {
            return Some(format!("only to the account {value}"));
        }
    }
    None
}

/// The CAs that the records name, each once; for messages.
pub fn issuers(records: &[CaaRecord]) -> Vec<String> {
    let mut issuers: Vec<String> = records
        .iter()
        .filter(|record| {
            ["issue", "issuewild"]
                .iter()
                .any(|tag| record.tag.eq_ignore_ascii_case(tag))
        })
        .map(|record| issuer(&record.value).to_owned())
        .filter(|issuer| !issuer.is_empty())
        .collect();
    issuers.sort();
    issuers.dedup();
    issuers
}

/// The part of the value before its parameters.
fn issuer(value: &str) -> &str {
    let name = value.split(';').next().unwrap_or("").trim();
    name.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_decide_as_the_rfc_says() {
        let ours = ["ca.example".to_owned(), "old-ca.example".to_owned()];
        let record = |text: &str| {
            let mut parts = text.splitn(3, ' ');
            CaaRecord {
                critical: parts.next() == Some("128"),
                tag: parts.next().expect("a tag").to_owned(),
                value: parts.next().unwrap_or("").to_owned(),
            }
        };
        // Records, then whether a plain name and a wildcard are allowed.
        let table: &[(&[&str], bool, bool)] = &[
            (&[], true, true),
            (&["0 issue ca.example"], true, true),
            (&["0 ISSUE CA.Example."], true, true),
            (&["0 issue other.example"], false, false),
            (
                &["0 issue other.example", "0 issue old-ca.example"],
                true,
                true,
            ),
            (&["0 issue ;"], false, false),
            (&["0 issue"], false, false),
            (
                &["0 issue ca.example; accounturi=https://ca.example/a/1"],
                true,
                true,
            ),
            (&["0 issuewild ca.example"], true, true),
            (&["0 issuewild other.example"], true, false),
            (&["0 issue ca.example", "0 issuewild ;"], true, false),
            (&["0 issue ;", "0 issuewild ca.example"], false, true),
            (&["0 iodef mailto:a@example.com"], true, true),
            (&["128 iodef mailto:a@example.com"], true, true),
            (&["0 tbs x"], true, true),
            (&["128 tbs x", "0 issue ca.example"], false, false),
        ];
        for (records, plain, wildcard) in table {
            let parsed: Vec<_> = records.iter().map(|text| record(text)).collect();
            assert_eq!(allows(&parsed, false, &ours), *plain, "{records:?}");
            assert_eq!(allows(&parsed, true, &ours), *wildcard, "*. {records:?}");
        }
    }

    #[test]
    fn a_ca_that_is_not_named_is_forbidden_and_the_record_to_add_is_known() {
        let set = |value: &str| CaaSet {
            at: DomainName::parse("example.com").expect("a name"),
            records: vec![CaaRecord {
                critical: false,
                tag: "issue".to_owned(),
                value: value.to_owned(),
            }],
        };
        let name = |text| Identifier::parse(text).expect("a name");
        let ours = ["ca.example".to_owned()];
        let found = forbids(&set("other.example"), &name("*.www.example.com"), &ours);
        let found = found.expect("forbidden");
        assert_eq!(
            found.to_string(),
            "the CAA records of example.com let only other.example issue, so it would refuse \
             *.www.example.com"
        );
        assert_eq!(
            found.remedy("ca.example"),
            "example.com. CAA 0 issue \"ca.example\""
        );
        // Where there is one already it decides alone, and the next one is of its kind.
        let mut both = set("ca.example");
        both.records.push(CaaRecord {
            critical: false,
            tag: "issuewild".to_owned(),
            value: "wild.example".to_owned(),
        });
        let found = forbids(&both, &name("*.example.com"), &ours).expect("forbidden");
        assert_eq!(found.whom(), "only wild.example");
        assert_eq!(
            found.remedy("ca.example"),
            "example.com. CAA 0 issuewild \"ca.example\""
        );
        let nobody = forbids(&set(";"), &name("example.com"), &ours).expect("forbidden");
        assert_eq!(nobody.whom(), "nobody");
        assert_eq!(
            forbids(&set("ca.example"), &name("example.com"), &ours),
            None
        );
        // Nothing is known of that CA, so nothing is said about it.
        assert_eq!(
            forbids(&set("other.example"), &name("example.com"), &[]),
            None
        );
    }

    #[test]
    fn a_record_may_bind_a_ca_to_another_account_or_method() {
        let ours = ["ca.example".to_owned()];
        let accounts = ["https://ca.example/a/1".to_owned()];
        let name = Identifier::parse("example.com").expect("a name");
        let bound = |values: &[&str], accounts: &[String]| {
            let record = |value: &&str| CaaRecord {
                critical: false,
                tag: "issue".to_owned(),
                value: (*value).to_owned(),
            };
            let set = CaaSet {
                at: DomainName::parse("example.com").expect("a name"),
                records: values.iter().map(record).collect(),
            };
            binds(&set, &name, &ours, accounts)
        };
        let other = "ca.example; accounturi=https://ca.example/a/2";
        let want = Some("only to the account https://ca.example/a/2".to_owned());
        assert_eq!(bound(&[other], &accounts), want);
        assert_eq!(bound(&[other], &[]), None);
        assert_eq!(bound(&[other, "ca.example"], &accounts), None);
        assert_eq!(bound(&["x.example; accounturi=y"], &accounts), None);
        let method = "ca.example;validationmethods=http-01,tls-alpn-01";
        let want = Some("only for names that are proved by http-01,tls-alpn-01".to_owned());
        assert_eq!(bound(&[method], &accounts), want);
        let good =
            "ca.example; validationmethods=http-01, DNS-01 ; accounturi=https://ca.example/a/1";
        assert_eq!(bound(&[good], &accounts), None);
        assert_eq!(bound(&["ca.example; =; a=b=c; "], &accounts), None);
        let want = Some("to nobody, for accounturi has no =".to_owned());
        assert_eq!(bound(&["ca.example; a=b; accounturi"], &accounts), want);
        let twice =
            "ca.example; AccountURI=https://ca.example/a/1; accounturi=https://ca.example/a/1";
        let want = Some("to nobody, with accounturi twice in one record".to_owned());
        assert_eq!(bound(&[twice], &accounts), want);
    }

    #[test]
    fn messages_name_each_issuer_once() {
        let record = |tag: &str, value: &str| CaaRecord {
            critical: false,
            tag: tag.to_owned(),
            value: value.to_owned(),
        };
        let records = [
            record("issue", "b.example"),
            record("issuewild", "a.example; x=1"),
            record("issue", "a.example"),
            record("issue", ";"),
            record("iodef", "mailto:x@example.com"),
        ];
        assert_eq!(issuers(&records), ["a.example", "b.example"]);
    }
}
