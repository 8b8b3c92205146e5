//! Troubles that last, as the mails of a real mail server tell them: each is caused for real, is told
//! once, is not told again, is told when it has become worse, and is told when it is over.

use std::time::Duration;

use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::shop::{Greeting, Shop};
use waxwing_world::smtp::{self, Smtp};
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, Run, certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A rig with a CA and a mail server.
pub(super) struct Scene {
    pub(super) rig: Rig,
    judge: Judge,
    server: Smtp,
}

impl Scene {
    pub(super) fn new() -> Self {
        let rig = Rig::new();
        let judge = rig.ca(ca::Options::default());
        let server = Smtp::start(&rig.world, smtp::Options::default()).expect("a mail server");
        Self { rig, judge, server }
    }

    pub(super) fn ca(&self) -> &ca::Ca {
        match &self.judge {
            Judge::World(ca) => ca,
            Judge::Pebble(_) => panic!("the world's CA was asked for"),
        }
    }

    /// A configuration with one CA, which tells of these kinds.
    pub(super) fn configure(&self, on: &str, of_ca: &str, more: &str) {
        self.rig.write_config(&format!(
            "{}{}{more}",
            self.rig.config_at(&self.judge, of_ca),
            self.mail(on),
        ));
    }

    /// `[notify.mail]` that hears of these kinds.
    pub(super) fn mail(&self, on: &str) -> String {
        format!(
            "[notify.mail]\nsmtp = \"submission://localhost:{}\"\nfrom = \"waxwing@example.com\"\n\
             to = [\"ops@example.com\"]\ntrust = \"root.pem\"\non = [\"{on}\"]\n\n",
            self.server.port()
        )
    }

    /// What was told so far, without the host.
    pub(super) fn subjects(&self) -> Vec<String> {
        let mails = self.server.mails();
        let subject = |one: &smtp::Mail| one.header("subject").expect("a subject");
        let short = |text: String| text.split("] ").nth(1).unwrap_or_default().to_owned();
        mails.iter().map(subject).map(short).collect()
    }

    /// The text of the last mail, in one line.
    pub(super) fn last_text(&self) -> String {
        let mails = self.server.mails();
        let last = mails.last().expect("a mail");
        let text = last.part("text/plain").expect("a text");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// A run that ends like this, behind which these were told.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32, told: &[&str]) -> Run {
        let run = self.rig.waxwing(arguments).expect(code);
        assert_eq!(self.subjects(), told, "{}{}", run.stdout, run.stderr);
        run
    }
}

#[track_caller]
pub(super) fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing:\n{text}");
    }
}

#[test]
fn a_limit_that_is_nearly_used_up_is_told_once_when_it_is_used_up_and_when_there_is_room() {
    let scene = Scene::new();
    let limit = |limit: &str| format!("limits = {{ orders = \"{limit}\" }}");
    let names = ["one", "two", "three", "four", "five"];
    let certificates = |count: usize| -> String {
        let some = names.iter().take(count);
        some.map(|name| certificate(name, &[&format!("{name}.example.com")]))
            .collect()
    };
    let configure = |of_ca: &str, count| {
        scene.configure("budget-near", &limit(of_ca), &certificates(count));
    };
    configure("5 per 9h", 3);
    scene.run(&["renew"], 0, &[]);
    configure("5 per 9h", 4);
    let near = "first orders: 1 left of 5 per 9h; nothing to do yet";
    scene.run(&["renew"], 0, &[near]);
    scene.run(&["renew"], 0, &[near]);
    configure("5 per 9h", 5);
    let none = "first orders: 0 left of 5 per 9h; nothing to do yet";
    scene.run(&["renew"], 0, &[near, none]);
    says(
        &scene.last_text(),
        &["Beyond it the CA refuses every order", "room again"],
    );
    scene.run(&["renew", "--now"], 0, &[near, none]);
    // The CA gives more.
    configure("500 per 1s", 5);
    let over = "first orders: room again; nothing to do";
    // Half of it is there half a second later.
    for _run in 0..99 {
        if scene.subjects().len() > 2 {
            break;
        }
        scene.rig.waxwing(&["renew"]).expect(0);
    }
    scene.run(&["renew"], 0, &[near, none, over]);
    scene.run(&["renew"], 0, &[near, none, over]);
}

