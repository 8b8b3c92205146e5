//! What operators and authors of plugins write.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::PluginSource;
use waxwing_core::settings::raw::{self, SourceFile};
use waxwing_core::settings::resolve::{Catalog, resolve};

/// The plugins of the repository.
const MANIFESTS: [(&str, &str); 3] = [
    (
        "cloudflare",
        include_str!("../../../plugins/cloudflare/plugin.toml"),
    ),
    (
        "dns-made-easy",
        include_str!("../../../plugins/dns-made-easy/plugin.toml"),
    ),
    (
        "install-files",
        include_str!("../../../plugins/install-files/plugin.toml"),
    ),
];

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let manifest = |(id, text): (&str, &str)| {
        let manifest = Manifest::parse(id, text).map_err(|errors| errors.to_string());
        (PluginSource::Embedded(id.to_owned()), manifest)
    };
    Catalog {
        may_be_empty: false,
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests: BTreeMap::from(MANIFESTS.map(manifest)),
        zones: jiff::tz::TimeZoneDatabase::bundled(),
        here: jiff::tz::TimeZone::UTC,
        real: |_| None,
    }
});

/// A configuration file: whoever gets no settings is told why.
pub(crate) fn config(bytes: &[u8]) {
    let file = SourceFile {
        path: PathBuf::from("/etc/waxwing/waxwing.toml"),
        shown: "waxwing.toml".to_owned(),
        text: crate::text(bytes).into_owned(),
    };
    let files = [file];
    let _patterns = raw::includes(&files[0]);
    let raw = raw::parse(&files);
    let _named = raw.plugin_sources();
    if let Err(errors) = resolve(&raw, &CATALOG) {
        assert!(!errors.0.is_empty(), "no settings and no reason");
        assert!(!errors.to_string().is_empty(), "a reason without words");
    }
}

/// The manifest of a plugin.
pub(crate) fn manifest(bytes: &[u8]) {
    if let Err(errors) = Manifest::parse("plugin", &crate::text(bytes)) {
        assert!(!errors.to_string().is_empty(), "a reason without words");
    }
}
