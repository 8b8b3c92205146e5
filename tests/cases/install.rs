//! Installation by the component that ships inside the binary: formats, commands, batches, owners.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, certificate, finish, plain, skipped, until};

const PASSWORD: &str = "hunter2 and \u{fc}ber 3";

/// Writes a configuration with one installer, of these lines, and these certificates.
fn write(rig: &Rig, judge: &Judge, installer: &str, certificates: &[&str]) {
    let certificates: String = certificates
        .iter()
        .map(|name| certificate(name, &[&format!("{name}.example.com")]))
        .collect();
    let installer = rig.installer(installer);
    rig.write_config(&format!(
        "{}{installer}{certificates}",
        rig.config_at(judge, "")
    ));
}

/// A command that notes how it is called, a line for each call, and reads its standard input.
struct Witness {
    script: PathBuf,
    log: PathBuf,
    stdin: PathBuf,
}

impl Witness {
    /// `last` is what the script does after taking notes.
    fn new(rig: &Rig, name: &str, last: &str) -> Self {
        let path = |ending: &str| rig.path(&format!("{name}.{ending}"));
        let witness = Self {
            script: path("sh"),
            log: path("log"),
            stdin: path("stdin"),
        };
        let text = format!(
            "printf 'called %s\\n' \"$*\" >> '{}'\ncat > '{}'\n{last}\n",
            witness.log.display(),
            witness.stdin.display(),
        );
        fs::write(&witness.script, text).expect("a script");
        rig.may_hold(&format!("{name}.stdin"));
        witness
    }

    /// The grant of this command for a purpose, with these arguments.
    fn grant(&self, purpose: &str, arguments: &str) -> String {
        format!(
            "grants.exec.{purpose} = {{ argv = [\"/bin/sh\", \"{}\"{arguments}] }}\n",
            self.script.display()
        )
    }

    /// The arguments of each call so far.
    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().filter_map(|line| line.strip_prefix("called"));
        lines.map(|line| line.trim().to_owned()).collect()
    }

    /// What the last call read.
    fn read(&self) -> String {
        fs::read_to_string(&self.stdin).expect("it was called")
    }
}

fn stored(rig: &Rig, name: &str, file: &str) -> String {
    fs::read_to_string(rig.stored(name).join(file)).expect("stored")
}

fn installed(rig: &Rig, file: &str) -> String {
    fs::read_to_string(rig.path("tls").join(file)).expect("installed")
}

/// What openssl finds in a PKCS#12 file, or nothing if the password does not open it.
fn opened(file: &Path, password: &str) -> Option<String> {
    let output = Command::new("openssl")
        .args(["pkcs12", "-nodes", "-passin", &format!("pass:{password}")])
        .arg("-in")
        .arg(file)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

/// What openssl says of the encryption of a PKCS#12 file.
fn cipher(file: &Path) -> String {
    let output = Command::new("openssl")
        .args(["pkcs12", "-info", "-noout", "-passin"])
        .arg(format!("pass:{PASSWORD}"))
        .arg("-in")
        .arg(file)
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The Base64 of the first block of this kind.
fn block<'t>(text: &'t str, label: &str) -> &'t str {
    let start = format!("-----BEGIN {label}-----\n");
    let inner = text.split(&start).nth(1).expect("a block");
    inner.split("-----END").next().expect("its end")
}

