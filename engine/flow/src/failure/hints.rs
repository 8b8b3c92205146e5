//! What to do about a failure.

use waxwing_core::http::TransportStage;

use super::{CaError, Failure};

/// What to do where a system has no roots.
pub const NO_ROOTS: &str = "install the package ca-certificates, or name a PEM file with roots: \
                            [network] trust";

impl CaError {
    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Answer(error) => error.hint(),
            Self::Transport(error) => {
                let first = error.causes.first();
                let through = first.is_some_and(|cause| cause.starts_with("through the proxy"));
                let hint = match error.stage {
                    TransportStage::Connect | TransportStage::Route if through => {
                        "see whether that proxy lets this machine out: [network] proxy, or what the \
                         environment says of one"
                    }
                    TransportStage::Resolver => {
                        "see which resolvers this machine is told to ask, and whether they can be \
                         reached from here"
                    }
                    TransportStage::Route => {
                        "see whether this machine has a network and a way there"
                    }
                    TransportStage::Dns => {
                        "see whether this machine's own resolver knows the name: [network] resolvers \
                         is for the look at records alone"
                    }
                    TransportStage::Tls => {
                        "a CA of your own, or a proxy that looks into TLS, needs its root: [ca.NAME] \
                         trust, or [network] trust"
                    }
                    TransportStage::Roots => NO_ROOTS,
                    TransportStage::Address => return None,
                    _ => "`waxwing ca health --now` shows which CAs can be reached from here",
                };
                Some(hint.to_owned())
            }
        }
    }
}

impl Failure {
    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory { .. } | Self::Ca { .. } if self.is_rootless() => {
                Some(NO_ROOTS.to_owned())
            }
            Self::Directory { ca, .. } | Self::Ca { ca, .. } if self.is_unsent() => Some(format!(
                "[ca.{ca}] trust and [network] trust name PEM files with roots, [network] proxy the \
                 URL of a proxy"
            )),
            Self::Directory { tried, .. } => tried.iter().find_map(|(_, cause)| cause.hint()),
            Self::Ca { error, .. } => error.hint(),
            Self::Mismatch { clock: true, .. } => Some(
                "set the clock of this machine: the CA has made the certificate a moment ago"
                    .to_owned(),
            ),
            Self::Offline { .. } => {
                Some("`waxwing check` tests the way out; [network] proxy sets another".to_owned())
            }
            Self::Rehearsal { failure, .. } | Self::Unrehearsed { failure, .. } => failure.hint(),
            Self::Account { hint, .. } => hint.clone(),
            Self::Plugins(failures) => failures.iter().find_map(|failure| failure.hint.clone()),
            Self::Lookup(error) => error.hint.clone(),
            Self::Store(error) => error.hint.clone(),
            Self::Secret(error) => error.hint.clone(),
            Self::Propagation { servers, .. } if servers.iter().all(|view| view.sees.is_err()) => {
                Some(
                    "no name server can be asked from here; where port 53 is closed, set \
                     [network] propagation = \"resolvers\" and the resolver of your network: resolvers = \
                     [\"10.0.0.53:53\"]"
                        .to_owned(),
                )
            }
            Self::Propagation { servers, .. } if servers.iter().any(|view| view.sees.is_err()) => {
                Some(
                    "not all name servers of the zone can be asked from here: take those out of it or let them be \
                     reached; [network] propagation = \"resolvers\" and resolvers = [\"9.9.9.9:53\"], or that of \
                     your network, ask none of them"
                        .to_owned(),
                )
            }
            Self::Validation { .. } => Some(
                "compare the CAA and TXT records that the world sees with `waxwing check`"
                    .to_owned(),
            ),
            Self::NoCa {
                cas, passed_over, ..
            } if passed_over.is_empty() => cas
                .first()
                .map(|ca| format!("name its staging CA: [ca.{ca}] rehearse-at = \"...\"")),
            Self::NoProfile { ca, .. } => Some(format!("change `profile` of [ca.{ca}]")),
            Self::NoValidator { identifier } => Some(format!(
                "add \"{identifier}\" to `validate` of the certificate"
            )),
            _ => None,
        }
    }
}
