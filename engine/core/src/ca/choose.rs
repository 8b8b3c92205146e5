//! Which CA is asked next. Nothing else picks one.

use std::collections::BTreeMap;

use super::CaProfile;
use crate::key::KeyType;
use crate::name::{CaName, Identifier};

/// A CA that was tried in this run and gave no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which.
    pub ca: CaName,
    /// True if the failure is the CA's own, so that another may do better; false if it would be
    /// the same everywhere: no network here, a record that cannot be placed, a run that was stopped.
    pub elsewhere: bool,
}

/// Why a CA of the list is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassedOver {
    /// It is no automatic fallback because an order may cost money.
    #[error("an order there may cost money, so it is never an automatic fallback")]
    MayCharge,
    /// Its profile says that it is no automatic fallback.
    #[error("its profile says that it is no automatic fallback")]
    NoFallback,
    /// Nobody trusts what it signs, and the first of the list is a real one.
    #[error("nobody trusts its certificates, so it never stands in for a CA that is trusted")]
    Staging,
    /// More names than it signs.
    #[error("it signs at most {max} names in one certificate; this one has {names}")]
    TooManyNames {
        /// The limit.
        max: u32,
        /// The order.
        names: usize,
    },
    /// A wildcard, which it does not sign.
    #[error("it signs no wildcards, and {0} is one")]
    Wildcard(Identifier),
    /// An internationalised name, which it does not sign.
    #[error("it signs no internationalised names, and {0} is one")]
    Idn(Identifier),
    /// A kind of key that it does not sign.
    #[error("it signs no {key} keys (it takes {})", list(.accepted))]
    Key {
        /// The certificate's.
        key: KeyType,
        /// The CA's.
        accepted: Vec<KeyType>,
    },
    /// A name deeper than it signs.
    #[error("it signs at most {max} labels below the registered domain; {name} has more")]
    TooDeep {
        /// The limit.
        max: u32,
        /// The name.
        name: Identifier,
    },
}

/// The next CA, and those that were passed over on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// The CA to ask; none to give up for this run.
    pub ca: Option<&'a CaProfile>,
    /// True if it stands in for the first of the list.
    pub fallback: bool,
    /// CAs of the list that are not asked, and why.
    pub passed_over: Vec<(CaName, PassedOver)>,
}

/// Chooses the CA to ask next for a certificate with these names and that kind of key, after `tried`
/// in this run.
///
/// The list is the operator's order. Its first CA is asked whatever its profile says about
/// fallbacks, for the operator named it first; limits on names and keys always count.
pub fn next<'a>(
    list: &[CaName],
    profiles: &'a BTreeMap<CaName, CaProfile>,
    names: &[Identifier],
    key: KeyType,
    tried: &[Tried],
) -> Choice<'a> {
    let mut choice = Choice {
        ca: None,
        fallback: false,
        passed_over: Vec::new(),
    };
    if tried.iter().any(|tried| !tried.elsewhere) {
        return choice;
    }
    let first_is_real = list
        .iter()
        .find_map(|name| profiles.get(name))
        .is_some_and(|p| !p.staging);
    for (position, name) in list.iter().enumerate() {
        let Some(profile) = profiles.get(name) else {
            continue;
        };
        if tried.iter().any(|tried| tried.ca == *name) {
            continue;
        }
        let hindrance = if position > 0 && profile.staging && first_is_real {
            Some(PassedOver::Staging)
        } else {
            hindrance(profile, names, key, position > 0)
        };
        match hindrance {
            Some(reason) => choice.passed_over.push((name.clone(), reason)),
            None => {
                choice.ca = Some(profile);
                choice.fallback = position > 0;
                break;
            }
        }
    }
    choice
}

fn hindrance(
    profile: &CaProfile,
    names: &[Identifier],
    key: KeyType,
    fallback: bool,
) -> Option<PassedOver> {
    if fallback && profile.may_charge {
        return Some(PassedOver::MayCharge);
    }
    if fallback && !profile.fallback {
        return Some(PassedOver::NoFallback);
    }
    let limits = &profile.names;
    if names.len() > limits.max as usize {
        return Some(PassedOver::TooManyNames {
            max: limits.max,
            names: names.len(),
        });
    }
    if let Some(wildcard) = names.iter().find(|id| id.wildcard && !limits.wildcard) {
        return Some(PassedOver::Wildcard(wildcard.clone()));
    }
    if let Some(name) = names.iter().find(|id| id.is_idn() && !limits.idn) {
        return Some(PassedOver::Idn(name.clone()));
    }
    if !profile.cert_keys.is_empty() && !profile.cert_keys.contains(&key) {
        return Some(PassedOver::Key {
            key,
            accepted: profile.cert_keys.clone(),
        });
    }
    let max = limits.max_labels?;
    let deep = names.iter().find(|id| least_depth(id) > max as usize)?;
    Some(PassedOver::TooDeep {
        max,
        name: deep.clone(),
    })
}

