//! `waxwing check`: is all in order? Looks at everything that a renewal needs and changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::ca::EabSource;
use waxwing_core::due;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::{CaName, CertificateName, NotifierName};
use waxwing_core::notify::event::EventKind;
use waxwing_core::notify::{NotifySettings, Way};
use waxwing_core::settings::Settings;
use waxwing_core::time::Timestamp;
use waxwing_flow::plugin::{Finding, PluginFailure, Severity};
use waxwing_flow::ports::{CertificateStore, Outbox as _};
use waxwing_flow::report::{Observer, Progress};
use waxwing_flow::session::greeting;
use waxwing_flow::tell;
use waxwing_io::history::SqliteHistory;
use waxwing_io::store::FileStore;

use super::start;
use super::status::waiting;
use crate::args::{Check, Global};
use crate::drift;
use crate::exit::Exit;
use crate::load::{self, Loaded};
use crate::refusal::Refusal;
use crate::render::check::{self, Found, Verdict};
use crate::render::json::Document;
use crate::render::page::count;
use crate::render::progress::Live;
use crate::render::terminal::Terminal;
use crate::render::time::{stretch, took};
use crate::wire::{self, Compiled, Unusable, Wired};

mod caa;
mod cas;
mod disk;
mod install;
mod log;
mod neighbours;
mod proxy;
mod reach;
mod scheduled;
mod secrets;
mod state;
mod version;
mod view;
mod ways;
mod zones;

pub(super) use state::unwritable;

/// What begins the line of what takes long.
const WHO: &str = "check";

/// A clock that is further off than this may be refused by a CA or a provider.
const SKEW: Duration = Duration::from_secs(60);

/// Nobody waits for progress here.
struct Silent;

impl Observer for Silent {
    fn progress(&self, _certificate: &CertificateName, _progress: &Progress) {}
}

/// Runs the verb.
pub(crate) fn run(
    global: &Global,
    arguments: &Check,
    terminal: &mut Terminal,
) -> Result<Exit, Exit> {
    let loaded = start::load(global, terminal)?;
    let store = wire::look(&loaded).map_err(|error| start::store_failed(&error, terminal))?;
    let now = start::now();
    let mut found = vec![config(&loaded)];
    found.extend(lifetimes(&loaded.settings, now));
    found.extend(cas::roots(&loaded.settings));
    found.extend(cas::nobody_signs(&loaded.settings, now));
    let programs = program_findings(&loaded.settings);
    let trusted = programs.is_empty();
    found.extend(programs);
    if !trusted {
        let text = "not looked at, so that no program of somebody else is started: secrets, accounts, \
                    plugins, zones, DNS view, CAs, clock, CAA";
        let hint = "mend who may change it, then waxwing check again".to_owned();
        found.push(Found::new(Verdict::Warn, "programs", text.to_owned()).hint(Some(hint)));
    }
    if trusted {
        found.extend(secrets::findings(&loaded));
    }
    found.extend(state::lost(&loaded, &store));
    let context = terminal.context(now);
    found.extend(install::left_behind(&loaded, &store, &context));
    found.extend(state::findings(&loaded, &store, now));
    found.extend(state::exposed(&store));
    found.extend(state::clock(&loaded, &store, now));
    let mut installs: Vec<Found> = Vec::new();
    if trusted {
        found.extend(account_findings(&loaded, &store));
        found.extend(rehearsals(&loaded.settings));
        let (of_installs, others) = outside(&loaded, &store, arguments.offline, terminal)?
            .into_iter()
            .partition(|one| one.topic == install::TOPIC);
        installs = of_installs;
        found.extend::<Vec<Found>>(others);
    }
    found.extend(disk::findings(&loaded.settings, store.root()));
    found.extend(proxy::findings(&loaded.settings));
    found.extend(reach::findings(&loaded.settings));
    found.extend(install::findings(&loaded.settings));
    found.extend(installs);
    found.extend(log::findings(&loaded));
    found.extend(scheduled::findings(&loaded, &store, &terminal.context(now)));
    found.extend(neighbours::findings(&loaded.settings));
    found.push(told(&loaded.settings));
    found.extend(deaf(&loaded.settings));
    found.extend(undelivered(&store));
    let today = terminal.context(now).local_date();
    found.extend(version::findings(&loaded.settings, &store, today));
    if terminal.json {
        terminal.print(&Document::new("check", now, check::json(&found)).to_text());
    } else {
        let text = check::text(&found, arguments.offline, &terminal.context(now));
        terminal.print(&text);
    }
    let errors = found.iter().any(|one| one.verdict == Verdict::Error);
    Ok(if errors {
        Exit::NeedsPerson
    } else {
        Exit::Done
    })
}

