//! A state folder that cannot be written to, and a machine without a network, in namespaces of their own:
//! no right is asked of the machine but that to make one, and file modes would not stop root.
//!
//! Where namespaces are not to be had the tests say SKIPPED.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use waxwing_world::ca;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, Run, certificate, finish};

/// The program runs in `$1`, a state folder that is read-only.
const READ_ONLY: &str = r#"
state=$1; shift
mount --bind "$state" "$state" && mount -o remount,bind,ro "$state" || exit 125
exec "$@"
"#;

/// The program runs on a disk with `$2` KiB left, which has all of the state folder `$1` on it; what it
/// leaves there comes back into the folder.
const FULL: &str = r#"
state=$1; left=$2; shift 2
kept=$state.kept
cp -a "$state" "$kept" && mount -t tmpfs -o size=64m,mode=700 none "$state" || exit 125
cp -a "$kept/." "$state/" || exit 125
dd if=/dev/zero of="$state/filler" bs=4k 2>/dev/null
truncate -s -"$((left * 1024))" "$state/filler" || exit 125
"$@"
code=$?
rm "$state/filler"
rm -r "$kept"; cp -a "$state" "$kept" || exit 125
exit $code
"#;

/// A namespace of mounts or of networks, as root of its own or as the root that there is.
fn namespace(kind: &str, probe: &[&str]) -> Option<Vec<String>> {
    let ways = [vec!["-r", kind], vec![kind]];
    let way = ways.into_iter().find(|way| {
        let mut command = Command::new("unshare");
        command.args(way).arg("--").args(probe);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    })?;
    Some(way.into_iter().map(str::to_owned).collect())
}

/// The same, or nothing, said aloud.
fn or_skip(test: &str, kind: &str, probe: &[&str]) -> Option<Vec<String>> {
    let way = namespace(kind, probe);
    if way.is_none() {
        use std::io::Write as _;
        let _unheard = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: this machine lets nobody make a namespace (unshare {kind})"
        );
    }
    way
}

/// Whether a folder can be mounted over.
const MOUNTS: [&str; 3] = [
    "sh",
    "-c",
    "d=$(mktemp -d) && mount -t tmpfs -o size=64k none $d && mount --bind $d $d && \
     mount -o remount,bind,ro $d; code=$?; umount -l $d; umount -l $d; rmdir $d; exit $code",
];

/// Runs the program by a script in a namespace.
fn within(rig: &Rig, way: &[String], script: &[&str], arguments: &[&str]) -> Run {
    let program = rig.command(arguments);
    let mut command = Command::new("unshare");
    command.args(way).arg("--").args(script);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = finish(command.spawn().expect("unshare starts"));
    assert_ne!(run.code, Some(125), "the namespace: {}", run.stderr);
    run
}

/// A certificate that is issued and installed.
fn issued(rig: &Rig, judge: &Judge) {
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(judge, ""),
        rig.installer(""),
        certificate("shop", &["shop.example.com", "*.shop.example.com"]),
    ));
    rig.waxwing(&["renew"]).expect(0);
}

/// Everything that a server reads, and what is stored.
fn served(rig: &Rig) -> Vec<String> {
    let read = |path: &Path| fs::read_to_string(path).expect("readable");
    let stored = rig.stored("shop");
    ["tls/shop.crt", "tls/shop.key"]
        .map(|file| read(&rig.path(file)))
        .into_iter()
        .chain(["fullchain.pem", "privkey.pem"].map(|file| read(&stored.join(file))))
        .collect()
}

/// The next run on a good disk makes it good, with nothing done by hand.
fn mended(rig: &Rig, judge: &Judge) {
    let before = rig.versions("shop");
    rig.waxwing(&["renew", "shop", "--force", "--yes"])
        .expect(0);
    assert!(rig.versions("shop") >= before);
    rig.verify("shop", &judge.root_pem(0));
    let all = served(rig);
    assert_eq!((&all[0], &all[1]), (&all[2], &all[3]), "installed");
    assert_eq!(rig.records(), [], "no record is left");
    let open = fs::read_dir(rig.path("state/journal")).expect("a folder");
    assert_eq!(open.count(), 0, "no journal is open");
    rig.waxwing(&["plan"]).expect(0);
}

