//! `waxwing:host/log`

use crate::bindings::installer::waxwing::host::log::{Field, Host, Level};
use crate::call::Call;
use crate::judge::sanitize;
use crate::limits::{LOG_MESSAGE, WORD};

const fn level(level: Level) -> tracing::Level {
    match level {
        Level::Trace => tracing::Level::TRACE,
        Level::Debug => tracing::Level::DEBUG,
        Level::Info => tracing::Level::INFO,
        Level::Warn => tracing::Level::WARN,
        Level::Error => tracing::Level::ERROR,
    }
}

impl Host for Call {
    async fn enabled(&mut self, wanted: Level) -> wasmtime::Result<bool> {
        Ok(level(wanted) <= tracing::level_filters::LevelFilter::current())
    }

    async fn write(
        &mut self,
        wanted: Level,
        message: String,
        fields: Vec<Field>,
    ) -> wasmtime::Result<()> {
        let size = message.len()
            + fields
                .iter()
                .map(|f| f.name.len() + f.value.len())
                .sum::<usize>();
        if self.log_messages_left == 0 {
            return Ok(());
        }
        self.log_messages_left -= 1;
        let Some(left) = self.log_bytes_left.checked_sub(size.min(LOG_MESSAGE)) else {
            self.log_messages_left = 0;
            return Ok(());
        };
        self.log_bytes_left = left;
        let mut text = self.redactor.text(&message);
        for field in fields.iter().take(32) {
            let (name, value) = (
                sanitize(&field.name, WORD),
                self.redactor.text(&field.value),
            );
            text.push_str(&format!(" {name}={value}"));
        }
        let text = sanitize(&text, LOG_MESSAGE);
        let (plugin, phase) = (self.instance.name.as_str(), self.phase.as_str());
        let run = self.instance.host.run_id.as_str();
        match wanted {
            Level::Trace => {
                tracing::trace!(target: "waxwing::plugin", plugin, phase, run, "{text}")
            }
            Level::Debug => {
                tracing::debug!(target: "waxwing::plugin", plugin, phase, run, "{text}")
            }
            Level::Info => tracing::info!(target: "waxwing::plugin", plugin, phase, run, "{text}"),
            Level::Warn => tracing::warn!(target: "waxwing::plugin", plugin, phase, run, "{text}"),
            Level::Error => {
                tracing::error!(target: "waxwing::plugin", plugin, phase, run, "{text}")
            }
        }
        if self.log_messages_left == 0 {
            tracing::warn!(
                target: "waxwing::plugin", plugin, phase, run,
                "the plugin logs too much; the rest of this call is left out"
            );
        }
        Ok(())
    }
}
