//! What an installer owes.

use crate::bindings::exports::waxwing::plugin::installer::Certificate;
use crate::bindings::waxwing::plugin::types::{Failure, PluginError, Severity};
use crate::double::Machine;
use crate::installer::Installer;

const NO_FILES: &str = r#"{"files":{}}"#;

fn certificate(name: &str, leaf: &str, previous: Option<&str>) -> Certificate {
    Certificate {
        name: name.to_owned(),
        identifiers: vec![format!("{name}.example")],
        leaf_sha256: format!("256-{leaf}"),
        leaf_sha1: format!("1-{leaf}"),
        serial: "01".to_owned(),
        not_before_unix_ms: 0,
        not_after_unix_ms: 1,
        key_type: "ecdsa-p256".to_owned(),
        previous_leaf_sha256: previous.map(|leaf| format!("256-{leaf}")),
        previous_leaf_sha1: previous.map(|leaf| format!("1-{leaf}")),
        reconfigured: false,
        extra: Vec::new(),
    }
}

fn installer<'h>(machine: &'h Machine, settings: &str) -> Installer<'h, Machine> {
    Installer::new(machine, settings).expect("settings")
}

fn steps(machine: &Machine, settings: &str, certificates: &[Certificate]) -> Vec<String> {
    installer(machine, settings)
        .plan(certificates)
        .expect("a plan")
        .steps
        .into_iter()
        .map(|step| step.summary)
        .collect()
}

fn failure_of(error: &PluginError) -> &Failure {
    match error {
        PluginError::Retryable(retry) => &retry.failure,
        PluginError::Config(setting) => &setting.failure,
        PluginError::Permanent(failure) => failure,
        other => panic!("unexpected: {other:?}"),
    }
}

