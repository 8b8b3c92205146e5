//! What can be told, and the form in which programs get it.
//!
//! [`Notice`] is a message and not a domain type: its JSON is what a webhook and a command receive
//! and what waits in the outbox. Fields are added, never renamed or removed, within one `schema`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// The subject of the event that the clock of this machine is wrong. No certificate has such a name.
pub const CLOCK: &str = "the clock";

/// The [step](Event::step) of a CA that answers and fails every attempt to get a certificate.
pub const ISSUES_NOTHING: &str = "issues-nothing";

/// What can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A certificate was issued or renewed, by the first CA of its list.
    Renewed,
    /// A certificate was not renewed: the first time, and again when it has become worse.
    Failed,
    /// A certificate was issued by a CA that stood in for another.
    FailedOver,
    /// A certificate is stored, and an installer failed.
    NotInstalled,
    /// A certificate is installed, and something else is served.
    NotServed,
    /// An older certificate is to be revoked behind another one, and its CA has not done it.
    NotRevoked,
    /// A certificate ends soon or has ended, whatever the reason.
    ExpiryNear,
    /// A CA has been down for longer than `[failover] after`.
    CaOutage,
    /// The terms of a CA are others than those that were agreed to.
    TermsChanged,
    /// A plugin tried something that it may not do.
    PluginDenied,
    /// A limit of a CA is nearly used up.
    BudgetNear,
    /// Another notifier could not deliver its message.
    NotifierFailed,
    /// Once a week: what there is, so that silence is never ambiguous.
    WeeklyDigest,
    /// A run ended well: somebody else misses it if it does not come.
    RunOk,
    /// `waxwing notify test`.
    Test,
}

impl EventKind {
    /// Every kind that `on` may name.
    pub const ALL: [Self; 14] = [
        Self::Renewed,
        Self::Failed,
        Self::FailedOver,
        Self::NotInstalled,
        Self::NotServed,
        Self::NotRevoked,
        Self::ExpiryNear,
        Self::CaOutage,
        Self::TermsChanged,
        Self::PluginDenied,
        Self::BudgetNear,
        Self::NotifierFailed,
        Self::WeeklyDigest,
        Self::RunOk,
    ];

    /// The kinds of a notifier without `on`: everything that somebody may have to act upon.
    pub fn usual() -> impl Iterator<Item = Self> {
        let quiet = |kind: &Self| matches!(kind, Self::Renewed | Self::WeeklyDigest | Self::RunOk);
        Self::ALL.into_iter().filter(move |kind| !quiet(kind))
    }

    /// The name in the configuration and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Failed => "failed",
            Self::FailedOver => "failed-over",
            Self::NotInstalled => "not-installed",
            Self::NotServed => "not-served",
            Self::NotRevoked => "not-revoked",
            Self::ExpiryNear => "expiry-near",
            Self::CaOutage => "ca-outage",
            Self::TermsChanged => "terms-changed",
            Self::PluginDenied => "plugin-denied",
            Self::BudgetNear => "budget-near",
            Self::NotifierFailed => "notifier-failed",
            Self::WeeklyDigest => "weekly-digest",
            Self::RunOk => "run-ok",
            Self::Test => "test",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It happened; there is nothing that could last.
    Once,
    /// It has begun.
    Began,
    /// It has become worse since it was told.
    Worse,
    /// It is good again.
    Over,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// What became of it.
    pub change: Change,
    /// Of which certificate, CA, plugin or notifier; empty: of this machine.
    pub subject: String,
    /// True if it does not get well without somebody.
    pub needs_person: bool,
    /// Names of the certificate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The CA that issued it, or that is asked next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The CA for which that one stood in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// End of validity of what is in place.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp")]
    pub not_after: Option<Timestamp>,
    /// Since when it is so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp")]
    pub since: Option<Timestamp>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp")]
    pub next_try: Option<Timestamp>,
    /// The command that tries it again, where nothing does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// How bad it is: `failed`, `failed-again`, `ends-soon`, `expired`; of a CA `issues-nothing`, if it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How often it failed, or how many are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What else has a part in it: an installer, a place, a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
    /// The whole chain of causes, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Event {
    /// One that says nothing but this.
    pub fn new(kind: EventKind, change: Change, subject: impl Into<String>) -> Self {
        Self {
            kind,
            change,
            subject: subject.into(),
            needs_person: false,
            names: Vec::new(),
            ca: None,
            instead_of: None,
            not_after: None,
            since: None,
            next_try: None,
            by_hand: None,
            step: None,
            count: None,
            what: Vec::new(),
            causes: Vec::new(),
            hint: None,
        }
    }
}

/// One message: everything that one notifier is told of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The machine.
    pub host: String,
    /// The version of this program.
    pub version: String,
    /// The run; none for one that had nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When it was written.
    #[serde(with = "when")]
    pub at: Timestamp,
    /// What happened, worst first; never empty.
    pub events: Vec<Event>,
    /// How many certificates there are.
    pub certificates: u32,
    /// The certificate that ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

/// The certificate that ends first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Which.
    pub certificate: String,
    /// End of its validity.
    #[serde(with = "when")]
    pub not_after: Timestamp,
    /// When it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "stamp")]
    pub due: Option<Timestamp>,
}

impl Notice {
    /// True if something in it does not get well without somebody.
    pub fn needs_person(&self) -> bool {
        self.events.iter().any(|event| event.needs_person)
    }
}

/// A time as RFC 3339 has it.
mod when {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::time::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        Timestamp::parse(&text).map_err(de::Error::custom)
    }
}

/// The same, if there is one.
mod stamp {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::time::Timestamp;

    #[expect(clippy::ref_option, reason = "the form that serde calls")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => to.collect_str(at),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let read = text.map(|text| Timestamp::parse(&text));
        read.transpose().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_name_in_the_configuration_and_in_json() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
            let json = serde_json::to_value(kind).expect("JSON");
            assert_eq!(json, serde_json::json!(kind.as_str()));
        }
        assert_eq!(
            EventKind::parse("test"),
            None,
            "nobody subscribes to a test"
        );
        assert_eq!(EventKind::usual().count(), 11);
    }

    #[test]
    fn a_message_comes_back_as_it_went_and_fields_that_it_does_not_know_do_no_harm() {
        let at = Timestamp::from_unix(1_795_470_000);
        let notice = Notice {
            schema: SCHEMA,
            host: "web01".to_owned(),
            version: "0.1.0".to_owned(),
            run: None,
            at,
            events: vec![Event {
                not_after: Some(at),
                causes: vec!["refused".to_owned()],
                ..Event::new(EventKind::Failed, Change::Worse, "shop")
            }],
            certificates: 1,
            nearest: None,
        };
        let mut json = serde_json::to_value(&notice).expect("JSON");
        assert_eq!(json["events"][0]["change"], "worse");
        assert_eq!(json["events"][0]["not_after"], "2026-11-23T21:40:00Z");
        json["later"] = serde_json::json!(1);
        json["events"][0]["later"] = serde_json::json!(1);
        let back: Notice = serde_json::from_value(json).expect("a message");
        assert_eq!(back, notice);
    }
}