#[test]
fn a_plugin_that_asks_for_what_it_was_not_granted_is_told_once_and_when_it_works() {
    let scene = Scene::new();
    let of_shop = certificate("shop", &["www.example.com"]);
    scene.configure("plugin-denied", "", &of_shop);
    let granted = scene.rig.provider.url();
    let granted = granted.split('/').take(3).collect::<Vec<_>>().join("/");
    let hosts = |host: &str| format!("hosts = [\"{host}\"]");
    scene
        .rig
        .edit(&hosts(&granted), &hosts("https://other.example.com"));
    let denied = "plugin dns-made-easy tried what it may not do; needs you";
    scene.run(&["renew"], 5, &[denied]);
    says(
        &scene.last_text(),
        &["It was not done.", "What happened", "What to do"],
    );
    scene.run(&["renew", "--now"], 5, &[denied]);
    scene
        .rig
        .edit(&hosts("https://other.example.com"), &hosts(&granted));
    let over = "plugin dns-made-easy works again; nothing to do";
    scene.run(&["renew", "--now"], 0, &[denied, over]);
    scene.run(&["renew", "--now"], 0, &[denied, over]);
}

#[test]
fn what_is_installed_and_not_served_is_told_once_and_when_it_is_served() {
    let scene = Scene::new();
    let rig = &scene.rig;
    let (chain, key) = (rig.path("tls/shop.crt"), rig.path("tls/shop.key"));
    let shop = Shop::start(&rig.world, Greeting::Tls, &chain, &key).expect("a server");
    let place = format!("localhost:{}", shop.address().port());
    let installed = format!(
        "{}[[certificate]]\nname = \"shop\"\ndomains = [\"www.example.com\"]\nserved-at = [\"{place}\"]\n",
        rig.installer("")
    );
    scene.configure("not-served", "", &installed);
    scene.run(&["renew"], 0, &[]);
    // A server that nobody has told of the new files.
    shop.freeze().expect("the files are there");
    let told = format!("shop not served at {place}; needs you");
    scene.run(&["renew", "shop", "--force"], 6, &[&told]);
    says(
        &scene.last_text(),
        &[
            "is installed, but something else is served",
            "another certificate is served",
        ],
    );
    scene.run(&["renew", "--now"], 6, &[&told]);
    shop.thaw();
    let over = "shop is served again; nothing to do";
    scene.run(&["renew", "--now"], 0, &[&told, over]);
    scene.run(&["renew", "--now"], 0, &[&told, over]);
}

#[test]
fn a_certificate_that_ends_soon_is_told_at_each_threshold_once_and_when_it_is_renewed() {
    let scene = Scene::new();
    let of_shop = certificate("shop", &["www.example.com"]);
    scene.configure("expiry-near", "", &of_shop);
    let loud = scene.mail("expiry-near");
    // One of 90 days, as it is after so many days in which the CA was down.
    let days_later = |days: f64| {
        scene.ca().faults().clear();
        scene.ca().turn_clock_back(DAY.mul_f64(days));
        scene.rig.edit(&loud, "");
        scene
            .rig
            .waxwing(&["renew", "shop", "--force", "--yes"])
            .expect(0);
        scene
            .rig
            .edit("[[certificate]]", &format!("{loud}[[certificate]]"));
        scene
            .ca()
            .fault(Fault::always(Class::Directory, What::CloseBefore));
        scene
            .ca()
            .fault(Fault::always(Class::NewOrder, What::CloseBefore));
    };
    // Due, but there is time.
    days_later(70.0);
    scene.run(&["renew", "--now"], 5, &[]);
    days_later(80.5);
    let ten = "shop ends in 9 days and is not renewed; needs you";
    scene.run(&["renew", "--now"], 5, &[ten]);
    says(
        &scene.last_text(),
        &["has been due for long and was not renewed", "What happened"],
    );
    scene.run(&["renew", "--now"], 5, &[ten]);
    scene.run(&["renew"], 0, &[ten]);
    days_later(85.5);
    let five = "shop ends in 4 days and is not renewed; needs you";
    scene.run(&["renew"], 5, &[ten, five]);
    scene.run(&["renew", "--now"], 5, &[ten, five]);
    scene.ca().faults().clear();
    scene.ca().turn_clock_back(Duration::ZERO);
    let over = "shop does not end soon any more; nothing to do";
    scene.run(&["renew", "--now"], 0, &[ten, five, over]);
    scene.run(&["renew", "--now"], 0, &[ten, five, over]);
}

