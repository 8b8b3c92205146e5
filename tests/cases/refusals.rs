//! What the program says when it cannot do as it was told, or would not do well.

use std::fs;

use waxwing_world::ca;
use waxwing_world::traffic::Class;

use crate::cases::cli::rig;
#[cfg(unix)]
use crate::cases::rig::skipped;
use crate::cases::rig::{Rig, certificate, finish};

#[test]
fn an_included_file_that_is_missing_hides_no_other_mistake() {
    let (rig, _judge) = rig();
    rig.edit("[account]", "include = [\"certs.d/typo.toml\"]\n[account]");
    rig.edit("email = ", "emial = ");
    rig.waxwing(&["plan"])
        .expect(3)
        .says("waxwing.toml:1:12  include")
        .says("certs.d/typo.toml is not there")
        .says("hint: a pattern such as \"certs.d/*.toml\" may match nothing")
        .says("account.emial");
}

#[test]
fn a_state_folder_that_is_none_says_where_it_is_named() {
    let (rig, _judge) = rig();
    fs::write(rig.path("state"), "a file").expect("written");
    let run = rig.waxwing(&["plan"]).expect(5);
    run.says("hint: [state] dir, --state-dir or WAXWING_STATE");
}

#[test]
fn a_state_folder_that_is_not_there_is_not_made_by_looking() {
    let (rig, _judge) = rig();
    let out = rig.path("out").display().to_string();
    let missing = format!(
        "there is no state folder at {}: nothing was issued yet",
        rig.path("state").display()
    );
    for (verb, code, says) in [
        (&["plan"][..], 0, missing.as_str()),
        (&["status"], 0, &missing),
        (&["history"], 0, &missing),
        (&["explain", "one"], 0, "one was never issued"),
        (&["check", "--offline"], 0, "the first run makes it"),
        (&["check"], 0, "the first run makes it"),
        (&["account"], 0, "no account"),
        (&["account", "contact", "first"], 2, "there is no account"),
        (&["ca", "list"], 0, "first"),
        (&["ca", "show", "first"], 0, "first"),
        (&["plugin", "list"], 0, "dns-made-easy"),
        (&["simulate", "--for", "2d"], 0, ""),
        (&["renew", "nosuch"], 2, "no certificate \"nosuch\""),
        (&["forget", "nosuch"], 2, "no certificate \"nosuch\""),
        (&["forget", "one", "--yes"], 2, "is stored under one"),
        (&["revoke", "one"], 2, "is stored under one"),
        (&["export", "one", &out], 2, "is stored under one"),
    ] {
        rig.waxwing(verb).expect(code).says(says);
        assert!(!rig.path("state").exists(), "{verb:?} made it");
    }
    rig.waxwing(&["renew"]).expect(0);
    assert!(rig.path("state/waxwing.db").exists());
    let run = rig.waxwing(&["plan"]).expect(0);
    assert!(!run.stderr.contains("state folder"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn a_verb_that_writes_is_refused_to_anybody_but_the_owner_of_the_state() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    let state = rig.path("state");
    // A number that no user of this machine has.
    if std::os::unix::fs::chown(&state, Some(54_321), None).is_err() {
        return skipped("a_verb_that_writes_is_refused: only root may give folders away");
    }
    for verb in [
        &["renew"][..],
        &["account", "register"],
        &["forget", "one", "--yes"],
    ] {
        let run = rig.waxwing(verb).expect(8).says("it belongs to 54321");
        let line = format!("waxwing.toml {}", verb.join(" "));
        assert!(
            run.stderr.contains("hint: sudo -u 54321 "),
            "{}",
            run.stderr
        );
        // The hint is wrapped, but no word of it is lost.
        let words = run.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&line), "{words}");
    }
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("it belongs to 54321")
        .says("hint: sudo -u 54321 ");
    rig.waxwing(&["plan"]).expect(0);
    // The unit is made for the owner.
    rig.waxwing(&["schedule", "show", "--kind", "systemd"])
        .expect(0)
        .says("User=54321");
}

