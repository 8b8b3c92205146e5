//! Ways to tell somebody: one adapter for each, behind one port.
//!
//! What a newcomer gets wrong: the answer of a server may hold what was sent to it, so everything that
//! comes back passes `Veil` before anybody sees it.

mod command;
mod log;
mod mail;
mod veil;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::notify::{NotifySettings, Way};
use waxwing_flow::ports::{HttpClient, Notifier, SecretSource};

use veil::Veil;

/// Time for one message, from the look-up of the name to the last answer.
pub const SEND: Duration = Duration::from_secs(55);

/// What notifiers act through.
#[derive(Clone)]
pub struct Means {
    /// Sends requests as `[network]` says.
    pub http: Arc<dyn HttpClient>,
    /// Reads secrets, at each message anew.
    pub secrets: Arc<dyn SecretSource>,
    /// Roots of `[network] trust`, which hold for mail servers, too.
    pub trust: Option<PathBuf>,
    /// What this machine calls itself.
    pub host: String,
    /// The `user-agent` of webhooks.
    pub user_agent: String,
}

/// The adapter for a notifier of the configuration.
pub fn notifier(settings: &NotifySettings, means: &Means) -> Arc<dyn Notifier> {
    match &settings.way {
        Way::Mail(mail) => Arc::new(mail::Mail::new(mail.clone(), means.clone())),
        Way::Webhook(hook) => Arc::new(webhook::Webhook::new(hook.clone(), means.clone())),
        Way::Command(argv) => Arc::new(command::Command::new(argv.clone())),
        Way::Log => Arc::new(log::Log::new(settings.name.clone())),
    }
}

/// What this machine calls itself; `localhost` if that cannot be said.
pub fn host_name() -> String {
    let name = hostname::get()
        .ok()
        .and_then(|name| name.into_string().ok());
    let plain = |name: &String| {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        !name.is_empty() && name.len() <= 253 && name.bytes().all(good)
    };
    name.filter(plain).unwrap_or_else(|| "localhost".to_owned())
}
