//! Which CA is asked next, if one is. Nothing else picks one.
//!
//! The list is the operator's order. The first CA that may sign these names is asked; the one
//! behind it only when the policy of `[failover]` gives the first one up for the time being. What a
//! newcomer gets wrong: a fallback is not tried because the first CA failed, but because it failed
//! often or long enough, or because there is no time to wait.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::CaProfile;
use crate::key::KeyType;
use crate::name::{CaName, Identifier};
use crate::outage::{Away, Down};
use crate::retry::ladder::Trouble;
use crate::time::{self, Timestamp};

/// `[failover]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailOver {
    /// Failures in a row after which the next CA is asked; at least 1.
    pub after_failures: u32,
    /// Time since the first of them after which the next CA is asked.
    pub after: Duration,
    /// Which CA is asked at the renewal after a fallback.
    pub fail_back: FailBack,
}

/// Which CA is asked at the renewal after a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailBack {
    /// The first of the list again.
    NextRenewal,
    /// The one that issued last, as long as it is in the list.
    Never,
}

impl Default for FailOver {
    fn default() -> Self {
        Self {
            after_failures: 3,
            after: Duration::from_secs(12 * 60 * 60),
            fail_back: FailBack::NextRenewal,
        }
    }
}

/// How one CA stands with one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Failures since the certificate was last renewed.
    pub trouble: Option<Trouble>,
    /// It may not be asked before: its ladder, what it asked for, or a budget.
    pub not_before: Option<Timestamp>,
    /// True if it is not this CA that says so, but our own ladder or somebody whom every CA needs, such
    /// as a DNS provider. A person may overrule that, and no other CA is asked for it.
    pub own_wait: bool,
    /// What of the time since the first of [`trouble`](Self::trouble) this machine was cut off: such hours
    /// are not counted as the CA's.
    pub away: Away,
    /// True if what failed here last was this machine.
    pub offline: bool,
    /// The part of the wait that no person may overrule: until when the CA asked to be left alone, or a
    /// budget is used up.
    pub asked: Option<Timestamp>,
    /// Since when its endpoints have been seen to be down, whatever this certificate has met.
    pub down_since: Option<Down>,
    /// Records that forbid it to issue: the name, and what its CAA records allow.
    pub forbidden: Option<String>,
    /// True if it was tried in this run already.
    pub tried: bool,
}

/// How much time there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// A valid certificate is in place, and it is safe until then.
    Until(Timestamp),
    /// None is in place, or it is behind its safe floor: nobody is waited for.
    Now,
}

/// Everything the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Question<'p, 'a> {
    /// The operator's order; see [`in_order`].
    pub list: &'a [CaName],
    /// The operator's first: what was chosen by hand. Every other one is an automatic fallback, wherever
    /// it stands in [`list`](Self::list).
    pub first: Option<&'a CaName>,
    /// What is known of CAs.
    pub profiles: &'p BTreeMap<CaName, CaProfile>,
    /// The names that are to be certified.
    pub names: &'a [Identifier],
    /// The kind of the certificate's key.
    pub key: KeyType,
    /// How CAs stand with this certificate; one that is missing has a clean slate.
    pub standings: &'a BTreeMap<CaName, Standing>,
    /// `[failover]`
    pub policy: FailOver,
    /// How much time there is.
    pub haste: Haste,
    /// True if a person asked for this run: our own ladders do not count.
    pub by_hand: bool,
    /// The time.
    pub now: Timestamp,
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
    /// CAA records forbid it to issue.
    #[error("{0}")]
    Forbidden(String),
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

/// Why a CA that is not the first one is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// So many failures in a row.
    Failures(u32),
    /// It has failed for so long.
    Failing(Duration),
    /// It has been seen to be down for so long.
    Down(Duration),
    /// It asked for a wait that ends too late.
    Late(Timestamp),
    /// There is no time to wait for it.
    Haste,
    /// CAA records do not let it issue.
    Forbidden,
}

