//! Which CA another client means: its words for a server, matched with the directories of profiles.
//!
//! Clients write the URL of a directory, a base address that a directory is below, a host, or a folder
//! name made of one of these.

use std::collections::BTreeMap;

use crate::ca::CaProfile;
use crate::http::host_of;
use crate::name::CaName;

/// A CA in a client's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// A URL: of a directory, or of what a directory is below.
    Url(String),
    /// A URL from which slashes and colons were taken, as for the name of a folder.
    Folder(String),
    /// A host, with `_` before the port if there is one.
    Host(String),
}

impl Server {
    /// True unless both name a host, and not the same.
    pub fn is_at(&self, other: &Self) -> bool {
        let host = |server: &Self| match server {
            Self::Url(url) => Some(host_of(url).to_ascii_lowercase()),
            Self::Host(name) => Some(name.split('_').next().unwrap_or(name).to_ascii_lowercase()),
            Self::Folder(_) => None,
        };
        host(self)
            .zip(host(other))
            .is_none_or(|(one, other)| one == other)
    }

    /// As messages name it.
    pub fn shown(&self) -> &str {
        match self {
            Self::Url(text) | Self::Folder(text) | Self::Host(text) => text,
        }
    }
}

/// What a server was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A profile knows it.
    Profile {
        /// Which.
        ca: CaName,
        /// Its directory.
        directory: String,
        /// The URL as it was written, if it ends in something that this CA has not.
        repaired: Option<String>,
    },
    /// No profile knows it.
    Unknown {
        /// The URL, without what the CA is known not to have.
        directory: String,
        /// Likewise.
        repaired: Option<String>,
    },
    /// Not even a URL.
    Nowhere,
}

/// The CA behind a server; of several directories that fit the longest counts.
pub fn find(profiles: &BTreeMap<CaName, CaProfile>, server: &Server) -> Found {
    let directories = || {
        profiles.values().flat_map(|profile| {
            let urls = profile.directories.iter();
            urls.map(move |url| (profile, url))
        })
    };
    // By name, so that equal lengths have one answer: the first profile.
    let longest = |fits: &dyn Fn(&CaProfile, &str) -> bool| {
        let fitting = directories().filter(|(profile, url)| fits(profile, url));
        fitting.fold(
            None,
            |best: Option<(&CaProfile, &String)>, next| match best {
                Some(best) if best.1.len() >= next.1.len() => Some(best),
                _ => Some(next),
            },
        )
    };
    let profile = |(profile, url): (&CaProfile, &String), repaired: Option<&str>| Found::Profile {
        ca: profile.name.clone(),
        directory: url.clone(),
        repaired: repaired.map(str::to_owned),
    };
    match server {
        Server::Url(written) => {
            let url = written.trim_end_matches('/');
            let mut all = profiles.values();
            let moved = all.find(|profile| {
                let mut formerly = profile.quirks.formerly.iter();
                formerly.any(|was| was.trim_end_matches('/') == url)
            });
            if let Some((moved, directory)) =
                moved.and_then(|it| Some((it, it.directories.first()?)))
            {
                return profile((moved, directory), None);
            }
            if let Some(found) = longest(&|_, directory| is_at_or_below(directory, url)) {
                return profile(found, None);
            }
            // Of the same host, and with an end that this CA has not.
            let host = host_of(url);
            let wrong = profiles.values().find_map(|profile| {
                let ending = profile.quirks.wrong_ending.as_deref()?;
                let mut known = profile.directories.iter();
                let same = known.any(|one| host_of(one).eq_ignore_ascii_case(host));
                url.strip_suffix(ending).filter(|_| same)
            });
            if let Some(base) = wrong {
                return match longest(&|_, directory| is_at_or_below(directory, base)) {
                    Some(found) => profile(found, Some(written)),
                    None => Found::Unknown {
                        directory: base.to_owned(),
                        repaired: Some(written.clone()),
                    },
                };
            }
            if host.is_empty() || !url.starts_with("https://") {
                return Found::Nowhere;
            }
            Found::Unknown {
                directory: written.clone(),
                repaired: None,
            }
        }
        Server::Folder(name) => {
            let fits = |_: &CaProfile, directory: &str| {
                let flat = flat(directory);
                // Base addresses of this client are what "directory" is put behind.
                flat == *name || flat.strip_suffix("directory") == Some(name)
            };
            if let Some(found) = longest(&fits) {
                return profile(found, None);
            }
            let wrong = |it: &CaProfile, directory: &str| {
                let Some(ending) = it.quirks.wrong_ending.as_deref().map(flat) else {
                    return false;
                };
                let base = name.strip_suffix(&ending);
                base.is_some_and(|base| !base.is_empty() && flat(directory).starts_with(base))
            };
            match longest(&wrong) {
                Some(found) => profile(found, Some(name)),
                None => Found::Nowhere,
            }
        }
        Server::Host(name) => {
            let fits = |_: &CaProfile, directory: &str| {
                let authority = directory.split('/').nth(2).unwrap_or_default();
                authority.replace(':', "_").eq_ignore_ascii_case(name)
            };
            longest(&fits).map_or(Found::Nowhere, |found| profile(found, None))
        }
    }
}