#[test]
fn a_pkcs12_file_opens_with_the_password_and_holds_key_and_chain() {
    let test = "a_pkcs12_file_opens_with_the_password_and_holds_key_and_chain";
    plain(test, |rig, judge| {
        rig.write_secret("pfx-password", PASSWORD);
        let lines = |profile: &str| {
            format!(
                "settings.files = {{ \"{{name}}.pfx\" = \"bundle.p12\" }}\n\
             settings.pkcs12-profile = \"{profile}\"\n\
             secrets.pfx-password = \"file:pfx-password\""
            )
        };
        let file = rig.path("tls/shop.pfx");
        let holds_everything = |text: &str| {
            let key = stored(rig, "shop", "privkey.pem");
            assert_eq!(block(text, "PRIVATE KEY"), block(&key, "PRIVATE KEY"));
            let chain = stored(rig, "shop", "fullchain.pem");
            let certificates = |text: &str| text.matches("BEGIN CERTIFICATE").count();
            assert_eq!(certificates(text), certificates(&chain));
            for leaf_or_issuer in chain.split("-----BEGIN CERTIFICATE-----\n").skip(1) {
                let inner = leaf_or_issuer.split("-----END").next().expect("its end");
                assert!(text.contains(inner), "{text}");
            }
            assert!(text.contains("friendlyName: shop"), "{text}");
        };
        write(rig, judge, &lines("modern"), &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        holds_everything(&opened(&file, PASSWORD).expect("it opens"));
        assert_eq!(opened(&file, "hunter3"), None);
        assert_eq!(mode(&file), 0o600);

        // The same file again is the same, though its salts would differ.
        let before = fs::read(&file).expect("a file");
        write(rig, judge, &format!("{}\n", lines("modern")), &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(fs::read(&file).expect("a file"), before);

        // Another profile is another file, without an order.
        assert!(cipher(&file).contains("AES-256-CBC"), "{}", cipher(&file));
        judge.traffic().reset();
        write(rig, judge, &lines("legacy"), &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().total(), 0);
        let old = cipher(&file);
        assert!(
            old.contains("pbeWithSHA1And3-KeyTripleDES-CBC") && !old.contains("AES"),
            "{old}"
        );
        holds_everything(&opened(&file, PASSWORD).expect("it opens"));
        assert_eq!(opened(&file, "hunter3"), None);
    });
}

#[test]
fn a_command_gets_the_password_on_its_standard_input_and_nowhere_else() {
    let test = "a_command_gets_the_password_on_its_standard_input_and_nowhere_else";
    plain(test, |rig, judge| {
        rig.write_secret("pfx-password", PASSWORD);
        let reload = Witness::new(rig, "reload", "env");
        let test = Witness::new(rig, "test", "env");
        let lines = format!(
            "settings.files = {{ \"{{name}}.pfx\" = \"bundle.p12\" }}\n\
         settings.stdin = \"pfx-password\"\n\
         secrets.pfx-password = \"file:pfx-password\"\n{}{}",
            test.grant("test", ""),
            reload.grant(
                "reload",
                ", \"{path:pfx}\", \"{name}\", \"{sha1}\", \"old-{previous-sha1}\""
            ),
        );
        write(rig, judge, &lines, &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.read(), PASSWORD);
        assert_eq!(test.read(), "", "only the reload asked for it");
        let thumbprint = || {
            let output = Command::new("openssl")
                .args(["x509", "-noout", "-fingerprint", "-sha1", "-in"])
                .arg(rig.stored("shop").join("cert.pem"))
                .output()
                .expect("openssl runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let print = text.trim().split('=').nth(1).expect("a print").to_owned();
            print.replace(':', "").to_lowercase()
        };
        let path = rig.path("tls/shop.pfx");
        let first = thumbprint();
        let call = |now: &str, before: &str| format!("{} shop {now} old-{before}", path.display());
        assert_eq!(reload.calls(), [call(&first, "")]);
        rig.waxwing(&["renew", "shop", "--force"]).expect(0);
        assert_eq!(reload.calls()[1..], [call(&thumbprint(), &first)]);
    });
}

#[test]
fn several_parts_share_a_file_in_the_order_they_are_listed() {
    let test = "several_parts_share_a_file_in_the_order_they_are_listed";
    plain(test, |rig, judge| {
        let files = "settings.files = { \"{name}.pem\" = [\"fullchain.pem\", \"privkey.pem\"], \
                 \"{name}.chain\" = \"chain.pem\", \"leaf/{name}\" = \"cert.pem\" }";
        // A folder in a name is refused before anything is ordered.
        write(rig, judge, files, &["shop"]);
        let run = rig.waxwing(&["renew"]);
        assert_ne!(run.code, Some(0), "{}", run.stdout);

        write(rig, judge, &files.replace("leaf/", "leaf-"), &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        let part = |file: &str| stored(rig, "shop", file);
        let both = part("fullchain.pem") + &part("privkey.pem");
        assert_eq!(installed(rig, "shop.pem"), both);
        assert_eq!(
            mode(&rig.path("tls/shop.pem")),
            0o600,
            "there is a key in it"
        );
        assert_eq!(installed(rig, "shop.chain"), part("chain.pem"));
        assert_eq!(installed(rig, "leaf-shop"), part("cert.pem"));
    });
}

#[test]
fn an_installer_can_be_only_a_command() {
    let test = "an_installer_can_be_only_a_command";
    plain(test, |rig, judge| {
        let reload = Witness::new(rig, "reload", "");
        let lines = format!("settings.files = {{}}\n{}", reload.grant("reload", ""));
        let section = lines.as_str();
        let config = |installer: &str| {
            let base = rig.config_at(judge, "");
            let names = ["a", "b"].map(|name| certificate(name, &[&format!("{name}.example.com")]));
            format!(
                "{base}[plugin.server]\nuses = \"install-files\"\n{installer}\n{}",
                names.concat()
            )
        };
        rig.write_config(&config(section));
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls(), [""], "once for both");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 1);

        let section = format!(
            "settings.files = {{}}\n{}",
            reload.grant("reload", ", \"{name}\"")
        );
        rig.write_config(&config(&section));
        rig.waxwing(&["renew", "a", "b", "--force"]).expect(0);
        let mut calls = reload.calls().split_off(1);
        calls.sort();
        assert_eq!(calls, ["a", "b"], "once for each, for the sake of the name");
        let left = fs::read_dir(rig.path("tls")).expect("a folder").count();
        assert_eq!(left, 0);
    });
}

#[test]
fn unchanged_files_need_no_reload_unless_the_installer_was_changed() {
    let test = "unchanged_files_need_no_reload_unless_the_installer_was_changed";
    plain(test, |rig, judge| {
        let reload = Witness::new(rig, "reload", "");
        let lines = reload.grant("reload", "");
        write(rig, judge, &lines, &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 1);
        rig.waxwing(&["renew"]).expect(0);
        // Other settings bring the installer to work: a command that was added has to see the files.
        let patient = lines.replace(" }", ", timeout = \"40s\" }");
        write(rig, judge, &patient, &["shop"]);
        rig.waxwing(&["plan"])
            .expect(0)
            .says("its settings have changed");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 2);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 2);
        rig.waxwing(&["plan"]).expect(0).says("1 kept");
        // A file that somebody has changed is not looked at until there is something to install.
        fs::write(rig.path("tls/shop.crt"), "scribbled").expect("written");
        write(rig, judge, &lines, &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 3);
        assert_eq!(
            installed(rig, "shop.crt"),
            stored(rig, "shop", "fullchain.pem")
        );
    });
}