#[test]
fn white_space_around_a_secret_is_told_by_check() {
    let (rig, _judge) = rig();
    let key = fs::read_to_string(rig.path("dme-api-key")).expect("a secret");
    rig.write_secret("dme-api-key", &format!("{key}\n"));
    let run = rig.waxwing(&["check", "--offline"]).expect(0);
    assert!(!run.stdout.contains("white space"), "{}", run.stdout);
    rig.write_secret("dme-api-key", &format!(" {key}\n"));
    rig.waxwing(&["check", "--offline"])
        .expect(0)
        .says("dme-api-key has white space at its edges");
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let (rig, _judge) = rig();
    for arguments in [&["plan"][..], &["plan", "--json"], &["--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = rig.command(arguments);
        command.stdout(full.expect("a device that is full"));
        finish(command.spawn().expect("the program starts"))
            .expect(4)
            .says("failed to write the answer");
    }
}

#[test]
fn the_template_of_private_cas_is_no_ca_and_says_so() {
    let (rig, _judge) = rig();
    rig.waxwing(&["ca", "show", "private"])
        .expect(2)
        .says("private is no CA but what a CA of your own starts from")
        .says("[ca.NAME] directories");
}

#[test]
fn verbs_of_other_clients_lead_to_ours() {
    let (rig, _judge) = rig();
    for (verb, hint) in [
        ("certonly", "`waxwing renew` issues what is missing"),
        ("doctor", "`waxwing check`"),
        ("unregister", "`waxwing account deactivate CA --yes`"),
        ("stauts", "hint: did you mean status?"),
        ("frobnicate", "hint: `waxwing --help` lists the verbs"),
    ] {
        rig.waxwing(&[verb])
            .expect(2)
            .says(&format!("no verb \"{verb}\""))
            .says(hint);
    }
    for (wrong, hint) in [
        (
            ["account", "foo"],
            "`waxwing account --help` lists the verbs",
        ),
        (["plugin", "add"], "`waxwing plugin --help` lists the verbs"),
    ] {
        rig.waxwing(&wrong).expect(2).says(hint);
    }
    let run = rig.waxwing(&["renew", "--foo"]).expect(2);
    assert!(!run.stderr.contains("as a value"), "{}", run.stderr);
}

#[test]
fn a_plugin_that_cannot_be_loaded_costs_no_order_and_is_told_by_its_own_cause() {
    let (rig, judge) = rig();
    let key = fs::read_to_string(rig.path("dme-api-key")).expect("a secret");
    fs::remove_file(rig.path("dme-api-key")).expect("the secret was there");
    let run = rig.waxwing(&["renew", "--json"]).expect(5);
    assert!(run.stdout.contains("secrets.api-key"), "{}", run.stdout);
    let run = rig.waxwing(&["renew"]).expect(5);
    let run = run.says("dme-api-key").says("hint: ");
    assert!(!run.stdout.contains("may be left"), "{}", run.stdout);
    assert!(
        !run.stdout.contains("not in the configuration"),
        "{}",
        run.stdout
    );
    assert!(!run.stderr.contains("dme-api-key"), "twice: {}", run.stderr);
    rig.waxwing(&["status"]).expect(1).says("dme-api-key");
    assert_eq!(judge.traffic().count(Class::NewOrder), 0);
    rig.write_secret("dme-api-key", &key);
    // A timer tries again at once: no CA was asked, so none is left alone.
    rig.waxwing(&["renew"]).expect(0);
}

#[test]
fn a_missing_secret_is_one_mistake() {
    let (rig, _judge) = rig();
    fs::remove_file(rig.path("dme-api-key")).expect("the secret was there");
    let run = rig.waxwing(&["check", "--offline"]).expect(1);
    let run = run.says("cannot be read").says("1 error");
    assert!(!run.stdout.contains("is missing"), "{}", run.stdout);
}

#[test]
fn a_wrong_command_line_is_two_and_a_wrong_configuration_three() {
    let (rig, _judge) = rig();
    for wrong in [
        &["frobnicate"][..],
        &["plan", "--no-such-option"],
        &["renew", "--force"],
        &["revoke"],
        &["revoke", "one", "--reason", "boredom"],
        &["account", "rollover"],
        &["export", "one"],
    ] {
        let run = rig.waxwing(wrong).expect(2);
        assert_eq!(run.stdout, "", "{wrong:?}");
    }
    rig.write_config("[account]\nemial = \"a@example.com\"\n");
    for verb in [
        &["plan"][..],
        &["renew"],
        &["check"],
        &["status"],
        &["account"],
        &["revoke", "a"],
        &["simulate"],
    ] {
        let run = rig.waxwing(verb).expect(3);
        let run = run.says("nothing was done").says("did you mean `email`?");
        assert_eq!(run.stdout, "", "{verb:?}");
    }
}

#[cfg(unix)]
#[test]
fn files_that_could_not_be_written_as_wanted_are_told_before() {
    let (rig, judge) = rig();
    let write = |lines: &str| {
        rig.write_config(&format!(
            "{}{}{}",
            rig.config_at(&judge, ""),
            rig.installer(lines),
            certificate("one", &["www.example.com"])
        ));
    };
    write("grants.files.certs.owner = \"nobody-here\"\ngrants.files.certs.group = \"none-here\"");
    for (verb, code) in [(&["check", "--offline"][..], 1), (&["plan"], 0)] {
        let run = rig.waxwing(verb).expect(code);
        let said = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "has the owner \"nobody-here\", and this machine has no such user",
            "has the group \"none-here\", and this machine has no such group",
            "`getent group`",
        ] {
            assert!(said.contains(part), "{verb:?}: {said}");
        }
    }
    write(
        "settings.files = { \"../{name}.crt\" = \"fullchain.pem\", \"{nme}\" = \"privkey.pem\" }",
    );
    for verb in [&["check", "--offline"][..], &["plan"], &["renew"]] {
        rig.waxwing(verb)
            .expect(3)
            .says("\"../{name}.crt\" cannot be a name here")
            .says("unknown placeholder {nme} in \"{nme}\"; did you mean {name}?")
            .says("hint: one file name, without a folder");
    }
    assert_eq!(judge.traffic().total(), 0);
}