/// Labels that certainly lie below the registered domain. Which label begins it is in no name;
/// three are left for it, as in `example.co.uk`, so that only what is surely too deep is refused.
fn least_depth(id: &Identifier) -> usize {
    let labels = id.domain.as_str().split('.').count() + usize::from(id.wildcard);
    labels.saturating_sub(3)
}

fn list(kinds: &[KeyType]) -> String {
    let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    kinds.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;

    fn profile(name: &str, change: impl FnOnce(&mut CaProfile)) -> (CaName, CaProfile) {
        let name = CaName::parse(name).expect("a literal name");
        let mut profile = CaProfile {
            name: name.clone(),
            ..profiles::template()
        };
        change(&mut profile);
        (name, profile)
    }

    #[test]
    fn the_list_is_followed_without_what_does_not_fit() {
        let profiles: BTreeMap<_, _> = [
            profile("one", |_| {}),
            profile("two", |_| {}),
            profile("paid", |p| p.may_charge = true),
            profile("test", |p| p.fallback = false),
            profile("plain", |p| p.names.wildcard = false),
            profile("few", |p| p.names.max = 1),
            profile("flat", |p| p.names.max_labels = Some(2)),
            profile("ascii", |p| p.names.idn = false),
            profile("rsa", |p| p.cert_keys = vec![KeyType::Rsa2048]),
            profile("curves", |p| {
                p.cert_keys = vec![KeyType::EcdsaP384, KeyType::EcdsaP256];
            }),
        ]
        .into();
        let check = |list: &str, names: &str, tried: &str, want: Option<&str>, passed: &str| {
            let list: Vec<_> = list
                .split(' ')
                .map(|name| CaName::parse(name).expect("a literal name"))
                .collect();
            let names: Vec<_> = names
                .split(' ')
                .map(|name| Identifier::parse(name).expect("a literal name"))
                .collect();
            let tried: Vec<_> = tried
                .split_whitespace()
                .map(|word| Tried {
                    ca: CaName::parse(word.trim_end_matches('!')).expect("a literal name"),
                    elsewhere: !word.ends_with('!'),
                })
                .collect();
            let choice = next(&list, &profiles, &names, KeyType::EcdsaP256, &tried);
            let case = format!("{list:?} {names:?} {tried:?}");
            assert_eq!(choice.ca.map(|ca| ca.name.as_str()), want, "{case}");
            let found: Vec<_> = choice
                .passed_over
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(found.join(" "), passed, "{case}");
            let first = list.first().map(CaName::as_str);
            assert_eq!(choice.fallback, want.is_some() && want != first, "{case}");
        };
        let plain = "example.com";
        check("one two", plain, "", Some("one"), "");
        check("one two", plain, "one", Some("two"), "");
        check("one two", plain, "one two", None, "");
        // The same would happen everywhere.
        check("one two", plain, "one!", None, "");
        // First is what the operator chose; second is automatic.
        check("paid one", plain, "", Some("paid"), "");
        check("one paid two", plain, "one", Some("two"), "paid");
        check("one paid", plain, "one", None, "paid");
        check("one test two", plain, "one", Some("two"), "test");
        // Limits count for the first, too.
        check("plain one", "*.example.com", "", Some("one"), "plain");
        check(
            "few one",
            "a.example.com b.example.com",
            "",
            Some("one"),
            "few",
        );
        check("flat one", "a.b.c.example.co.uk", "", Some("one"), "flat");
        check("flat one", "a.b.example.co.uk", "", Some("flat"), "");
        check("ascii one", "b\u{fc}cher.example", "", Some("one"), "ascii");
        check("ascii one", plain, "", Some("ascii"), "");
        check("rsa curves", plain, "", Some("curves"), "rsa");
        check("unknown one", plain, "", Some("one"), "");
    }
}