#[test]
fn two_certificates_of_a_run_share_one_test_and_one_reload() {
    let test = "two_certificates_of_a_run_share_one_test_and_one_reload";
    plain(test, |rig, judge| {
        let (test, reload) = (
            Witness::new(rig, "test", ""),
            Witness::new(rig, "reload", ""),
        );
        let lines = test.grant("test", "") + &reload.grant("reload", "");
        write(rig, judge, &lines, &["a", "b"]);
        let plan = rig.waxwing(&["plan"]).expect(0);
        plan.says("server installs 2 in one batch");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!((test.calls().len(), reload.calls().len()), (1, 1));
        for name in ["a", "b"] {
            let file = installed(rig, &format!("{name}.crt"));
            assert_eq!(file, stored(rig, name, "fullchain.pem"));
        }
        // One of them renewed is a batch of one.
        let before = installed(rig, "b.crt");
        rig.waxwing(&["renew", "a", "--force"]).expect(0);
        assert_eq!((test.calls().len(), reload.calls().len()), (2, 2));
        assert_eq!(installed(rig, "b.crt"), before);
    });
}

#[test]
fn a_run_waits_for_another_one_that_installs_with_the_same_plugin() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    let (begun, go) = (rig.path("begun"), rig.path("go"));
    let slow = format!(
        "if mkdir '{}' 2>/dev/null; then while test ! -e '{}'; do sleep 0.02; done; fi",
        begun.display(),
        go.display()
    );
    let reload = Witness::new(&rig, "reload", &slow);
    write(&rig, &judge, &reload.grant("reload", ""), &["a", "b"]);
    let start = |name: &str| rig.command(&["renew", name]).spawn().expect("it starts");
    let first = start("a");
    until("the first one to reload", || begun.exists());
    let second = start("b");
    until("the second one to have something to install", || {
        rig.path("state/certificates/b/current").exists()
    });
    fs::write(&go, "").expect("written");
    for run in [first, second] {
        finish(run).expect(0);
    }
    for name in ["a", "b"] {
        let file = installed(&rig, &format!("{name}.crt"));
        assert_eq!(file, stored(&rig, name, "fullchain.pem"));
    }
}