#[test]
fn rights_of_another_system_are_refused() {
    let rig = Rig::new();
    let (line, other, ours) = if cfg!(windows) {
        (
            "grants.files.certs.mode = \"0640\"",
            "mode cannot be set on Windows",
            "acl =",
        )
    } else {
        (
            "grants.files.certs.acl = [\"SYSTEM:full\"]",
            "acl can be set on Windows only",
            "mode =",
        )
    };
    let judge = rig.ca(ca::Options::default());
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer(line),
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["plan"])
        .expect(3)
        .says("plugin.server.grants.files.certs")
        .says(other)
        .says(ours);
}

#[test]
fn what_a_plugin_may_not_reach_is_told_without_asking_anybody() {
    let rig = Rig::new();
    let config = rig.config_without_plugins(&[("first", "https://ca.example.com/directory")]);
    let plugin = "[plugin.dns-made-easy]\nsettings.endpoint = \"https://localhost:9443/V2.0\"\n\
                  secrets = { api-key = \"file:dme-api-key\", secret-key = \"file:dme-secret-key\" }\n";
    let one = certificate("one", &["www.example.com"]);
    let with = |grant: &str| rig.write_config(&format!("{config}{plugin}{grant}\n{one}"));
    with("");
    let run = rig.waxwing(&["check", "--offline"]).expect(1);
    run.says("may not reach https://localhost:9443, which its settings.endpoint names")
        .says("grants.http = { hosts = [\"https://localhost:9443\"], private");
    let hosts = "grants.http = { hosts = [\"https://localhost:9443\"], private = [\"127.0.0.0/8\"]";
    with(&format!("{hosts}, trust = \"none.pem\" }}"));
    let run = rig.waxwing(&["check", "--offline"]).expect(1);
    run.says("[plugin.dns-made-easy] grants.http.trust names");
    with(&format!("{hosts}, trust = \"root.pem\" }}"));
    rig.waxwing(&["check", "--offline"]).expect(0);
}

