//! Claims about fleets over time. They are about events, never about seconds of this machine.

use waxwing_core::alert::Step;
use waxwing_core::budget::Limit;
use waxwing_core::ca::choose::Because;
use waxwing_core::ca::limits::LimitKind;
use waxwing_core::disturbance::random;
use waxwing_core::failure::FailureClass;
use waxwing_core::name::CaName;

use super::*;
use crate::tests::world::{certificate, profile, settings};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn start() -> Timestamp {
    Timestamp::parse("2026-12-01T00:17:00Z").expect("a time")
}

fn scenario(days: u32, outages: &[&str]) -> Scenario {
    Scenario {
        window: Window {
            start: start(),
            end: start() + DAY * days,
        },
        every: HOUR,
        seed: 1,
        disturbances: outages
            .iter()
            .map(|text| Disturbance::parse(text).expect("well written"))
            .collect(),
        crash_rate: 0.0,
        lives: BTreeMap::new(),
        ages: BTreeMap::new(),
    }
}

/// Two CAs, the first of which states limits as the strictest of the large ones does.
fn world(fleet_of: u32, scenario: &mut Scenario) -> Settings {
    let mut first = profile("first");
    let limits = [
        (LimitKind::Orders, "300 per 3h"),
        (LimitKind::Duplicates, "5 per 7d"),
        (LimitKind::FailedAuthorizations, "5 per 1h"),
    ];
    for (kind, text) in limits {
        first
            .limits
            .insert(kind, Limit::parse(text).expect("a limit"));
    }
    let mut settings = settings(
        vec![first, profile("second")],
        vec![certificate("shop", &["shop.example"], &["first", "second"])],
    );
    if fleet_of > 1 {
        let lives = [DAY * 90, DAY * 64, DAY * 45, HOUR * 160];
        fleet(&mut settings, scenario, fleet_of, &lives);
    }
    settings
}

fn play(settings: &Settings, scenario: &Scenario) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .expect("a runtime")
        .block_on(simulate(settings, scenario))
}

fn ca(name: &str) -> CaName {
    CaName::parse(name).expect("a literal name")
}

fn kept(story: &Story) {
    assert_eq!(
        story.broken_promises(),
        0,
        "expired: {:?}\nlimits: {:?}",
        story.expired,
        story.limits
    );
}

#[test]
fn a_quiet_year_renews_six_times_and_tells_nobody_anything() {
    let mut scenario = scenario(365, &[]);
    let settings = world(1, &mut scenario);
    let story = play(&settings, &scenario);
    // Every 59 to 61 days, as the CA advises.
    assert_eq!(story.issued, BTreeMap::from([(ca("first"), 7)]));
    assert_eq!((story.alerts.len(), story.by_fallback()), (0, 0));
    let closest = story.closest.clone().expect("a renewal");
    assert!(closest.left > DAY * 28, "{closest:?}");
    assert_eq!(story.requests, BTreeMap::from([(ca("first"), 7 * 9)]));
    kept(&story);
}

#[test]
fn a_machine_that_is_offline_asks_nobody() {
    let renewals = |outages: &[&str]| {
        let mut scenario = scenario(70, outages);
        let settings = world(1, &mut scenario);
        let story = play(&settings, &scenario);
        assert_eq!(
            story.issued,
            BTreeMap::from([(ca("first"), 2)]),
            "{outages:?}"
        );
        story
    };
    // The network is away when the renewal is due. Nobody hears of the failed tries.
    let story = renewals(&["network=2027-01-25..+6d"]);
    assert!(
        story.failures.keys().all(|(ca, _)| ca.is_none()),
        "{:?}",
        story.failures
    );
    assert!(!story.failures.is_empty());
    assert_eq!(story.requests, renewals(&[]).requests);
}