#[test]
fn a_failing_test_puts_a_whole_batch_back_and_the_next_run_needs_no_order() {
    let test = "a_failing_test_puts_a_whole_batch_back_and_the_next_run_needs_no_order";
    plain(test, |rig, judge| {
        let bad = rig.path("bad");
        let refuse = format!(
            "if test -e '{}'; then echo 'unknown directive \"htp2\"' >&2; exit 1; fi",
            bad.display()
        );
        let (test, reload) = (
            Witness::new(rig, "test", &refuse),
            Witness::new(rig, "reload", ""),
        );
        let lines = test.grant("test", "") + &reload.grant("reload", "");
        write(rig, judge, &lines, &["a", "b"]);
        rig.waxwing(&["renew"]).expect(0);
        let files = ["a.crt", "a.key", "b.crt", "b.key"];
        let before = files.map(|file| installed(rig, file));

        fs::write(&bad, "").expect("written");
        let run = rig.waxwing(&["renew", "a", "b", "--force"]).expect(6);
        run.says("unknown directive \"htp2\"");
        assert_eq!(files.map(|file| installed(rig, file)), before);
        assert_eq!(reload.calls().len(), 1, "no reload after a failed test");
        assert_eq!((rig.versions("a"), rig.versions("b")), (2, 2));
        rig.waxwing(&["status"]).expect(1).says("htp2");
        rig.waxwing(&["plan"]).expect(0).says("2 to install");

        fs::remove_file(&bad).expect("removed");
        judge.traffic().reset();
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(judge.traffic().count(Class::NewOrder), 0);
        assert_eq!(reload.calls().len(), 2);
        for name in ["a", "b"] {
            let file = installed(rig, &format!("{name}.crt"));
            assert_eq!(file, stored(rig, name, "fullchain.pem"));
        }
    });
}

#[test]
fn a_failing_reload_is_a_failed_installation_too() {
    let test = "a_failing_reload_is_a_failed_installation_too";
    plain(test, |rig, judge| {
        let bad = rig.path("bad");
        let last = format!("test ! -e '{}'", bad.display());
        let reload = Witness::new(rig, "reload", &last);
        write(rig, judge, &reload.grant("reload", ""), &["shop"]);
        fs::write(&bad, "").expect("written");
        let run = rig.waxwing(&["renew"]).expect(6);
        run.says("the command reload ended with exit code 1");
        assert!(!rig.path("tls/shop.crt").exists(), "as it was before");
        fs::remove_file(&bad).expect("removed");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(reload.calls().len(), 2);
        assert_eq!(judge.traffic().count(Class::NewOrder), 1);
    });
}