#[test]
fn what_is_in_the_place_of_the_history_is_named_and_set_aside() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    let place = rig.path("state/waxwing.db");
    fs::remove_file(&place).expect("there");
    fs::create_dir(&place).expect("a folder");
    for verb in ["plan", "status", "renew"] {
        let run = rig.waxwing(&[verb]).expect(0).says("waxwing.db");
        run.says("it is a folder, and the file of the history must be there");
        assert_eq!(place.is_dir(), verb != "renew", "who looks changes nothing");
    }
    assert!(rig.path("state/waxwing.db.damaged-1").is_dir());
    rig.waxwing(&["plan"]).expect(0);
}

#[cfg(unix)]
#[test]
fn a_device_is_no_configuration_and_says_what_to_do() {
    let (rig, _judge) = rig();
    let mut device = rig.program(&["-c", "/dev/null", "plan"]);
    let run = finish(device.spawn().expect("the program starts")).expect(3);
    let run = run.says("it is a pipe, a socket or a device, not a file");
    run.says("hint: name a file");
}

#[test]
fn a_ca_that_is_written_wrongly_leads_to_the_right_one() {
    let (rig, _judge) = rig();
    for verb in [
        &["account", "deactivate", "frist", "--yes"][..],
        &["account", "contact", "frist"],
        &["account", "register", "frist"],
        &["account", "rollover", "frist"],
        &["ca", "show", "frist"],
    ] {
        let run = rig
            .waxwing(verb)
            .expect(2)
            .says("no CA is called \"frist\"");
        run.says("hint: did you mean first?");
    }
}

#[test]
fn terms_are_found_before_anybody_has_agreed_to_them() {
    let (rig, _judge) = rig();
    rig.edit("agree-terms = true", "agree-terms = false");
    rig.waxwing(&["plan"])
        .expect(3)
        .says("hint: agree-terms = true (`waxwing ca list` links the terms)");
    rig.waxwing(&["ca", "list"])
        .expect(0)
        .says("letsencrypt: terms https://letsencrypt.org/")
        .says("the configuration has mistakes");
}

#[test]
fn a_secret_of_two_lines_is_refused_where_it_is_read() {
    let (rig, _judge) = rig();
    rig.write_secret("dme-api-key", "one\ntwo\n");
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("dme-api-key cannot be read")
        .says("it holds a line break")
        .says("hint: write file:");
    rig.waxwing(&["renew"])
        .expect(5)
        .says("which no secret of one line has")
        .says("hint: write file:");
}

#[test]
fn an_account_key_that_is_none_is_named_with_its_place() {
    let (rig, _judge) = rig();
    rig.write_secret("bad.pem", "garbage");
    rig.edit("[account]", "[account]\nkey = \"file:bad.pem\"");
    for arguments in [&["check", "--offline"][..], &["renew"]] {
        let run = rig.waxwing(arguments);
        assert_ne!(run.code, Some(0));
        run.says("bad.pem")
            .says("[account] key names it, and it holds no key that can be used")
            .says("hint: an account key is PEM text (BEGIN PRIVATE KEY)");
    }
}

#[test]
fn what_is_not_there_is_the_operators_to_mend() {
    let (rig, _judge) = rig();
    rig.edit("trust = \"root.pem\"", "trust = \"gone.pem\"");
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("gone.pem, which is not there")
        .says("hint: the path of a PEM file with the roots");
    rig.waxwing(&["renew"])
        .expect(5)
        .says("was not asked: the configuration cannot be followed")
        .says("hint: [ca.first] trust");
    let history = rig.waxwing(&["history", "--json"]).expect(0);
    assert!(
        history.stdout.contains("misconfigured"),
        "{}",
        history.stdout
    );
    fs::write(rig.path("gone.pem"), "no root").expect("written");
    rig.waxwing(&["check", "--offline"])
        .expect(1)
        .says("gone.pem, which holds no certificate");
    rig.edit("trust = \"gone.pem\"", "trust = \"root.pem\"");
    rig.waxwing(&["renew"]).expect(0);
    let folder = rig.path("tls");
    fs::remove_dir_all(&folder).expect("a folder that goes");
    rig.waxwing(&["renew", "one", "--force"])
        .expect(6)
        .says("hint: the folder that is granted has to be there");
}

