//! What a revocation did, and what comes next.

use serde_json::{Value, json};
use waxwing_core::name::{CertificateName, PluginName};
use waxwing_flow::revoke::{How, Revoked};

use super::page::{Context, Ink, Line, Page, list};
use crate::args::Reason;

/// A revocation and what is known besides.
#[derive(Debug)]
pub(crate) struct RevokeView<'a> {
    /// Which certificate.
    pub(crate) certificate: &'a CertificateName,
    /// What was done.
    pub(crate) revoked: &'a Revoked,
    /// Why.
    pub(crate) reason: Option<Reason>,
    /// What the next run does about it.
    pub(crate) next: Next,
    /// True if the configuration wants the key to be kept over renewals.
    pub(crate) keeps_its_key: bool,
}

/// What the next run does about a revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// It issues another one, unless it is held back, in these words.
    Renewed(Option<String>),
    /// Nothing: it is not in the configuration any more.
    Nothing,
}

/// For people.
pub(crate) fn text(view: &RevokeView<'_>, context: &Context) -> String {
    let mut page = Page::new(context);
    let Revoked {
        ca,
        version,
        not_after,
        installed,
        how,
    } = view.revoked;
    let reason = view
        .reason
        .map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
    let what = match how {
        How::ByAccount => format!("revoked{reason} by its account at {ca}"),
        How::ByKey => format!("revoked{reason} at {ca}, asked for with its own key"),
        How::Before => format!("was revoked at {ca} before; nothing more was done"),
    };
    let head = Line::indented(0).ink(Ink::Strong, view.certificate.as_str());
    page.line(&head.text("   ").hang_here().text(what));
    page.plain(
        2,
        format!(
            "version {version}, valid until {} otherwise",
            context.day(*not_after)
        ),
    );
    if !installed.is_empty() {
        let by = list(installed, 5);
        page.plain(
            2,
            format!("still installed by {by}: clients that ask the CA refuse it"),
        );
    }
    match &view.next {
        Next::Renewed(Some(held)) => {
            page.plain(2, format!("next: another one is issued, but {held}"))
        }
        Next::Renewed(None) => page.plain(
            2,
            "next: `waxwing renew`, or the timer's next run, issues another one and installs it",
        ),
        Next::Nothing => page.plain(
            2,
            format!(
                "next: nothing. It is not in the configuration, so no other one is issued; \
                 `waxwing forget {}` sets it aside",
                view.certificate
            ),
        ),
    }
    if view.keeps_its_key && view.reason == Some(Reason::KeyCompromise) {
        page.plain(2, "the next one gets a new key, although reuse-key is set");
    }
    page.finish()
}

/// For machines.
pub(crate) fn json(view: &RevokeView<'_>) -> Value {
    let revoked = view.revoked;
    let (result, by) = match revoked.how {
        How::ByAccount => ("revoked", Some("account")),
        How::ByKey => ("revoked", Some("key")),
        How::Before => ("already-revoked", None),
    };
    let installed: Vec<&str> = revoked.installed.iter().map(PluginName::as_str).collect();
    json!({
        "certificate": view.certificate.as_str(),
        "ca": revoked.ca.as_str(),
        "version": revoked.version,
        "not_after": revoked.not_after.to_string(),
        "result": result,
        "by": by,
        "reason": view.reason.map(Reason::as_str),
        "installed": installed,
        "next": match &view.next {
            Next::Renewed(_) => "renew",
            Next::Nothing => "none",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ca, days, golden, name, plugin};
    use super::*;

    #[test]
    fn it_says_what_is_still_installed_and_what_comes_next() {
        let shop = name("shop");
        let revoked = |how, installed| Revoked {
            ca: ca("first"),
            version: 7,
            not_after: days(50),
            installed,
            how,
        };
        let compromised = revoked(How::ByAccount, vec![plugin("web"), plugin("mail")]);
        let (by_key, before) = (revoked(How::ByKey, vec![]), revoked(How::Before, vec![]));
        let view = |revoked, reason, next| RevokeView {
            certificate: &shop,
            revoked,
            reason,
            next,
            keeps_its_key: reason.is_some(),
        };
        let views = [
            view(
                &compromised,
                Some(Reason::KeyCompromise),
                Next::Renewed(None),
            ),
            view(&by_key, None, Next::Nothing),
            view(&before, None, Next::Renewed(None)),
        ];
        golden("revoke.txt", |context| {
            views.iter().map(|view| text(view, context)).collect()
        });
        let machine = json(&views[0]);
        assert_eq!(machine["reason"], "key-compromise");
        assert_eq!(machine["installed"], serde_json::json!(["web", "mail"]));
        assert_eq!(json(&views[2])["result"], "already-revoked");
    }
}
