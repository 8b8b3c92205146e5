//! CAA records: which CAs the owner of a domain lets issue (RFC 8659).
//!
//! What a newcomer gets wrong: the records nearest to the name count alone, and for a wildcard
//! `issuewild` replaces `issue` as soon as there is one.

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

/// True if these records, the nearest to a name, let a CA issue that goes by one of `identities`.
///
/// Parameters behind the CA's name, as `accounturi`, are not judged: only the CA knows them all.
pub fn allows(records: &[CaaRecord], wildcard: bool, identities: &[String]) -> bool {
    const KNOWN: [&str; 6] = [
        "issue",
        "issuewild",
        "issuemail",
        "iodef",
        "contactemail",
        "contactphone",
    ];
    let known = |record: &CaaRecord| KNOWN.iter().any(|tag| record.tag.eq_ignore_ascii_case(tag));
    if records
        .iter()
        .any(|record| record.critical && !known(record))
    {
        return false;
    }
    let named = |tag: &str| -> Vec<&CaaRecord> {
        let records = records.iter();
        records
            .filter(|record| record.tag.eq_ignore_ascii_case(tag))
            .collect()
    };
    let wild = named("issuewild");
    let counting = if wildcard && !wild.is_empty() {
        wild
    } else {
        named("issue")
    };
    counting.is_empty()
        || counting.iter().any(|record| {
            let issuer = issuer(&record.value);
            identities
                .iter()
                .any(|identity| issuer.eq_ignore_ascii_case(identity))
        })
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