#[test]
fn a_word_below_a_verb_is_no_verb_of_another_client() {
    let (rig, _judge) = rig();
    for arguments in [
        &["plugin", "new"],
        &["plugin", "run"],
        &["account", "new"],
        &["ca", "run"],
    ] {
        let run = rig.waxwing(arguments).expect(2);
        assert!(!run.stderr.contains("waxwing renew"), "{}", run.stderr);
        run.says(&format!(
            "`waxwing {} --help` lists the verbs",
            arguments[0]
        ));
    }
    rig.waxwing(&["run"])
        .expect(2)
        .says("`waxwing renew` issues");
    rig.waxwing(&["plugin", "inspect", "cloudflre"])
        .expect(2)
        .says("did you mean cloudflare?");
    let run = rig.waxwing(&["renew", "a"]).expect(2);
    run.says("configured: one");
}

#[test]
fn what_cannot_be_read_or_written_says_what_to_name_instead() {
    let (rig, _judge) = rig();
    for path in ["/nonexistent.wasm", "/tmp/"] {
        rig.waxwing(&["plugin", "inspect", path])
            .expect(2)
            .says("hint: name the .wasm file of a component");
    }
    let bare = rig.program(&["-c", "/nonexistent", "plan"]);
    finish({ bare }.spawn().expect("the program starts"))
        .expect(3)
        .says("hint: check the path; without -c and WAXWING_CONFIG the file is");
    let json = rig.waxwing(&["plugin", "inspect", "cloudflare", "--example", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let example = json.pointer("/result/example").or(json.pointer("/example"));
    assert!(example.is_some_and(|text| text.as_str().is_some_and(|t| t.contains("[plugin."))));
}

#[test]
fn keys_are_not_copied_into_the_state_folder_or_onto_a_file() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    for folder in ["state/certificates/one", "state/new/folder", "state"] {
        let folder = rig.path(folder).display().to_string();
        rig.waxwing(&["export", "one", &folder])
            .expect(2)
            .says("is in the state folder; nothing was copied");
    }
    assert!(!rig.path("state/certificates/one/privkey.pem").exists());
    rig.waxwing(&["export", "one", "/etc/passwd"])
        .says("hint: name a folder in which you may write");
    rig.waxwing(&["export", "one", &rig.path("out").display().to_string()])
        .expect(0);
}

#[test]
fn what_is_revoked_and_installed_needs_a_person_and_is_forgotten_as_revoked() {
    let (rig, _judge) = rig();
    rig.waxwing(&["renew"]).expect(0);
    let run = rig.waxwing(&["forget", "one", "--yes"]).expect(0);
    run.says("It is not revoked");
    rig.waxwing(&["renew"]).expect(0);
    rig.waxwing(&["revoke", "one", "--yes"]).expect(0);
    rig.waxwing(&["status"])
        .expect(1)
        .says("one: revoked, and still installed");
    let run = rig.waxwing(&["forget", "one", "--yes"]).expect(0);
    assert!(!run.stdout.contains("not revoked"), "{}", run.stdout);
}

#[test]
fn credentials_that_a_ca_will_ask_for_are_missed_before_it_does() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options {
        external_account: ca::ExternalAccount::Required {
            keys: Vec::new(),
            single_use: false,
        },
        ..ca::Options::default()
    });
    rig.write_config(&format!(
        "{}{}{}",
        rig.config_at(&judge, ""),
        rig.installer(""),
        certificate("one", &["www.example.com"])
    ));
    rig.waxwing(&["check"])
        .expect(1)
        .says("first gives accounts only with credentials, and none are configured")
        .says("hint: [ca.first] eab = {");
}

#[test]
fn a_secret_that_is_missing_moves_no_cas_ladder() {
    let (rig, judge) = rig();
    rig.edit("[account]", "[account]\nkey = \"file:account.pem\"");
    for _ in 0..4 {
        rig.waxwing(&["renew", "--now"])
            .expect(5)
            .says("account.pem");
    }
    assert_eq!(judge.traffic().count(Class::NewOrder), 0);
    // A timer does not wait for a CA that nobody has asked.
    rig.edit("key = \"file:account.pem\"", "");
    rig.waxwing(&["renew"]).expect(0);
}
