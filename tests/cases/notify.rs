//! Somebody hears of it: real mail servers, webhooks and programs, from the real binary.

use std::fs;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::scan::Secrets;
use waxwing_world::server::{Closed, Https};
use waxwing_world::smtp::{self, Smtp, Tls};
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Rig, certificate};

const PASSWORD: &str = "correct horse battery staple";

/// A rig with a CA, a certificate called `shop`, and this configuration of who is told.
struct Scene {
    rig: Rig,
    judge: crate::cases::rig::Judge,
}

impl Scene {
    fn new() -> Self {
        let rig = Rig::new();
        let judge = rig.ca(ca::Options::default());
        rig.write_secret("smtp-password", PASSWORD);
        Self { rig, judge }
    }

    fn tell(&self, notify: &str) {
        self.rig.write_config(&format!(
            "{}{notify}\n{}",
            self.rig.config_at(&self.judge, ""),
            certificate("shop", &["www.example.com"]),
        ));
    }

    /// The next look for the zone at the provider fails.
    fn break_provider(&self) {
        self.rig
            .provider
            .fault(Fault::once(Class::Zone, What::Body("{".to_owned())));
    }

    fn smtp(&self, options: smtp::Options) -> Smtp {
        Smtp::start(&self.rig.world, options).expect("the mail server starts")
    }
}

fn login() -> Option<(String, String)> {
    Some(("waxwing".to_owned(), PASSWORD.to_owned()))
}

/// `[notify.mail]` for that server.
fn mail(scheme: &str, port: u16, more: &str) -> String {
    format!(
        "[notify.mail]\nsmtp = \"{scheme}://localhost:{port}\"\nfrom = \"waxwing@example.com\"\n\
         to = [\"ops@example.com\", \"boss@example.com\"]\ntrust = \"root.pem\"\n{more}\n\n"
    )
}

const LOGIN: &str = "login = { user = \"waxwing\", password = \"file:smtp-password\" }\n";

/// A request as a webhook got it.
#[derive(Debug, Clone)]
struct Hook {
    headers: HeaderMap,
    body: String,
}

/// A webhook that answers with that status.
fn hook(scene: &Scene, status: StatusCode, says: &'static str) -> (Https, Arc<Mutex<Vec<Hook>>>) {
    let got: Arc<Mutex<Vec<Hook>>> = Arc::default();
    let keeper = Arc::clone(&got);
    let told = scene.rig.world.heard().clone();
    let router = Router::new().route(
        "/{*path}",
        post(move |headers: HeaderMap, body: String| async move {
            told.add("a call of a webhook", body.clone());
            keeper.lock().expect("a lock").push(Hook { headers, body });
            (status, [("retry-after", "7200")], says)
        }),
    );
    let https = Https::start(&scene.rig.world, router).expect("the webhook starts");
    (https, got)
}

fn taken(got: &Arc<Mutex<Vec<Hook>>>) -> Vec<Hook> {
    got.lock().expect("a lock").clone()
}

#[test]
fn a_test_mail_arrives_by_starttls_and_by_tls_with_both_parts() {
    let scene = Scene::new();
    // The last one has the mail and does not say goodbye.
    for (scheme, tls, lingers) in [
        ("submission", Tls::Asked, false),
        ("smtps", Tls::AtOnce, false),
        ("submission", Tls::Asked, true),
    ] {
        let server = scene.smtp(smtp::Options {
            tls,
            lingers,
            login: login(),
            ..smtp::Options::default()
        });
        scene.tell(&mail(scheme, server.port(), LOGIN));
        let run = scene.rig.waxwing(&["notify", "test"]).expect(0);
        run.says("queued as 1").says("1 of 1 work.");
        let mails = server.mails();
        let [one] = mails.as_slice() else {
            panic!("one mail: {mails:?}");
        };
        assert!(one.encrypted, "{scheme}");
        assert_eq!(one.user.as_deref(), Some("waxwing"));
        assert_eq!(one.from, "waxwing@example.com");
        assert_eq!(one.to, ["ops@example.com", "boss@example.com"]);
        let subject = one.header("subject").expect("a subject");
        assert!(subject.starts_with("[waxwing "), "{subject}");
        assert!(
            subject.ends_with("a test: this way works; nothing to do"),
            "{subject}"
        );
        assert_eq!(
            one.header("auto-submitted").as_deref(),
            Some("auto-generated")
        );
        assert!(
            one.header("message-id")
                .is_some_and(|id| id.starts_with('<'))
        );
        let text = one.part("text/plain").expect("a text");
        assert!(text.contains("Nothing has happened."), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 76),
            "{text}"
        );
        let html = one.part("text/html").expect("markup");
        assert!(
            html.contains("<title>[waxwing ") && html.ends_with("</html>"),
            "{html}"
        );
    }
}

