//! Waiting until the world can see the records.

use std::time::Duration;

use futures_util::future::join_all;
use waxwing_core::name::DomainName;
use waxwing_core::settings::Propagation;

use crate::driver::Work;
use crate::failure::Failure;
use crate::obligation::Obligation;
use crate::plugin::PropagationHint;
use crate::ports::ServerView;
use crate::report::Progress;

/// No hope after this, unless the provider says otherwise.
const GIVE_UP: Duration = Duration::from_secs(600);

/// The wait after look number `nth` (from 0) that did not see everything.
fn next_look(nth: u32) -> Duration {
    Duration::from_secs(1_u64 << nth.min(3)).min(Duration::from_secs(8))
}

/// Waits until every server that counts shows every value. Answers how many servers were asked;
/// none if the configuration says to wait blindly.
pub(crate) async fn wait(
    work: &Work<'_>,
    obligations: &[Obligation],
    hint: &PropagationHint,
) -> Result<Option<usize>, Failure> {
    let ports = work.ports;
    if let Propagation::Wait(time) = work.propagation {
        work.waiting("the DNS to take up the records".to_owned(), time);
        ports.session.clock.sleep(time).await;
        return Ok(None);
    }
    if !hint.min_wait.is_zero() {
        work.waiting(
            "the DNS provider to publish the records".to_owned(),
            hint.min_wait,
        );
        ports.session.clock.sleep(hint.min_wait).await;
    }
    let give_up = if hint.give_up.is_zero() {
        GIVE_UP
    } else {
        hint.give_up.min(GIVE_UP)
    };
    let started = ports.session.clock.now();
    let mut records: Vec<(&DomainName, &str)> = obligations
        .iter()
        .map(|obligation| (&obligation.record.fqdn, obligation.record.value.as_str()))
        .collect();
    records.sort_unstable();
    records.dedup();
    let mut servers = 0;
    let mut nth = 0;
    loop {
        let mut missing: Option<(DomainName, Vec<ServerView>)> = None;
        let mut left = Vec::new();
        let looks = records
            .iter()
            .map(|(fqdn, value)| ports.probe.look(fqdn, value, hint));
        let views = join_all(looks).await;
        for ((fqdn, value), views) in records.into_iter().zip(views) {
            let views = views.map_err(Failure::Lookup)?;
            servers = servers.max(views.len());
            if !everybody_sees(&views) {
                left.push((fqdn, value));
                missing.get_or_insert((fqdn.clone(), views));
            }
        }
        let Some((fqdn, views)) = missing else {
            return Ok(Some(servers));
        };
        records = left;
        let waited = ports.session.clock.now().since(started);
        if waited >= give_up {
            return Err(Failure::Propagation {
                fqdn,
                servers: views,
                waited,
            });
        }
        let seen = views.iter().filter(|view| view.sees == Ok(true)).count();
        work.waiting(
            format!(
                "{fqdn} to be seen on all name servers ({seen} of {} so far)",
                views.len()
            ),
            give_up.saturating_sub(waited),
        );
        let chance = ports.session.entropy.number();
        let pause = waxwing_core::retry::spread(next_look(nth), chance);
        ports.session.clock.sleep(pause).await;
        nth += 1;
    }
}

/// The verdict on one look: at least one server, and no server without the value.
fn everybody_sees(views: &[ServerView]) -> bool {
    !views.is_empty() && views.iter().all(|view| view.sees == Ok(true))
}

impl Work<'_> {
    fn waiting(&self, what: String, most: Duration) {
        self.observer
            .progress(&self.certificate, &Progress::Waiting { what, most });
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
    fn looks_slow_down_to_eight_seconds() {
        let waits: Vec<u64> = (0..6).map(|nth| next_look(nth).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    }
}
