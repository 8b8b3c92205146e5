//! A first configuration, from nothing to a rehearsal.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use waxwing_world::traffic::Class;

use super::cli::json;
use super::rig::{Judge, Rig, Run, finish, plain};

/// What has to be said about the rig's world besides what every operator is asked.
fn flags(rig: &Rig, judge: &Judge) -> Vec<String> {
    let api = rig.provider.url();
    let host = api.split('/').take(3).collect::<Vec<_>>().join("/");
    let servers = rig.world.dns();
    let ca = [
        format!("directories=[\"{}\"]", judge.directory()),
        "trust=root.pem".to_owned(),
        "poll={ first = \"50ms\", max = \"1s\" }".to_owned(),
        "staging=true".to_owned(),
    ];
    let network = [
        format!("resolvers=[\"{}\"]", servers.resolver()),
        format!("authoritative-port={}", servers.port()),
    ];
    let grant = format!(
        "plugin.dns-made-easy.grants.http={{ hosts = [\"{host}\"], private = [\"127.0.0.0/8\"], \
         trust = \"root.pem\" }}"
    );
    let mut all: Vec<String> = [
        "init",
        "--domain",
        "www.example.com",
        "--ca",
        "first",
        "--agree-terms",
        "--dns",
        "dns-made-easy",
        "--secret",
        "api-key=file:dme-api-key",
        "--secret",
        "secret-key=file:dme-secret-key",
        "--install",
        "install-files",
        "--server",
        "web",
        "--run",
        "reload=/bin/true",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut option = |name: &str, value: String| all.extend([name.to_owned(), value]);
    option("--set", format!("endpoint={api}"));
    option("--folder", rig.path("new/tls").display().to_string());
    option("--add", grant);
    for line in ca {
        option("--add", format!("ca.first.{line}"));
    }
    for line in network {
        option("--add", format!("network.{line}"));
    }
    option("--add", "state.dir=state".to_owned());
    all
}

fn run(rig: &Rig, flags: &[String], more: &[&str]) -> Run {
    let flags: Vec<&str> = flags
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    rig.waxwing(&flags)
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn flags_lead_from_nothing_to_a_rehearsal_and_to_a_renewal() {
    let test = "flags_lead_from_nothing_to_a_rehearsal_and_to_a_renewal";
    plain(test, |rig, judge| {
        let flags = flags(rig, judge);
        let config = rig.path("waxwing.toml");
        // What it would write can be seen first.
        let printed = run(rig, &flags, &["--print"]).expect(0).stdout;
        assert!(!config.exists() && !rig.path("new").exists() && !rig.path("state").exists());

        run(rig, &flags, &[])
            .expect(0)
            .says("written")
            .says("Rehearsal at ")
            .says("1 rehearsed")
            .says("renew")
            .says("schedule add");
        let text = fs::read_to_string(&config).expect("a configuration");
        assert_eq!(text, printed);
        #[cfg(unix)]
        assert_eq!(mode(&config), 0o600);
        assert!(
            rig.path("new/tls").is_dir(),
            "the installer's folder is made"
        );
        assert_eq!(
            judge.traffic().count(Class::Finalize),
            1,
            "it was a whole rehearsal"
        );
        assert!(rig.records().is_empty(), "and nothing is left of it");
        assert_eq!(
            fs::read_dir(rig.path("new/tls")).expect("a folder").count(),
            0
        );

        // Never over one that is there.
        run(rig, &flags, &[])
            .expect(2)
            .says("is there already; nothing was done");
        let other = [
            &flags[..],
            &["--domain".to_owned(), "example.com".to_owned()],
        ]
        .concat();
        let replaced = run(rig, &other, &["--replace", "--json"]).expect(0);
        let kept = rig.path("waxwing.toml.1");
        assert_eq!(
            json(&replaced, "/result/kept/0/kept_as"),
            kept.display().to_string()
        );
        assert_eq!(fs::read_to_string(&kept).expect("kept"), text);

        rig.waxwing(&["renew"]).expect(0).says("1 issued");
        assert!(rig.path("new/tls/www.example.com.key").exists());
    });
}

#[test]
fn without_a_terminal_everything_that_is_missing_is_named_at_once() {
    let rig = Rig::new();
    let run = rig
        .waxwing(&["init", "--dns", "dns-made-easy", "--notify", "mail"])
        .expect(2);
    for flag in [
        "--domain NAME",
        "--email ADDRESS",
        "--agree-terms",
        "--secret dns-made-easy.api-key=file:PATH",
        "--secret dns-made-easy.secret-key=file:PATH",
        "--smtp URL",
        "--to ADDRESS",
    ] {
        assert!(
            run.stderr.contains(&format!("\n  {flag}\n")),
            "{flag}: {}",
            run.stderr
        );
    }
    assert!(!rig.path("waxwing.toml").exists());
}

#[test]
fn what_the_reader_refuses_is_not_written() {
    let rig = Rig::new();
    let judge = rig.ca(waxwing_world::ca::Options::default());
    let mut flags = flags(&rig, &judge);
    flags.extend(["--add", "network.propagaton=resolvers"].map(str::to_owned));
    run(&rig, &flags, &[])
        .expect(3)
        .says("the configuration would be wrong; nothing was written")
        .says("did you mean `propagation`?");
    assert!(!rig.path("waxwing.toml").exists() && !rig.path("new").exists());
}

#[test]
fn a_secret_is_stored_for_its_owner_alone_and_never_over_another() {
    let rig = Rig::new();
    let set = |input: &str, more: &[&str]| {
        let mut command = rig.command(&[&["secret", "set", "token"], more].concat());
        let mut child = command
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("written");
        drop(stdin);
        finish(child)
    };
    for secret in ["one-secret", "another-secret"] {
        rig.keep_secret("token", secret);
    }
    set("", &[]).expect(2).says("there is no secret");
    set("one-secret\nand more\n", &[])
        .expect(0)
        .says("\"file:token\"");
    let path = rig.path("token");
    let text = || fs::read_to_string(&path).expect("a secret");
    assert_eq!(text(), "one-secret\n");
    #[cfg(unix)]
    assert_eq!(mode(&path), 0o600);
    set("another-secret\n", &[])
        .expect(2)
        .says("is there already");
    assert_eq!(text(), "one-secret\n");
    set("another-secret\n", &["--replace"]).expect(0);
    assert_eq!(text(), "another-secret\n");
    rig.waxwing(&["secret", "set", "../token"])
        .expect(2)
        .says("cannot be the name");
}
