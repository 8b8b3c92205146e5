//! Runs that end in the middle: what they leave behind is taken up or taken away by the next one.

use std::fs;
use std::process::Child;

use waxwing_world::ca::{self, Finalize, RetryAfter};
use waxwing_world::dns::Lag;
use waxwing_world::fault::{Fault, What};
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, both, certificate, finish, plain, until};

/// Longer than any test; whoever waits that long is killed.
const AGES: &str = "poll = { first = \"300s\", max = \"300s\" }";

/// A moment in which a run can be killed, made to last.
struct Moment {
    /// Lines for the CA's section of the run that dies.
    more: &'static str,
    /// Seconds after which a judge wants to be asked again for the certificate.
    later: u32,
    /// Makes the moment last.
    prepare: fn(&Rig),
    /// Whether it has come.
    come: fn(&Rig, &Judge) -> bool,
    /// Ends what `prepare` has begun.
    repair: fn(&Rig),
}

/// What the journal of the open run says, if there is one.
fn journal(rig: &Rig) -> String {
    fs::read_to_string(rig.path("state/journal/one.toml")).unwrap_or_default()
}

fn begin(rig: &Rig, judge: &Judge, more: &str) -> Child {
    configure(rig, judge, more);
    rig.command(&["renew"]).spawn().expect("the program starts")
}

fn configure(rig: &Rig, judge: &Judge, more: &str) {
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, more),
        rig.installer(""),
        certificate("one", &["example.com", "*.example.com"]),
    ));
}

fn killed_at(test: &str, moment: &Moment) {
    let (mut at_world, mut at_pebble) = (ca::Options::default(), pebble::Options::default());
    if moment.later > 0 {
        at_world.finalize = Finalize::ProcessingReads(0);
        at_world.retry_after = Some(RetryAfter::Seconds(moment.later.into()));
        at_pebble.retry_after = (0, moment.later);
    }
    both(test, &at_world, &at_pebble, |rig, judge| {
        (moment.prepare)(rig);
        let mut child = begin(rig, judge, moment.more);
        until("the moment to kill", || {
            let ended = child_has_ended(&child);
            assert!(!ended, "the program ended before the moment came");
            (moment.come)(rig, judge)
        });
        child.kill().expect("it still ran");
        finish(child);
        (moment.repair)(rig);
        configure(rig, judge, "");
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("one", &judge.root_pem(0));
        assert_eq!(judge.traffic().count(Class::NewOrder), 1, "one order");
        assert_eq!(rig.records(), [], "no record is left");
        assert_eq!(rig.versions("one"), 1, "stored once");
        assert_eq!(journal(rig), "", "nothing is open");
        assert!(rig.path("tls/one.crt").exists(), "installed");
    });
}

/// Whether a child, which is not waited for, is a zombie.
fn child_has_ended(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    status.contains(") Z ")
}

#[test]
fn killed_with_an_order_and_no_record() {
    let moment = Moment {
        more: "",
        later: 0,
        prepare: |rig| rig.provider.fault(Fault::once(Class::Zone, What::Hang)),
        come: |rig, _| rig.provider.traffic().count(Class::Zone) > 0,
        repair: |rig| rig.provider.faults().clear(),
    };
    killed_at("killed_with_an_order_and_no_record", &moment);
}

#[test]
fn killed_while_the_records_are_being_placed() {
    let moment = Moment {
        more: "",
        later: 0,
        prepare: |rig| {
            rig.provider
                .fault(Fault::once(Class::Create, What::Hang).after(1));
        },
        // One record is there, and nobody has noted its receipt.
        come: |rig, _| rig.provider.traffic().count(Class::Create) == 2 && rig.records().len() == 1,
        repair: |rig| rig.provider.faults().clear(),
    };
    killed_at("killed_while_the_records_are_being_placed", &moment);
}

#[test]
fn killed_while_the_records_spread() {
    let moment = Moment {
        more: "",
        later: 0,
        prepare: |rig| rig.world.dns().lag(1, Lag::Queries(1_000)),
        come: |rig, _| journal(rig).contains("stage = \"propagating\""),
        repair: |rig| rig.world.dns().lag(1, Lag::Queries(0)),
    };
    killed_at("killed_while_the_records_spread", &moment);
}

#[test]
fn killed_after_the_challenges_were_answered() {
    let moment = Moment {
        more: AGES,
        later: 0,
        prepare: |_| {},
        come: |_, judge| judge.traffic().count(Class::Challenge) == 2,
        repair: |_| {},
    };
    killed_at("killed_after_the_challenges_were_answered", &moment);
}

#[test]
fn killed_after_finalize() {
    let moment = Moment {
        more: "",
        // Long enough for the kill, and short of the deadline: if the kill comes before the CA has
        // taken the request up, the second run is asked to wait as well.
        later: 20,
        prepare: |_| {},
        come: |_, judge| judge.traffic().count(Class::Finalize) == 1,
        repair: |_| {},
    };
    killed_at("killed_after_finalize", &moment);
}