#[test]
fn the_founding_incident_ends_in_a_fail_over_within_the_day() {
    // The directory is refused each morning for a month, from before the first renewal.
    let mut scenario = scenario(120, &["first=2027-01-25..+31d"]);
    let settings = world(1, &mut scenario);
    let story = play(&settings, &scenario);
    assert_eq!(story.issued.get(&ca("second")), Some(&1));
    let told: Vec<_> = story.alerts.iter().map(|alert| alert.step).collect();
    assert_eq!(told, [Step::Failed]);
    let failed = story
        .failures
        .get(&(Some(ca("first")), FailureClass::Transient));
    assert!(
        failed.is_some_and(|times| *times <= 4),
        "{:?}",
        story.failures
    );
    let example = story.examples.values().next().expect("a chain");
    assert!(example.len() > 1, "{example:?}");
    let closest = story.closest.clone().expect("a renewal");
    assert!(closest.left > DAY * 27, "{closest:?}");
    kept(&story);
}

#[test]
fn a_machine_that_is_off_for_too_long_is_not_our_fault_but_told() {
    let mut scenario = scenario(120, &["machine=2027-01-20..+50d"]);
    let settings = world(1, &mut scenario);
    let story = play(&settings, &scenario);
    let expired = story.expired.first().expect("it ran out");
    assert!(
        !expired.is_our_fault() && expired.until.is_some(),
        "{expired:?}"
    );
    assert_eq!(
        story.alerts.first().map(|alert| alert.step),
        Some(Step::Expired)
    );
    kept(&story);
}

#[test]
fn what_a_ca_allows_is_no_fault_of_ours_and_is_kept() {
    // A life of a day at a CA that signs the same names five times a week: there is no way.
    let mut scenario = scenario(60, &[]);
    let mut settings = world(1, &mut scenario);
    settings.certificates[0].cas.truncate(1);
    let name = settings.certificates[0].name.clone();
    scenario.lives.insert(name, DAY);
    let story = play(&settings, &scenario);
    assert!(!story.expired.is_empty(), "it runs out");
    kept(&story);
}

#[test]
fn where_a_limit_is_short_what_runs_out_first_comes_first() {
    // A CA that is back after forty days has few orders a day for all that are due by then.
    let mut scenario = scenario(60, &["first=2026-12-05..+40d"]);
    let mut settings = world(1, &mut scenario);
    settings.certificates[0].cas.truncate(1);
    let first = settings.cas.get_mut(&ca("first")).expect("its profile");
    let limit = Limit::parse("1 per 3h").expect("a limit");
    first.limits.insert(LimitKind::Orders, limit);
    fleet(&mut settings, &mut scenario, 120, &[DAY * 90]);
    let story = play(&settings, &scenario);
    assert_eq!(story.expired, []);
    kept(&story);
}

#[test]
fn what_nobody_could_have_done_before_the_beginning_is_not_our_fault() {
    // It ends in five days, and its only CA is down for six.
    let mut scenario = scenario(30, &["first=2026-12-01..+6d"]);
    let mut settings = world(1, &mut scenario);
    settings.certificates[0].cas.truncate(1);
    let name = settings.certificates[0].name.clone();
    scenario.ages.insert(name.clone(), DAY * 85);
    let story = play(&settings, &scenario);
    let life = story.in_place.get(&name).copied().expect("it is in place");
    assert_eq!(life.end, start() + DAY * 5);
    let expired = story.expired.first().expect("it ran out");
    assert_eq!((expired.life, expired.free), (life, Duration::ZERO));
    assert!(expired.until.is_some(), "{expired:?}");
    kept(&story);
}

#[test]
fn a_ca_that_was_down_once_is_not_down_for_ever() {
    let outages = ["first=2027-01-29..+3d", "first=2027-04-01..+2d"];
    let mut scenario = scenario(200, &outages);
    let settings = world(40, &mut scenario);
    let story = play(&settings, &scenario);
    let longest = story.marks.iter().filter_map(|mark| match mark.what {
        Marked::StoodIn {
            because: Because::Down(long),
            ..
        } => Some(long),
        _ => None,
    });
    let longest = longest.max().unwrap_or_default();
    assert!(longest <= DAY * 3, "{longest:?}");
    assert!(story.by_fallback() > 0);
    kept(&story);
}

