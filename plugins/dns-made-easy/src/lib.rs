//! DNS-01 with DNS Made Easy, as a component for the world `dns-plugin`.
//!
//! The API allows 150 requests in five minutes for the whole account and signs nothing but the
//! date, which has to be right within half a minute. Both shape this crate: zones are listed once
//! in a run, a value costs one request to place and one to remove, and each request is signed
//! when it is sent.
//!
//! Everything below `provider` talks to the `host` through a trait, so that the whole plugin
//! runs in native tests against an API in memory. This file alone touches the generated bindings
//! of the host. Start reading at `provider`.

mod api;
mod date;
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
use bindings::waxwing::host::log::{self, Field, Level};
use bindings::waxwing::host::secrets::{self, SecretError};
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
    fn now_unix_ms(&self) -> u64 {
        runtime::now_unix_ms()
    }

    fn remaining_ms(&self) -> u64 {
        runtime::remaining_ms()
    }

    fn hmac_sha1(&self, secret: &str, data: &[u8]) -> Result<Vec<u8>, SecretError> {
        secrets::hmac(secret, "hmac-sha1", data)
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        http::send(request)
    }

    fn remembered(&self, key: &str) -> Option<Vec<u8>> {
        state::get(key)
    }

    fn remember(&self, key: &str, value: &[u8]) -> bool {
        state::set(key, value, None).is_ok()
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, value)| Field {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        log::write(level, message, &fields);
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
