//! Configurations and what is said about them: `tests/cases/config/CASE.toml` and `CASE.err`.
//!
//! A case without an `.err` file must be good. `WAXWING_BLESS=1 cargo test -p waxwing-core` writes
//! the texts anew; read the difference before it is committed. `manifests/` holds the plugins that
//! are built in as far as the cases know, `manifests/foreign/` those that come from files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::PluginSource;
use waxwing_core::settings::raw::{self, SourceFile};
use waxwing_core::settings::resolve::{Catalog, resolve};

/// Where the cases pretend to stand.
const FOLDER: &str = "/etc/waxwing";

#[test]
fn every_configuration_is_judged_as_written_down() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/config");
    let mut paths: Vec<_> = files(&cases);
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    assert!(paths.len() >= 30, "{} cases", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let found = judge(&cases, &path);
        let golden = path.with_extension("err");
        if std::env::var_os("WAXWING_BLESS").is_some() {
            if found.is_empty() {
                fs::remove_file(&golden).ok();
            } else {
                fs::write(&golden, &found).expect("a writable checkout");
            }
        }
        let want = fs::read_to_string(&golden).unwrap_or_default();
        if found != want {
            wrong.push(format!(
                "== {}\n-- found\n{found}-- want\n{want}",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The errors of a configuration as the operator sees them; empty if it is good.
fn judge(cases: &Path, path: &Path) -> String {
    let main = SourceFile {
        path: Path::new(FOLDER).join("waxwing.toml"),
        shown: "waxwing.toml".to_owned(),
        text: read(path),
    };
    let mut sources = vec![main];
    for pattern in raw::includes(&sources[0]) {
        let folder = pattern
            .strip_suffix("/*.toml")
            .expect("the pattern that cases use");
        for included in files(&cases.join(folder)) {
            let name = included.file_name().and_then(|name| name.to_str());
            let shown = format!("{folder}/{}", name.expect("a plain name"));
            sources.push(SourceFile {
                path: Path::new(FOLDER).join(&shown),
                shown,
                text: read(&included),
            });
        }
    }
    let raw = raw::parse(&sources);
    let mut manifests: BTreeMap<_, _> = files(&cases.join("manifests"))
        .into_iter()
        .filter(|path| path.is_file())
        .map(|path| {
            let manifest = Manifest::parse(&stem(&path), &read(&path));
            let manifest = manifest.map_err(|errors| errors.to_string());
            (PluginSource::Embedded(stem(&path)), manifest)
        })
        .collect();
    for source in raw.plugin_sources() {
        if let PluginSource::File { path, .. } = &source {
            let text = cases.join(format!("manifests/foreign/{}.toml", stem(path)));
            let manifest = match fs::read_to_string(text) {
                Ok(text) => {
                    Manifest::parse(&stem(path), &text).map_err(|errors| errors.to_string())
                }
                Err(_absent) => Err(format!("{}: no such file", path.display())),
            };
            manifests.insert(source, manifest);
        }
    }
    let catalog = Catalog {
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests,
    };
    match resolve(&raw, &catalog) {
        Ok(_) => String::new(),
        Err(errors) => format!("{errors}\n"),
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a readable case")
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.expect("a plain name").to_owned()
}

/// The entries of a folder in the order of their names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the checkout");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}