#[test]
fn a_revocation_that_is_owed_is_told_once_again_after_three_tries_and_when_it_is_settled() {
    let scene = Scene::new();
    let of_shop = certificate("shop", &["www.example.com"]);
    scene.configure("not-revoked", "", &of_shop);
    scene.run(&["renew"], 0, &[]);
    let fault = |class, what| scene.ca().fault(Fault::always(class, what));
    fault(Class::Revoke, What::CloseBefore);
    let first = "the old certificate of shop not revoked; nothing to do yet";
    let replace = ["revoke", "shop", "--replace", "--reason", "key-compromise"];
    scene.run(&replace, 4, &[first]);
    says(
        &scene.last_text(),
        &[
            "has another certificate in its place, but version 1 is not revoked yet; that was asked for",
            "failed to revoke the certificate at first",
            "every run asks again",
            "Look closer waxwing status shop",
        ],
    );
    scene.run(&["renew"], 4, &[first]);
    let third = "the old certificate of shop still not revoked after 3 tries; needs you";
    scene.run(&["renew"], 4, &[first, third]);
    scene.run(&["renew"], 4, &[first, third]);

    // One line for as long as it fails alike, with the CA, the reason and the causes.
    let history = scene.rig.waxwing(&["history", "shop"]).expect(0);
    let history = history.says("not revoked").says("4 times since");
    says(
        &history.stdout,
        &["version 1, key-compromise, passing trouble", "first"],
    );
    let failed = scene.rig.waxwing(&["--json", "history", "--failed"]);
    let json: serde_json::Value = serde_json::from_str(&failed.expect(0).stdout).expect("JSON");
    let records = json["result"]["records"].as_array().expect("a list");
    let [record] = records.as_slice() else {
        panic!("one line: {records:?}");
    };
    assert_eq!(
        ["what", "ca", "reason", "kind"].map(|key| record[key].as_str().unwrap_or_default()),
        ["revoke", "first", "key-compromise", "transient"]
    );
    assert_eq!(
        (&record["times"], &record["version"]),
        (&4.into(), &1.into())
    );
    let causes = record["causes"].as_array().expect("a list");
    assert!(causes.len() > 1, "the whole chain: {causes:?}");

    scene.ca().faults().clear();
    let over = "shop: nothing is left to revoke; nothing to do";
    scene.run(&["renew"], 0, &[first, third, over]);
    scene.run(&["renew"], 0, &[first, third, over]);
    let history = scene.rig.waxwing(&["history", "shop"]).expect(0);
    says(
        &history.stdout,
        &["  revoked", "version 1, key-compromise\n"],
    );
    // At once, without another one.
    scene.rig.waxwing(&["revoke", "shop", "--yes"]).expect(0);
    let history = scene.rig.waxwing(&["history", "shop"]).expect(0);
    says(&history.stdout, &["version 2\n"]);
    assert_eq!(history.stdout.matches("  revoked").count(), 2);
}