/// Nothing is due, and what somebody has paid for waits at the CA.
#[test]
fn killed_after_finalize_of_a_forced_renewal() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options {
        finalize: Finalize::ProcessingReads(1),
        retry_after: Some(RetryAfter::Seconds(8)),
        ..ca::Options::default()
    });
    configure(&rig, &judge, "");
    rig.waxwing(&["renew"]).expect(0);
    let mut child = rig
        .command(&["renew", "one", "--force"])
        .spawn()
        .expect("the program starts");
    until("the moment to kill", || {
        assert!(!child_has_ended(&child), "it ended before the moment came");
        judge.traffic().count(Class::Finalize) == 2
            && journal(&rig).contains("stage = \"finalizing\"")
    });
    child.kill().expect("it still ran");
    finish(child);
    let fetches = "`waxwing renew one --force` fetches it";
    rig.waxwing(&["plan"]).expect(0).says(fetches);
    rig.waxwing(&["status"]).expect(0).says(fetches);
    // Nothing is due, so that no run by itself orders or fetches anything.
    rig.waxwing(&["renew"]).expect(0);
    assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    rig.waxwing(&["renew", "one", "--force"]).expect(0);
    assert_eq!(judge.traffic().count(Class::NewOrder), 2, "no other order");
    assert_eq!(rig.versions("one"), 2);
    rig.verify("one", &judge.root_pem(0));
    assert_eq!(journal(&rig), "", "nothing is open");
}

#[test]
fn killed_with_the_certificate_stored_and_the_records_in_place() {
    let moment = Moment {
        more: "",
        later: 0,
        prepare: |rig| rig.provider.fault(Fault::once(Class::Delete, What::Hang)),
        come: |rig, _| rig.provider.traffic().count(Class::Delete) > 0,
        repair: |rig| rig.provider.faults().clear(),
    };
    let test = "killed_with_the_certificate_stored_and_the_records_in_place";
    killed_at(test, &moment);
}

/// An installer whose test command waits if there is a file `hold`, and fails if there is a file
/// `broken`.
#[cfg(unix)]
pub(super) fn with_test_command(rig: &Rig, judge: &Judge) {
    use std::os::unix::fs::PermissionsExt as _;
    let script = rig.path("test.sh");
    let folder = rig.folder.path().display();
    let text = format!(
        "#!/bin/sh\ncd '{folder}' || exit 9\n\
         if [ -e hold ]; then echo $$ > held; exec sleep 300; fi\n\
         if [ -e broken ]; then echo 'no such directive' >&2; exit 1; fi\n"
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("a mode");
    let more = format!("grants.exec.test.argv = [\"{}\"]", script.display());
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, ""),
        rig.installer(&more),
        certificate("one", &["www.example.com"]),
    ));
}

#[cfg(unix)]
#[test]
fn killed_while_the_new_files_are_being_tested() {
    let test = "killed_while_the_new_files_are_being_tested";
    plain(test, |rig, judge| {
        with_test_command(rig, judge);
        rig.waxwing(&["renew"]).expect(0);
        let installed = || fs::read(rig.path("tls/one.crt")).expect("it is installed");
        let key = || fs::read(rig.path("tls/one.key")).expect("it is installed");
        let (first, first_key) = (installed(), key());
        let open = rig.path("state/backups/server/open");
        assert!(!open.exists(), "a good batch leaves nothing behind");

        fs::write(rig.path("hold"), "").expect("a file");
        let mut child = rig
            .command(&["renew", "one", "--force"])
            .spawn()
            .expect("the program starts");
        until("the test", || {
            fs::read_to_string(rig.path("held")).is_ok_and(|text| text.ends_with('\n'))
        });
        assert_ne!(installed(), first, "the new file is in place, untested");
        child.kill().expect("it still ran");
        finish(child);
        let orphan = fs::read_to_string(rig.path("held")).expect("its id");
        let gone = std::process::Command::new("kill")
            .arg(orphan.trim())
            .status();
        assert!(gone.expect("kill runs").success());
        fs::remove_file(rig.path("hold")).expect("it was there");
        assert_ne!(installed(), first, "nobody has put it back yet");

        // Even if nothing works any more, the server finds what it had.
        fs::write(rig.path("broken"), "").expect("a file");
        rig.waxwing(&["renew"])
            .expect(6)
            .says("an earlier run was cut off while it installed")
            .says("no such directive");
        assert_eq!(installed(), first);
        assert_eq!(key(), first_key);
        assert!(!open.exists() || fs::read_dir(&open).expect("a folder").count() == 0);

        fs::remove_file(rig.path("broken")).expect("it was there");
        let run = rig.waxwing(&["renew"]).expect(0);
        assert!(!run.stdout.contains("cut off"), "{}", run.stdout);
        assert_ne!(installed(), first);
        assert_eq!(rig.versions("one"), 2);
        assert_eq!(judge.traffic().count(Class::NewOrder), 2);
    });
}

#[test]
fn the_key_that_a_closing_cut_off_has_left_is_taken_away() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    configure(&rig, &judge, "");
    rig.waxwing(&["renew"]).expect(0);
    let key = fs::read(rig.stored("one").join("privkey.pem")).expect("stored");
    let left = ["one", "one.dry-run", "forgotten"].map(|n| format!("state/journal/{n}.key"));
    for path in &left {
        fs::write(rig.path(path), &key).expect("written");
    }
    // Nothing is due.
    rig.waxwing(&["renew"]).expect(0);
    for path in &left {
        assert!(!rig.path(path).exists(), "{path}");
    }
    assert_eq!(rig.versions("one"), 1);
}