/// True if `directory` is `base` or one of its paths leads on from there.
fn is_at_or_below(directory: &str, base: &str) -> bool {
    let rest = directory.strip_prefix(base);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !host_of(base).is_empty()
}

/// A URL as the name of a folder.
fn flat(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    rest.replace(['/', ':'], "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles;

    /// `name: directory`, `?: directory` or `-`, with ` (repaired)`.
    fn shown(found: &Found) -> String {
        let mark = |repaired: &Option<String>| {
            if repaired.is_some() {
                " (repaired)"
            } else {
                ""
            }
        };
        match found {
            Found::Profile {
                ca,
                directory,
                repaired,
            } => format!("{ca}: {directory}{}", mark(repaired)),
            Found::Unknown {
                directory,
                repaired,
            } => format!("?: {directory}{}", mark(repaired)),
            Found::Nowhere => "-".to_owned(),
        }
    }

    #[test]
    fn servers_are_found_by_url_base_folder_and_host() {
        let profiles = profiles::shipped();
        let check = |server: Server, want: &str| {
            assert_eq!(shown(&find(&profiles, &server)), want, "{server:?}");
        };
        let url = |text: &str| Server::Url(text.to_owned());
        let folder = |text: &str| Server::Folder(text.to_owned());
        let host = |text: &str| Server::Host(text.to_owned());
        let le = "letsencrypt: https://acme-v02.api.letsencrypt.org/directory";
        check(url("https://acme-v02.api.letsencrypt.org/directory"), le);
        check(url("https://acme-v02.api.letsencrypt.org/"), le);
        check(url("https://acme-v02.api.letsencrypt.org"), le);
        check(
            url("https://acme-v02.api.letsencrypt.or"),
            "?: https://acme-v02.api.letsencrypt.or",
        );
        check(folder("acme-v02.api.letsencrypt.org"), le);
        check(host("acme-v02.api.letsencrypt.org"), le);
        check(url("https://acme-v01.api.letsencrypt.org/directory"), le);
        let zero = "zerossl: https://acme.zerossl.com/v2/DV90";
        check(url("https://acme.zerossl.com/v2/DV90/"), zero);
        check(folder("acme.zerossl.comv2DV90"), zero);
        check(host("acme.zerossl.com"), zero);
        let repaired = format!("{zero} (repaired)");
        check(url("https://acme.zerossl.com/v2/DV90/directory"), &repaired);
        check(url("https://acme.zerossl.com/v2/directory"), &repaired);
        check(folder("acme.zerossl.comv2DV90directory"), &repaired);
        check(folder("acme.zerossl.comv2directory"), &repaired);
        let sectigo = "sectigo: https://acme.sectigo.com/v2/DV";
        check(url("https://acme.sectigo.com/v2/DV"), sectigo);
        check(
            url("https://acme.sectigo.com/v2/OV/directory"),
            "?: https://acme.sectigo.com/v2/OV (repaired)",
        );
        check(
            url("https://acme.sectigo.com/v2/OV"),
            "?: https://acme.sectigo.com/v2/OV",
        );
        check(
            url("https://ca.internal/acme/acme/directory"),
            "?: https://ca.internal/acme/acme/directory",
        );
        check(host("ca.internal_14000"), "-");
        check(folder("ca.internal"), "-");
        check(url("http://ca.internal/directory"), "-");
        check(url("https:///directory"), "-");
        check(url(""), "-");
    }
}