#[test]
fn what_is_owed_for_a_certificate_that_left_the_configuration_is_said_until_it_is_forgotten() {
    let scene = Scene::new();
    let of_shop = certificate("shop", &["www.example.com"]);
    let other = certificate("blog", &["blog.example.com"]);
    scene.configure("not-revoked", "", &of_shop);
    scene.run(&["renew"], 0, &[]);
    scene
        .ca()
        .fault(Fault::always(Class::Revoke, What::CloseBefore));
    let told = "the old certificate of shop not revoked; nothing to do yet";
    scene.run(&["revoke", "shop", "--replace"], 4, &[told]);
    scene.configure("not-revoked", "", &other);
    // Nobody goes on with it, and nobody is told so each hour.
    scene.run(&["renew"], 0, &[told]);
    let asked = scene.judge.traffic().count(Class::Revoke);
    scene.run(&["renew"], 0, &[told]);
    assert_eq!(scene.judge.traffic().count(Class::Revoke), asked);
    for verb in ["status", "plan"] {
        let said = scene.rig.waxwing(&[verb]).expect(0);
        let text = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        says(
            &text,
            &[
                "version 1 is still to be revoked, and no run does that",
                "put shop back into the configuration to have it revoked",
                "`waxwing forget shop` gives that up",
            ],
        );
    }
    scene
        .rig
        .waxwing(&["forget", "shop"])
        .expect(0)
        .says("Version 1 was still to be revoked; nobody asks for that any more.");
    let status = scene.rig.waxwing(&["status"]).expect(0);
    assert!(!status.stdout.contains("revoked"), "{}", status.stdout);
}

#[test]
fn requests_to_a_ca_are_a_figure_that_only_grows() {
    let scene = Scene::new();
    let of_shop = certificate("shop", &["www.example.com"]);
    scene.configure("failed", "", &of_shop);
    let figure = || {
        let text = scene.rig.waxwing(&["metrics"]).expect(0).stdout;
        let begin = "waxwing_ca_requests_total{ca=\"first\"} ";
        let line = text.lines().find_map(|line| line.strip_prefix(begin));
        line.map(|number| number.parse::<usize>().expect("a number"))
    };
    // What the CA has counted itself.
    let total = || Some(scene.judge.traffic().total());
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(figure(), total());
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(figure(), total(), "nothing was due");
    scene.rig.waxwing(&["ca", "health", "--now"]).expect(0);
    assert_eq!(figure(), total(), "a look");
    scene.rig.waxwing(&["revoke", "shop", "--yes"]).expect(0);
    assert_eq!(figure(), total(), "a revocation");
    scene
        .ca()
        .fault(Fault::always(Class::NewOrder, What::CloseBefore));
    scene.rig.waxwing(&["renew", "--now"]).expect(5);
    assert_eq!(figure(), total(), "a run that failed");
    let text = scene.rig.waxwing(&["metrics"]).expect(0).stdout;
    says(&text, &["# TYPE waxwing_ca_requests_total counter"]);
}

/// Whom a timer works for sees no exit code. The state cannot remember what was told, either.
#[test]
fn a_run_that_cannot_even_look_is_told_once_and_when_it_can() {
    let scene = Scene::new();
    scene.configure("failed", "", &certificate("shop", &["www.example.com"]));
    scene.run(&["renew"], 0, &[]);
    let format = scene.rig.path("state/format");
    let before = std::fs::read(&format).expect("there");
    std::fs::write(&format, "99\n").expect("written");
    let run = scene.rig.waxwing(&["renew"]).expect(5);
    run.says("newer");
    let [blind] = &*scene.subjects() else {
        panic!("{:?}", scene.subjects());
    };
    says(blind, &["state", "needs you"]);
    says(&scene.last_text(), &["newer"]);
    let blind = blind.as_str();
    scene.run(&["renew"], 5, &[blind]);
    // A person sees it.
    scene.run(&["renew", "--now"], 5, &[blind]);
    std::fs::write(&format, before).expect("written");
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(scene.subjects().len(), 2, "{:?}", scene.subjects());
    says(&scene.subjects()[1], &["nothing to do"]);
    scene.rig.waxwing(&["renew"]).expect(0);
    assert_eq!(scene.subjects().len(), 2);
}

