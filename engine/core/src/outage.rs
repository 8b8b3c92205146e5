//! Whether a CA is down or this machine has no network.
//!
//! A CA that cannot be reached says nothing about itself as long as nobody else can be reached
//! either. So when one host fails before it has answered anything, an unrelated one is asked, and
//! this module judges what came of both. Some failures need no comparison: where no resolver answers,
//! or there is no route, the host was never reached. What a newcomer gets wrong: an error page is an
//! answer; it proves the network.

use crate::http::TransportStage;

/// What came of talking to one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It answered, with whatever status.
    Answered,
    /// It did not.
    Silent(TransportStage),
}

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// This machine's: unrelated hosts fail in the same way, or nothing has left it.
    Local,
    /// The host's own: others can be reached.
    Theirs,
    /// Nobody else was there to be asked.
    Unknown,
}

/// Judges the failure of one host by what came of talking to others, each of another operator.
pub fn judge(failed: TransportStage, others: &[Contact]) -> Verdict {
    // What never left this machine cannot be anybody else's fault.
    if matches!(
        failed,
        TransportStage::Request
            | TransportStage::Setup
            | TransportStage::Roots
            | TransportStage::Address
    ) {
        return Verdict::Local;
    }
    if others.contains(&Contact::Answered) {
        return Verdict::Theirs;
    }
    if is_local(failed) {
        return Verdict::Local;
    }
    // A request that could not even be made is a mistake in the configuration of that host, and one
    // that this machine could not send says nothing about the others.
    let unmade = |other: &&Contact| match other {
        Contact::Answered => false,
        Contact::Silent(stage) => {
            is_local(*stage)
                || matches!(
                    stage,
                    TransportStage::Request
                        | TransportStage::Setup
                        | TransportStage::Roots
                        | TransportStage::Address
                )
        }
    };
    let others: Vec<Contact> = others.iter().filter(|o| !unmade(o)).copied().collect();
    // Somebody else who was found and refuses at another depth is a second, independent trouble,
    // unless all of it is the same layer of this machine's way out.
    let same = |other: &Contact| match other {
        Contact::Answered => false,
        Contact::Silent(stage) => layer(*stage) == layer(failed),
    };
    if others.is_empty() {
        Verdict::Unknown
    } else if others.iter().all(same) {
        Verdict::Local
    } else {
        Verdict::Theirs
    }
}

/// True if such a failure is this machine's as long as nobody else has answered it. That a connection
/// is refused is no such failure: whoever refuses was reached.
pub const fn is_local(stage: TransportStage) -> bool {
    matches!(stage, TransportStage::Resolver | TransportStage::Route)
}

/// The part of the way on which it failed.
#[derive(PartialEq, Eq)]
enum Layer {
    Resolver,
    Route,
    Tls,
    Answer,
}

const fn layer(stage: TransportStage) -> Layer {
    match stage {
        TransportStage::Dns | TransportStage::Resolver => Layer::Resolver,
        TransportStage::Request
        | TransportStage::Route
        | TransportStage::Setup
        | TransportStage::Roots
        | TransportStage::Address
        | TransportStage::Connect => Layer::Route,
        // A proxy that inspects TLS, or a clock that is years off, fails every handshake.
        TransportStage::Tls => Layer::Tls,
        TransportStage::Exchange | TransportStage::Timeout | TransportStage::TooLarge => {
            Layer::Answer
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_everywhere_is_ours() {
        use Contact::{Answered, Silent};
        use TransportStage::{
            Address, Connect, Dns, Exchange, Request, Resolver, Route, Setup, Timeout, Tls,
            TooLarge,
        };
        let check = |failed, others: &[Contact], want| {
            assert_eq!(judge(failed, others), want, "{failed:?} {others:?}");
        };
        check(Dns, &[Silent(Dns)], Verdict::Local);
        check(Dns, &[Silent(Dns), Silent(Dns)], Verdict::Local);
        check(Connect, &[Silent(Connect)], Verdict::Local);
        check(Tls, &[Silent(Tls)], Verdict::Local);
        check(Timeout, &[Silent(Exchange)], Verdict::Local);
        // One answer, whatever it says, proves the network.
        check(Connect, &[Answered], Verdict::Theirs);
        check(Dns, &[Silent(Dns), Answered], Verdict::Theirs);
        // Different depths are different troubles.
        check(Connect, &[Silent(Dns)], Verdict::Theirs);
        check(Tls, &[Silent(Connect)], Verdict::Theirs);
        // Nobody to compare with.
        check(Connect, &[], Verdict::Unknown);
        check(Connect, &[Silent(Request)], Verdict::Unknown);
        // It never left this machine.
        check(Request, &[Answered], Verdict::Local);
        // No resolver, no route: nobody is needed to compare with.
        for stage in [Resolver, Route] {
            check(stage, &[], Verdict::Local);
            check(stage, &[Silent(Connect)], Verdict::Local);
            check(stage, &[Silent(stage)], Verdict::Local);
            check(stage, &[Silent(stage), Answered], Verdict::Theirs);
            // And it is no witness for or against anybody.
            check(Connect, &[Silent(stage)], Verdict::Unknown);
            check(Dns, &[Silent(stage), Silent(Dns)], Verdict::Local);
            check(Tls, &[Silent(stage), Silent(Connect)], Verdict::Theirs);
        }
        // Nothing else is local by itself, a refused connection for one.
        let told = [Request, Setup, Address, Resolver, Route];
        for stage in [Dns, Connect, Tls, Exchange, Timeout, TooLarge] {
            assert!(!told.contains(&stage) && !is_local(stage), "{stage:?}");
            check(stage, &[], Verdict::Unknown);
        }
    }
}
