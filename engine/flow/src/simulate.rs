//! What would have happened: the real planner, the real scheduler with its fail-over, ladders and
//! budgets, over days and years of virtual time, with trouble from a script.
//!
//! Only what is outside is made up: a store in memory, CAs that issue or do not, a clock that jumps
//! from one run of the timer to the next. What a newcomer gets wrong: the CAs here keep their own
//! count of what they allow (`judge`), apart from the budgets of the engine, so that a budget that
//! is wrong is seen and not believed.

mod desk;
mod judge;
mod nowhere;
mod story;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use waxwing_core::alert::{self, InPlace};
use waxwing_core::disturbance::{self, Dice, Disturbance, Trouble};
use waxwing_core::due;
use waxwing_core::name::{CaName, CertificateName};
use waxwing_core::plan::hold::Hold;
use waxwing_core::plan::order;
use waxwing_core::plan::{self, Action, Asker, Circumstances, Item};
use waxwing_core::schedule;
use waxwing_core::settings::{CertificateSettings, Settings};
use waxwing_core::time::{Timestamp, Window};

use crate::driver::Stop;
use crate::report::{CertificateReport, Outcome};
use crate::scheduler::{Force, Job, NO_DIGESTS, Orders, run_at};

pub use judge::LimitUse;
pub use story::{Alert, Closest, Expired, Mark, Marked, Story, Week};
use world::{Finished, World};

/// The calendar closes for longer than this on blackout dates only.
const FREEZE: Duration = Duration::from_secs(24 * 60 * 60);

/// The life of a certificate from a CA whose profile does not say.
const USUAL_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Times in which a CA's limit was used up are remembered for each certificate, the last so many.
const MOST_LIMITED: usize = 64;

/// A certificate in trouble is looked at so often, to see whether somebody has to be told.
const WATCHED: Duration = Duration::from_secs(6 * 60 * 60);

/// What is to be simulated.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The stretch of time.
    pub window: Window,
    /// How often a timer starts a run; the first one comes with the window.
    pub every: Duration,
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// Trouble.
    pub disturbances: Vec<Disturbance>,
    /// The chance that a run dies in the middle of an attempt, from 0 to 1.
    pub crash_rate: f64,
    /// Lives of certificates, where they are not what the profile of the CA says.
    pub lives: BTreeMap<CertificateName, Duration>,
    /// What is in place at the beginning: the first version of a certificate and how old it is. What
    /// is missing is issued first.
    pub ages: BTreeMap<CertificateName, Duration>,
}

/// Lets time go by and tells what happened.
///
/// It needs no runtime that keeps time, and waits for nothing.
pub async fn simulate(settings: &Settings, scenario: &Scenario) -> Story {
    let world = World::new(settings, scenario);
    let mut play = Play {
        settings,
        lists: lists(settings),
        scenario,
        by_name: settings
            .certificates
            .iter()
            .map(|certificate| (&certificate.name, certificate))
            .collect(),
        agenda: BTreeMap::new(),
        told: BTreeMap::new(),
        expired: BTreeMap::new(),
        limited: BTreeMap::new(),
        story: Story::new(settings, scenario),
        world,
    };
    play.begin();
    while let Some((at, names)) = play.agenda.pop_first() {
        if at >= scenario.window.end {
            break;
        }
        play.tick(at, names).await;
    }
    play.end()
}

/// The same settings with one certificate for each list of CAs.
fn lists(settings: &Settings) -> Settings {
    let mut seen = BTreeSet::new();
    let certificates = settings.certificates.iter();
    let certificates = certificates.filter(|certificate| seen.insert(&certificate.cas));
    let certificates = certificates.cloned().collect();
    Settings {
        account: settings.account.clone(),
        state: settings.state.clone(),
        network: settings.network.clone(),
        failover: settings.failover,
        notify: BTreeMap::new(),
        log: waxwing_core::settings::LogSettings::default(),
        metrics: waxwing_core::settings::MetricsSettings::default(),
        cas: settings.cas.clone(),
        plugins: settings.plugins.clone(),
        certificates,
        files: Vec::new(),
        warnings: Vec::new(),
    }
}

