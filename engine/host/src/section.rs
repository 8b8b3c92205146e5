//! Reads what a component says of itself from its bytes alone: nothing is compiled or run.
//!
//! The manifest is a custom section. A build step may append it at the top level of the file, or
//! the guest's linker may have put it into the core module inside; both are read.

use std::fmt::Write as _;

use wasmparser::{ComponentExternName, Encoding, Parser, Payload};

/// Name of the custom section.
const SECTION: &str = "waxwing:manifest";

/// Longest manifest, in bytes.
pub const MANIFEST_CAP: usize = 64 * 1024;

/// A file that is no plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not WebAssembly, or broken.
    #[error("the file is not valid WebAssembly at byte {offset}: {message}")]
    Malformed {
        /// Where in the file.
        offset: usize,
        /// What the parser says.
        message: String,
    },
    /// A core module.
    #[error("the file is a core WebAssembly module, not a component")]
    CoreModule,
    /// No `waxwing:manifest` section.
    #[error("the component has no `waxwing:manifest` section")]
    NoManifest,
    /// More than one, so that nobody can tell which counts.
    #[error("the component has {0} `waxwing:manifest` sections; exactly one is needed")]
    ManyManifests(usize),
    /// Longer than [`MANIFEST_CAP`].
    #[error("the manifest has {0} bytes; {MANIFEST_CAP} are allowed")]
    ManifestTooLong(usize),
    /// Not UTF-8.
    #[error("the manifest is not UTF-8 text")]
    ManifestNotText,
}

/// What the bytes of a component show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The text of the `waxwing:manifest` section.
    pub manifest_text: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Interfaces it imports, as in `waxwing:host/http@0.1.0`, in the order of the file.
    pub imports: Vec<String>,
    /// Interfaces it exports.
    pub exports: Vec<String>,
    /// Bytes of the file.
    pub size: usize,
}

impl Inspection {
    /// The version of `waxwing:plugin` it was built for, from its exports.
    pub fn contract(&self) -> Option<&str> {
        let mut ours = self
            .exports
            .iter()
            .filter_map(|name| name.strip_prefix("waxwing:plugin/"));
        ours.find_map(|name| name.split_once('@'))
            .map(|(_, version)| version)
    }
}

/// Reads a component's manifest, imports and exports.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    let outline = outline(bytes)?;
    Ok(Inspection {
        manifest_text: manifest_text(&outline)?,
        sha256: sha256_hex(bytes),
        imports: outline.imports,
        exports: outline.exports,
        size: bytes.len(),
    })
}

/// The manifest's text alone, for the stage that reads the configuration.
pub fn read_manifest(bytes: &[u8]) -> Result<String, LoadError> {
    manifest_text(&outline(bytes)?)
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

#[derive(Default)]
struct Outline<'a> {
    /// Manifest sections at the top level.
    top: Vec<&'a [u8]>,
    /// Manifest sections of core modules directly inside.
    inner: Vec<&'a [u8]>,
    imports: Vec<String>,
    exports: Vec<String>,
}

fn manifest_text(outline: &Outline<'_>) -> Result<String, LoadError> {
    let found = if outline.top.is_empty() {
        &outline.inner
    } else {
        &outline.top
    };
    match found.as_slice() {
        [] => Err(LoadError::NoManifest),
        [data] if data.len() > MANIFEST_CAP => Err(LoadError::ManifestTooLong(data.len())),
        [data] => match std::str::from_utf8(data) {
            Ok(text) => Ok(text.to_owned()),
            Err(_invalid) => Err(LoadError::ManifestNotText),
        },
        many => Err(LoadError::ManyManifests(many.len())),
    }
}

fn outline(bytes: &[u8]) -> Result<Outline<'_>, LoadError> {
    let malformed = |error: wasmparser::BinaryReaderError| LoadError::Malformed {
        offset: error.offset(),
        message: error.message().to_owned(),
    };
    let name = |name: ComponentExternName<'_>| name.name.to_owned();
    let mut outline = Outline::default();
    // The encodings of the files we are inside of; the top level is the first.
    let mut inside: Vec<Encoding> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { encoding, .. } => {
                if inside.is_empty() && encoding == Encoding::Module {
                    return Err(LoadError::CoreModule);
                }
                inside.push(encoding);
            }
            Payload::End(_) => drop(inside.pop()),
            Payload::CustomSection(section) if section.name() == SECTION => {
                match inside.as_slice() {
                    [Encoding::Component] => outline.top.push(section.data()),
                    [Encoding::Component, Encoding::Module] => outline.inner.push(section.data()),
                    _deeper => {}
                }
            }
            Payload::ComponentImportSection(section) if inside.len() == 1 => {
                for import in section {
                    outline.imports.push(name(import.map_err(malformed)?.name));
                }
            }
            Payload::ComponentExportSection(section) if inside.len() == 1 => {
                for export in section {
                    outline.exports.push(name(export.map_err(malformed)?.name));
                }
            }
            _other => {}
        }
    }
    Ok(outline)
}