/// What plugins say and, online, what the world says.
fn outside(
    loaded: &Loaded,
    store: &Arc<FileStore>,
    offline: bool,
    terminal: &mut Terminal,
) -> Result<Vec<Found>, Exit> {
    let history = start::look_at_history(store, terminal)?;
    let wired = wire::wire(
        loaded,
        Arc::clone(store),
        history,
        Compiled::InPlace,
        Arc::new(Silent),
    )
    .map_err(|error| Refusal::from(error).show(terminal))?;
    let runtime = start::runtime().map_err(|refused| refused.show(terminal))?;
    let live = terminal.progress.as_ref();
    Ok(runtime.block_on(async {
        let mut found = plugins(&wired, !offline, live).await;
        found.extend(secrets::unasked(&wired));
        if !offline {
            let settings = &loaded.settings;
            let looked = view::look_up(settings, live).await;
            found.extend(zones::findings(settings, &wired, &looked, live).await);
            let (view, silent) = view::findings(settings, looked, live).await;
            found.extend(view);
            found.extend(ways::findings(settings, live).await);
            found.extend(cas(settings, &wired, store, live).await);
            found.extend(caa::findings(settings, store, silent, live).await);
            found.extend(install::tests(settings, store, live).await);
        }
        found
    }))
}

fn config(loaded: &Loaded) -> Found {
    let settings = &loaded.settings;
    // On Windows nobody has looked.
    let writers = if cfg!(windows) {
        "who may write it follows from its access list"
    } else {
        "writable by its owner only"
    };
    let text = format!(
        "{} ({}), {}, {}; {writers}",
        loaded.config.display(),
        count(settings.files.len(), "file"),
        count(settings.certificates.len(), "certificate"),
        count(settings.plugins.len(), "plugin")
    );
    if settings.warnings.is_empty() {
        Found::new(Verdict::Ok, "config", text)
    } else {
        Found::new(Verdict::Warn, "config", text).causes(settings.warnings.iter().cloned())
    }
}

/// What is written about the age at renewal and cannot be kept with what the CAs give.
fn lifetimes(settings: &Settings, now: Timestamp) -> Vec<Found> {
    let mut found = Vec::new();
    for certificate in &settings.certificates {
        let profiles = certificate.cas.iter().filter_map(|ca| settings.cas.get(ca));
        // With an ACME profile the life is that profile's, which nobody here knows.
        for profile in profiles.filter(|profile| profile.profile.is_none()) {
            let life = profile.lifetime.expected();
            let warning = life.and_then(|life| {
                due::due(now, now + life, certificate.days_after_issue, None).warning
            });
            if let Some(warning) = warning {
                let text = format!("{} at {}: {warning}", certificate.name, profile.name);
                found.push(Found::new(Verdict::Warn, "renewal", text));
            }
        }
    }
    found
}

/// Programs of notifiers that nobody can run.
fn deaf(settings: &Settings) -> Vec<Found> {
    let program = |one: &NotifySettings| {
        let Way::Command(argv) = &one.way else {
            return None;
        };
        let named = format!("[notify.{}] command", one.name);
        let hint = format!(
            "command = [\"/PATH/TO/PROGRAM\", ...] under [notify.{}]",
            one.name
        );
        install::cannot_run(
            "notify",
            &named,
            argv.first().map_or("", String::as_str),
            hint,
        )
    };
    settings.notify.values().filter_map(program).collect()
}

/// Who hears of it when something goes wrong.
fn told(settings: &Settings) -> Found {
    let hears = |one: &&NotifySettings| one.on.contains(&EventKind::Failed);
    let names: Vec<&str> = settings
        .notify
        .values()
        .filter(hears)
        .map(|one| one.name.as_str())
        .collect();
    if names.is_empty() {
        let text = "nobody is told when a renewal fails";
        let hint = "[notify.mail], and below it smtp, from and to; then waxwing notify test";
        return Found::new(Verdict::Warn, "notify", text.to_owned()).hint(Some(hint.to_owned()));
    }
    let text = format!(
        "failures are told by {}; `waxwing notify test` proves it",
        names.join(", ")
    );
    Found::new(Verdict::Ok, "notify", text)
}