/// The simulation while it runs.
struct Play<'a> {
    settings: &'a Settings,
    /// What a run looks at besides its jobs: with a fleet it would look for the same few CAs in
    /// thousands of lists.
    lists: Settings,
    scenario: &'a Scenario,
    by_name: BTreeMap<&'a CertificateName, &'a CertificateSettings>,
    /// Which certificates are looked at by which run.
    agenda: BTreeMap<Timestamp, BTreeSet<&'a CertificateName>>,
    /// How far down somebody was told that a certificate is, since it was last renewed.
    told: BTreeMap<&'a CertificateName, alert::Step>,
    /// Certificates that are not valid any more, and since when.
    expired: BTreeMap<&'a CertificateName, Timestamp>,
    /// When what a CA allows was used up, for each certificate that wanted something of it.
    limited: BTreeMap<&'a CertificateName, Vec<Disturbance>>,
    story: Story,
    world: World,
}

impl<'a> Play<'a> {
    fn begin(&mut self) {
        let start = self.scenario.window.start;
        for certificate in &self.settings.certificates {
            if let Some(age) = self.scenario.ages.get(&certificate.name) {
                let life = self.world.plant(certificate, start - *age);
                let in_place = &mut self.story.in_place;
                in_place.extend(life.map(|life| (certificate.name.clone(), life)));
            }
            self.look_again(&certificate.name, start);
        }
    }

    /// One run of the timer.
    async fn tick(&mut self, at: Timestamp, names: BTreeSet<&'a CertificateName>) {
        let off = |one: &Disturbance| one.trouble == Trouble::Machine && one.holds(at);
        if self.scenario.disturbances.iter().any(off) {
            let next = self.run_after(at);
            self.agenda.entry(next).or_default().extend(names);
            return;
        }
        self.world.set(at);
        self.story.runs += 1;
        let mut jobs = Vec::new();
        for name in &names {
            self.watch(name, at);
            let Some(certificate) = self.by_name.get(name).copied() else {
                continue;
            };
            let item = self.item(certificate, at);
            if item.is_ordered() {
                let job = Job {
                    certificate: (*certificate).clone(),
                    seen: self.world.version(name),
                    force: Force::No,
                };
                let (validity, suggestion, failures) = self.world.state_of(name);
                let failures = usize::try_from(failures).unwrap_or(usize::MAX);
                let ends = validity.map(|life| life.end);
                jobs.push((
                    order::place(&item.action, ends, suggestion.as_ref(), failures),
                    job,
                ));
            }
        }
        jobs.sort_by_key(|(place, _)| *place);
        let jobs: Vec<Job> = jobs.into_iter().map(|(_, job)| job).collect();
        if !jobs.is_empty() {
            self.story.busy_runs += 1;
            self.run(at, jobs).await;
        }
        for name in names {
            self.watch(name, at);
            self.look_again(name, at);
        }
    }

    async fn run(&mut self, at: Timestamp, jobs: Vec<Job>) {
        let orders = Orders {
            jobs,
            // Nothing waits for a provider in the simulation.
            pressing: BTreeSet::new(),
            in_place: BTreeMap::new(),
            install: Vec::new(),
            rehearsal: false,
            asker: Asker::Timer,
        };
        let (_switch, stop) = Stop::new();
        let ports = self.world.ports();
        let desk = self.world.desk();
        let report = tokio::select! {
            biased;
            () = self.world.died() => None,
            report = run_at(&desk, &ports, &self.lists, orders, &stop) => Some(report),
        };
        // What a process that died has finished is in the store all the same.
        let finished = self.world.finished();
        for (name, version) in finished {
            let Some((name, _)) = self.by_name.get_key_value(&name) else {
                continue;
            };
            self.renewed(name, &version, at);
        }
        match report {
            None => self.story.crashes += 1,
            Some(report) => {
                for certificate in &report.certificates {
                    self.reported(certificate, at);
                }
            }
        }
    }

