//! What is renewed and not in its place runs out where it is used.

use waxwing_core::alert::Step;
use waxwing_core::name::PluginName;
use waxwing_core::settings::served_at::ServedAt;

use super::*;
use crate::certificate::{InstalledMark, OlderVersion, ServedLeaf};

/// Renewed on day 56, and installed nowhere.
fn renewed() -> Machine {
    let mut machine = Machine::new();
    machine.version = 2;
    machine.issued = start() + DAY * 56;
    machine
}

/// What this installer has put in place, of versions that came every 56 days.
fn mark(plugin: &str, version: u32) -> InstalledMark {
    InstalledMark {
        plugin: PluginName::parse(plugin).expect("a literal name"),
        version,
        leaf_sha256: format!("{version:02}"),
        leaf_sha1: format!("{version:02}"),
        settings: String::new(),
        at: start(),
        receipt: String::new(),
        staging: false,
        not_after: Some(start() + DAY * 56 * (version - 1) + DAY * LIFE),
        older: None,
    }
}

/// What is told from day 56 to day 91, each with its day.
fn told(mut machine: Machine, mut look: impl FnMut(&mut Machine, Timestamp)) -> Vec<String> {
    let mut told = Vec::new();
    for day in 56..92 {
        look(&mut machine, start() + DAY * day);
        let events = machine.run(f64::from(day), &idle());
        let ours = events
            .into_iter()
            .filter(|one| one.starts_with("expiry-near"));
        told.extend(ours.map(|one| format!("{day} {one}")));
        for event in &machine.events {
            if event.kind == EventKind::ExpiryNear && event.change != Change::Over {
                assert_eq!(
                    event.not_after,
                    Some(start() + DAY * LIFE),
                    "the end of the old one"
                );
                assert!(event.needs_person && !event.what.is_empty(), "{event:?}");
            }
        }
    }
    told
}

const STEPS: [&str; 6] = [
    "60 expiry-near began",
    "76 expiry-near worse",
    "83 expiry-near worse",
    "87 expiry-near worse",
    "89 expiry-near worse",
    "90 expiry-near worse",
];

#[test]
fn what_an_installer_has_not_replaced_is_told_at_each_threshold() {
    let mut machine = renewed();
    let web = PluginName::parse("web").expect("a literal name");
    machine.shop().install = vec![web.clone()];
    machine.installed = vec![mark("web", 1)];
    assert_eq!(told(machine, |_, _| {}), STEPS);
    // In its place, or no matter of an installer any more.
    for installed in [true, false] {
        let mut machine = renewed();
        let web = PluginName::parse("web").expect("a literal name");
        machine.shop().install = if installed {
            vec![web.clone()]
        } else {
            Vec::new()
        };
        machine.installed = vec![mark("web", if installed { 2 } else { 1 })];
        assert_eq!(told(machine, |_, _| {}), [""; 0]);
    }
}

/// It has failed and was taken out of the configuration: nothing is installed by that.
#[test]
fn an_installer_that_is_gone_has_installed_nothing() {
    let web = PluginName::parse("web").expect("a literal name");
    for gone in [false, true] {
        let mut machine = renewed();
        machine.shop().install = vec![web.clone()];
        let mut failed = idle();
        failed.installs.push(InstallReport {
            plugin: web.clone(),
            certificates: vec![name("shop")],
            started: start(),
            took: DAY,
            steps: Vec::new(),
            stages: Vec::new(),
            outcome: InstallOutcome::Failed(Failure::Plugins(Vec::new())),
        });
        assert_eq!(machine.run(56.0, &failed), ["not-installed began"]);
        if gone {
            machine.shop().install.clear();
        } else {
            machine.installed = vec![mark("web", 2)];
        }
        machine.last = Some(LastAttempt {
            replaces: false,
            at: machine.issued,
            ca: None,
            result: match gone {
                false => AttemptResult::Installed,
                true => AttemptResult::NotInstalled {
                    plugin: web.clone(),
                    causes: Vec::new(),
                },
            },
        });
        assert_eq!(machine.run(57.0, &idle()), ["not-installed over"]);
        assert_eq!(machine.events[0].causes.len(), usize::from(gone));
    }
}

