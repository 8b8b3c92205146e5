//! The look-up that connects: names to addresses by the system, less those that the policy forbids.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use waxwing_flow::ports::Addresses;

use super::address::{Refused, check};

/// Looks names up and drops forbidden addresses. Clones share what was found.
#[derive(Clone)]
pub(super) struct CheckedLookup {
    allowed: Arc<Addresses>,
    patience: Duration,
    found: Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>,
}

/// A name that has no address.
#[derive(Debug)]
pub(super) struct NoAddress {
    pub(super) host: String,
    cause: Option<std::io::Error>,
}

/// A name whose addresses are all forbidden.
#[derive(Debug)]
pub(super) struct AllRefused(pub(super) Vec<Refused>);

impl CheckedLookup {
    /// A look-up within the time of the whole connection.
    pub(super) fn new(allowed: Addresses, connect: Duration) -> Self {
        // A little less, so that a silent name server is reported as such and not as a silent host.
        let patience = connect.saturating_sub(connect / 10);
        Self {
            allowed: Arc::new(allowed),
            patience,
            found: Arc::default(),
        }
    }

    /// What was found for a host at the last look-up.
    pub(super) fn found(&self, host: &str) -> Vec<SocketAddr> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(host).cloned().unwrap_or_default()
    }

    /// The same for error messages.
    pub(super) fn last(&self, host: &str) -> Option<String> {
        let addresses = self.found(host);
        let list: Vec<String> = addresses
            .iter()
            .map(|address| address.ip().to_string())
            .collect();
        (!list.is_empty()).then(|| list.join(", "))
    }

    async fn look_up(self, host: String) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
        let search = tokio::net::lookup_host((host.as_str(), 0));
        let answer = tokio::time::timeout(self.patience, search).await;
        let answer = answer.map(|found| found.map(Vec::from_iter));
        let all: Vec<SocketAddr> = match answer {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(cause)) => {
                return Err(Box::new(NoAddress {
                    host,
                    cause: Some(cause),
                }));
            }
            Err(_elapsed) => {
                let cause = format!("no answer within {} ms", self.patience.as_millis());
                let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, cause);
                return Err(Box::new(NoAddress {
                    host,
                    cause: Some(cause),
                }));
            }
        };
        let mut refused = Vec::new();
        let mut allowed = Vec::new();
        for address in all {
            match check(&self.allowed, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(why) => refused.push(why),
            }
        }
        match (allowed.is_empty(), refused.is_empty()) {
            (false, _) => {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(host, allowed.clone());
                Ok(allowed)
            }
            (true, false) => Err(Box::new(AllRefused(refused))),
            (true, true) => Err(Box::new(NoAddress { host, cause: None })),
        }
    }
}

impl Resolve for CheckedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone();
        Box::pin(async move {
            let addresses = lookup.look_up(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Error for NoAddress {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address was found for {}", self.host)
    }
}

impl Error for AllRefused {}

impl fmt::Display for AllRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&list.join(", "))
    }
}