/// Messages that could not be delivered, one line for each notifier.
fn undelivered(store: &FileStore) -> Vec<Found> {
    // A history that cannot be read is told of elsewhere.
    let history = SqliteHistory::look(store.root()).ok();
    let told = history.as_ref().and_then(|history| history.told().ok());
    let waiting = history.map(|history| waiting(&history, store.root(), start::now()));
    let mut by_notifier: BTreeMap<NotifierName, (usize, Option<String>)> = BTreeMap::new();
    for one in waiting.unwrap_or_default() {
        // What was never tried is on its way.
        if one.attempts == 0 {
            continue;
        }
        let (messages, cause) = by_notifier.entry(one.letter.notifier).or_default();
        *messages += 1;
        if cause.is_none() {
            *cause = one.cause;
        }
    }
    // Whom the server refuses for good, nothing waits for.
    let in_part = tell::notifiers_in_trouble(told.unwrap_or_default())
        .filter(|one| one.refused || !by_notifier.keys().any(|known| known.as_str() == one.name))
        .map(|one| {
            let name = one.name;
            let text = format!("{name} does not reach everybody");
            Found::new(Verdict::Warn, "notify", text)
                .hint(Some(format!("waxwing notify test {name} shows whom")))
        });
    let in_part: Vec<Found> = in_part.collect();
    let found = by_notifier.into_iter().map(|(name, (messages, cause))| {
        let text = format!(
            "{} for {name} could not be delivered",
            count(messages, "message")
        );
        Found::new(Verdict::Warn, "notify", text)
            .causes(cause)
            .hint(Some(format!("waxwing notify test {name}")))
    });
    found.chain(in_part).collect()
}

/// Programs that others can change. What they would answer or do is not to be trusted, so nothing
/// is looked at that would start one.
fn program_findings(settings: &Settings) -> Vec<Found> {
    let foreign = load::foreign_programs(settings);
    let found = foreign.iter().map(|one| {
        let program = one.program.display();
        let text = format!("others can change {program}, which {} runs", one.key);
        let hint = format!("chown root {program}; chmod go-w {program} and its folder");
        Found::new(Verdict::Error, "programs", text).hint(Some(hint))
    });
    found.collect()
}

/// What the configuration says otherwise than the accounts.
fn account_findings(loaded: &Loaded, store: &FileStore) -> Vec<Found> {
    match drift::drift(loaded, store) {
        Ok(differs) => {
            let found = differs
                .iter()
                .map(|one| Found::new(Verdict::Warn, "accounts", one.what()).hint(one.hint()));
            found.collect()
        }
        Err(error) => {
            vec![Found::new(Verdict::Error, "accounts", error.to_string()).hint(error.hint)]
        }
    }
}

/// CAs at which only rehearsals take place, and which give no account without credentials.
fn rehearsals(settings: &Settings) -> Vec<Found> {
    let used = settings.used_cas();
    let mut found: Vec<Found> = Vec::new();
    for ca in used.iter().filter_map(|ca| settings.cas.get(ca)) {
        let stage = ca
            .rehearse_at
            .as_ref()
            .filter(|stage| !used.contains(stage));
        if ca.rehearse_at.is_none() && !ca.staging {
            let text = format!(
                "`renew --dry-run` cannot rehearse {}: it has no staging",
                ca.name
            );
            let hint = format!("[ca.{}] rehearse-at = \"NAME\", if there is one", ca.name);
            found.push(Found::new(Verdict::Ok, "CAs", text).hint(Some(hint)));
        }
        let Some(stage) = stage.and_then(|stage| settings.cas.get(stage)) else {
            continue;
        };
        if stage.eab.required && stage.eab.source == EabSource::None {
            let text = format!(
                "`renew --dry-run` cannot rehearse {} at {}, which gives accounts only with \
                 credentials; none are configured",
                ca.name, stage.name
            );
            let hint = format!(
                "[ca.{0}] eab = {{ key-id = \"...\", hmac-key = \"file:{0}-hmac-key\" }}",
                stage.name
            );
            found.push(Found::new(Verdict::Warn, "CAs", text).hint(Some(hint)));
        }
    }
    found
}

/// What each plugin says of its settings and, online, of its credentials.
async fn plugins(wired: &Wired, online: bool, live: &Live) -> Vec<Found> {
    let mut found = Vec::new();
    for why in &wired.unusable {
        match why {
            Unusable::Component(failure) => found.push(failed("plugins", failure)),
            // One mistake, which the look at the secrets has told already.
            Unusable::Secret { .. } => {}
        }
    }
    let mut good = Vec::new();
    for (name, plugin) in &wired.plugins {
        let what = format!("{name}: looking at its settings and credentials");
        let answer = match (plugin.dns(), plugin.installer()) {
            (Some(dns), _) => {
                let looked = dns.validate(online);
                live.during(WHO, &what, dns.longest(1), looked).await
            }
            (None, Some(installer)) => {
                let looked = installer.validate(online);
                let most = installer.longest();
                live.during(WHO, &what, most, looked).await
            }
            (None, None) => Ok(Vec::new()),
        };
        match answer {
            Ok(findings) if findings.iter().all(|one| one.severity == Severity::Info) => {
                good.push(name.as_str());
            }
            Ok(findings) => {
                found.extend(findings.iter().filter_map(|one| advice(name.as_str(), one)));
            }
            Err(failure) => found.push(failed("plugins", &failure)),
        }
    }
    if !good.is_empty() {
        let how = if online {
            "settings and credentials accepted"
        } else {
            "settings accepted"
        };
        let text = format!("{}: {how}", good.join(", "));
        found.insert(0, Found::new(Verdict::Ok, "plugins", text));
    }
    found
}

