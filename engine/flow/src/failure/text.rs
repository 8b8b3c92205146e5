//! A failure in words.

use std::fmt;

use waxwing_core::name::CaName;

use super::{CaError, Failure, offline_because};

/// What stands before a line that is no cause of the line above it but tells more of it: which
/// certificates, which zone, what a command said. Kept causes have it, so that a reader who has room for
/// one line takes a cause.
const DETAIL: &str = "  ";

/// The innermost one of causes that [`Failure::chain`] has made, which says most.
pub fn innermost(causes: &[String]) -> Option<&str> {
    let mut inner_first = causes.iter().rev();
    let cause = inner_first.find(|line| !line.starts_with(DETAIL));
    cause.or(causes.last()).map(|cause| cause.trim())
}

/// Every cause of a chain as it is, for machines and for whoever shows them all in one way.
pub fn plain(causes: &[String]) -> Vec<String> {
    let plain = causes.iter().map(|cause| cause.trim_start().to_owned());
    plain.collect()
}

/// The same on one line, for the log.
pub(crate) fn one_line(causes: &[String]) -> String {
    plain(causes).join("; ")
}

impl Failure {
    /// Every cause, outermost first, a line each. The first line is the failure itself.
    pub fn lines(&self) -> Vec<String> {
        plain(&self.chain())
    }

    /// The same to be kept: what tells more of the line above it is indented.
    pub fn chain(&self) -> Vec<String> {
        let mut lines = vec![self.to_string()];
        match self {
            Self::Directory { tried, .. } => {
                lines.extend(tried.iter().map(|(url, cause)| match cause {
                    CaError::Transport(error) => format!("{url}: {error}"),
                    CaError::Answer(error) => error.to_string(),
                }));
            }
            Self::Ca { error, .. } => lines.push(error.to_string()),
            Self::Offline { hosts } => {
                lines.extend(hosts.iter().map(|(host, cause)| match cause {
                    CaError::Transport(error) => format!("{host}: {error}"),
                    CaError::Answer(error) => format!("{host}: {error}"),
                }));
            }
            Self::Rehearsal { failure, .. } | Self::Unrehearsed { failure, .. } => {
                lines.extend(failure.chain())
            }
            Self::Validation { refused, .. } => {
                // A refusal of the whole order is the same for each name: once is enough.
                match refused.as_slice() {
                    [(_, Some(first)), rest @ ..]
                        if !rest.is_empty()
                            && rest.iter().all(|(_, other)| other.as_ref() == Some(first)) =>
                    {
                        lines.push(first.to_string());
                    }
                    _ => lines.extend(refused.iter().map(|(name, problem)| match problem {
                        Some(problem) => format!("{name}: {problem}"),
                        None => format!("{name}: the CA gave no reason"),
                    })),
                }
            }
            Self::Account { causes, .. } => lines.extend(causes.iter().cloned()),
            Self::Unreadable { url, error, .. } => lines.push(format!("{url}: {error}")),
            Self::Plugins(failures) => {
                lines.clear();
                for failure in failures {
                    let details = failure.details.iter();
                    let details = details.map(|(name, value)| format!("{DETAIL}{name}: {value}"));
                    let all = [failure.to_string()].into_iter().chain(details);
                    let causes = failure.causes.iter();
                    let causes = causes.map(|cause| cause.trim_start().to_owned());
                    // Records of one batch fail for one reason: once is enough.
                    for line in all.chain(causes) {
                        let timeless = without_times(&line);
                        if !lines.iter().any(|said| without_times(said) == timeless) {
                            lines.push(line);
                        }
                    }
                }
            }
            Self::NoCa { passed_over, .. } => {
                lines.extend(passed_over.iter().map(|(ca, why)| format!("{ca}: {why}")));
            }
            Self::Propagation { servers, .. } => {
                lines.extend(servers.iter().map(|view| match &view.sees {
                    // That is no cause.
                    Ok(true) => format!("{DETAIL}{}: shows the value", view.server),
                    Ok(false) => format!("{}: does not show the value", view.server),
                    Err(cause) => format!("{}: {cause}", view.server),
                }));
            }
            _ => {}
        }
        lines
    }
}

