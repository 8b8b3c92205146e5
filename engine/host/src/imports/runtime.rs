//! `waxwing:host/runtime`

use crate::bindings::installer::waxwing::host::runtime::Host;
use crate::call::Call;

impl Host for Call {
    async fn now_unix_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.instance.host.clock.now().unix_ms()).unwrap_or(0))
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.remaining().as_millis()).unwrap_or(u64::MAX))
    }

    async fn phase(&mut self) -> wasmtime::Result<String> {
        Ok(self.phase.as_str().to_owned())
    }

    async fn read_only(&mut self) -> wasmtime::Result<bool> {
        Ok(self.phase.is_read_only())
    }
}