/// It was issued under another name, and no installer has put it anywhere.
#[test]
fn what_was_renamed_and_is_not_installed_ends_with_the_one_before_it() {
    for installed in [false, true] {
        let mut machine = renewed();
        let web = PluginName::parse("web").expect("a literal name");
        machine.shop().install = vec![web.clone()];
        machine.left = Some(Window {
            start: start(),
            end: start() + DAY * LIFE,
        });
        if installed {
            machine.installed = vec![mark("web", 2)];
        }
        let told = told(machine, |_, _| {});
        assert_eq!(told, if installed { &[][..] } else { &STEPS[..] });
    }
}

#[test]
fn what_a_server_still_serves_is_told_at_each_threshold() {
    let mut machine = renewed();
    let place = ServedAt::parse("example.com:443").expect("a literal place");
    machine.shop().served_at = vec![place];
    let look = |machine: &mut Machine, at| {
        machine.served = vec![ServedMark {
            place: "example.com:443".to_owned(),
            at,
            seen: Ok(ServedLeaf {
                sha256: "01".to_owned(),
                not_after: Some(start() + DAY * LIFE),
            }),
        }];
    };
    assert_eq!(told(machine, look), STEPS);
}

/// One look that meets nobody is no sign that the new one is there.
#[test]
fn a_look_that_fails_ends_no_alert() {
    let mut machine = renewed();
    let place = ServedAt::parse("example.com:443").expect("a literal place");
    machine.shop().served_at = vec![place];
    let look = |machine: &mut Machine, at: Timestamp| {
        let old = Ok(ServedLeaf {
            sha256: "01".to_owned(),
            not_after: Some(start() + DAY * LIFE),
        });
        let day = at.since(start()).as_secs() / 86_400;
        machine.served = vec![ServedMark {
            place: "example.com:443".to_owned(),
            at,
            seen: match day % 2 {
                0 => old,
                _ => Err(vec!["no answer".to_owned()]),
            },
        }];
    };
    let want = [
        "60 expiry-near began",
        "76 expiry-near worse",
        "84 expiry-near worse",
        "88 expiry-near worse",
        "90 expiry-near worse",
    ];
    assert_eq!(told(machine, look), want);
}

/// Where nobody says which installers are wanted, what was exchanged long ago does not count, and what has failed does.
#[test]
fn of_what_left_only_what_is_in_use_counts() {
    let marks = [("files", 1), ("second", 3)];
    for (failing, ends) in [(None, 3), (Some("files"), 1)] {
        let mut machine = Machine::new();
        machine.version = 3;
        machine.issued = start() + DAY * 112;
        machine.installed = marks.map(|(plugin, version)| mark(plugin, version)).into();
        machine.last = failing.map(|plugin| LastAttempt {
            replaces: false,
            at: machine.issued,
            ca: Some(ca("first")),
            result: AttemptResult::NotInstalled {
                plugin: PluginName::parse(plugin).expect("a literal name"),
                causes: Vec::new(),
            },
        });
        let entry = machine.entry();
        let versions: Vec<u32> = entry.marks_in_use().map(|mark| mark.version).collect();
        assert_eq!(versions.first(), Some(&ends), "{failing:?}");
        let end = entry.life_in_use().map(|life| life.end);
        assert_eq!(end, Some(start() + DAY * 56 * (ends - 1) + DAY * LIFE));
    }
}

/// Joined into one that is there already: until that has all names, the old one of the others is in use.
#[test]
fn what_is_to_have_more_names_ends_with_those_that_have_them() {
    let mut machine = Machine::new();
    machine.issued = start() + DAY * 30;
    machine.shop().install = vec![PluginName::parse("web").expect("a literal name")];
    machine.installed = vec![mark("web", 1)];
    machine.left = Some(Window {
        start: start(),
        end: start() + DAY * LIFE,
    });
    let ends = |machine: &mut Machine| {
        let shop = machine.shop().clone();
        machine.entry().in_use(&shop).map(|it| it.not_after)
    };
    assert_eq!(ends(&mut machine), None, "it has all names");
    let more = Identifier::parse("more.example.net").expect("a literal name");
    machine.shop().domains.push(more);
    assert_eq!(ends(&mut machine), Some(start() + DAY * LIFE));
}