fn advice(plugin: &str, finding: &Finding) -> Option<Found> {
    let verdict = match finding.severity {
        Severity::Info => return None,
        Severity::Warning => Verdict::Warn,
        Severity::Error => Verdict::Error,
    };
    let text = format!("{plugin}: {}", finding.message);
    Some(Found::new(verdict, "plugins", text).hint(finding.hint.clone()))
}

fn failed(topic: &'static str, failure: &PluginFailure) -> Found {
    Found::new(Verdict::Error, topic, failure.to_string())
        .causes(failure.causes.iter().cloned())
        .hint(failure.hint.clone())
}

/// Whether each CA answers, what its clock shows, and whether there is an account.
async fn cas(settings: &Settings, wired: &Wired, store: &FileStore, live: &Live) -> Vec<Found> {
    let mut found = Vec::new();
    let mut good = Vec::new();
    let mut clocks = Vec::new();
    for ca in settings.used_cas() {
        let Some(profile) = settings.cas.get(&ca) else {
            continue;
        };
        let what = format!("asking {}", profile.title);
        let most = Some(greeting::longest(profile));
        let greeted = greeting::greet(&wired.ports.session, profile);
        match live.during(WHO, &what, most, greeted).await {
            Err(failure) => {
                let passes = failure.class() == FailureClass::Transient;
                let hint = proxy::in_between(settings)
                    .filter(|_| passes)
                    .or_else(|| failure.hint());
                let mut lines = failure.lines().into_iter();
                let text = lines.next().unwrap_or_default();
                found.push(
                    Found::new(Verdict::Error, "CAs", text)
                        .causes(lines)
                        .hint(hint),
                );
            }
            Ok(greeting) => {
                let account = match store.account(&ca, &greeting.directory.url) {
                    Ok(Some(account)) if account.usable().is_some() => "an account",
                    Ok(_) => {
                        found.extend(cas::without_credentials(profile, &greeting));
                        "no account yet"
                    }
                    Err(_) => "an account that cannot be read",
                };
                good.push(format!("{ca} in {}, {account}", took(greeting.took)));
                clocks.extend(greeting.clock.map(|clock| (ca, clock)));
            }
        }
    }
    if !good.is_empty() {
        found.insert(0, Found::new(Verdict::Ok, "CAs", good.join("; ")));
    }
    found.extend(
        clocks
            .iter()
            .map(|(ca, clock)| skew(ca, *clock, start::now())),
    );
    found
}

/// What the CA's clock says of ours. It shows whole seconds, so that one of them tells nothing.
fn skew(ca: &CaName, theirs: Timestamp, ours: Timestamp) -> Found {
    let (apart, side) = if ours > theirs {
        (ours.since(theirs), "ahead of")
    } else {
        (theirs.since(ours), "behind")
    };
    if apart > SKEW {
        let text = format!("{} {side} {ca}", stretch(apart));
        Found::new(Verdict::Warn, "clock", text).hint(Some(
            "set the clock by NTP; signatures carry the time".to_owned(),
        ))
    } else if apart.as_secs() > 1 {
        Found::new(
            Verdict::Ok,
            "clock",
            format!("{} s {side} {ca}", apart.as_secs()),
        )
    } else {
        Found::new(Verdict::Ok, "clock", format!("as at {ca}, to the second"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_by_more_than_a_minute_is_said() {
        let ca = CaName::parse("first").expect("a name");
        let at = Timestamp::from_unix;
        for (theirs, ours, verdict, text) in [
            (1_000, 1_000, Verdict::Ok, "as at first, to the second"),
            (1_000, 1_005, Verdict::Ok, "5 s ahead of first"),
            (1_005, 1_000, Verdict::Ok, "5 s behind first"),
            (1_000, 1_061, Verdict::Warn, "61 s ahead of first"),
            (1_061, 1_000, Verdict::Warn, "61 s behind first"),
        ] {
            let found = skew(&ca, at(theirs), at(ours));
            assert_eq!((found.verdict, found.text.as_str()), (verdict, text));
        }
    }

    #[test]
    fn what_is_said_of_the_machine_is_said_like_this() {
        let found = [
            neighbours::tests::examples(),
            disk::tests::examples(),
            proxy::tests::examples(),
            ways::tests::examples(),
            version::tests::examples(),
        ]
        .concat();
        for one in &found {
            let helpless = one.verdict != Verdict::Ok && one.hint.is_none();
            assert!(!helpless, "{one:?} says nothing to do");
        }
        crate::render::fixture::golden("check-machine.txt", |context| {
            check::text(&found, false, context)
        });
    }
}
