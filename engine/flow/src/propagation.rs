//! Waiting until the world can see the records.

use std::time::Duration;

use futures_util::future::join_all;
use waxwing_core::name::DomainName;
use waxwing_core::settings::Propagation;
use waxwing_core::time::Timestamp;

use crate::driver::Work;
use crate::failure::Failure;
use crate::obligation::Obligation;
use crate::plugin::PropagationHint;
use crate::ports::ServerView;
use crate::report::Progress;

/// No hope after this, unless the provider says otherwise.
const GIVE_UP: Duration = Duration::from_secs(600);

/// No wait is longer, whatever the provider says.
const LONGEST: Duration = Duration::from_secs(3600);

/// The wait after look number `nth` (from 0) that did not see everything.
fn next_look(nth: u32) -> Duration {
    Duration::from_secs(1_u64 << nth.min(3)).min(Duration::from_secs(8))
}

/// The wait before the first look.
///
/// The zone's own servers forget nothing and may be asked at once. A resolver that is asked too
/// early keeps the "no" for as long as the zone says, so it is asked when the record usually is
/// there.
fn first_look(mode: Propagation, hint: &PropagationHint, give_up: Duration) -> Duration {
    let usual = match mode {
        Propagation::Resolvers => hint.expected,
        Propagation::Authoritative | Propagation::Wait(_) => Duration::ZERO,
    };
    hint.min_wait.max(usual).min(give_up)
}

/// Waits until every server that counts shows every value. Answers how many servers were asked;
/// none if the configuration says to wait blindly.
pub(crate) async fn wait(
    work: &Work<'_>,
    obligations: &[Obligation],
    hint: &PropagationHint,
) -> Result<Option<usize>, Failure> {
    let ports = work.ports;
    let started = ports.session.clock.now();
    if let Propagation::Wait(time) = work.propagation {
        let what = "the DNS to take up the records".to_owned();
        work.waiting(what, started, started + time);
        ports.session.clock.sleep(time).await;
        return Ok(None);
    }
    let give_up = if hint.give_up.is_zero() {
        GIVE_UP
    } else {
        hint.give_up.min(LONGEST)
    };
    let first = first_look(work.propagation, hint, give_up);
    if !first.is_zero() {
        let what = "the DNS provider to publish the records".to_owned();
        work.waiting(what, started, started + first);
        ports.session.clock.sleep(first).await;
    }
    let mut records: Vec<(&DomainName, &str)> = obligations
        .iter()
        .map(|obligation| (&obligation.record.fqdn, obligation.record.value.as_str()))
        .collect();
    records.sort_unstable();
    records.dedup();
    let mut servers = 0;
    let mut nth = 0;
    // The sum of the pauses bounds the wait if the clock goes backwards.
    let mut paused = first;
    loop {
        let mut missing = None;
        let mut left = Vec::new();
        let looks = records
            .iter()
            .map(|(fqdn, value)| ports.probe.look(fqdn, value, hint));
        let views = join_all(looks).await;
        for ((fqdn, value), views) in records.into_iter().zip(views) {
            servers = servers.max(views.as_ref().map_or(0, Vec::len));
            // A look-up that fails may do better in a moment, like a server that does not answer.
            if !views.as_ref().is_ok_and(|views| everybody_sees(views)) {
                left.push((fqdn, value));
                missing.get_or_insert((fqdn, views));
            }
        }
        let Some((fqdn, views)) = missing else {
            return Ok(Some(servers));
        };
        records = left;
        let waited = ports.session.clock.now().since(started).max(paused);
        if waited >= give_up {
            return Err(match views {
                Ok(servers) => Failure::Propagation {
                    fqdn: fqdn.clone(),
                    servers,
                    waited,
                },
                Err(error) => Failure::Lookup(error),
            });
        }
        let what = match &views {
            Ok(views) => unseen(fqdn, views),
            Err(error) => format!("the name servers of {fqdn} to be found ({error})"),
        };
        work.waiting(what, started, started + give_up);
        let chance = ports.session.entropy.number();
        let pause = waxwing_core::retry::spread(next_look(nth), chance);
        ports.session.clock.sleep(pause).await;
        paused += pause;
        nth += 1;
    }
}