/// The outermost line alone; [`Failure::lines`] has the rest.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { ca, .. } if self.is_rootless() => write!(
                f,
                "{ca} was not asked: this system has no roots to verify it with"
            ),
            Self::Directory { ca, .. } if self.is_unsent() => {
                write!(
                    f,
                    "{ca} was not asked: the configuration cannot be followed"
                )
            }
            Self::Directory { ca, .. } => write!(f, "{ca} did not answer with a directory"),
            Self::Ca { ca, step, .. } => write!(f, "failed to {step} at {ca}"),
            Self::Spent {
                ca,
                kind,
                limit,
                until,
            } => write!(
                f,
                "nothing was ordered at {ca}: its limit on {} ({limit}) is used up until {until}",
                kind.as_str()
            ),
            Self::Offline { hosts } => write!(
                f,
                "this machine seems to be offline: {}, so no CA is to blame and no fallback was spent",
                offline_because(hosts)
            ),
            Self::Rehearsal { ca, staging, .. } => write!(
                f,
                "nothing was ordered at {ca}, which refused it last time: {staging} refuses it too"
            ),
            Self::Unrehearsed { ca, staging, .. } => write!(
                f,
                "nothing was ordered at {ca}, which refused it before: {staging} could not be asked \
                 first, and there is time"
            ),
            Self::Validation { ca, refused } => {
                let names: Vec<String> = refused.iter().map(|(name, _)| name.to_string()).collect();
                write!(f, "{ca} refused {}", names.join(", "))
            }
            Self::OrderDeadline { ca, status, waited } => write!(
                f,
                "the order at {ca} is still {status} after {} s; it is kept and looked at again",
                waited.as_secs()
            ),
            Self::Parked { ca, retry_after } => write!(
                f,
                "{ca} asks to come back in {} s; the order is kept until then",
                retry_after.as_secs()
            ),
            Self::LeftAlone { ca, until } => write!(
                f,
                "{ca} was not asked: it has asked to be left alone until {until}"
            ),
            Self::Account { ca, reason, .. } => write!(f, "no account at {ca}: {reason}"),
            Self::NoDnsChallenge {
                ca,
                identifier,
                offered,
            } => write!(
                f,
                "{ca} offers no dns-01 challenge for {identifier} (offered: {})",
                offered.join(", ")
            ),
            Self::NoCa {
                certificate,
                cas,
                passed_over,
            } if passed_over.is_empty() => {
                let cas: Vec<&str> = cas.iter().map(CaName::as_str).collect();
                write!(
                    f,
                    "{certificate} cannot be rehearsed: no staging CA is known for {}",
                    cas.join(", ")
                )
            }
            Self::NoCa { certificate, .. } => {
                write!(f, "no CA of the list can be asked for {certificate}")
            }
            Self::NoProfile {
                ca,
                profile,
                offered,
            } => write!(
                f,
                "{ca} does not offer the profile {profile} (offered: {offered})"
            ),
            Self::NoValidator { identifier } => {
                write!(f, "no DNS plugin is responsible for {identifier}")
            }
            Self::Plugins(failures) => match failures.first() {
                Some(first) => write!(f, "{first}"),
                None => f.write_str("a plugin failed without saying why"),
            },
            Self::Lookup(error) => write!(f, "{error}"),
            Self::Propagation {
                fqdn,
                servers,
                waited,
            } => {
                let seen = servers.iter().filter(|view| view.sees == Ok(true)).count();
                write!(
                    f,
                    "the TXT record at {fqdn} was seen on {seen} of {} name servers after {} s",
                    servers.len(),
                    waited.as_secs()
                )
            }
            Self::Unreadable { ca, .. } => write!(f, "the certificate from {ca} cannot be read"),
            Self::Mismatch { ca, what, .. } => {
                write!(f, "the certificate from {ca} was not stored: {what}")
            }
            Self::Store(error) => write!(f, "{error}"),
            Self::Crypto(error) => write!(f, "{error}"),
            Self::Secret(error) => write!(f, "{error}"),
            Self::NoSuchPlugin(plugin) => {
                write!(f, "the plugin {plugin} is not configured any more")
            }
            Self::Stopped => f.write_str("stopped before it was done"),
        }
    }
}

/// A cause without its timings, so that equal causes are equal.
pub fn without_times(cause: &str) -> String {
    let mut words = cause.split(' ').peekable();
    let mut kept: Vec<&str> = Vec::new();
    while let Some(word) = words.next() {
        let is_time = word.bytes().all(|b| b.is_ascii_digit())
            && words.peek().is_some_and(|next| next.starts_with("ms"));
        kept.push(if is_time { "#" } else { word });
    }
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{PluginFailure, PluginFailureKind};
    use waxwing_core::name::PluginName;

    fn failure(details: &[(&str, &str)], causes: &[&str]) -> PluginFailure {
        let text = |text: &&str| (*text).to_owned();
        PluginFailure {
            plugin: PluginName::parse("web").expect("a literal name"),
            call: "install".to_owned(),
            kind: PluginFailureKind::Retryable,
            code: "reload-failed".to_owned(),
            message: "the command reload ended with exit code 1".to_owned(),
            hint: None,
            http_status: None,
            details: details
                .iter()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            retry_after: None,
            account_wide: false,
            untouched: false,
            causes: causes.iter().map(text).collect(),
        }
    }

    #[test]
    fn what_tells_more_of_a_cause_is_no_cause() {
        const HEAD: &str = "plugin web failed to install: the command reload ended with exit code 1 [reload-failed]";
        let batch: &[(&str, &str)] = &[("certificates", "shop, mail, blog"), ("output", "bye")];
        // Details, causes below, the innermost cause, how many lines there are.
        let table: &[(&[_], &[&str], &str, usize)] = &[
            (&[], &[], HEAD, 1),
            (batch, &[], HEAD, 3),
            (batch, &["no route to host"], "no route to host", 4),
            // What a plugin says cannot pass for something else by its spaces.
            (&[], &["   no route to host"], "no route to host", 2),
        ];
        for (details, causes, want, lines) in table {
            let failure = Failure::Plugins(vec![failure(details, causes)]);
            let chain = failure.chain();
            assert_eq!(innermost(&chain), Some(*want), "{chain:?}");
            assert_eq!(failure.lines().len(), *lines, "{chain:?}");
            assert!(failure.lines().iter().all(|line| !line.starts_with(' ')));
        }
        assert_eq!(innermost(&[]), None);
        // A chain that an older version has kept has no marks.
        let kept = ["a".to_owned(), "certificates: b".to_owned()];
        assert_eq!(innermost(&kept), Some("certificates: b"));
    }

    #[test]
    fn for_the_log_causes_are_one_line_without_marks() {
        let causes = ["the test failed", "  certificates: shop", "exit code 1"];
        let causes = causes.map(str::to_owned);
        assert_eq!(
            one_line(&causes),
            "the test failed; certificates: shop; exit code 1"
        );
    }
}
