//! A draft as the text of a configuration, with comments.

use std::path::Path;

use waxwing_core::import::Client;
use waxwing_core::key::KeyType;
use waxwing_core::name::CaName;

use crate::import::{CaDraft, CertificateDraft, Draft, InstallerDraft, ProviderDraft, Validate};
use crate::render::toml::{Text, key, quoted};

/// The configuration. `state` is the state folder if it is not in the usual place.
pub(crate) fn text(client: Client, from: &Path, draft: &Draft, state: Option<&Path>) -> String {
    let mut text = Text::default();
    text.comment(&format!(
        "Written by `waxwing import {client}` from {}. `waxwing check` looks at it, `waxwing plan` says \
         what it means, `waxwing renew --dry-run` rehearses it.",
        from.display()
    ));
    text.line("[account]");
    match &draft.email {
        Some(email) => text.line(&format!("email = {}", quoted(email))),
        None => text.comment(&format!(
            "email = \"you@example.com\"   # {client} has told the CAs none"
        )),
    }
    text.comment(&format!(
        "As with {client}: this agrees to the terms of every CA that is named below. `waxwing ca list` \
         links them."
    ));
    text.line("agree-terms = true");
    defaults(&mut text, draft);
    if let Some(state) = state {
        text.head("[state]");
        text.line(&format!("dir = {}", quoted(&state.display().to_string())));
    }
    for (name, section) in draft.cas.iter().filter(|(_, it)| it.says_something()) {
        ca(&mut text, name, section);
    }
    for one in &draft.providers {
        provider(&mut text, one);
    }
    for one in &draft.installers {
        installer(&mut text, one);
    }
    let installers = draft.installers.iter().any(|one| one.off.is_none());
    for one in &draft.certificates {
        certificate(&mut text, one, draft, installers);
    }
    text.finish()
}

/// The CA that all certificates have in common.
fn common_ca(draft: &Draft) -> Option<&CaName> {
    let mut cas = draft.certificates.iter().map(|one| one.ca.as_ref());
    let first = cas.next()??;
    cas.all(|ca| ca == Some(first)).then_some(first)
}

fn defaults(text: &mut Text, draft: &Draft) {
    let Some(ca) = common_ca(draft) else {
        return;
    };
    text.head("[defaults]");
    text.comment(
        "A second CA in this list stands in while the first one fails: `waxwing ca list`.",
    );
    text.line(&format!("ca = [{}]", quoted(ca.as_str())));
}

fn ca(text: &mut Text, name: &CaName, section: &CaDraft) {
    // Nothing but a comment needs no section, which would be an empty one.
    let has_keys = section.directory.is_some()
        || section.eab.is_some()
        || section.without_eab
        || section.preferred_chain.is_some()
        || section.profile.is_some();
    text.line("");
    if let Some(written) = &section.repaired {
        text.comment(&format!(
            "The other configuration said {written}. {name} has no such address, so its end was taken off."
        ));
    }
    if !has_keys {
        return;
    }
    text.line(&format!("[ca.{}]", key(name.as_str())));
    if let Some(directory) = &section.directory {
        text.line(&format!("directories = [{}]", quoted(directory)));
        text.comment(
            "trust = \"/etc/ssl/its-root.pem\"   # if no public CA has signed its certificate",
        );
    }
    if let Some((id, file)) = &section.eab {
        text.line(&format!(
            "eab = {{ key-id = {}, hmac-key = {} }}",
            quoted(id),
            quoted(&format!("file:{file}"))
        ));
    }
    if section.without_eab {
        text.comment("The account came over. A new one needs credentials: eab = { key-id = ..., hmac-key = ... }");
        text.line("eab = { required = false }");
    }
    if let Some(chain) = &section.preferred_chain {
        text.line(&format!("preferred-chain = {}", quoted(chain)));
    }
    if let Some(profile) = &section.profile {
        text.line(&format!("profile = {}", quoted(profile)));
    }
}

fn provider(text: &mut Text, one: &ProviderDraft) {
    text.head(&format!("[plugin.{}]", key(&one.name)));
    if one.name != one.plugin {
        text.line(&format!("uses = {}", quoted(&one.plugin)));
    }
    for (setting, value) in &one.settings {
        text.line(&format!("settings.{} = {}", key(setting), quoted(value)));
    }
    for (secret, file) in &one.secrets {
        let reference = quoted(&format!("file:{file}"));
        text.line(&format!("secrets.{} = {reference}", key(secret)));
    }
}

