//! A line in the log, which under systemd is the journal.

use async_trait::async_trait;
use waxwing_core::name::NotifierName;
use waxwing_flow::notify::{Delivered, Message};
use waxwing_flow::ports::{Notifier, NotifyError};

/// Where these lines are filtered: they are shown without `-v`.
const TARGET: &str = "waxwing::notify";

pub(super) struct Log {
    name: NotifierName,
}

impl Log {
    pub(super) const fn new(name: NotifierName) -> Self {
        Self { name }
    }
}

#[async_trait]
impl Notifier for Log {
    fn to(&self) -> String {
        "the log".to_owned()
    }

    async fn send(&self, message: &Message) -> Result<Delivered, NotifyError> {
        let needs_person = message.notice.needs_person();
        for event in &message.notice.events {
            let (kind, subject) = (event.kind.as_str(), event.subject.as_str());
            let causes = (!event.causes.is_empty()).then(|| event.causes.join(": "));
            if event.needs_person {
                tracing::warn!(target: TARGET, kind, subject, cause = causes, "{}", message.subject);
            } else {
                tracing::info!(target: TARGET, kind, subject, cause = causes, "{}", message.subject);
            }
        }
        tracing::debug!(notifier = %self.name, needs_person, "told by the log");
        Ok(Delivered {
            answers: vec!["written".to_owned()],
            refused: Vec::new(),
            deferred: Vec::new(),
        })
    }
}
