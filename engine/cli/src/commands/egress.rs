//! `waxwing egress`: every host and port that this configuration can reach.

use std::collections::BTreeMap;

use waxwing_acme::directory::Directory;
use waxwing_core::egress::egress;
use waxwing_core::name::CaName;
use waxwing_core::settings::SecretRef;
use waxwing_core::timer;
use waxwing_flow::ports::CertificateStore as _;
use waxwing_io::http::{is_reached_directly, proxies_of_the_environment};
use waxwing_io::store::FileStore;

use super::start;
use crate::args::Global;
use crate::exit::Exit;
use crate::load;
use crate::render::egress as render;
use crate::render::json::Document;
use crate::render::terminal::Terminal;

/// Runs the verb.
pub(crate) fn run(global: &Global, terminal: &mut Terminal) -> Result<Exit, Exit> {
    let (loaded, store) = start::look(global, terminal)?;
    let settings = &loaded.settings;
    let mut cas = settings.used_cas();
    for ca in cas.clone() {
        let stage = settings.cas.get(&ca).and_then(|ca| ca.rehearse_at.clone());
        cas.extend(stage.filter(|stage| !cas.contains(stage)));
    }
    let endpoints: BTreeMap<CaName, Vec<String>> = cas
        .into_iter()
        .filter_map(|ca| Some((ca.clone(), endpoints(&store, &ca)?)))
        .collect();
    let secrets = load::secrets(settings);
    let secrets: Vec<&SecretRef> = secrets.iter().map(|(_, reference)| *reference).collect();
    let needs = timer::needs(settings, &secrets, &loaded.state, &loaded.config);
    let programs: Vec<String> = needs
        .programs
        .iter()
        .map(|program| program.display().to_string())
        .collect();
    // Without a word in the configuration it is that of the environment, as for every client.
    let environment = proxies_of_the_environment();
    let of = |name: &str| {
        let mut all = environment.iter();
        all.find(|(one, _)| one.eq_ignore_ascii_case(name))
            .map(|(_, url)| url.as_str())
    };
    let proxy = settings.network.proxy.as_deref();
    let proxy = proxy
        .or_else(|| of("HTTPS_PROXY"))
        .or_else(|| of("ALL_PROXY"));
    let mut found = egress(settings, &endpoints, &programs, proxy);
    if found.proxy.is_some() {
        let written = of("NO_PROXY").unwrap_or_default();
        let except = written.split(',').map(str::trim);
        let except = except.filter(|host| !host.is_empty()).map(str::to_owned);
        found.but_for(except.collect(), |host, port| {
            is_reached_directly(written, host, port)
        });
    }
    let now = start::now();
    let text = if terminal.json {
        Document::new("egress", now, render::json(&found)).to_text()
    } else {
        render::text(&found, &terminal.context(now))
    };
    terminal.print(&text);
    Ok(Exit::Done)
}

/// The URLs in the copy of the CA's directory; none if there is no copy that can be read.
fn endpoints(store: &FileStore, ca: &CaName) -> Option<Vec<String>> {
    let copy = store.directory(ca).ok().flatten()?;
    let directory = Directory::from_stored(&copy.text).ok()?;
    let needed = [
        directory.url,
        directory.new_nonce,
        directory.new_account,
        directory.new_order,
    ];
    let offered = [
        directory.new_authz,
        directory.revoke_cert,
        directory.key_change,
        directory.renewal_info,
    ];
    Some(
        needed
            .into_iter()
            .chain(offered.into_iter().flatten())
            .collect(),
    )
}