#[test]
fn what_a_mail_server_does_not_let_pass_is_named_with_its_step() {
    let scene = Scene::new();
    let test = |server: &Smtp, scheme: &str, code: i32| {
        scene.tell(&mail(scheme, server.port(), LOGIN));
        scene.rig.waxwing(&["notify", "test", "mail"]).expect(code)
    };
    // Another password, and a server that says it back.
    let server = scene.smtp(smtp::Options {
        login: Some(("waxwing".to_owned(), "something else".to_owned())),
        echoes: true,
        ..smtp::Options::default()
    });
    let run = test(&server, "submission", 5);
    let run = run
        .says("failed to log in as waxwing")
        .says("535")
        .says("hint: ");
    for told in [PASSWORD, "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ"] {
        assert!(
            !run.stdout.contains(told) && !run.stderr.contains(told),
            "{run:?}"
        );
    }
    assert!(server.mails().is_empty());
    // No TLS where it must be: not even the user is sent.
    let server = scene.smtp(smtp::Options {
        tls: Tls::Never,
        login: login(),
        ..smtp::Options::default()
    });
    test(&server, "submission", 5).says("offers no STARTTLS");
    assert!(
        !server.commands().contains(&"AUTH".to_owned()),
        "{:?}",
        server.commands()
    );
    // One recipient of two is refused: the other one hears.
    let server = scene.smtp(smtp::Options {
        login: login(),
        unknown: vec!["boss@example.com".to_owned()],
        ..smtp::Options::default()
    });
    test(&server, "submission", 4)
        .says("boss@example.com: ")
        .says("550");
    assert_eq!(server.mails()[0].to, ["ops@example.com"]);
    // Whom nobody reaches any more stays to be seen.
    scene.break_provider();
    scene.rig.waxwing(&["renew", "--now"]).expect(5);
    let run = scene.rig.waxwing(&["status"]).expect(1);
    run.says("notifier mail does not reach everybody since ");
    let run = scene.rig.waxwing(&["check", "--offline"]).expect(0);
    run.says("mail does not reach everybody");
    // A certificate that nobody here trusts.
    let server = scene.smtp(smtp::Options::default());
    scene.tell(&mail("submission", server.port(), "").replace("trust = \"root.pem\"\n", ""));
    let run = scene.rig.waxwing(&["notify", "test"]).expect(5);
    run.says("failed to begin TLS").says("certificate");
    // Nobody there, and a name that is no notifier.
    let closed = Closed::new().expect("a port");
    scene.tell(&mail("smtps", closed.port(), ""));
    scene
        .rig
        .waxwing(&["notify", "test"])
        .expect(5)
        .says("failed to connect");
    let run = scene.rig.waxwing(&["notify", "test", "male"]).expect(2);
    run.says("no notifier \"male\"").says("configured: mail");
}

