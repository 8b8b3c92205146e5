//! `[account]` and `[state]`.

use crate::document::Place;
use crate::document::section::Section;
use crate::settings::raw::Raw;
use crate::settings::{AccountSettings, StateSettings, secret_ref};

/// The account, and where an address is missing that was not even tried to be given.
pub(super) struct ReadAccount {
    pub(super) settings: AccountSettings,
    pub(super) without_email: Option<Place>,
}

pub(super) fn read(root: &Section<'_>, raw: &Raw) -> ReadAccount {
    let problems = root.problems();
    let nobody = AccountSettings {
        email: None,
        agree_terms: false,
        key: None,
    };
    let Some(section) = root.section("account") else {
        if root.take("account").is_none() && !root.is_misspelled("account") {
            problems.add(
                root.problem(
                    &raw.main,
                    "account",
                    "the section is missing: a CA asks for it",
                )
                .hint("[account], and below it email = \"you@example.com\", agree-terms = true"),
            );
        }
        return ReadAccount {
            settings: nobody,
            without_email: None,
        };
    };
    let email = section.parsed("email", "\"you@example.com\"", email);
    let agreed = section.flag("agree-terms");
    let lacking = section.lacks("agree-terms");
    if lacking || agreed.as_ref().is_some_and(|agreed| !agreed.value) {
        let at = agreed.as_ref().map_or(&section.at, |agreed| &agreed.at);
        let message = "must be true before a CA issues anything: it says that you agree to the \
                       terms of every CA in a `ca` list";
        problems.add(
            section
                .problem(at, "agree-terms", message)
                .hint("agree-terms = true (`waxwing ca list` links the terms)"),
        );
    }
    let key = section.take("key").and_then(|entry| {
        let path = section.path.below("key");
        let folder = raw.folder(&entry.node.at);
        secret_ref::read(entry, &path, folder, "account-key.pem", problems)
    });
    let unnamed = section.take("email").is_none() && !section.is_misspelled("email");
    let without_email = unnamed.then(|| section.at.clone());
    section.finish(&[
        ("agree-tos", "agree-terms = true"),
        ("contact", "email = \"you@example.com\""),
        ("mail", "email = \"you@example.com\""),
        ("server", "ca = [\"NAME\"] in [defaults]"),
        ("tos", "agree-terms = true"),
    ]);
    ReadAccount {
        settings: AccountSettings {
            email: email.map(|email| email.value),
            agree_terms: agreed.is_some_and(|agreed| agreed.value),
            key,
        },
        without_email,
    }
}

/// An address as CAs take it: no `mailto:`, no list, no header fields (RFC 8555 section 7.3).
pub(crate) fn email(text: &str) -> Result<String, String> {
    if let Some(bare) = text.strip_prefix("mailto:") {
        return Err(format!("`mailto:` is added by itself; write {bare:?}"));
    }
    let good = text.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.')
    });
    let plain = text
        .chars()
        .all(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, ',' | '?' | '<' | '>'));
    if good && plain {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not one e-mail address"))
    }
}

pub(super) fn read_state(root: &Section<'_>, raw: &Raw) -> StateSettings {
    let mut state = StateSettings {
        dir: None,
        keep_versions: KEEP_VERSIONS,
    };
    let Some(section) = root.section("state") else {
        return state;
    };
    state.dir = section.path_value("dir", "\"/var/lib/waxwing\"", |at| raw.folder(at));
    if let Some(number) = section.number("keep-versions", 1..=1000, "3") {
        state.keep_versions = number.value;
    }
    section.finish(&[]);
    state
}

/// Versions of a certificate, with their keys, that are kept by default.
const KEEP_VERSIONS: u32 = 3;