#[test]
fn a_network_that_is_cut_burns_no_fallback() {
    let mut scenario = scenario(120, &["network=2027-01-25..+7d"]);
    let settings = world(1, &mut scenario);
    let story = play(&settings, &scenario);
    assert_eq!(story.by_fallback(), 0);
    assert_eq!(story.issued, BTreeMap::from([(ca("first"), 2)]));
    kept(&story);
}

#[test]
fn a_ca_that_refuses_a_name_is_not_asked_until_its_limit_is_reached() {
    let mut scenario = scenario(150, &["first:rejects=2027-01-20..+35d"]);
    let mut settings = world(1, &mut scenario);
    settings.certificates[0].cas.truncate(1);
    let story = play(&settings, &scenario);
    kept(&story);
    assert!(story.expired.is_empty());
    let used = story
        .limits
        .iter()
        .find(|it| it.kind == LimitKind::FailedAuthorizations);
    assert!(used.is_some_and(|it| it.most < 5), "{:?}", story.limits);
}

#[test]
fn a_run_that_dies_is_gone_on_with_and_no_certificate_is_ordered_twice() {
    let mut scenario = scenario(365, &[]);
    scenario.crash_rate = 0.3;
    let settings = world(1, &mut scenario);
    let story = play(&settings, &scenario);
    assert!(story.crashes > 0);
    assert_eq!(story.all_issued(), 7);
    let duplicates = story
        .limits
        .iter()
        .find(|it| it.kind == LimitKind::Duplicates);
    assert!(
        duplicates.is_some_and(|it| it.most <= 1),
        "{:?}",
        story.limits
    );
    kept(&story);
}

#[test]
fn ten_thousand_new_names_wait_for_the_limit_of_their_ca() {
    let mut scenario = scenario(14, &[]);
    let mut settings = world(2000, &mut scenario);
    scenario.ages.clear();
    for certificate in &mut settings.certificates {
        certificate.cas.truncate(1);
    }
    let story = play(&settings, &scenario);
    kept(&story);
    let orders = story.limits.iter().find(|it| it.kind == LimitKind::Orders);
    assert_eq!(orders.map(|it| (it.most, it.exceeded)), Some((300, 0)));
    assert!(story.all_issued() >= 2000, "{:?}", story.issued);
}

/// The simulation of the continuous integration: two years of trouble as the CAs have had it, for a
/// fleet with four kinds of lives. What it claims is what Waxwing promises.
#[expect(clippy::print_stdout, reason = "the figures are looked at")]
#[test]
fn five_hundred_certificates_live_through_two_years_of_random_trouble() {
    let seed = 1;
    let mut scenario = scenario(
        730,
        &["first=2027-06-01..+14d", "second=2027-03-07T18:35:00Z..+8h"],
    );
    scenario.seed = seed;
    scenario.crash_rate = 0.001;
    let settings = world(500, &mut scenario);
    // An outage of two weeks, the longest that a large CA had within a day, and whatever comes.
    let drawn = random(&[ca("first"), ca("second")], scenario.window, seed);
    scenario.disturbances.extend(drawn);
    let story = play(&settings, &scenario);
    kept(&story);
    assert!(story.by_fallback() > 0 && story.crashes > 0);
    told_once(&story);
    assert!(
        story.requests_a_year() < 400.0,
        "{}",
        story.requests_a_year()
    );
    println!(
        "seed {seed}: {} issued, {} of them elsewhere, {} failed, {} told, {} ran out, closest {:?}, \
         {:.1} requests for each certificate and year",
        story.all_issued(),
        story.by_fallback(),
        story.failures.values().sum::<u64>(),
        story.alerts.len(),
        story.expired.len(),
        story.closest,
        story.requests_a_year(),
    );
}

