//! `waxwing:host/state`

use std::time::Duration;

use crate::bindings::installer::waxwing::host::state::{Host, StateError};
use crate::call::Call;
use crate::parts::shown;
use crate::state::Refused;

impl Host for Call {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        let now = self.instance.host.clock.now();
        Ok(self.instance.state().value(&key, now))
    }

    async fn set(
        &mut self,
        key: String,
        value: Vec<u8>,
        ttl_seconds: Option<u32>,
    ) -> wasmtime::Result<Result<(), StateError>> {
        let now = self.instance.host.clock.now();
        let ttl = ttl_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let name = shown(&key);
        let kept = self.instance.state().set(key, value, ttl, now);
        Ok(kept.map_err(|refused| match refused {
            Refused::Quota(bytes) => StateError::Quota(u64::try_from(bytes).unwrap_or(u64::MAX)),
            Refused::Key => StateError::InvalidKey(name),
        }))
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.instance.state().delete(&key);
        Ok(())
    }
}