/// For the history; what a person reads is put into sentences elsewhere.
impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures(failures) => write!(f, "failed {failures} times in a row"),
            Self::Failing(time) => write!(f, "failing for {}", time::about(*time)),
            Self::Down(time) => write!(f, "down for {}", time::about(*time)),
            Self::Late(until) => {
                let until = until.to_string();
                let minute = until.get(..16).unwrap_or(&until).replace('T', " ");
                write!(f, "not to be asked before {minute} UTC")
            }
            Self::Haste => f.write_str("no time to wait"),
            Self::Forbidden => f.write_str("CAA did not let it issue"),
        }
    }
}

/// The next CA, and those that were passed over on the way to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice<'a> {
    /// What to do.
    pub next: Next<'a>,
    /// CAs of the list that are not asked, and why.
    pub passed_over: Vec<(CaName, PassedOver)>,
}

/// What to do about a certificate that needs a CA.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<'a> {
    /// Ask this one.
    Ask {
        /// Which.
        ca: &'a CaProfile,
        /// If it stands in for another: that one, and why it is given up for now.
        instead_of: Option<(CaName, Because)>,
    },
    /// Ask nobody before this moment.
    Wait {
        /// The moment.
        until: Timestamp,
        /// The CA that is then asked.
        ca: CaName,
    },
    /// Nobody is left to be asked in this run.
    Nobody,
}

/// Chooses.
pub fn next<'p>(question: &Question<'p, '_>) -> Choice<'p> {
    let mut passed_over = Vec::new();
    let mut given_up: Option<(CaName, Because)> = None;
    let mut soonest: Option<(Timestamp, CaName)> = None;
    let clean = Standing::default();
    for name in question.list {
        let Some(profile) = question.profiles.get(name) else {
            continue;
        };
        let standing = question.standings.get(name).unwrap_or(&clean);
        if let Some(reason) = hinders(question, profile) {
            passed_over.push((name.clone(), reason));
            continue;
        }
        let waits = if question.by_hand && !standing.own_wait {
            standing.not_before
        } else if question.by_hand {
            standing.asked
        } else {
            standing.not_before
        };
        let waits = waits.filter(|until| *until > question.now);
        if !standing.tried && waits.is_none() {
            let next = Next::Ask {
                ca: profile,
                instead_of: given_up,
            };
            return Choice { next, passed_over };
        }
        if let Some(until) = waits.or(standing.not_before)
            && soonest.as_ref().is_none_or(|(first, _)| until < *first)
        {
            soonest = Some((until, name.clone()));
        }
        match gives_up(question, standing) {
            Some(because) => given_up = given_up.or_else(|| Some((name.clone(), because))),
            None => break,
        }
    }
    let next = match soonest {
        Some((until, ca)) => Next::Wait { until, ca },
        None => Next::Nobody,
    };
    Choice { next, passed_over }
}

/// Why a CA is never asked, however the others stand; none if it may be.
pub fn hinders(question: &Question<'_, '_>, profile: &CaProfile) -> Option<PassedOver> {
    let first_is_real = question
        .first
        .or_else(|| question.list.first())
        .and_then(|name| question.profiles.get(name))
        .is_some_and(|profile| !profile.staging);
    let fallback = question.first != Some(&profile.name);
    if fallback && profile.staging && first_is_real {
        return Some(PassedOver::Staging);
    }
    let standing = question.standings.get(&profile.name);
    if let Some(records) = standing.and_then(|standing| standing.forbidden.as_ref()) {
        return Some(PassedOver::Forbidden(records.clone()));
    }
    hindrance(profile, question.names, question.key, fallback)
}

