//! What `check` has to find on a machine on which somebody else has been at work.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use waxwing_world::ca;

use crate::cases::cli::rig;
use crate::cases::rig::{Rig, Run, certificate, finish, until};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn what_others_may_read_of_the_state_is_named_with_the_command_that_mends_it() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    let check = || rig.waxwing(&["check", "--offline"]);
    let good = check().expect(0);
    let quiet = |said: &str| !said.contains("others may read") && !said.contains("owner's alone");
    assert!(quiet(&good.stdout), "{}", good.stdout);

    let key = rig.stored("one").join("privkey.pem");
    chmod(&key, 0o644);
    check()
        .expect(1)
        .says("others may read 1 private key")
        .says(&format!("chmod go= {}", key.display()));
    chmod(&key, 0o600);

    let mut accounts = walk(&rig.path("state/accounts"));
    accounts.retain(|path| path.ends_with("key.pem"));
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    chmod(&accounts[0], 0o640);
    check()
        .expect(1)
        .says("others may read 1 private key")
        .says(&format!("chmod go= {}", accounts[0].display()));
    chmod(&accounts[0], 0o600);

    let state = rig.path("state");
    chmod(&state, 0o755);
    check()
        .expect(0)
        .says("the state folder is not its owner's alone")
        .says(&format!("chmod go= {}", state.display()));
    chmod(&state, 0o700);
    assert_eq!(check().expect(0).stdout, good.stdout);
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn a_second_daemon_is_refused_and_a_dead_one_is_in_nobodys_way() {
    let (rig, _judge) = rig();
    let installed = || rig.path("tls/one.crt").exists();
    let mut first = rig.command(&["daemon"]).spawn().expect("it starts");
    until("the first certificate to be installed", installed);
    rig.waxwing(&["daemon"])
        .expect(7)
        .says("another daemon is at work in")
        .says(&format!("it is held by process {} since", first.id()));
    rig.waxwing(&["daemon", "--help"])
        .expect(0)
        .says("7 another daemon is at work");
    // Killed, it gives nothing back by itself.
    first.kill().expect("killed");
    finish(first);
    fs::remove_file(rig.path("tls/one.crt")).expect("removed");
    rig.edit("name = \"one\"", "name = \"two\"");
    let second = rig.command(&["daemon"]).spawn().expect("it starts");
    until("the second one to be installed", || {
        rig.path("tls/two.crt").exists()
    });
    let id = second.id().to_string();
    let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
    assert!(sent.expect("kill runs").success());
    finish(second).expect(0);
}

#[test]
fn a_credential_is_looked_for_where_the_unit_has_it_from() {
    let (rig, _judge) = rig();
    rig.edit(
        "api-key = \"file:dme-api-key\"",
        "api-key = \"credential:dme\"",
    );
    let check = || rig.waxwing(&["check", "--offline"]);
    // Without a unit nobody hands it over.
    check()
        .expect(1)
        .says("credential:dme cannot be read")
        .says("systemctl start waxwing.service");
    rig.waxwing(&["renew"])
        .expect(5)
        .says("systemd-run --pty --wait -p LoadCredential=dme:/etc/credstore/dme");

    // A unit of this user, which is enabled.
    let units = rig.path("home/.config/systemd/user");
    let wants = units.join("default.target.wants");
    fs::create_dir_all(&wants).expect("made");
    let service = units.join("certs.service");
    let store = rig.path("credstore");
    let write = |line: &str| {
        let config = rig.path("waxwing.toml");
        let text = format!(
            "[Service]\n{line}\nExecStart=waxwing -c {} renew\n",
            config.display()
        );
        fs::write(&service, text).expect("written");
    };
    write("");
    fs::write(units.join("certs.timer"), "[Timer]\nOnCalendar=hourly\n").expect("written");
    std::os::unix::fs::symlink(units.join("certs.timer"), wants.join("certs.timer"))
        .expect("linked");
    check()
        .expect(1)
        .says("certs.service does not have credential:dme handed over");
    write(&format!("LoadCredential=dme:{}/dme", store.display()));
    check().expect(1).says("dme, which is not there");
    fs::create_dir(&store).expect("made");
    rig.write_secret("credstore/dme", "a-credential-of-systemd\n");
    chmod(&store.join("dme"), 0o644);
    check().expect(1).says("others can read");
    chmod(&store.join("dme"), 0o600);
    check()
        .expect(0)
        .says("2 of 2 found; systemd hands over credential:dme to certs.service")
        .says("was not asked about its settings");
}

