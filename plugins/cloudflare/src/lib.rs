//! DNS-01 with Cloudflare, as a component for the world `dns-plugin`.
//!
//! A token is usually good for some zones only and sees no others, so what is not listed does not
//! exist. Answers carry their meaning in numbered errors rather than in the status.
//!
//! Everything below `provider` talks to the `host` through a trait, so that the whole plugin
//! runs in native tests against an API in memory. This file alone touches the generated bindings
//! of the host. Start reading at `provider`.

mod api;
mod host;
mod provider;
mod reply;
mod zones;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod double;

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    wit_bindgen::generate!({
        world: "dns-plugin",
        path: "../../wit",
        generate_all,
        additional_derives: [PartialEq],
    });
}

use bindings::exports::waxwing::plugin::dns_provider::{
    Attempt, ChallengeRecord, Guest as DnsProvider, PluginError, PresentReport, Removal, ZoneAnswer,
};
use bindings::exports::waxwing::plugin::lifecycle::{Finding, Guest as Lifecycle};
use bindings::waxwing::host::http::{self, HttpError, Request, Response};
use bindings::waxwing::host::{runtime, settings, state};

use crate::provider::Provider;

/// The component.
pub struct Component;

impl Lifecycle for Component {
    fn validate(online: bool) -> Result<Vec<Finding>, PluginError> {
        Provider::new(&Imports, &settings::json())?.validate(online)
    }
}

impl DnsProvider for Component {
    fn preflight(names: Vec<String>) -> Result<Vec<ZoneAnswer>, PluginError> {
        Provider::new(&Imports, &settings::json())?.preflight(names)
    }

    fn present(
        attempt: Attempt,
        records: Vec<ChallengeRecord>,
    ) -> Result<PresentReport, PluginError> {
        Provider::new(&Imports, &settings::json())?.present(&attempt, &records)
    }

    fn cleanup(
        _attempt: Attempt,
        removals: Vec<Removal>,
    ) -> Result<Vec<(String, PluginError)>, PluginError> {
        Provider::new(&Imports, &settings::json())?.cleanup(&removals)
    }
}

/// The host as the component sees it.
struct Imports;

impl crate::host::Host for Imports {
    fn remaining_ms(&self) -> u64 {
        runtime::remaining_ms()
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        http::send(request)
    }

    fn remembered(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }

    fn remember(&self, key: &str, value: &[u8]) {
        // A value that is not kept costs a request later, and nothing else.
        let _ = state::set(key, value, None);
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