/// A plugin's file that an update has changed, or a slip of the pen, stops every run; a timer's are read by nobody.
#[test]
fn a_configuration_that_cannot_be_used_is_told_once_and_when_it_can() {
    let scene = Scene::new();
    let good = certificate("shop", &["www.example.com"]);
    scene.configure("failed", "", &good);
    scene.run(&["renew"], 0, &[]);
    let main = scene.rig.path("waxwing.toml").display().to_string();
    let begins = format!("{main} cannot be used; needs you");
    let over = format!("{main} does not fail any more; nothing to do");
    let mut told: Vec<String> = Vec::new();
    let run = |words: &[&str], code: i32, told: &[String]| {
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        scene.run(words, code, &told);
    };
    let gone = "[plugin.push]\nuses = \"gone.wasm\"\nsha256 = \
                \"0000000000000000000000000000000000000000000000000000000000000000\"\n\n";
    for broken in [
        format!("{gone}{good}"),
        format!("{good}\nrenewal = {{ windows = \n"),
        good.replace("domains", "domians"),
        String::new(),
        format!("[notify.other]\nwebhok = \"https://example.com\"\n\n{good}"),
    ] {
        scene.configure("failed", "", &broken);
        if broken.is_empty() {
            scene.configure("failed", "", &good);
            scene.rig.edit("[network]\n", "[network]\nfoo = 1\n");
        }
        told.push(begins.clone());
        run(&["renew"], 3, &told);
        let text = scene.last_text();
        let ends = "Ends first shop, ";
        let look = "Look closer waxwing check";
        says(&text, &["so nobody renews what is in it", ends, look]);
        run(&["renew"], 3, &told);
        run(&["daemon"], 3, &told);
        // Who sees it is not told of it by mail.
        run(&["renew", "shop"], 3, &told);
        scene.configure("failed", "", &good);
        told.push(over.clone());
        run(&["renew"], 0, &told);
    }
}

/// Who is added while something is the matter would otherwise hear its end, and never its beginning.
#[test]
fn a_notifier_that_is_new_hears_of_what_is_open() {
    let scene = Scene::new();
    let shop = certificate("shop", &["www.example.com"]);
    scene.configure("failed", "", &shop);
    scene
        .ca()
        .fault(Fault::always(Class::NewOrder, What::CloseBefore));
    scene.rig.waxwing(&["renew"]).expect(5);
    let told = scene.subjects();
    assert_eq!(told.len(), 1, "{told:?}");
    let late = scene.mail("failed");
    let late = late
        .replace("notify.mail", "notify.late")
        .replace("ops@", "late@");
    scene.configure("failed", "", &format!("{late}{shop}"));
    let heard = |whom: &str| {
        let mails = scene.server.mails();
        let to = |one: &&smtp::Mail| one.header("to").is_some_and(|to| to.contains(whom));
        mails.iter().filter(to).count()
    };
    scene.rig.waxwing(&["renew"]);
    assert_eq!((heard("ops@"), heard("late@")), (1, 1));
    scene.rig.waxwing(&["renew"]);
    assert_eq!((heard("ops@"), heard("late@")), (1, 1), "once");
    // Taken out and put back it is new.
    scene.configure("failed", "", &shop);
    scene.rig.waxwing(&["renew"]);
    scene.configure("failed", "", &format!("{late}{shop}"));
    scene.rig.waxwing(&["renew"]);
    assert_eq!((heard("ops@"), heard("late@")), (1, 2));
    scene.ca().faults().clear();
    scene.rig.waxwing(&["renew", "--now"]).expect(0);
    assert_eq!((heard("ops@"), heard("late@")), (2, 3), "both hear its end");
}

