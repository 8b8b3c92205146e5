//! Compiled components on disk. Such a file is machine code, and wasmtime believes it: so each is
//! sealed with a key that only this user can read, and the seal is checked before the file is
//! looked at. Any doubt means to compile again, never to fail.

#![expect(
    clippy::disallowed_methods,
    reason = "compiled components are files of this crate alone"
)]

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::files::create_private;

/// Part of each name: to be raised when the layout of a file changes.
const FORMAT: u32 = 1;
/// Bytes of the key and of a seal.
const SEAL: usize = 32;
const SEAL_U64: u64 = 32;
/// Longest file that is read back.
const CAP: u64 = 256 << 20;
/// Files that are kept; the oldest go first.
const KEPT: usize = 16;

/// A folder of compiled components.
pub(crate) struct Cache {
    dir: PathBuf,
    key: hmac::Key,
}

impl Cache {
    /// Opens the folder, making it and the key if they are not there. The key lies elsewhere: whoever
    /// gets a copy of the folder can seal nothing.
    pub(crate) fn open(dir: &Path, key: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        os::check_folder(dir)?;
        let key = match read_key(key) {
            Ok(key) => key,
            Err(_missing_or_doubtful) => make_key(key)?,
        };
        Ok(Self {
            dir: dir.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        })
    }

    /// A component that was compiled before, by this version of everything.
    pub(crate) fn load(&self, engine: &Engine, wasm_sha256: &str) -> Option<Component> {
        let name = name(engine, wasm_sha256);
        let file = open_regular(&self.dir.join(&name)).ok()?;
        let mut bytes = Vec::new();
        file.take(CAP).read_to_end(&mut bytes).ok()?;
        let (seal, code) = bytes.split_at_checked(SEAL)?;
        if verify_slices_are_equal(self.seal(&name, code).as_ref(), seal).is_err() {
            tracing::warn!(file = %name, "a compiled component is not as it was written; compiling it again");
            return None;
        }
        #[expect(
            unsafe_code,
            reason = "the bytes carry the seal of a key that only this user can read, so they are \
                      what `Component::serialize` answered; wasmtime itself checks that it was \
                      the same version and configuration"
        )]
        let component = unsafe { Component::deserialize(engine, code) };
        component.ok()
    }

    /// Keeps a compiled component.
    pub(crate) fn store(
        &self,
        engine: &Engine,
        wasm_sha256: &str,
        component: &Component,
    ) -> io::Result<()> {
        let name = name(engine, wasm_sha256);
        let code = component
            .serialize()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let seal = self.seal(&name, &code);
        write_new(&self.dir, &name, &[seal.as_ref(), &code])?;
        self.prune()
    }

    /// The name is sealed too, so that one file cannot stand in for another.
    fn seal(&self, name: &str, code: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name.as_bytes(), b"\0", code] {
            context.update(part);
        }
        context.sign()
    }

    fn prune(&self) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "cwasm")
            {
                entries.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        entries.sort();
        let extra = entries.len().saturating_sub(KEPT);
        for (_, path) in entries.drain(..extra) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Bound to the component, to wasmtime with its configuration, and to this layout.
fn name(engine: &Engine, wasm_sha256: &str) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    FORMAT.hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{wasm_sha256}-{:016x}.cwasm", hasher.finish())
}

fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mut key = Vec::new();
    file.take(SEAL_U64 + 1).read_to_end(&mut key)?;
    if key.len() == SEAL {
        Ok(key)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Whatever was sealed with another key is compiled again.
fn make_key(path: &Path) -> io::Result<Vec<u8>> {
    let mut key = vec![0; SEAL];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_none| io::Error::other("the system has no randomness"))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(folder)?;
    write_new(folder, &name.to_string_lossy(), &[&key])?;
    Ok(key)
}

/// Renamed into place, so that nobody reads half a file and no file changes under a reader.
fn write_new(dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.{}.new", std::process::id()));
    let write = || {
        let mut file = create_private(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, dir.join(name))
    };
    let written = write();
    if written.is_err() {
        // The first error is the one that matters.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = os::open(path)?;
    os::check_file(&file)?;
    Ok(file)
}

#[cfg(unix)]
#[path = "cache/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "cache/windows.rs"]
mod os;