fn installer(text: &mut Text, one: &InstallerDraft) {
    text.line("");
    let mut lines = vec![
        format!("[plugin.{}]", key(&one.name)),
        format!("uses = {}", quoted(&one.words.plugin)),
    ];
    let files: Vec<String> = one
        .files
        .iter()
        .map(|(file, cut)| format!("{} = {}", quoted(file), quoted(cut.artifact())))
        .collect();
    lines.push(if files.is_empty() {
        "settings.files = {}".to_owned()
    } else {
        format!("settings.files = {{ {} }}", files.join(", "))
    });
    if let Some(dir) = &one.dir {
        let rights = [("owner", &one.owner), ("group", &one.group)];
        let modes = [("mode", one.mode), ("key-mode", one.key_mode)];
        let windows = one.windows;
        lines.push(folder(&one.words.folder, dir, rights, modes, windows));
    }
    if let Some(keys) = &one.keys {
        let rights = [("owner", &keys.owner), ("group", &keys.group)];
        let modes = [("mode", keys.mode), ("key-mode", None)];
        let windows = one.windows;
        lines.push(folder(&keys.purpose, &keys.dir, rights, modes, windows));
    }
    if let (Some(secret), Some(file)) = (&one.words.password, &one.password) {
        let reference = quoted(&format!("file:{file}"));
        lines.push(format!("secrets.{} = {reference}", key(secret)));
    }
    if let Some(argv) = &one.reload {
        let argv: Vec<String> = argv.iter().map(|word| quoted(word)).collect();
        lines.push(format!(
            "grants.exec.reload = {{ argv = [{}] }}",
            argv.join(", ")
        ));
    }
    if let Some(why) = &one.off {
        text.comment(&format!("Proposed, not used: {why}."));
    }
    for line in lines {
        text.line(&off(&line, one.off.is_some()));
    }
}

/// A folder that an installer may write into.
fn folder(
    purpose: &str,
    dir: &str,
    rights: [(&str, &Option<String>); 2],
    modes: [(&str, Option<u32>); 2],
    windows: bool,
) -> String {
    let mut grant = vec![format!("dir = {}", quoted(dir))];
    if windows {
        grant.push("acl = [\"SYSTEM:full\", \"Administrators:full\"]".to_owned());
    }
    for (word, value) in rights {
        let value = value.iter();
        grant.extend(value.map(|value| format!("{word} = {}", quoted(value))));
    }
    for (word, mode) in modes {
        grant.extend(mode.map(|mode| format!("{word} = \"{mode:04o}\"")));
    }
    format!("grants.files.{} = {{ {} }}", key(purpose), grant.join(", "))
}

fn certificate(text: &mut Text, one: &CertificateDraft, draft: &Draft, installers: bool) {
    text.line("");
    let mut lines = vec!["[[certificate]]".to_owned()];
    let domains: Vec<String> = one.domains.iter().map(|it| quoted(&it.to_wire())).collect();
    lines.push(format!("name = {}", quoted(one.name.as_str())));
    lines.push(format!("domains = [{}]", domains.join(", ")));
    if common_ca(draft).is_none()
        && let Some(ca) = &one.ca
    {
        lines.push(format!("ca = [{}]", quoted(ca.as_str())));
    }
    if one.key != KeyType::EcdsaP256 {
        lines.push(format!("key = {}", quoted(one.key.as_str())));
    }
    if one.reuse_key {
        lines.push("reuse-key = true".to_owned());
    }
    if let Some(days) = one.days_after_issue {
        lines.push(format!("renewal = {{ days-after-issue = {days} }}"));
    }
    match &one.validate {
        None => {}
        Some(Validate::By(plugin)) => lines.push(format!("validate = {}", quoted(plugin))),
        Some(Validate::Each(each)) => {
            let each = each.iter();
            let each = each.map(|(name, plugin)| format!("{} = {}", quoted(name), quoted(plugin)));
            let each: Vec<String> = each.collect();
            lines.push(format!("validate = {{ {} }}", each.join(", ")));
        }
    }
    if installers {
        let names: Vec<String> = one.install.iter().map(|name| quoted(name)).collect();
        lines.push(format!("install = [{}]", names.join(", ")));
    }
    let proposals = draft.installers.iter().filter(|one| one.off.is_some());
    // Where there are several, each certificate has to name its own.
    if !one.proposed.is_empty() || one.off.is_none() && !installers && proposals.count() > 1 {
        let names: Vec<String> = one.proposed.iter().map(|name| quoted(name)).collect();
        lines.push(format!("# install = [{}]", names.join(", ")));
    }
    if let Some(why) = &one.off {
        text.comment(&format!("Not renewed yet: {why}."));
    }
    for line in lines {
        text.line(&off(&line, one.off.is_some() && !line.starts_with('#')));
    }
}

/// A line, or a comment in its place.
fn off(line: &str, off: bool) -> String {
    if off {
        format!("# {line}")
    } else {
        line.to_owned()
    }
}