#[test]
fn the_plan_shows_what_the_install_does_and_does_nothing_itself() {
    let machine = Machine::serving();
    let batch = [
        certificate("mail", "a", None),
        certificate("shop", "b", None),
    ];
    let plan = installer(&machine, "{}").plan(&batch).expect("a plan");
    assert_eq!(machine.happened(), Vec::<String>::new());
    let lines: Vec<String> = plan
        .steps
        .iter()
        .map(|step| {
            format!(
                "{} {:?} {:?} {} {}",
                step.kind,
                step.grant,
                step.target,
                step.certificates.join("+"),
                step.reversible
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#"file Some("certs") Some("mail.crt") mail true"#,
            r#"file Some("certs") Some("mail.key") mail true"#,
            r#"file Some("certs") Some("shop.crt") shop true"#,
            r#"file Some("certs") Some("shop.key") shop true"#,
            r#"command Some("test") None mail+shop true"#,
            r#"command Some("reload") None mail+shop false"#,
        ]
    );
    let installed = installer(&machine, "{}")
        .install(&batch)
        .expect("installed");
    assert!(installed.changed);
    assert_eq!(
        machine.happened(),
        [
            "write mail.crt",
            "write mail.key",
            "write shop.crt",
            "write shop.key",
            "run test",
            "run reload"
        ]
    );
    assert_eq!(machine.files()["shop.key"], "shop/privkey.pem@0 ");
}

#[test]
fn what_is_installed_means_no_step_no_write_and_no_reload() {
    let machine = Machine::serving();
    let first = [certificate("shop", "a", None)];
    installer(&machine, "{}")
        .install(&first)
        .expect("installed");
    machine.happened();
    let again = [certificate("shop", "a", Some("a"))];
    assert_eq!(steps(&machine, "{}", &again), Vec::<String>::new());
    let installed = installer(&machine, "{}")
        .install(&again)
        .expect("installed");
    assert!(!installed.changed);
    assert_eq!(machine.happened(), Vec::<String>::new());
}

#[test]
fn a_command_that_is_added_later_sees_what_is_installed() {
    let mut machine = Machine::serving();
    machine.commands.clear();
    let first = [certificate("shop", "a", None)];
    installer(&machine, "{}")
        .install(&first)
        .expect("installed");
    machine.happened();
    machine.commands = [("test", (0, vec![])), ("reload", (0, vec![]))].into();
    let again = [Certificate {
        reconfigured: true,
        ..certificate("shop", "a", Some("a"))
    }];
    assert_eq!(
        steps(&machine, "{}", &again),
        ["run test for shop", "run reload for shop"]
    );
    let installed = installer(&machine, "{}")
        .install(&again)
        .expect("installed");
    assert!(installed.changed);
    assert_eq!(machine.happened(), ["run test", "run reload"]);
}

#[test]
fn a_reload_that_a_crash_swallowed_is_made_up_for() {
    let machine = Machine::serving();
    let crashed = [certificate("shop", "b", Some("a"))];
    installer(&machine, "{}")
        .install(&crashed)
        .expect("installed");
    machine.happened();
    // The files are right, but the host has no record of an installation.
    assert_eq!(
        steps(&machine, "{}", &crashed),
        ["run test for shop", "run reload for shop"]
    );
    installer(&machine, "{}")
        .install(&crashed)
        .expect("installed");
    assert_eq!(machine.happened(), ["run test", "run reload"]);
}

#[test]
fn only_what_changed_is_written_and_served_by_the_commands() {
    let machine = Machine::serving();
    let first = [
        certificate("mail", "a", None),
        certificate("shop", "a", None),
    ];
    installer(&machine, "{}")
        .install(&first)
        .expect("installed");
    let second = [
        certificate("mail", "a", Some("a")),
        certificate("shop", "b", Some("a")),
    ];
    machine.tamper("shop.crt");
    assert_eq!(
        steps(&machine, "{}", &second),
        [
            "write shop.crt (fullchain.pem)",
            "run test for shop",
            "run reload for shop"
        ]
    );
}

#[test]
fn a_failed_command_puts_every_file_back_and_is_a_failed_install() {
    for (grant, ran) in [
        ("test", vec!["run test"]),
        ("reload", vec!["run test", "run reload"]),
    ] {
        let mut machine = Machine::serving();
        let first = [certificate("shop", "a", None)];
        installer(&machine, "{}")
            .install(&first)
            .expect("installed");
        let before = machine.files();
        machine.generation.set(1);
        machine.commands.insert(grant, (3, vec![]));
        machine.happened();
        let second = [
            certificate("shop", "b", Some("a")),
            certificate("new", "c", None),
        ];
        let error = installer(&machine, "{}")
            .install(&second)
            .expect_err("failed");
        let failure = failure_of(&error);
        assert_eq!(failure.code, format!("install-files.{grant}-failed"));
        assert_eq!(
            failure.message,
            format!("the command {grant} ended with exit code 3: no such key file")
        );
        let details: Vec<(&str, &str)> = failure
            .details
            .iter()
            .map(|detail| (&*detail.name, &*detail.value))
            .collect();
        assert_eq!(
            details,
            [
                ("certificates", "shop, new"),
                ("output", "first line\nno such key file")
            ]
        );
        assert_eq!(machine.files(), before);
        let happened = machine.happened();
        assert_eq!(happened[4..4 + ran.len()], ran[..]);
        assert!(!steps(&machine, "{}", &second).is_empty());
    }
}

#[test]
fn a_write_that_fails_takes_back_the_writes_before_it() {
    let machine = Machine {
        broken_file: Some("shop.key"),
        ..Machine::serving()
    };
    let error = installer(&machine, "{}")
        .install(&[certificate("shop", "a", None)])
        .expect_err("failed");
    assert_eq!(
        failure_of(&error).message,
        "failed to write shop.key: no space left on device"
    );
    assert_eq!(machine.happened(), ["write shop.crt", "restore shop.crt"]);
    assert!(machine.files().is_empty());
}

#[test]
fn several_artifacts_go_into_one_file_in_the_order_written() {
    let machine = Machine::serving();
    installer(
        &machine,
        r#"{"files":{"{name}.pem":["fullchain.pem","privkey.pem"]}}"#,
    )
    .install(&[certificate("shop", "a", None)])
    .expect("installed");
    assert_eq!(
        machine.files()["shop.pem"],
        "shop/fullchain.pem@0 shop/privkey.pem@0 "
    );
}

#[test]
fn a_pkcs12_file_is_made_by_the_host_and_its_path_and_password_reach_the_command() {
    let mut machine = Machine::serving();
    machine.secrets.insert("pfx-password");
    machine.commands = [("reload", (0, vec!["path:pfx", "sha1", "previous-sha1"]))].into();
    let settings =
        r#"{"files":{"{name}.pfx":"bundle.p12"},"stdin":"pfx-password","pkcs12-profile":"legacy"}"#;
    let batch = [
        certificate("mail", "a", None),
        certificate("shop", "b", Some("z")),
    ];
    let installed = installer(&machine, settings)
        .install(&batch)
        .expect("installed");
    assert_eq!(
        machine.happened(),
        [
            r#"make mail/bundle.p12 Some("pfx-password") legacy"#,
            r#"make shop/bundle.p12 Some("pfx-password") legacy"#,
            "write mail.pfx",
            "write shop.pfx",
            "run reload path:pfx=certs/mail.pfx sha1=1-a previous-sha1= <pfx-password",
            "run reload path:pfx=certs/shop.pfx sha1=1-b previous-sha1=1-z <pfx-password",
        ]
    );
    let verdict = installer(&machine, settings)
        .verify(&batch, &installed.receipt)
        .expect("a verdict");
    assert!(verdict.ok, "{verdict:?}");
}

#[test]
fn an_installer_may_be_only_a_command() {
    let machine = Machine {
        folder: None,
        ..Machine::serving()
    };
    let changed = [certificate("shop", "b", Some("a"))];
    installer(&machine, NO_FILES)
        .install(&changed)
        .expect("installed");
    assert_eq!(machine.happened(), ["run test", "run reload"]);
    let same = [certificate("shop", "b", Some("b"))];
    assert_eq!(steps(&machine, NO_FILES, &same), Vec::<String>::new());
}

#[test]
fn keys_lie_in_a_folder_of_their_own_and_come_back_with_the_rest() {
    let mut machine = Machine::serving();
    machine.keys_apart = true;
    machine.commands.insert("reload", (0, vec!["path:key"]));
    let batch = [certificate("shop", "a", None)];
    let installed = installer(&machine, "{}")
        .install(&batch)
        .expect("installed");
    let there = |machine: &Machine| machine.files().into_keys().collect::<Vec<_>>();
    assert_eq!(there(&machine), ["keys/shop.key", "shop.crt"]);
    let happened = machine.happened();
    assert_eq!(
        happened.last().map(String::as_str),
        Some("run reload path:key=keys/shop.key")
    );
    let check = || {
        installer(&machine, "{}")
            .verify(&batch, &installed.receipt)
            .expect("a verdict")
    };
    assert!(check().ok);
    machine.tamper("keys/shop.key");
    assert!(!check().ok);

    // All or nothing, in both folders.
    let mut machine = Machine::serving();
    machine.keys_apart = true;
    installer(&machine, "{}")
        .install(&batch)
        .expect("installed");
    let before = machine.files();
    machine.generation.set(1);
    machine.broken_file = Some("shop.key");
    let next = [certificate("shop", "b", Some("a"))];
    let error = installer(&machine, "{}")
        .install(&next)
        .expect_err("no room for keys");
    assert_eq!(failure_of(&error).code, "install-files.file-io");
    assert_eq!(machine.files(), before);
    // A file with a key and something else stays with the certificates.
    let settings =
        r#"{"files":{"all.pem":["fullchain.pem","privkey.pem"],"all.key":"privkey.pem"}}"#;
    machine.broken_file = None;
    let written = steps(&machine, settings, &next);
    assert_eq!(written.len(), 4, "{written:?}");
    installer(&machine, settings)
        .install(&next)
        .expect("installed");
    let there = there(&machine);
    assert!(there.contains(&"all.pem".to_owned()) && there.contains(&"keys/all.key".to_owned()));
}

#[test]
fn what_a_reload_says_is_logged() {
    let machine = Machine::serving();
    let batch = [certificate("shop", "a", None)];
    installer(&machine, "{}")
        .install(&batch)
        .expect("installed");
    assert_eq!(*machine.said.borrow(), ["first line\nno such key file"]);
}

#[test]
fn an_installer_may_be_only_files() {
    let machine = Machine {
        commands: [].into(),
        ..Machine::serving()
    };
    let installed = installer(&machine, "{}")
        .install(&[certificate("shop", "a", None)])
        .expect("installed");
    assert!(installed.changed);
    assert_eq!(machine.happened(), ["write shop.crt", "write shop.key"]);
}

#[test]
fn verify_notices_files_that_are_gone_or_changed() {
    let machine = Machine::serving();
    let batch = [certificate("shop", "a", None)];
    let receipt = installer(&machine, "{}")
        .install(&batch)
        .expect("installed")
        .receipt;
    let folder = machine.folder.as_ref().expect("a folder");
    folder.borrow_mut().remove("shop.key");
    machine.tamper("shop.crt");
    let verdict = installer(&machine, "{}")
        .verify(&batch, &receipt)
        .expect("a verdict");
    let codes: Vec<&str> = verdict
        .problems
        .iter()
        .map(|problem| &*problem.code)
        .collect();
    assert_eq!(
        codes,
        ["install-files.file-differs", "install-files.file-missing"]
    );
    assert!(!verdict.ok);
}

#[test]
fn rollback_brings_back_files_and_server_and_may_be_repeated() {
    let mut machine = Machine::serving();
    machine.commands.insert("reload", (0, vec!["sha1"]));
    installer(&machine, "{}")
        .install(&[certificate("shop", "a", None)])
        .expect("installed");
    let before = machine.files();
    machine.generation.set(1);
    let second = [
        certificate("shop", "b", Some("a")),
        certificate("new", "c", None),
    ];
    let receipt = installer(&machine, "{}")
        .install(&second)
        .expect("installed")
        .receipt;
    for _ in 0..2 {
        machine.happened();
        installer(&machine, "{}")
            .rollback(&second, Some(&receipt))
            .expect("rolled back");
        assert_eq!(machine.files(), before);
        assert_eq!(
            machine.happened(),
            [
                "restore new.key",
                "restore new.crt",
                "restore shop.key",
                "restore shop.crt",
                "run reload sha1=1-a"
            ]
        );
    }
    installer(&machine, "{}")
        .rollback(&second, None)
        .expect("nothing to do");
    assert_eq!(machine.happened(), Vec::<String>::new());
}

#[test]
fn wrong_settings_point_at_the_entry() {
    let machine = Machine::serving();
    for (settings, expected_pointer, expected_message) in [
        (
            r#"{"files":{"a/b":"cert"}}"#,
            "/files/a~1b",
            r#""cert" in a/b is nothing that a certificate has"#,
        ),
        (
            r#"{"files":{"x":["bundle.p12","cert.pem"]}}"#,
            "/files/x",
            "bundle.p12 cannot be joined with others in x",
        ),
        (
            r#"{"files":{"x":[]}}"#,
            "/files/x",
            "the content of x is neither a name nor a list of names",
        ),
        (
            r#"{"files":{"x":[1]}}"#,
            "/files/x",
            "the content of x is neither a name nor a list of names",
        ),
    ] {
        let Err(PluginError::Config(setting)) = Installer::new(&machine, settings).map(|_| ())
        else {
            panic!("{settings} is wrong");
        };
        assert_eq!(setting.pointer, expected_pointer);
        assert_eq!(setting.failure.message, expected_message);
    }
}

#[test]
fn two_certificates_cannot_claim_one_file() {
    let machine = Machine::serving();
    let batch = [
        certificate("mail", "a", None),
        certificate("shop", "b", None),
    ];
    let error = installer(&machine, r#"{"files":{"server.crt":"cert.pem"}}"#)
        .plan(&batch)
        .expect_err("claimed twice");
    assert_eq!(
        failure_of(&error).message,
        r#"the certificates "mail" and "shop" would both be written to server.crt"#
    );
}

#[test]
fn placeholders_that_nobody_can_fill_are_named() {
    for (placeholder, expected) in [
        (
            "password",
            "{password} in the command reload: no such value",
        ),
        (
            "path:pfx",
            "{path:pfx} in the command reload: no file of settings.files ends in .pfx",
        ),
    ] {
        let mut machine = Machine::serving();
        machine.commands.insert("reload", (0, vec![placeholder]));
        let error = installer(&machine, "{}")
            .plan(&[certificate("shop", "a", None)])
            .expect_err("cannot be filled");
        assert_eq!(failure_of(&error).message, expected);
    }
}

#[test]
fn validate_sees_what_is_missing() {
    let check = |machine: &Machine, settings: &str| {
        installer(machine, settings)
            .validate()
            .into_iter()
            .map(|finding| (finding.severity, finding.failure.code))
            .collect::<Vec<_>>()
    };
    let finding = |severity, code: &str| (severity, format!("install-files.{code}"));
    assert_eq!(check(&Machine::serving(), "{}"), []);
    assert_eq!(
        check(&Machine::default(), "{}"),
        [
            finding(Severity::Error, "folder-not-granted"),
            finding(Severity::Info, "no-reload")
        ]
    );
    assert_eq!(
        check(&Machine::default(), NO_FILES),
        [finding(Severity::Error, "nothing-to-do")]
    );
    assert_eq!(
        check(
            &Machine::serving(),
            r#"{"files":{"x":"bundle.p12"},"stdin":"pfx-password"}"#
        ),
        [
            finding(Severity::Warning, "empty-password"),
            finding(Severity::Error, "secret-not-bound")
        ]
    );
}
