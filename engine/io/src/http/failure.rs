//! How far a failed request got, by the types of its causes.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use waxwing_core::http::TransportStage;

use super::address::Refused;
use super::lookup::{AllRefused, NoAddress};

/// A failure before the facts about its request are added.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) stage: TransportStage,
    /// Outermost first; never empty.
    pub(super) causes: Vec<String>,
    /// The name that has no address, if that is what is wrong.
    pub(super) unknown: Option<String>,
}

impl Failed {
    pub(super) fn new(stage: TransportStage, cause: impl Into<String>) -> Self {
        Self {
            stage,
            causes: vec![cause.into()],
            unknown: None,
        }
    }

    pub(super) fn address(refused: Refused) -> Self {
        Self::new(TransportStage::Address, refused.to_string())
    }

    /// A failure with the whole chain of an error.
    pub(super) fn chain(stage: TransportStage, error: &(dyn Error + 'static)) -> Self {
        Self {
            stage,
            causes: causes(error),
            unknown: links(error)
                .find_map(|link| link.downcast_ref::<NoAddress>())
                .map(|none| none.host.clone()),
        }
    }

    /// A failure while sending, or while reading the answer, be it through this proxy.
    pub(super) fn from_reqwest(
        error: reqwest::Error,
        encrypted: bool,
        proxy: Option<&str>,
    ) -> Self {
        // The URL may hold a credential in its query; whoever reports this knows it anyway.
        let error = error.without_url();
        let mut failed = Self::chain(stage(&error, encrypted), &error);
        if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
            // Without the proxy there is no way to anybody; what it does with one request may be about its host.
            let of_the_tunnel = failed
                .causes
                .iter()
                .any(|cause| cause.contains("tunnel error"));
            let unreached = links(&error).any(|link| link.is::<io::Error>());
            let says = |words: &str| failed.causes.iter().any(|cause| cause.contains(words));
            failed.stage = match failed.stage {
                // It wants to know who we are, and has heard of no host yet.
                _ if says("authorization required") => TransportStage::Route,
                TransportStage::Connect if unreached => TransportStage::Route,
                // No TLS has begun before the tunnel stands.
                TransportStage::Tls if of_the_tunnel => TransportStage::Connect,
                stage => stage,
            };
            failed
                .causes
                .insert(0, format!("through the proxy {proxy}"));
        }
        failed
    }
}

fn stage(error: &reqwest::Error, encrypted: bool) -> TransportStage {
    let links: Vec<_> = links(error).collect();
    let any = |test: &dyn Fn(&(dyn Error + 'static)) -> bool| links.iter().any(|link| test(*link));
    if any(&|link| link.is::<AllRefused>()) {
        return TransportStage::Address;
    }
    if any(&|link| link.is::<NoAddress>()) {
        return TransportStage::Dns;
    }
    if error.is_builder() {
        return TransportStage::Request;
    }
    if !error.is_connect() {
        return if error.is_timeout() {
            TransportStage::Timeout
        } else {
            TransportStage::Exchange
        };
    }
    // Once TCP stands, what goes wrong with a connection is its TLS handshake.
    let cut_off = |link: &(dyn Error + 'static)| {
        link.downcast_ref::<io::Error>().is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::InvalidData
            )
        })
    };
    // What the system says of a packet that it cannot send.
    let unsent = |link: &(dyn Error + 'static)| {
        link.downcast_ref::<io::Error>().is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkDown
                    | io::ErrorKind::AddrNotAvailable
            )
        })
    };
    if any(&|link| link.is::<rustls::Error>()) || (encrypted && any(&cut_off)) {
        TransportStage::Tls
    } else if any(&unsent) {
        TransportStage::Route
    } else {
        TransportStage::Connect
    }
}

/// The texts of a chain, without those that only repeat their neighbour.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let ours = |link: &(dyn Error + 'static)| link.is::<AllRefused>() || link.is::<NoAddress>();
    // What the library wraps around a failed look-up only says that it failed.
    let start = links(error).find(|link| ours(*link)).unwrap_or(error);
    let mut causes: Vec<String> = Vec::new();
    for link in links(start) {
        // The library's outermost words say that a request failed, which the stage says better.
        let wrapper = link.is::<reqwest::Error>() || link.is::<legacy::Error>();
        if wrapper && link.source().is_some() {
            continue;
        }
        let text = link.to_string();
        if !causes.last().is_some_and(|last| last.contains(&text)) {
            causes.push(text);
        }
    }
    if causes.is_empty() {
        causes.push(error.to_string());
    }
    causes
}

/// An error and everything below it. An `io::Error` hides what it wraps from `source`, which
/// answers the source of the wrapped error, so that one is visited by itself.
fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |link: &&'a (dyn Error + 'static)| {
        let link: &'a (dyn Error + 'static) = *link;
        match link
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => link.source(),
        }
    })
}
