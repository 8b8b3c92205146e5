//! What the program says of itself and of its configuration: schema, completions, man pages, egress.

use std::fs;
use std::process::Command;

use serde_json::Value;
use waxwing_world::ca;

use super::rig::{Rig, certificate, skipped};

#[test]
fn the_schema_is_json_that_knows_the_sections() {
    let rig = Rig::new();
    let output = rig
        .program(&["config", "schema"])
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let property = "/properties/plugin/additionalProperties/properties/grants/properties/exec/\
                    additionalProperties/properties/argv/type";
    assert_eq!(schema.pointer(property), Some(&Value::from("array")));
    let log = &schema["properties"]["log"]["properties"];
    assert_eq!(log["audit"]["type"], "string");
}

#[test]
fn every_shell_gets_completions_that_know_the_verbs() {
    let rig = Rig::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = rig
            .program(&["completions", shell])
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{shell}");
        let text = String::from_utf8(output.stdout).expect("text");
        for word in ["schedule", "egress", "dry-run", "rollover"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
        if shell != "bash" {
            continue;
        }
        // And the shell takes them.
        let script = rig.path("completions");
        fs::write(&script, &text).expect("written");
        match Command::new("bash").arg("-n").arg(&script).output() {
            Ok(checked) => assert!(checked.status.success(), "{checked:?}"),
            Err(_) => skipped("every_shell_gets_completions: bash is not installed"),
        }
    }
    let output = rig
        .program(&["completions", "tcsh"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn each_verb_has_a_man_page_with_its_examples() {
    let rig = Rig::new();
    let output = rig.program(&["man"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains(".TH waxwing 1"));
    let folder = rig.path("man1");
    let into = folder.to_string_lossy().into_owned();
    let output = rig.program(&["man", &into]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(5), "the folder is not there");
    fs::create_dir(&folder).expect("made");
    let output = rig.program(&["man", &into]).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    for (page, says) in [
        ("waxwing.1", "waxwing\\-schedule"),
        (
            "waxwing-schedule-add.1",
            "waxwing schedule add \\-\\-dry\\-run",
        ),
        ("waxwing-account-rollover.1", "CA"),
        ("waxwing-schedule-add.1", ".SH EXAMPLES\n.nf\n"),
    ] {
        let text = fs::read_to_string(folder.join(page)).expect(page);
        assert!(text.contains(says), "{page}: no {says} in\n{text}");
    }
    assert!(!folder.join("waxwing-help.1").exists());
}

#[test]
fn egress_names_every_place_and_asks_none() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let more = "[notify.chat]\nwebhook = \"https://hooks.example.com/services/T0/secret\"\n\
                [notify.mail]\nsmtp = \"smtps://mx.example.com\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n";
    rig.write_config(&format!(
        "{}{more}{}",
        rig.config_at(&judge, ""),
        certificate("one", &["www.example.com"])
            .replace("domains", "served-at = [\"www.example.com:8443\"]\ndomains")
    ));
    let run = rig
        .waxwing(&["egress"])
        .expect(0)
        .says("no copy of the directory of first is here")
        .says("hooks.example.com")
        .says("is one served there?");
    assert!(!run.stdout.contains("secret"), "{}", run.stdout);
    assert_eq!(judge.traffic().total(), 0);
    assert!(!rig.path("state").exists());
    rig.waxwing(&["account", "register"]).expect(0);
    let run = rig.waxwing(&["egress", "--json"]).expect(0);
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let result = &json["result"];
    assert_eq!(result["directories_unread"], serde_json::json!([]));
    let all = result["destinations"].as_array().expect("a list");
    let to = |host: &str| {
        let found = all.iter().find(|one| one["host"] == host);
        found.and_then(|one| one["port"].as_u64())
    };
    assert_eq!(to("hooks.example.com"), Some(443));
    assert_eq!(to("mx.example.com"), Some(465));
    assert_eq!(to("www.example.com"), Some(8443));
    let directory = judge.directory();
    let authority = directory.split('/').nth(2).expect("a host");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    assert_eq!(to(host), port.parse().ok());
    let name_servers = all.iter().find(|one| one["kind"] == "name-servers-of");
    let name_servers = name_servers.expect("name servers");
    assert_eq!(name_servers["host"], serde_json::json!(["www.example.com"]));
    assert_eq!(name_servers["port"], u64::from(rig.world.dns().port()));
}