#[test]
fn each_shape_is_what_its_product_wants() {
    let scene = Scene::new();
    let (https, got) = hook(&scene, StatusCode::OK, "ok");
    let of = |name: &str, more: &str| {
        format!(
            "[notify.{name}]\nwebhook = \"{}/services/T000/hunter2hunter2\"\nshape = \"{name}\"\n\
             trust = \"root.pem\"\n{more}\n",
            https.url()
        )
    };
    scene.rig.write_secret("token", "a-token-of-somebody");
    let header =
        "header = { name = \"Authorization\", scheme = \"Bearer\", secret = \"file:token\" }";
    let all = ["json", "slack", "teams", "discord"].map(|name| of(name, ""));
    scene.tell(&format!("{}{}", all.concat(), of("ntfy", header)));
    for name in ["json", "slack", "teams", "discord", "ntfy"] {
        let run = scene
            .rig
            .waxwing(&["-vv", "notify", "test", name])
            .expect(0);
        let run = run.says("HTTP 200");
        // The path of the URL is a credential.
        assert!(
            !run.stdout.contains("hunter2") && !run.stderr.contains("hunter2"),
            "{run:?}"
        );
        assert!(!run.stderr.contains("a-token-of-somebody"), "{run:?}");
        let hooks = taken(&got);
        let hook = hooks.last().expect("a request");
        let words = "a test: this way works; nothing to do";
        let json: Value = serde_json::from_str(&hook.body).unwrap_or_default();
        match name {
            "json" => {
                assert_eq!(
                    (&json["schema"], &json["events"][0]["kind"]),
                    (&1.into(), &"test".into())
                );
            }
            "slack" => {
                let text = json["text"].as_str().expect("text");
                assert!(text.contains(words), "{text}");
            }
            "teams" => {
                let card = &json["attachments"][0]["content"];
                assert_eq!(card["type"], "AdaptiveCard");
                let title = card["body"][0]["text"].as_str().expect("text");
                assert!(title.contains(words), "{title}");
            }
            "discord" => {
                assert_eq!(json["allowed_mentions"]["parse"], serde_json::json!([]));
                let content = json["content"].as_str().expect("text");
                assert!(content.contains(words), "{content}");
            }
            _ => {
                let field = |name: &str| hook.headers[name].to_str().expect("ASCII").to_owned();
                assert!(field("title").contains(words));
                assert_eq!(field("priority"), "3");
                assert_eq!(field("authorization"), "Bearer a-token-of-somebody");
                assert!(hook.body.contains("Nothing has happened."), "{}", hook.body);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_program_gets_the_message_as_json_and_what_others_can_change_is_not_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let (program, out) = (scene.rig.path("tell.sh"), scene.rig.path("told.json"));
    let write = |text: String, mode: u32| {
        fs::write(&program, text).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    write(
        format!("#!/bin/sh\ncat > {}\necho thanks\n", out.display()),
        0o755,
    );
    scene.tell(&format!(
        "[notify.program]\ncommand = [\"{}\", \"x\"]\n\n[notify.journal]\nlog = true\n\n",
        program.display()
    ));
    let run = scene.rig.waxwing(&["notify", "test"]).expect(0);
    let run = run.says("thanks").says("2 of 2 work.");
    assert!(
        run.stderr.contains("this way works"),
        "the log: {}",
        run.stderr
    );
    let told: Value = serde_json::from_slice(&fs::read(&out).expect("told")).expect("JSON");
    assert_eq!(told["events"][0]["kind"], "test");
    write("#!/bin/sh\necho no >&2\nexit 3\n".to_owned(), 0o755);
    let run = scene
        .rig
        .waxwing(&["--json", "notify", "test", "program"])
        .expect(5);
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let causes = json["result"][0]["causes"].to_string();
    assert!(
        causes.contains("exit status: 3") && causes.contains("no"),
        "{causes}"
    );
    write("#!/bin/sh\n".to_owned(), 0o777);
    let run = scene.rig.waxwing(&["notify", "test", "program"]).expect(3);
    run.says("others can change").says("notify.program.command");
}

#[test]
fn a_failure_is_told_once_and_again_when_it_has_become_worse_or_is_over() {
    let scene = Scene::new();
    let server = scene.smtp(smtp::Options::default());
    let on = "on = [\"failed\", \"renewed\"]\n";
    scene.tell(&mail("submission", server.port(), on));
    let subjects = || -> Vec<String> {
        let mails = server.mails();
        let subject = |one: &smtp::Mail| one.header("subject").expect("a subject");
        let short = |text: String| text.split("] ").nth(1).unwrap_or_default().to_owned();
        mails.iter().map(subject).map(short).collect()
    };
    let fail_in = |run: &[&str], told: &[&str]| {
        scene.break_provider();
        let run = scene.rig.waxwing(run).expect(5);
        assert_eq!(subjects(), told, "{}{}", run.stdout, run.stderr);
        run
    };
    let fail = |told: &[&str]| fail_in(&["renew", "--now"], told);
    let first = "shop not issued; needs you";
    let third = "shop still not issued after 3 tries; needs you";
    fail_in(&["renew"], &[first]).says("mail: message sent to ops@example.com, boss@example.com.");
    let text = server.mails()[0].part("text/plain").expect("a text");
    assert!(text.contains("There is no certificate yet."), "{text}");
    assert!(text.contains("What happened"), "{text}");
    fail(&[first]);
    fail(&[first, third]);
    // A timer's run has to wait; nothing new is to be told, and nobody is called.
    let before = server.commands().len();
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(server.commands().len(), before);
    fail(&[first, third]);
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    let last = "shop issued by first; nothing to do";
    assert_eq!(subjects(), [first, third, last], "and not that it is over");
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!(subjects().len(), 3);
}

#[test]
fn a_fail_over_says_who_stood_in_and_that_there_is_nothing_to_do() {
    let scene = Scene::new();
    let server = scene.smtp(smtp::Options::default());
    let closed = Closed::new().expect("a port");
    let cas = [
        CaSection {
            name: "first",
            directory: format!("{}/directory", closed.url()),
            more: "",
        },
        CaSection {
            name: "second",
            directory: scene.judge.directory(),
            more: "",
        },
    ];
    scene.rig.write_config(&format!(
        "{}{}{}",
        scene.rig.config_of(&cas),
        mail("submission", server.port(), ""),
        certificate("shop", &["www.example.com"]),
    ));
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    let mails = server.mails();
    let [mail] = mails.as_slice() else {
        panic!("one mail: {mails:?}");
    };
    let subject = mail.header("subject").expect("a subject");
    let want = "shop issued by second, because first failed; nothing to do";
    assert!(subject.ends_with(want), "{subject}");
    let text = mail.part("text/plain").expect("a text");
    for part in [
        "has a new certificate of second",
        "onnection refused",
        "so the network here is fine",
    ] {
        assert!(
            text.replace("\n               ", " ").contains(part),
            "{part}: {text}"
        );
    }
    // The next run has nothing new to say.
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!(server.mails().len(), 1);
}

#[test]
fn a_recipient_that_is_refused_for_now_gets_the_message_later_and_alone() {
    let scene = Scene::new();
    let boss = "boss@example.com".to_owned();
    let server = scene.smtp(smtp::Options {
        login: login(),
        greylisted: vec![boss.clone()],
        ..smtp::Options::default()
    });
    scene.tell(&mail("submission", server.port(), LOGIN));
    scene.break_provider();
    let run = scene.rig.waxwing(&["renew", "--now"]).expect(5);
    run.says("not yet, later runs try again: boss@example.com: ")
        .says("451");
    assert_eq!(server.mails()[0].to, ["ops@example.com"]);
    let run = scene.rig.waxwing(&["status"]);
    run.says("1 for mail (boss@example.com: ");
    // The same message, for whoever lacks it; what comes behind it is for both.
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    let mails = server.mails();
    assert_eq!(mails[1].to, [boss]);
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
    assert!(mails.len() > 2 && mails.iter().skip(2).all(|mail| mail.to.len() == 2));
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!(server.mails().len(), mails.len());
}

#[test]
fn a_message_waits_for_a_server_that_is_down_and_the_others_say_so() {
    let scene = Scene::new();
    let closed = Closed::new().expect("a port");
    let (https, got) = hook(&scene, StatusCode::NO_CONTENT, "");
    scene.tell(&format!(
        "{}[notify.chat]\nwebhook = \"{}/x\"\ntrust = \"root.pem\"\n\n",
        mail("submission", closed.port(), ""),
        https.url()
    ));
    scene.break_provider();
    let run = scene.rig.waxwing(&["renew", "--now"]).expect(5);
    run.says("mail: the message could NOT be sent")
        .says("it waits, and later runs try again");
    let kinds = || -> Vec<String> {
        let kinds = taken(&got).into_iter().flat_map(|hook| {
            let json: Value = serde_json::from_str(&hook.body).expect("JSON");
            let events = json["events"].as_array().expect("events").clone();
            events
                .into_iter()
                .map(|event| format!("{} {}", event["kind"], event["change"]).replace('"', ""))
        });
        kinds.collect()
    };
    assert_eq!(kinds(), ["failed began", "notifier-failed began"]);
    let run = scene.rig.waxwing(&["check", "--offline"]).expect(0);
    run.says("1 message for mail could not be delivered")
        .says("waxwing notify test mail");
    // Still down: it is not told again.
    scene.rig.waxwing(&["renew"]).expect(0);
    scene.break_provider();
    scene.rig.waxwing(&["renew", "--now"]).expect(5);
    assert_eq!(kinds(), ["failed began", "notifier-failed began"]);
    // Up again: it is delivered, once, in the order in which it was written.
    let server = Smtp::come_up(&scene.rig.world, smtp::Options::default(), closed);
    let server = server.expect("the mail server starts again");
    let run = scene.rig.waxwing(&["--json", "renew", "--now"]).expect(0);
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let late: Vec<&Value> = json["result"]["told"]
        .as_array()
        .expect("told")
        .iter()
        .collect();
    assert!(
        late.iter()
            .any(|one| one["notifier"] == "mail" && one["late"] == true),
        "{late:?}"
    );
    let subjects = || -> Vec<String> {
        let mails = server.mails();
        mails
            .iter()
            .filter_map(|one| one.header("subject"))
            .collect()
    };
    assert!(
        subjects()[0].contains("shop not issued"),
        "{:?}",
        subjects()
    );
    let count = subjects().len();
    assert_eq!(
        kinds().last().map(String::as_str),
        Some("notifier-failed over")
    );
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!(subjects().len(), count);
}

#[test]
fn a_heartbeat_comes_with_each_run_that_ended_well_and_with_no_other() {
    let scene = Scene::new();
    let (https, got) = hook(&scene, StatusCode::OK, "OK");
    scene.tell(&format!(
        "[notify.heartbeat]\nwebhook = \"{}/ping/x\"\non = [\"run-ok\"]\ntrust = \"root.pem\"\n\n",
        https.url()
    ));
    scene.break_provider();
    scene.rig.waxwing(&["renew"]).expect(5);
    assert_eq!(taken(&got).len(), 0);
    scene.rig.waxwing(&["renew", "--dry-run"]);
    assert_eq!(taken(&got).len(), 0, "a rehearsal is no run");
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!(taken(&got).len(), 1);
    // Nothing is due: the CA is not asked, the heartbeat comes all the same.
    let asked = scene.judge.traffic().total();
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(scene.judge.traffic().total(), asked);
    let hooks = taken(&got);
    assert_eq!(hooks.len(), 2);
    assert!(hooks[1].body.contains("\"run-ok\""), "{}", hooks[1].body);
}

#[test]
fn no_secret_of_a_notifier_is_in_an_output_a_message_or_the_state() {
    let scene = Scene::new();
    let server = scene.smtp(smtp::Options {
        login: login(),
        echoes: true,
        ..smtp::Options::default()
    });
    let (https, got) = hook(
        &scene,
        StatusCode::FORBIDDEN,
        "no token a-token-of-somebody",
    );
    let url = format!("{}/services/T0/B0/a-secret-of-the-path", https.url());
    scene.rig.write_secret("hook-url", &url);
    scene.rig.write_secret("token", "a-token-of-somebody");
    scene.tell(&format!(
        "{}[notify.chat]\nwebhook = \"file:hook-url\"\nshape = \"slack\"\ntrust = \"root.pem\"\n\
         header = {{ name = \"x-token\", secret = \"file:token\" }}\n\n",
        mail("submission", server.port(), LOGIN)
    ));
    scene.break_provider();
    let runs = [
        scene.rig.waxwing(&["-vv", "renew", "--now"]),
        scene.rig.waxwing(&["-vv", "notify", "test"]),
        scene.rig.waxwing(&["-vv", "--json", "renew", "--now"]),
    ];
    let mails = server.mails();
    assert!(mails.len() >= 2, "the mail about the webhook, too");
    assert!(!taken(&got).is_empty());
    let mut secrets = Secrets::default();
    secrets.add("smtp-password", PASSWORD);
    secrets.add("token", "a-token-of-somebody");
    secrets.add("path", "a-secret-of-the-path");
    let mut outputs: Vec<(&str, &[u8])> = Vec::new();
    for run in &runs {
        outputs.push(("stdout", run.stdout.as_bytes()));
        outputs.push(("stderr", run.stderr.as_bytes()));
    }
    outputs.extend(mails.iter().map(|mail| ("a mail", mail.data.as_bytes())));
    let state = scene.rig.path("state/waxwing.db");
    secrets.assert_clean(&[state.as_path()], &outputs);
}

#[test]
fn a_receiver_that_asks_for_patience_gets_it() {
    let scene = Scene::new();
    let (https, got) = hook(&scene, StatusCode::TOO_MANY_REQUESTS, "slow down");
    let url = format!("{}/hook", https.url());
    scene.tell(&format!(
        "[notify.chat]\nwebhook = \"{url}\"\ntrust = \"root.pem\"\non = [\"failed\"]\n\n"
    ));
    scene.break_provider();
    scene.rig.waxwing(&["renew"]).expect(5);
    assert_eq!(taken(&got).len(), 1);
    let history = rusqlite::Connection::open(scene.rig.path("state/waxwing.db")).expect("a file");
    let (next, now): (i64, i64) = history
        .query_row("SELECT next / 1000, unixepoch() FROM outbox", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("one message waits");
    assert!((7_000..=7_200).contains(&(next - now)), "{} s", next - now);
}