/// A version that is in place and older than the current one may lack names of that.
#[test]
fn names_count_where_they_are_in_place() {
    let ids = |names: &[&str]| -> Vec<Identifier> {
        let names = names.iter().map(|name| Identifier::parse(name));
        names.collect::<Result<_, _>>().expect("literal names")
    };
    let older = |names: &[&str]| {
        let (names, not_before) = (ids(names), start());
        Some(Box::new(OlderVersion { names, not_before }))
    };
    let (web, mail) = (
        PluginName::parse("web").expect("a literal name"),
        PluginName::parse("mail").expect("a literal name"),
    );
    let mut machine = renewed();
    machine.shop().domains = ids(&["a.example.com", "b.example.com"]);
    machine.shop().install = vec![web.clone(), mail.clone()];
    machine.installed = vec![mark("web", 2), mark("mail", 1)];
    let mut entry = machine.entry();
    let current = entry.current.as_mut().expect("a version");
    current.facts.names = ids(&["a.example.com", "b.example.com"]);
    let certificate = machine.shop().clone();
    assert_eq!(entry.missing(&certificate), []);
    assert_eq!(entry.names_by(&[&web, &mail]).len(), 2);
    entry.installed[1].older = older(&["a.example.com"]);
    assert_eq!(entry.missing(&certificate), ids(&["b.example.com"]));
    assert_eq!(entry.names_by(&[&web]).len(), 2);
    let both = ids(&["a.example.com"]);
    assert_eq!(
        entry.names_by(&[&web, &mail]),
        both.iter().collect::<Vec<_>>()
    );
    // What a wildcard has is not missing, and who is not asked any more lacks nothing.
    entry.installed[1].older = older(&["*.example.com"]);
    assert_eq!(entry.missing(&certificate), []);
    entry.installed[1].older = older(&["a.example.com"]);
    let mut alone = certificate;
    alone.install = vec![web.clone()];
    assert_eq!(entry.missing(&alone), []);
}

/// One of 90 days in the place of one of six: what is told of it is told by its own life.
#[test]
fn an_older_version_ends_by_its_own_life() {
    let mut machine = renewed();
    machine.shop().install = vec![PluginName::parse("web").expect("a literal name")];
    machine.installed = vec![mark("web", 1)];
    let mut entry = machine.entry();
    let current = entry.current.as_mut().expect("a version");
    current.facts.not_before = start() + DAY * 80;
    current.facts.not_after = current.facts.not_before + DAY * 12;
    let shop = machine.shop().clone();
    let now = start() + DAY * 85;
    let end = start() + DAY * LIFE;
    assert_eq!(entry.in_use(&shop).map(|it| it.not_after), Some(end));
    assert_eq!(
        entry.in_use_ends(&shop, now),
        None,
        "by the life of the other"
    );
    entry.installed[0].older = Some(Box::new(OlderVersion {
        names: Vec::new(),
        not_before: start(),
    }));
    let step = entry.in_use_ends(&shop, now);
    assert!(matches!(step, Some(Step::EndsSoon(_))), "{step:?}");
    let life = entry.life_in_use().expect("a life");
    assert_eq!((life.start, life.end), (start(), end));
}

