//! Everything that reads what others wrote, as plain functions from bytes: what an operator, a
//! plugin's author, a CA or a damaged disk can hand in.
//!
//! Each function must not panic, whatever the bytes are, and where the engine can write what it has
//! read, it must read the same again. `cargo test` feeds them a small corpus and mutations of it;
//! `nightly/` hands the same functions to cargo-fuzz.
//!
//! Start with [`TARGETS`].

mod acme;
mod config;
mod import;
pub mod mutate;
mod stored;

/// A function to be fed, and the name of its folder in `corpus/`.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The folder, and the name of the cargo-fuzz target.
    pub name: &'static str,
    /// Reads the bytes. A panic is a bug found.
    pub read: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "config",
        read: config::config,
    },
    Target {
        name: "manifest",
        read: config::manifest,
    },
    Target {
        name: "import",
        read: import::import,
    },
    Target {
        name: "directory",
        read: acme::directory,
    },
    Target {
        name: "problem",
        read: acme::problem,
    },
    Target {
        name: "reply",
        read: acme::reply,
    },
    Target {
        name: "renewal-info",
        read: acme::renewal_info,
    },
    Target {
        name: "retry-after",
        read: acme::retry_after,
    },
    Target {
        name: "facts",
        read: stored::facts,
    },
    Target {
        name: "account",
        read: stored::account,
    },
    Target {
        name: "installed",
        read: stored::installed,
    },
    Target {
        name: "last",
        read: stored::last,
    },
    Target {
        name: "served",
        read: stored::served,
    },
    Target {
        name: "revoked",
        read: stored::revoked,
    },
    Target {
        name: "replacing",
        read: stored::replacing,
    },
    Target {
        name: "stored-directory",
        read: stored::stored_directory,
    },
    Target {
        name: "journal",
        read: stored::journal,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What of the bytes is text; the rest becomes U+FFFD, as a lossy reader would have it.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