    fn renewed(&mut self, name: &'a CertificateName, version: &Finished, at: Timestamp) {
        self.told.remove(name);
        if let Some(before) = version.before {
            self.story.close_call(name, before, at);
        }
        if let Some(since) = self.expired.remove(name) {
            self.story.back_again(name, since, at);
        }
        self.story.renewed(name, version, at);
    }

    fn reported(&mut self, report: &CertificateReport, at: Timestamp) {
        if let Outcome::Issued { ca, .. } = &report.outcome
            && let Some((instead_of, because)) = &report.stands_in
        {
            let name = &report.certificate;
            self.story.stood_in(name, ca, instead_of, *because, at);
        }
        for failed in &report.failures {
            self.story
                .failed(&report.certificate, Some(&failed.ca), &failed.failure, at);
        }
        if let Outcome::Failed(Some(failure)) = &report.outcome {
            self.story.failed(&report.certificate, None, failure, at);
        }
    }

    /// Whether somebody has to be told, and whether it has run out.
    fn watch(&mut self, name: &'a CertificateName, at: Timestamp) {
        let Some(certificate) = self.by_name.get(name).copied() else {
            return;
        };
        let (validity, suggestion, failures) = self.world.state_of(name);
        let due = validity.map(|validity| {
            due::due(
                validity.start,
                validity.end,
                certificate.days_after_issue,
                suggestion.as_ref(),
            )
        });
        let in_place = validity.zip(due.as_ref()).map(|(validity, due)| InPlace {
            not_before: validity.start,
            not_after: validity.end,
            due,
        });
        let step = alert::step(failures, in_place, at);
        let told = self.told.get(name).copied();
        if let Some(step) = alert::next(step, told) {
            self.told.insert(name, step);
            self.story.alert(name, step, at);
        }
        if let Some(validity) = validity
            && validity.end <= at
            && !self.expired.contains_key(name)
        {
            self.expired.insert(name, validity.end);
            let free = self.excuse(certificate, validity);
            self.story.expired(name, validity, free);
        }
    }

    /// The longest stretch in the last third of a life in which a CA that may be asked could have
    /// issued: what is long enough makes an expiry our fault. What was before the beginning does not
    /// count, nor does a time in which what the CA allows was used up, or which the operator has frozen for
    /// more than a day.
    fn excuse(&self, certificate: &CertificateSettings, life: Window) -> Duration {
        let third = Window {
            start: (life.end - life.end.since(life.start) / 3).max(self.scenario.window.start),
            end: life.end,
        };
        let permitted = certificate.cas.iter().enumerate().filter(|(nth, ca)| {
            let profile = self.settings.cas.get(ca);
            *nth == 0 || profile.is_some_and(|it| it.fallback && !it.may_charge && !it.staging)
        });
        let limited = self.limited.get(&certificate.name).into_iter().flatten();
        let disturbances = self.scenario.disturbances.iter();
        let all: Vec<Disturbance> = disturbances.chain(limited).cloned().collect();
        let free = permitted.map(|(_, ca)| disturbance::longest_free(&all, ca, third));
        free.max().unwrap_or_default()
    }

    fn item(&mut self, certificate: &'a CertificateSettings, at: Timestamp) -> Item {
        let stored = self.world.stored(&certificate.name, at);
        let down_since = self.world.down_since();
        let reached = self.world.reached_of_late();
        let spent = self.world.spent(certificate, at);
        for (ca, shut) in &spent {
            self.cannot_be_asked(
                certificate,
                ca,
                Window {
                    start: at,
                    end: shut.until(),
                },
            );
        }
        let circumstances = Circumstances {
            digests: &NO_DIGESTS,
            down_since: &down_since,
            reached: &reached,
            spent: &spent,
            forbidden: &BTreeMap::new(),
            asker: Asker::Timer,
            now: at,
        };
        let item = plan::item(self.settings, certificate, stored.as_ref(), &circumstances);
        // A freeze of more than a day is the operator's wish, as far as the calendar counts.
        if let Some(Hold::Window { until }) = item.hold
            && until.since(at) > FREEZE
        {
            for ca in &certificate.cas {
                self.cannot_be_asked(
                    certificate,
                    ca,
                    Window {
                        start: at,
                        end: until,
                    },
                );
            }
        }
        item
    }

