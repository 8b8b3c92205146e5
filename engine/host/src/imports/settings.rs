//! `waxwing:host/settings`

use crate::bindings::installer::waxwing::host::settings::Host;
use crate::call::Call;

impl Host for Call {
    async fn json(&mut self) -> wasmtime::Result<String> {
        Ok(self.instance.settings.to_string())
    }

    async fn get_string(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        let value = self.instance.settings.pointer(&pointer);
        Ok(value.and_then(|value| value.as_str()).map(str::to_owned))
    }

    async fn get_int(&mut self, pointer: String) -> wasmtime::Result<Option<i64>> {
        Ok(self
            .instance
            .settings
            .pointer(&pointer)
            .and_then(serde_json::Value::as_i64))
    }

    async fn get_bool(&mut self, pointer: String) -> wasmtime::Result<Option<bool>> {
        Ok(self
            .instance
            .settings
            .pointer(&pointer)
            .and_then(serde_json::Value::as_bool))
    }
}