/// What another installer has left has expired long ago; what is in place elsewhere ends by steps of its own.
#[test]
fn what_has_expired_does_not_hide_what_ends_behind_it() {
    let (web, mail) = (
        PluginName::parse("web").expect("a literal name"),
        PluginName::parse("mail").expect("a literal name"),
    );
    let mut machine = renewed();
    machine.shop().install = vec![web.clone(), mail];
    machine.installed = vec![mark("web", 2), mark("mail", 1)];
    let failed = || run_of(vec![report(Outcome::Failed(None), Vec::new())]);
    let mut told = Vec::new();
    let run = |machine: &mut Machine, day: u32, told: &mut Vec<String>| {
        let events = machine.run(f64::from(day), &failed()).into_iter();
        let ours = events.filter(|one| one.starts_with("expiry-near"));
        let first = machine
            .events
            .iter()
            .find(|one| one.kind == EventKind::ExpiryNear);
        let end = first.and_then(|one| one.not_after);
        let end = end.map(|end| end.since(start()).as_secs() / DAY.as_secs());
        told.extend(ours.map(|one| format!("{day} {one} {}", end.unwrap_or(0))));
    };
    for day in 60..147 {
        run(&mut machine, day, &mut told);
    }
    let old = LIFE as u64;
    let own = old + 56;
    let steps = |from: u64, days: &[u64]| -> Vec<String> {
        let all = days
            .iter()
            .map(|left| format!("{} expiry-near worse {from}", from - left));
        all.collect()
    };
    let mut want = steps(old, &[30, 14, 7, 3, 1, 0]);
    want[0] = format!("{} expiry-near began {old}", old - 30);
    // From its safe floor on.
    want.extend(steps(own, &[15, 14, 7, 3, 1, 0]));
    assert_eq!(told, want);

    // It is in place there, too, and what is left is the end of both.
    let mut machine = renewed();
    machine.shop().install = vec![web];
    machine.installed = vec![mark("web", 1)];
    told.clear();
    for day in 88..120 {
        if day == 118 {
            machine.installed = vec![mark("web", 2)];
        }
        run(&mut machine, day, &mut told);
    }
    for day in 120..134 {
        run(&mut machine, day, &mut told);
    }
    let own = |left: u64| format!("{} expiry-near worse {own}", own - left);
    assert_eq!(told[told.len() - 2..], [own(15), own(14)], "{told:?}");
}

/// What a run that fails tells of the end, with its day.
fn ends_told(machine: &mut Machine, day: u32) -> Vec<String> {
    let run = run_of(vec![report(Outcome::Failed(None), Vec::new())]);
    let mut events = machine.run(f64::from(day), &run);
    events.retain(|one| one.starts_with("expiry-near"));
    let dated = events.into_iter().map(|one| format!("{day} {one}"));
    dated.collect()
}

/// Whether the new one is in its place nobody can see, and it ends by steps of its own all the same.
#[test]
fn what_was_told_of_a_version_says_nothing_of_the_next_one() {
    let mut machine = Machine::new();
    let place = ServedAt::parse("example.com:443").expect("a literal place");
    machine.shop().served_at = vec![place];
    machine.served = vec![ServedMark {
        place: "example.com:443".to_owned(),
        at: start(),
        seen: Err(vec!["no answer".to_owned()]),
    }];
    let mut told = Vec::new();
    for day in 56..181 {
        if day == 89 {
            machine.version = 2;
            machine.issued = start() + DAY * day;
        }
        told.extend(ends_told(&mut machine, day));
    }
    let steps = |end: u32, days: &[u32]| {
        // From its safe floor on.
        let began = format!("{} expiry-near began", end - 15);
        let worse = days.iter();
        let worse = worse.map(|left| format!("{} expiry-near worse", end - left));
        std::iter::once(began).chain(worse).collect::<Vec<_>>()
    };
    let mut want = steps(90, &[14, 7, 3]);
    want.extend(steps(179, &[14, 7, 3, 1, 0]));
    assert_eq!(told, want);

    // The one before it is told of until the new one is in its place.
    let web = PluginName::parse("web").expect("a literal name");
    let mut machine = renewed();
    machine.shop().install = vec![web];
    machine.shop().served_at = vec![ServedAt::parse("example.com:443").expect("a place")];
    machine.installed = vec![mark("web", 1)];
    let mut told = Vec::new();
    for day in 57..147 {
        if day == 77 {
            machine.installed = vec![InstalledMark {
                at: start() + DAY * day,
                ..mark("web", 2)
            }];
        }
        told.extend(ends_told(&mut machine, day));
    }
    let mut want = vec![
        "60 expiry-near began".to_owned(),
        "76 expiry-near worse".to_owned(),
    ];
    want.extend(steps(146, &[14, 7, 3, 1, 0]));
    assert_eq!(told, want);
}