    /// Notes a time in which nobody could ask that CA for it, though the CA would have answered.
    fn cannot_be_asked(
        &mut self,
        certificate: &'a CertificateSettings,
        ca: &CaName,
        during: Window,
    ) {
        let limited = self.limited.entry(&certificate.name).or_default();
        let trouble = Trouble::Down(ca.clone());
        let mut known = limited.iter().rev();
        if known.any(|one| one.trouble == trouble && one.during.end == during.end) {
            return;
        }
        if limited.len() >= MOST_LIMITED {
            limited.remove(0);
        }
        limited.push(Disturbance { trouble, during });
    }

    /// Puts a certificate down for the run at which something can happen to it next.
    fn look_again(&mut self, name: &'a CertificateName, at: Timestamp) {
        let Some(certificate) = self.by_name.get(name).copied() else {
            return;
        };
        let item = self.item(certificate, at);
        let wanted = match (&item.action, &item.hold) {
            (Action::Issue(_) | Action::Renew { .. }, None) => at,
            (_, Some(hold)) => hold.until().unwrap_or(at + WATCHED),
            (_, None) => item.moment.map_or(at + WATCHED, |moment| moment.at),
        };
        // The last run in a window does what would be later in it.
        let windows = !certificate.calendar.is_empty();
        let wanted = if windows {
            wanted - schedule::TIMER
        } else {
            wanted
        };
        let troubled = self.told.contains_key(name) || self.expired.contains_key(name);
        let wanted = match item.hold {
            Some(_) => wanted.min(at + WATCHED),
            None if troubled => wanted.min(at + WATCHED),
            None => wanted,
        };
        let run = self.run_at_or_after(wanted).max(self.run_after(at));
        // At the very beginning the first run is still to come.
        let run = if self.story.runs == 0 {
            self.run_at_or_after(wanted)
        } else {
            run
        };
        self.agenda.entry(run).or_default().insert(name);
    }

    fn run_at_or_after(&self, at: Timestamp) -> Timestamp {
        let start = self.scenario.window.start;
        let every = self.scenario.every.max(Duration::from_secs(1));
        let gone = at.since(start).as_millis();
        let runs = gone.div_ceil(every.as_millis().max(1));
        start + every.saturating_mul(u32::try_from(runs).unwrap_or(u32::MAX))
    }

    fn run_after(&self, at: Timestamp) -> Timestamp {
        self.run_at_or_after(at + Duration::from_millis(1))
    }

    fn end(mut self) -> Story {
        // What ran out since the last look is not forgotten.
        for certificate in &self.settings.certificates {
            self.watch(&certificate.name, self.scenario.window.end);
        }
        let (limits, requests) = self.world.ledger();
        self.story.limits = limits;
        self.story.requests = requests;
        self.story
    }
}

/// A fleet for trying things out: so many certificates at the CAs of `settings`, their lives mixed,
/// and in place since random moments.
pub fn fleet(settings: &mut Settings, scenario: &mut Scenario, size: u32, lives: &[Duration]) {
    let Some(first) = settings.certificates.first().cloned() else {
        return;
    };
    let mut dice = Dice(scenario.seed);
    settings.certificates.clear();
    for nth in 0..size {
        let Ok(name) = CertificateName::parse(&format!("host-{nth:05}")) else {
            continue;
        };
        let Ok(domain) = waxwing_core::name::Identifier::parse(&format!("host-{nth:05}.example"))
        else {
            continue;
        };
        let place = usize::try_from(nth).unwrap_or_default() % lives.len().max(1);
        let life = lives.get(place).copied().unwrap_or(USUAL_LIFE);
        scenario.lives.insert(name.clone(), life);
        // Up to the moment at which it would be renewed.
        scenario
            .ages
            .insert(name.clone(), life.mul_f64(dice.part() * 0.5));
        settings.certificates.push(CertificateSettings {
            name,
            domains: vec![domain],
            ..first.clone()
        });
    }
}

#[cfg(test)]
mod tests;