/// Between two renewals nobody is told the same step twice, or one that lies behind.
fn told_once(story: &Story) {
    assert_eq!(story.marks_left_out, 0);
    let mut told: BTreeMap<&CertificateName, Step> = BTreeMap::new();
    let mut failed: BTreeMap<&CertificateName, u32> = BTreeMap::new();
    for mark in &story.marks {
        let name = &mark.certificate;
        match &mark.what {
            Marked::Issued { .. } => {
                told.remove(name);
                failed.remove(name);
            }
            Marked::Told(step) => {
                let before = told.insert(name, *step);
                assert!(before.is_none_or(|before| before < *step), "{mark:?}");
            }
            Marked::Failed { .. } => *failed.entry(name).or_default() += 1,
            Marked::StoodIn { .. } | Marked::Expired => {}
        }
    }
    // Whoever is left in trouble at the end has been heard of.
    for name in failed.keys() {
        assert!(told.contains_key(name), "nobody was told of {name}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let tell = || {
        let mut scenario = scenario(200, &[]);
        scenario.crash_rate = 0.05;
        let settings = world(20, &mut scenario);
        scenario.disturbances = random(&[ca("first"), ca("second")], scenario.window, 3);
        play(&settings, &scenario)
    };
    assert_eq!(tell(), tell());
}

/// The only CA is down for all of the last third of a life of 90 days but for `hole` hours from the
/// `nth` hour on, and the DNS provider likewise.
fn with_a_hole(what: &str, nth: u32, hole: u32) -> Story {
    let at = |time: Timestamp| time.to_string();
    let (from, until) = (start() + DAY * 40, start() + DAY * 130);
    // The first certificate is made at the beginning, so its last third begins on day 60.
    let open = start() + DAY * 60 + HOUR * nth;
    let outages = [
        format!("{what}={}..{}", at(from), at(open)),
        format!("{what}={}..{}", at(open + HOUR * hole), at(until)),
    ];
    let outages: Vec<&str> = outages.iter().map(String::as_str).collect();
    let mut scenario = scenario(100, &outages);
    scenario.every = HOUR;
    let certificates = vec![certificate("shop", &["shop.example"], &["first"])];
    let mut settings = settings(vec![profile("first")], certificates);
    scenario.seed = u64::from(nth);
    scenario.lives = BTreeMap::new();
    settings.failover = waxwing_core::ca::choose::FailOver::default();
    play(&settings, &scenario)
}

#[test]
fn a_day_in_the_last_third_is_enough_whenever_it_comes() {
    for what in ["first", "dns"] {
        for nth in (0..24 * 29).step_by(5) {
            let story = with_a_hole(what, nth, 25);
            assert_eq!(story.expired, [], "{what} open from hour {nth}");
        }
    }
}

#[test]
fn a_rehearsal_that_goes_well_renews_nothing() {
    let mut scenario = scenario(200, &["first:rejects=2027-01-10..+300d"]);
    let (mut first, mut stage) = (profile("first"), profile("stage"));
    stage.staging = true;
    first.rehearse_at = Some(ca("stage"));
    let certificates = vec![certificate("shop", &["shop.example"], &["first"])];
    let settings = settings(vec![first, stage], certificates);
    scenario.lives = BTreeMap::new();
    let story = play(&settings, &scenario);
    assert_eq!(story.issued, BTreeMap::from([(ca("first"), 1)]));
    assert_eq!(story.by_fallback(), 0);
    assert_eq!(story.expired.len(), 1, "nobody would issue");
}

#[test]
fn a_life_of_a_day_is_renewed_as_often_as_it_needs() {
    let mut scenario = scenario(60, &[]);
    let mut settings = world(1, &mut scenario);
    fleet(&mut settings, &mut scenario, 2, &[DAY]);
    let story = play(&settings, &scenario);
    assert_eq!(story.expired, []);
    assert!(
        story.issued.values().sum::<u64>() > 100,
        "{:?}",
        story.issued
    );
}
