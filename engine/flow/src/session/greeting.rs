//! One look at the directory of a CA, and nothing else.

use std::time::Duration;

use waxwing_acme::directory::Directory;
use waxwing_acme::retry_after::RetryAfter;
use waxwing_core::ca::CaProfile;
use waxwing_core::time::Timestamp;

use super::{SessionPorts, policy};
use crate::failure::{CaError, Failure};

/// What a look at a CA's directory told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The directory.
    pub directory: Directory,
    /// From the start of sending to the last byte.
    pub took: Duration,
    /// What the clock of the CA showed, to the second.
    pub clock: Option<Timestamp>,
}

/// How long [`greet`] takes at most.
pub fn longest(profile: &CaProfile) -> Duration {
    let candidates = u32::try_from(profile.directories.len()).unwrap_or(u32::MAX);
    policy(profile).reply.saturating_mul(candidates)
}

/// Reads the directory of a CA once and nothing else. Every candidate that fails keeps its cause.
pub async fn greet(ports: &SessionPorts, profile: &CaProfile) -> Result<Greeting, Failure> {
    let mut tried = Vec::new();
    for url in &profile.directories {
        let request = Directory::request(url, &ports.user_agent);
        ports.sent.count(&profile.name);
        let cause = match ports.http.send(request, &policy(profile)).await {
            Err(error) => CaError::Transport(error),
            Ok(response) => match Directory::read(url, &response) {
                Err(error) => CaError::Answer(error),
                Ok(directory) => {
                    return Ok(Greeting {
                        directory,
                        took: response.elapsed,
                        clock: response.header("date").and_then(server_time),
                    });
                }
            },
        };
        tried.push((url.clone(), cause));
    }
    Err(Failure::Directory {
        ca: profile.name.clone(),
        tried,
    })
}

/// The time of a `Date` field.
fn server_time(date: &str) -> Option<Timestamp> {
    match RetryAfter::parse(date)? {
        RetryAfter::At(time) => Some(time),
        RetryAfter::After(_) => None,
    }
}