#[test]
fn on_a_read_only_state_folder_nothing_is_ordered_and_the_folder_is_named() {
    let test = "on_a_read_only_state_folder_nothing_is_ordered_and_the_folder_is_named";
    let Some(way) = or_skip(test, "-m", &MOUNTS) else {
        return;
    };
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    issued(&rig, &judge);
    let before = served(&rig);
    let orders = judge.traffic().count(Class::NewOrder);
    let state = rig.path("state");
    let shown = state.display().to_string();
    let script = ["sh", "-c", READ_ONLY, "sh", &shown];
    let run = within(&rig, &way, &script, &["renew", "shop", "--force", "--yes"]);
    assert!(!matches!(run.code, Some(0)), "{run:?}");
    run.says(&shown).says("ead-only").says("hint: ");
    assert_eq!(judge.traffic().count(Class::NewOrder), orders);
    assert_eq!(served(&rig), before);
    // Who only looks needs no right to write.
    within(&rig, &way, &script, &["plan"]).expect(0);
    // That no run can is told by the looks of whoever would run.
    within(&rig, &way, &script, &["status"])
        .expect(1)
        .says("shop")
        .says("cannot be written");
    mended(&rig, &judge);
}

#[test]
fn on_a_full_disk_what_is_served_stays_and_the_next_run_makes_it_good() {
    let test = "on_a_full_disk_what_is_served_stays_and_the_next_run_makes_it_good";
    let Some(way) = or_skip(test, "-m", &MOUNTS) else {
        return;
    };
    let mut before_an_order = 0;
    // KiB that are left: none, and as much as lets a run come farther and farther.
    for left in ["0", "8", "24", "40", "64", "96"] {
        let rig = Rig::new();
        let judge = rig.ca(ca::Options::default());
        issued(&rig, &judge);
        let before = served(&rig);
        let issued = judge.issued();
        let orders = judge.traffic().count(Class::NewOrder);
        let state = rig.path("state");
        let shown = state.display().to_string();
        let script = ["sh", "-c", FULL, "sh", &shown, left];
        let run = within(&rig, &way, &script, &["renew", "shop", "--force", "--yes"]);
        // What was on the full disk is what is there when the disk has room again.
        fs::remove_dir_all(&state).expect("removed");
        fs::rename(rig.path("state.kept"), &state).expect("moved");
        if run.code == Some(0) {
            assert_ne!(left, "0", "nothing fits on a full disk");
        } else {
            assert_eq!(
                served(&rig)[..2],
                before[..2],
                "{left} KiB: installed files"
            );
            rig.verify("shop", &judge.root_pem(0));
            run.says(&shown).says("No space left").says("hint: ");
            // What could not be stored is not ordered.
            before_an_order += u32::from(judge.traffic().count(Class::NewOrder) == orders);
        }
        mended(&rig, &judge);
        let more = judge.issued() - issued;
        assert!(more <= 2, "{left} KiB: {more} certificates");
    }
    assert!(before_an_order >= 3, "{before_an_order}");
}

#[test]
fn without_a_network_no_ca_is_blamed() {
    let test = "without_a_network_no_ca_is_blamed";
    let Some(way) = or_skip(test, "-n", &["true"]) else {
        return;
    };
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    issued(&rig, &judge);
    let renew = ["renew", "shop", "--force", "--yes"];
    // The machine has no interface that is up, so there is no way even to itself.
    let run = within(&rig, &way, &[], &renew).expect(5);
    run.says("seems to be offline: it knows no way to")
        .says("no CA is to blame");
    // The CA is called by a name that nobody can be asked for.
    let named = format!("directories = [\"{}\"]", judge.directory());
    let unknown = "directories = [\"https://acme.example.com/directory\"]";
    rig.edit(&named, unknown);
    let run = within(&rig, &way, &[], &renew).expect(5);
    run.says("seems to be offline: no resolver answers")
        .says("no CA is to blame");
    rig.edit(unknown, &named);
    let health = rig.waxwing(&["ca", "health"]);
    assert!(!health.stdout.contains("down"), "{}", health.stdout);
    rig.waxwing(&renew).expect(0);
}

#[test]
fn a_system_without_roots_is_told_what_to_install_and_no_ca_is_blamed() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let named = rig.config_at(&judge, "");
    // Whoever names roots is verified with those.
    let unnamed = named.replacen("trust = \"root.pem\"\n", "", 1);
    rig.write_config(&(unnamed + &certificate("shop", &["shop.example.com"])));
    let rootless = |arguments: &[&str]| {
        let mut command = rig.command(arguments);
        // Where the loader of the system's roots looks first.
        let nowhere = rig.path("nowhere");
        command
            .env("SSL_CERT_FILE", &nowhere)
            .env("SSL_CERT_DIR", &nowhere);
        finish(command.spawn().expect("the program starts"))
    };
    rootless(&["renew"])
        .expect(5)
        .says("first was not asked: this system has no roots to verify it with")
        .says("hint: install the package ca-certificates")
        .says("[network] trust");
    assert_eq!(judge.traffic().count(Class::Directory), 0);
    rig.write_config(&(named + &certificate("shop", &["shop.example.com"])));
    rootless(&["renew"]).expect(0);
}