/// Whether the policy lets the next CA of the list stand in for one that is not asked now.
fn gives_up(question: &Question<'_, '_>, standing: &Standing) -> Option<Because> {
    let Haste::Until(safe_until) = question.haste else {
        // Where only this side failed, another CA would meet the same trouble.
        let ours = standing.trouble.is_none() && standing.own_wait;
        return (!ours || standing.not_before.is_none()).then_some(Because::Haste);
    };
    let policy = question.policy;
    if let Some(trouble) = standing.trouble {
        if trouble.failures >= policy.after_failures {
            return Some(Because::Failures(trouble.failures));
        }
        let failing = standing.away.known(trouble.first, question.now);
        if failing >= policy.after && !standing.offline {
            return Some(Because::Failing(failing));
        }
    }
    let down = standing.down_since.filter(|_| !standing.offline);
    if let Some(down) = down.filter(|down| down.is_current(question.now)) {
        let down = down.lasted(question.now);
        if down >= policy.after {
            return Some(Because::Down(down));
        }
    }
    // Another CA has to wait for what is not this one's just as long.
    let theirs = standing.not_before.filter(|_| !standing.own_wait);
    theirs
        .filter(|until| *until > safe_until)
        .map(Because::Late)
}

/// The list in the order in which it is asked: with [`FailBack::Never`] the CA that stood in for the
/// certificate in place comes first, `stood_in`. One that the operator has put elsewhere in the list, or
/// that nobody trusts, did not stand in.
pub fn in_order(list: &[CaName], stood_in: Option<&CaName>, fail_back: FailBack) -> Vec<CaName> {
    let mut ordered = list.to_vec();
    if fail_back == FailBack::Never
        && let Some(place) = stood_in.and_then(|issuer| ordered.iter().position(|ca| ca == issuer))
    {
        let first = ordered.remove(place);
        ordered.insert(0, first);
    }
    ordered
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
    use proptest::prelude::*;

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

    const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn profiles() -> BTreeMap<CaName, CaProfile> {
        [
            profile("one", |_| {}),
            profile("two", |_| {}),
            profile("three", |_| {}),
            profile("paid", |p| p.may_charge = true),
            profile("test", |p| p.fallback = false),
            profile("stage", |p| p.staging = true),
            profile("plain", |p| p.names.wildcard = false),
            profile("few", |p| p.names.max = 1),
            profile("flat", |p| p.names.max_labels = Some(2)),
            profile("ascii", |p| p.names.idn = false),
            profile("rsa", |p| p.cert_keys = vec![KeyType::Rsa2048]),
            profile("curves", |p| {
                p.cert_keys = vec![KeyType::EcdsaP384, KeyType::EcdsaP256];
            }),
        ]
        .into()
    }

    fn names(list: &str) -> Vec<CaName> {
        let words = list.split_whitespace();
        words
            .map(|name| CaName::parse(name).expect("a literal name"))
            .collect()
    }

    fn failed(failures: u32, hours_ago: u32, wait: Option<Duration>) -> Standing {
        Standing {
            trouble: Some(Trouble {
                failures,
                climbed: (failures, 0),
                first: NOW - HOUR * hours_ago,
                last: NOW,
                until: None,
                local: false,
                firm: false,
            }),
            not_before: wait.map(|wait| NOW + wait),
            own_wait: true,
            ..Standing::default()
        }
    }

    /// `one`, `one instead of two`, `wait for one` or `nobody`; then what was passed over.
    fn shown(choice: &Choice<'_>) -> String {
        let mut text = match &choice.next {
            Next::Ask { ca, instead_of } => match instead_of {
                None => ca.name.to_string(),
                Some((given_up, because)) => {
                    format!("{} instead of {given_up}: {because:?}", ca.name)
                }
            },
            Next::Wait { until, ca } => {
                format!("wait {} min for {ca}", until.since(NOW).as_secs() / 60)
            }
            Next::Nobody => "nobody".to_owned(),
        };
        for (name, _) in &choice.passed_over {
            text.push_str(&format!(" -{name}"));
        }
        text
    }

    #[test]
    fn the_list_is_followed_without_what_does_not_fit() {
        let profiles = profiles();
        let check = |list: &str, domains: &str, tried: &str, want: &str| {
            let identifiers: Vec<_> = domains
                .split(' ')
                .map(|name| Identifier::parse(name).expect("a literal name"))
                .collect();
            let standings = names(tried).into_iter().map(|name| {
                let standing = Standing {
                    tried: true,
                    ..failed(1, 0, None)
                };
                (name, standing)
            });
            let choice = next(&Question {
                list: &names(list),
                first: names(list).first(),
                profiles: &profiles,
                names: &identifiers,
                key: KeyType::EcdsaP256,
                standings: &standings.collect(),
                policy: FailOver::default(),
                haste: Haste::Now,
                by_hand: false,
                now: NOW,
            });
            assert_eq!(shown(&choice), want, "{list}; {domains}; {tried}");
        };
        let plain = "example.com";
        check("one two", plain, "", "one");
        check("one two", plain, "one", "two instead of one: Haste");
        check("one two", plain, "one two", "nobody");
        // First is what the operator chose; second is automatic.
        check("paid one", plain, "", "paid");
        check(
            "one paid two",
            plain,
            "one",
            "two instead of one: Haste -paid",
        );
        check("one paid", plain, "one", "nobody -paid");
        check(
            "one test two",
            plain,
            "one",
            "two instead of one: Haste -test",
        );
        check(
            "one stage two",
            plain,
            "one",
            "two instead of one: Haste -stage",
        );
        check("stage one", plain, "", "stage");
        // Limits count for the first, too.
        check("plain one", "*.example.com", "", "one -plain");
        check("few one", "a.example.com b.example.com", "", "one -few");
        check("flat one", "a.b.c.example.co.uk", "", "one -flat");
        check("flat one", "a.b.example.co.uk", "", "flat");
        check("ascii one", "b\u{fc}cher.example", "", "one -ascii");
        check("ascii one", plain, "", "ascii");
        check("rsa curves", plain, "", "curves -rsa");
        check("unknown one", plain, "", "one");
    }

    #[test]
    fn the_policy_says_when_the_next_one_stands_in() {
        let profiles = profiles();
        let identifiers = [Identifier::parse("example.com").expect("a literal name")];
        let calm = Haste::Until(NOW + HOUR * 24 * 20);
        let ask = |haste, by_hand, standings: &[(&str, Standing)]| {
            let standings = standings.iter().map(|(name, standing)| {
                let name = CaName::parse(name).expect("a literal name");
                (name, standing.clone())
            });
            shown(&next(&Question {
                list: &names("one two three"),
                first: names("one").first(),
                profiles: &profiles,
                names: &identifiers,
                key: KeyType::EcdsaP256,
                standings: &standings.collect(),
                policy: FailOver::default(),
                haste,
                by_hand,
                now: NOW,
            }))
        };
        let tried = |standing: Standing| Standing {
            tried: true,
            ..standing
        };
        // Too few failures, and not for long enough: its ladder is waited for.
        let twice = tried(failed(2, 1, Some(HOUR)));
        assert_eq!(
            ask(calm, false, &[("one", twice.clone())]),
            "wait 60 min for one"
        );
        // Enough of them.
        let thrice = tried(failed(3, 1, Some(HOUR)));
        assert_eq!(
            ask(calm, false, &[("one", thrice.clone())]),
            "two instead of one: Failures(3)"
        );
        // Long enough.
        let long = tried(failed(2, 12, Some(HOUR)));
        assert_eq!(
            ask(calm, false, &[("one", long)]),
            "two instead of one: Failing(43200s)"
        );
        // No time to wait.
        assert_eq!(
            ask(Haste::Now, false, &[("one", twice.clone())]),
            "two instead of one: Haste"
        );
        // Only this side failed: another CA would meet the same trouble.
        let ours = Standing {
            trouble: None,
            ..twice.clone()
        };
        assert_eq!(
            ask(Haste::Now, false, &[("one", ours)]),
            "wait 60 min for one"
        );
        // It asked for more time than there is.
        let late = Standing {
            not_before: Some(NOW + HOUR * 24 * 30),
            own_wait: false,
            ..failed(1, 0, None)
        };
        let asked = ask(calm, false, &[("one", late.clone())]);
        assert!(asked.starts_with("two instead of one: Late"));
        // A DNS provider did: the other CA would have to wait for it as well.
        let provider = Standing {
            own_wait: true,
            ..late
        };
        let asked = ask(calm, false, &[("one", provider)]);
        assert_eq!(asked, "wait 43200 min for one");
        // It has been seen to be down for long enough, though this certificate has just met it.
        let down = Standing {
            down_since: Some(Down {
                last: NOW,
                ..Down::first(NOW - HOUR * 13)
            }),
            ..tried(failed(1, 0, Some(HOUR)))
        };
        assert_eq!(
            ask(calm, false, &[("one", down)]),
            "two instead of one: Down(46800s)"
        );
        // Once at the last renewal, and nobody has looked since.
        let of_old = Standing {
            down_since: Some(Down::first(NOW - HOUR * 24 * 55)),
            ..Standing::default()
        };
        assert_eq!(ask(calm, false, &[("one", of_old)]), "one");
        // It failed once, and then the network of this machine was away for the night.
        let offline = Standing {
            down_since: Some(Down {
                last: NOW,
                ..Down::first(NOW - HOUR * 18)
            }),
            offline: true,
            ..failed(1, 18, Some(HOUR))
        };
        assert_eq!(ask(calm, false, &[("one", offline)]), "wait 60 min for one");
        // The network is back in the morning, and a DNS provider had trouble since: of the 18 hours six
        // are known.
        let away = Away {
            total: HOUR * 12,
            since: None,
        };
        let back = Standing {
            down_since: Some(Down {
                last: NOW,
                away,
                ..Down::first(NOW - HOUR * 18)
            }),
            away,
            ..failed(1, 18, Some(HOUR))
        };
        assert_eq!(
            ask(calm, false, &[("one", back.clone())]),
            "wait 60 min for one"
        );
        // With less of it they are enough.
        let less = Away {
            total: HOUR * 6,
            since: None,
        };
        let failing = Standing { away: less, ..back };
        assert_eq!(
            ask(calm, false, &[("one", failing)]),
            "two instead of one: Failing(43200s)"
        );
        // The second one has its own ladder, and the third waits for it.
        let both = [
            ("one", thrice.clone()),
            ("two", failed(1, 0, Some(HOUR / 2))),
        ];
        assert_eq!(ask(calm, false, &both), "wait 30 min for two");
        // A ladder is ours, and a person may overrule it.
        let waiting = failed(2, 1, Some(HOUR));
        assert_eq!(
            ask(calm, false, &[("one", waiting.clone())]),
            "wait 60 min for one"
        );
        assert_eq!(ask(calm, true, &[("one", waiting.clone())]), "one");
        // What the CA asked for nobody overrules.
        let asked = Standing {
            own_wait: false,
            ..waiting
        };
        assert_eq!(ask(calm, true, &[("one", asked)]), "wait 60 min for one");
        // A CA that may not issue is not waited for.
        let forbidden = Standing {
            forbidden: Some("only two.example may issue".to_owned()),
            ..Standing::default()
        };
        assert_eq!(ask(calm, false, &[("one", forbidden)]), "two -one");
    }

    fn any_standing() -> impl Strategy<Value = Standing> {
        let trouble = (1_u32..9, 0_u32..40);
        let wait = proptest::option::of(0_u32..60);
        (
            proptest::option::of(trouble),
            wait,
            any::<bool>(),
            proptest::option::of(0_u32..40),
            proptest::bool::weighted(0.2),
            proptest::bool::weighted(0.3),
        )
            .prop_map(
                |(trouble, wait, own_wait, down, forbidden, tried)| Standing {
                    trouble: trouble.map(|(failures, hours)| Trouble {
                        failures,
                        climbed: (failures, 0),
                        first: NOW - HOUR * hours,
                        last: NOW,
                        until: None,
                        local: false,
                        firm: false,
                    }),
                    not_before: wait.map(|hours| NOW + HOUR * hours),
                    own_wait,
                    offline: false,
                    asked: wait.filter(|_| !own_wait).map(|hours| NOW + HOUR * hours),
                    down_since: down.map(|hours| Down {
                        last: NOW,
                        ..Down::first(NOW - HOUR * hours)
                    }),
                    away: Away::default(),
                    forbidden: forbidden.then(|| "forbidden".to_owned()),
                    tried,
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(9773),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn nobody_is_asked_who_must_not_be(
            order in Just(vec!["one", "paid", "two", "stage", "test", "plain", "three"]).prop_shuffle(),
            standings in proptest::collection::vec(any_standing(), 7),
            haste in any::<bool>(),
            by_hand in any::<bool>(),
        ) {
            let profiles = profiles();
            let list = names(&order.join(" "));
            let standings: BTreeMap<CaName, Standing> =
                list.iter().cloned().zip(standings).collect();
            let identifiers = [Identifier::parse("*.example.com").expect("a literal name")];
            let question = Question {
                list: &list,
                first: list.first(),
                profiles: &profiles,
                names: &identifiers,
                key: KeyType::EcdsaP256,
                standings: &standings,
                policy: FailOver::default(),
                haste: if haste { Haste::Now } else { Haste::Until(NOW + HOUR * 48) },
                by_hand,
                now: NOW,
            };
            let choice = next(&question);
            prop_assert_eq!(&choice, &next(&question), "the same question, the same answer");
            let place = |ca: &CaName| list.iter().position(|name| name == ca).expect("of the list");
            match &choice.next {
                Next::Ask { ca, instead_of } => {
                    let standing = &standings[&ca.name];
                    prop_assert!(!standing.tried && standing.forbidden.is_none());
                    let waits = standing.not_before.is_some_and(|until| until > NOW);
                    prop_assert!(!waits || (by_hand && standing.own_wait));
                    prop_assert!(ca.names.wildcard);
                    let first = place(&ca.name) == 0;
                    prop_assert!(first || (!ca.may_charge && ca.fallback));
                    if let Some((given_up, _)) = instead_of {
                        prop_assert!(place(given_up) < place(&ca.name));
                    }
                    // Whoever stands before it is passed over, or given up for a reason.
                    for name in &list[..place(&ca.name)] {
                        let passed = choice.passed_over.iter().any(|(over, _)| over == name);
                        prop_assert!(passed || instead_of.is_some());
                    }
                }
                Next::Wait { until, ca } => {
                    prop_assert_eq!(standings[ca].not_before, Some(*until));
                    prop_assert!(standings[ca].forbidden.is_none());
                }
                Next::Nobody => {}
            }
        }
    }

    #[test]
    fn who_stood_in_takes_no_right_from_the_first_and_gets_none() {
        let profiles = profiles();
        let identifiers = [Identifier::parse("example.com").expect("a literal name")];
        let check = |operators: &str, stood_in: &str, tried: &str, want: &str| {
            let operators = names(operators);
            let stood_in = CaName::parse(stood_in).expect("a literal name");
            let list = in_order(&operators, Some(&stood_in), FailBack::Never);
            let tried = names(tried).into_iter().map(|name| {
                let standing = Standing {
                    tried: true,
                    ..failed(1, 0, None)
                };
                (name, standing)
            });
            let choice = next(&Question {
                list: &list,
                first: operators.first(),
                profiles: &profiles,
                names: &identifiers,
                key: KeyType::EcdsaP256,
                standings: &tried.collect(),
                policy: FailOver::default(),
                haste: Haste::Now,
                by_hand: false,
                now: NOW,
            });
            assert_eq!(shown(&choice), want, "{operators:?} {stood_in}");
        };
        check("paid two", "two", "", "two");
        // What the operator chose by hand may cost money wherever it stands.
        check("paid two", "two", "two", "paid instead of two: Haste");
        // It stood in once, and costs money since.
        check("one paid", "paid", "", "one -paid");
        check("one stage", "stage", "", "one -stage");
    }

    #[test]
    fn fail_back_says_who_is_first() {
        let list = names("one two");
        let issuer = CaName::parse("two").expect("a literal name");
        assert_eq!(in_order(&list, Some(&issuer), FailBack::NextRenewal), list);
        assert_eq!(
            in_order(&list, Some(&issuer), FailBack::Never),
            names("two one")
        );
        let gone = CaName::parse("gone").expect("a literal name");
        assert_eq!(in_order(&list, Some(&gone), FailBack::Never), list);
    }
}