/// The provider is asked about the place where a record goes, and the name servers have a word in it.
#[test]
fn zones_are_looked_for_where_the_records_go() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let dns = rig.world.dns();
    dns.add_zone("example.org").expect("a zone elsewhere");
    let check = |domain: &str| {
        let config = rig.config_at(&judge, "");
        rig.write_config(&format!("{config}{}", certificate("one", &[domain])));
        rig.waxwing(&["check"])
    };
    // Delegated to a zone that the account has.
    let alias = "_acme-challenge.www.example.org";
    check("www.example.org")
        .expect(1)
        .says("dns-made-easy cannot take www.example.org");
    dns.set_cname(alias, "www.proof.example.com")
        .expect("in a zone");
    let run = check("www.example.org");
    let run = run.says("dns-made-easy holds example.com (1 name)");
    assert!(!run.stdout.contains("cannot take"), "{}", run.stdout);
    // And to one that it does not have.
    let alias = "_acme-challenge.mail.example.com";
    dns.set_cname(alias, "mail.proof.example.org")
        .expect("in a zone");
    check("mail.example.com").expect(1).says(
        "dns-made-easy cannot take mail.proof.example.org, where the record of mail.example.com goes",
    );
    // Cut off from the zone that it has.
    dns.add_zone("sub.example.com").expect("a zone");
    check("sub.example.com")
        .expect(1)
        .says("would place _acme-challenge.sub.example.com into example.com")
        .says("have it in the zone sub.example.com");
    // Where the view from here is not the world's, it has no word in it.
    rig.edit("[network]\n", "[network]\npropagation = \"resolvers\"\n");
    let run = rig.waxwing(&["check"]);
    let run = run.says("dns-made-easy holds example.com (1 name)");
    assert!(!run.stdout.contains("would place"), "{}", run.stdout);
}

#[test]
fn a_notifier_whose_program_is_not_there_tells_nobody() {
    let (rig, _judge) = rig();
    let config = fs::read_to_string(rig.path("waxwing.toml")).expect("a configuration");
    let program = rig.path("tell");
    let section = format!(
        "{config}\n[notify.pager]\ncommand = [\"{}\"]\n",
        program.display()
    );
    rig.write_config(&section);
    let check = || rig.waxwing(&["check", "--offline"]);
    let named = format!("[notify.pager] command names {}", program.display());
    check()
        .expect(1)
        .says(&format!("{named}, which is not there"));
    fs::write(&program, "#!/bin/sh\n").expect("written");
    chmod(&program, 0o644);
    check()
        .expect(1)
        .says(&format!("{named}, which may not be run"));
    chmod(&program, 0o755);
    let good = check().expect(0);
    assert!(!good.stdout.contains(&named), "{}", good.stdout);
}

#[test]
fn a_granted_test_of_a_server_is_run_as_an_installation_runs_it() {
    let (rig, judge) = rig();
    let program = rig.path("test-server");
    let says = |text: &str| {
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).expect("written");
        chmod(&program, 0o755);
    };
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer(&format!(
            "grants.exec.test.argv = [{:?}, \"-t\"]\n",
            program.display().to_string()
        )),
        certificate("one", &["www.example.com"])
    ));
    let words = |run: &Run| run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    says("echo \"no file one.crt\" >&2; exit 3");
    let run = rig.waxwing(&["check"]);
    let text = words(&run);
    for part in [
        "its test does not pass",
        "it ended with exit code 3",
        "no file one.crt",
        "nothing was installed there yet",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let run = rig.waxwing(&["check", "--offline"]);
    assert!(!words(&run).contains("does not pass"), "{}", run.stdout);
    says("exit 0");
    let run = rig.waxwing(&["check"]);
    assert!(
        words(&run).contains("install tests pass: "),
        "{}",
        run.stdout
    );
    rig.waxwing(&["renew"]).expect(0);
    says("exit 1");
    let run = rig.waxwing(&["check"]).expect(1);
    assert!(
        words(&run).contains("until it passes, nothing new is installed"),
        "{}",
        run.stdout
    );
}