fn mode(file: &Path) -> u32 {
    let facts = fs::metadata(file).expect("a file");
    facts.permissions().mode() & 0o7777
}

/// Owner, group and mode.
fn rights(file: &Path) -> (u32, u32, u32) {
    let facts = fs::metadata(file).expect("a file");
    (facts.uid(), facts.gid(), mode(file))
}

#[test]
fn owner_and_group_of_a_file_stay_unless_the_grant_says_otherwise() {
    let test = "owner_and_group_of_a_file_stay_unless_the_grant_says_otherwise";
    plain(test, |rig, judge| {
        let (certificate, key) = (rig.path("tls/shop.crt"), rig.path("tls/shop.key"));
        fs::write(&certificate, "the one before").expect("written");
        fs::set_permissions(&certificate, fs::Permissions::from_mode(0o640)).expect("a mode");
        // Numbers that no user and no group of this machine has.
        if chown(&certificate, Some(54_321), Some(54_322)).is_err() {
            return skipped("owner_and_group_of_a_file_stay: only root may give files away");
        }
        write(rig, judge, "", &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(rights(&certificate), (54_321, 54_322, 0o640));
        assert_eq!(
            rights(&key),
            (0, 0, 0o600),
            "a new file is the program's own"
        );

        // A grant by number and one by name; a file whose rights are wrong is written again.
        let lines = "grants.files.certs.group = \"54323\"\ngrants.files.certs.owner = \"daemon\"\n\
                 grants.files.certs.mode = \"0644\"\ngrants.files.certs.key-mode = \"0440\"";
        write(rig, judge, lines, &["shop"]);
        rig.waxwing(&["renew"]).expect(0);
        let (owner, group, _) = rights(&certificate);
        assert_ne!(owner, 54_321);
        assert_eq!(group, 54_323);
        assert_eq!((mode(&certificate), mode(&key)), (0o644, 0o440));
        assert_eq!(rights(&key).1, 54_323);

        // And a failing test puts the rights back as well.
        let test = Witness::new(rig, "test", "exit 1");
        let before = (rights(&certificate), rights(&key));
        write(rig, judge, &test.grant("test", ""), &["shop"]);
        chown(&certificate, Some(54_321), Some(54_322)).expect("root");
        let changed = rights(&certificate);
        rig.waxwing(&["renew", "shop", "--force"]).expect(6);
        assert_eq!(rights(&certificate), changed);
        assert_eq!(rights(&key), before.1);
    });
}

/// As `/etc/ssl/private` beside `/etc/ssl/certs`: both or neither.
#[test]
fn a_key_lies_in_a_folder_of_its_own_and_is_new_only_with_its_certificate() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    let keys = rig.path("private");
    fs::create_dir(&keys).expect("a folder");
    let grant = format!("grants.files.keys.dir = \"{}\"\n", keys.display());
    write(&rig, &judge, &grant, &["shop"]);
    rig.waxwing(&["renew"]).expect(0);
    let key = || fs::read_to_string(keys.join("shop.key")).expect("installed");
    assert_eq!(key(), stored(&rig, "shop", "privkey.pem"));
    assert!(!rig.path("tls/shop.key").exists());
    let mode = fs::metadata(keys.join("shop.key")).expect("there").mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    // The one folder is gone: the server keeps the pair that fits.
    let (old_key, old_chain) = (key(), installed(&rig, "shop.crt"));
    fs::rename(rig.path("tls"), rig.path("away")).expect("moved");
    rig.waxwing(&["renew", "shop", "--force"]).expect(6);
    assert_eq!(key(), old_key);
    fs::rename(rig.path("away"), rig.path("tls")).expect("moved");
    assert_eq!(installed(&rig, "shop.crt"), old_chain);
    rig.waxwing(&["renew", "shop"]).expect(0);
    assert_eq!(key(), stored(&rig, "shop", "privkey.pem"));
    assert_ne!(installed(&rig, "shop.crt"), old_chain);
}