/// Two become one, which is issued and does not get to its place: what is served there is still each of the two.
#[test]
fn what_was_joined_ends_as_what_is_in_place_does() {
    let scene = Scene::new();
    let rig = &scene.rig;
    let www = certificate("www", &["www.example.com"]);
    let both = certificate("www", &["www.example.com", "api.example.com"]);
    let api = certificate("api", &["api.example.com"]);
    let write = |certificates: &str| {
        let more = format!("{}{certificates}", rig.installer(""));
        scene.configure("expiry-near", "", &more);
    };
    let loud = scene.mail("expiry-near");
    write(&format!("{www}{api}"));
    rig.edit(&loud, "");
    scene.ca().turn_clock_back(DAY.mul_f64(80.5));
    scene.run(&["renew", "api"], 0, &[]);
    scene.ca().turn_clock_back(Duration::ZERO);
    scene.run(&["renew", "www"], 0, &[]);
    write(&both);
    let (tls, away) = (rig.path("tls"), rig.path("away"));
    std::fs::rename(&tls, &away).expect("moved");
    rig.waxwing(&["renew", "--now"]).expect(6);
    let told = scene.subjects();
    let [nine] = &*told else {
        panic!("{told:?}");
    };
    says(nine, &["www", "in 9 days"]);
    rig.waxwing(&["status"]).says("9 days");
    scene.run(&["renew", "--now"], 6, &[nine]);
    std::fs::rename(&away, &tls).expect("moved");
    // It is in place, and the file of the other one is read by whoever was not pointed elsewhere.
    let behind = "api ends in 9 days and is not renewed, and 1 more; needs you";
    scene.run(&["renew", "--now"], 0, &[nine, behind]);
    says(&scene.last_text(), &["www does not end soon any more"]);
    scene.run(&["renew", "--now"], 0, &[nine, behind]);
}

/// The files of the new one have other names, and nobody may have pointed the server to them.
#[test]
fn what_was_renamed_and_lies_where_it_was_is_told_until_it_is_forgotten() {
    let scene = Scene::new();
    let rig = &scene.rig;
    let write = |certificates: &str| {
        let more = format!("{}{certificates}", rig.installer(""));
        scene.configure("expiry-near", "", &more);
    };
    write(&certificate("shop", &["www.example.com"]));
    rig.edit(&scene.mail("expiry-near"), "");
    scene.ca().turn_clock_back(DAY.mul_f64(80.5));
    scene.run(&["renew"], 0, &[]);
    scene.ca().turn_clock_back(Duration::ZERO);
    write(&certificate("site", &["www.example.com"]));
    let nine = "shop ends in 9 days and is not renewed; needs you";
    scene.run(&["renew"], 0, &[nine]);
    says(
        &scene.last_text(),
        &[
            "nothing in the configuration has it any more",
            "`waxwing forget shop` when nothing uses it",
        ],
    );
    rig.waxwing(&["check", "--offline"])
        .says("tls/shop.crt is renewed no more and ends")
        .says("point what reads it to the files of site, then `waxwing forget shop`");
    rig.waxwing(&["status"])
        .says("tls/shop.crt is renewed no more, site has its names");
    let explained = scene.rig.waxwing(&["explain", "shop"]);
    explained.says("tls/shop.crt is renewed no more, site has its names");
    let figures = scene.rig.waxwing(&["metrics"]);
    figures.says("waxwing_certificate_in_use_not_after_timestamp_seconds{certificate=\"shop\"}");
    // A link to the new one is as good.
    let (old, new) = (rig.path("tls/shop.crt"), rig.path("tls/site.crt"));
    let before = std::fs::read(&old).expect("there");
    std::fs::copy(&new, &old).expect("copied");
    let check = rig.waxwing(&["check", "--offline"]);
    assert!(
        !check.stdout.contains("renewed no more"),
        "{}",
        check.stdout
    );
    std::fs::write(&old, before).expect("written");
    rig.waxwing(&["forget", "shop"]).expect(0);
    rig.waxwing(&["renew"]).expect(0);
    let told = scene.subjects();
    assert_eq!(told.len(), 2, "{told:?}");
    says(&told[1], &["shop"]);
    let check = rig.waxwing(&["check", "--offline"]);
    assert!(
        !check.stdout.contains("renewed no more"),
        "{}",
        check.stdout
    );
}