/// The verdict on one look: at least one server, and no server without the value.
fn everybody_sees(views: &[ServerView]) -> bool {
    !views.is_empty() && views.iter().all(|view| view.sees == Ok(true))
}

/// Servers that are named while they are waited for; of more only the number is said.
const NAMED: usize = 2;

/// What is waited for after a look that did not see everything: the servers without the value, who come first since
/// the end of a line may be cut.
fn unseen(fqdn: &DomainName, views: &[ServerView]) -> String {
    let without = views.iter().filter(|view| view.sees != Ok(true));
    let without: Vec<&str> = without.map(|view| view.server.as_str()).collect();
    let named = match without.as_slice() {
        [] => return format!("a name server to show {fqdn}"),
        all if all.len() <= NAMED => all.join(" and "),
        named => format!(
            "{} and {} more",
            named[..NAMED].join(", "),
            named.len() - NAMED
        ),
    };
    let seen = views.len() - without.len();
    format!("{named} to show {fqdn} ({seen} of {} do)", views.len())
}

impl Work<'_> {
    fn waiting(&self, what: String, since: Timestamp, until: Timestamp) {
        let waiting = Progress::Waiting { what, since, until };
        self.observer.progress(&self.certificate, &waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_without_the_value_is_not_enough() {
        let view = |sees| ServerView {
            server: "ns".to_owned(),
            sees,
        };
        assert!(!everybody_sees(&[]));
        assert!(everybody_sees(&[view(Ok(true)), view(Ok(true))]));
        assert!(!everybody_sees(&[view(Ok(true)), view(Ok(false))]));
        assert!(!everybody_sees(&[
            view(Ok(true)),
            view(Err("refused".to_owned()))
        ]));
    }

    #[test]
    fn the_servers_that_are_waited_for_are_named() {
        let fqdn = DomainName::parse("_acme-challenge.example.com").expect("a name");
        let check = |sees: &[bool], want: &str| {
            let views: Vec<ServerView> = (1..)
                .zip(sees)
                .map(|(nth, sees)| ServerView {
                    server: format!("ns{nth}.example.net (192.0.2.{nth})"),
                    sees: Ok(*sees),
                })
                .collect();
            let want = want.replace("...", "_acme-challenge.example.com");
            assert_eq!(unseen(&fqdn, &views), want);
        };
        check(&[], "a name server to show ...");
        check(
            &[true, false],
            "ns2.example.net (192.0.2.2) to show ... (1 of 2 do)",
        );
        check(
            &[false, true, false],
            "ns1.example.net (192.0.2.1) and ns3.example.net (192.0.2.3) to show ... (1 of 3 do)",
        );
        check(
            &[false; 4],
            "ns1.example.net (192.0.2.1), ns2.example.net (192.0.2.2) and 2 more to show ... (0 of 4 do)",
        );
    }

    #[test]
    fn a_resolver_is_first_asked_when_the_record_usually_is_there() {
        let seconds = Duration::from_secs;
        let check = |mode, min_wait, expected, want| {
            let hint = PropagationHint {
                min_wait: seconds(min_wait),
                expected: seconds(expected),
                ..PropagationHint::default()
            };
            assert_eq!(first_look(mode, &hint, seconds(100)), seconds(want));
        };
        check(Propagation::Authoritative, 0, 60, 0);
        check(Propagation::Authoritative, 5, 60, 5);
        check(Propagation::Resolvers, 0, 0, 0);
        check(Propagation::Resolvers, 5, 60, 60);
        check(Propagation::Resolvers, 70, 60, 70);
        check(Propagation::Resolvers, 0, 300, 100);
        check(Propagation::Authoritative, 300, 0, 100);
    }

    #[test]
    fn looks_slow_down_to_eight_seconds() {
        let waits: Vec<u64> = (0..6).map(|nth| next_look(nth).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }
}
