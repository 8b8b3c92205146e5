//! One outage, from its beginning to its end, as a mail, the page, the figures, the history and
//! `explain` tell it: all of them the same story.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use waxwing_core::name::CaName;
use waxwing_flow::history::Sighting;
use waxwing_flow::ports::{Clock as _, History as _};
use waxwing_io::clock::SystemClock;
use waxwing_io::history::SqliteHistory;
use waxwing_world::ca;
use waxwing_world::fault::{Fault, What};
use waxwing_world::smtp::{self, Smtp};
use waxwing_world::traffic::Class;

use crate::cases::rig::{CaSection, Judge, Rig, certificate, finish, heard, until};

/// An answer of the daemon: its status line and its body.
pub(super) fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    heard("an answer of the daemon", &answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    )
}

/// A daemon whose first pass is over, and where it answers.
pub(super) fn daemon(rig: &Rig) -> (Child, String) {
    daemon_that(rig, &[])
}

/// The same with more on its command line.
fn daemon_that(rig: &Rig, more: &[&str]) -> (Child, String) {
    let log = rig.path("daemon.log");
    let child = rig
        .command(&["daemon"])
        .args(more)
        .stderr(Stdio::from(File::create(&log).expect("a log")))
        .spawn()
        .expect("it starts");
    let logged = || fs::read_to_string(&log).expect("a log");
    until("the daemon to listen", || {
        let text = logged();
        assert!(!text.contains("error:"), "{text}");
        text.contains("address=")
    });
    let text = logged();
    let address = text.split("address=").nth(1).expect("an address");
    let address = address.split_whitespace().next().expect("an address");
    until("the first pass to be over", || {
        get(address, "/readyz").0.contains("200")
    });
    (child, address.to_owned())
}

/// Asks a daemon to end, and sees that it ends well.
pub(super) fn dismiss(child: Child) {
    let term = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(term.expect("kill runs").success());
    finish(child).expect(0);
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing:\n{text}");
    }
}

/// A certificate, an installer, these CAs, figures and mails.
fn configure(rig: &Rig, sections: &[CaSection<'_>], mail: &Smtp) {
    rig.write_config(&format!(
        "{}{}[metrics]\nlisten = \"127.0.0.1:0\"\n\n[notify.mail]\nsmtp = \"submission://localhost:{}\"\n\
         from = \"waxwing@example.com\"\nto = [\"ops@example.com\"]\ntrust = \"root.pem\"\n\n{}",
        rig.config_of(sections),
        rig.installer(""),
        mail.port(),
        certificate("shop", &["www.example.com"]),
    ));
}

#[test]
fn everybody_tells_the_same_story_of_an_outage() {
    let rig = Rig::new();
    let judges = [
        rig.ca(ca::Options::default()),
        rig.ca(ca::Options::default()),
    ];
    let [Judge::World(first), Judge::World(second)] = &judges else {
        panic!("two CAs of the world");
    };
    let mail = Smtp::start(&rig.world, smtp::Options::default()).expect("a mail server");
    let sections = ["first", "second"].map(|name| CaSection {
        name,
        directory: if name == "first" {
            first.directory()
        } else {
            second.directory()
        },
        more: "",
    });
    configure(&rig, &sections, &mail);
    let (child, address) = daemon(&rig);
    says(
        &get(&address, "/metrics").1,
        &["waxwing_last_run_success 1"],
    );
    let hang_up = || {
        let hup = Command::new("kill")
            .args(["-s", "HUP", &child.id().to_string()])
            .status();
        assert!(hup.expect("kill runs").success());
    };

    // The outage, and a renewal in it: another name is wanted.
    first.fault(Fault::always(Class::Directory, What::CloseBefore));
    // What is known of the directory would do for a while.
    fs::remove_dir_all(rig.path("state/cache/directories")).expect("there");
    rig.edit(
        "\"www.example.com\"",
        "\"www.example.com\", \"api.example.com\"",
    );
    hang_up();
    until("the mail to be there", || !mail.mails().is_empty());
    until("the new names to be served", || {
        rig.shown("shop").contains("api.example.com")
    });

    // What it shows.
    says(&get(&address, "/healthz").0, &["200"]);
    let figures = get(&address, "/metrics").1;
    says(
        &figures,
        &[
            "waxwing_ca_up{ca=\"first\"} 0",
            "waxwing_ca_up{ca=\"second\"} 1",
            "waxwing_failed_attempts{ca=\"first\",class=\"transient\"} 1",
            "waxwing_failed_attempts{ca=\"second\",class=\"transient\"} 0",
            "waxwing_last_run_success 1",
        ],
    );
    let (status, page) = get(&address, "/");
    says(&status, &["200"]);
    says(
        &page,
        &[
            "shop",
            "second",
            "down since",
            "not issued",
            "connection",
            "instead of first",
            "api.example.com",
        ],
    );

    // What it has sent.
    let letters: String = mail.mails().into_iter().map(|mail| mail.data).collect();
    says(&letters, &["shop", "first", "second"]);
    let told = mail.mails()[0].part("text/plain").expect("a text");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    says(
        &told,
        &["has a new certificate of second", "first did not answer"],
    );

    // What can be asked afterwards.
    let history = rig.waxwing(&["history", "shop"]).expect(0);
    let history = history.says("not issued").says("instead of first");
    says(&history.stdout, &["second", "installed"]);
    let why = "second (fallback of first)";
    let explained = rig.waxwing(&["explain", "shop"]).expect(0);
    says(
        &explained.stdout,
        &[
            "issued by the fallback second",
            why,
            "has not answered since",
        ],
    );
    rig.waxwing(&["status"])
        .says("issued by the fallback second");
    rig.waxwing(&["ca", "health"])
        .expect(1)
        .says("1 of 2 CAs in use does not answer as it should: first");

    // The end of the outage.
    first.faults().clear();
    rig.waxwing(&["ca", "health", "--now"])
        .expect(0)
        .says("all answer");
    hang_up();
    until("the figures to say so", || {
        let figures = get(&address, "/metrics").1;
        figures.contains("waxwing_ca_up{ca=\"first\"} 1")
    });
    let page = get(&address, "/").1;
    assert!(!page.contains("down since"), "{page}");
    dismiss(child);
}

#[test]
fn an_outage_that_only_the_monitor_sees_is_told_by_all_of_them_and_so_is_its_end() {
    let rig = Rig::new();
    let judges = [
        rig.ca(ca::Options::default()),
        rig.ca(ca::Options::default()),
    ];
    let [Judge::World(first), Judge::World(second)] = &judges else {
        panic!("two CAs of the world");
    };
    let mail = Smtp::start(&rig.world, smtp::Options::default()).expect("a mail server");
    let section = |name, ca: &ca::Ca| CaSection {
        name,
        directory: ca.directory(),
        more: "",
    };
    let sections = [section("first", first), section("second", second)];
    configure(&rig, &sections, &mail);
    let (child, address) = daemon_that(&rig, &["--look-every", "1s"]);
    let figures = |words: &str| get(&address, "/metrics").1.contains(words);
    until("a look at a CA that answers", || {
        figures("waxwing_ca_up{ca=\"first\"} 1")
    });
    assert!(rig.path("tls/shop.crt").exists(), "nothing is due");
    let orders = || [first, second].map(|ca| ca.traffic().count(Class::NewOrder));
    let ordered = orders();

    first.fault(Fault::always(Class::Directory, What::CloseBefore));
    until("a look at a CA that is down", || {
        figures("waxwing_ca_up{ca=\"first\"} 0")
    });
    assert!(mail.mails().is_empty(), "a short silence is told by nobody");
    // As if it had been down half a day longer than it was.
    let long_ago = Sighting {
        ca: CaName::parse("first").expect("a literal name"),
        at: SystemClock.now() - Duration::from_secs(13 * 60 * 60),
        result: Err("as it is now".to_owned()),
    };
    let history = SqliteHistory::open(&rig.path("state")).expect("a history");
    history.sight(&long_ago).expect("written");
    let subjects = || -> Vec<String> {
        let mails = mail.mails();
        let subject = |mail: &smtp::Mail| mail.header("subject").expect("a subject");
        let short = |text: String| text.split("] ").nth(1).unwrap_or_default().to_owned();
        mails.iter().map(subject).map(short).collect()
    };
    let told = "first down for 13 h; nothing to do yet";
    until("the mail about it", || !subjects().is_empty());
    assert_eq!(subjects(), [told]);
    let text = mail.mails()[0].part("text/plain").expect("a text");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    says(
        &text,
        &[
            "first has not answered as it should since",
            "It is in the list of shop.",
            "What happened",
            "connection",
            "others of the list stand in",
        ],
    );
    rig.waxwing(&["ca", "health"])
        .expect(1)
        .says("1 of 2 CAs in use does not answer as it should: first")
        .says("down since");
    says(&get(&address, "/").1, &["down since"]);

    first.faults().clear();
    let back = "first is back; nothing to do";
    until("the mail about its end", || subjects().len() > 1);
    assert_eq!(subjects(), [told, back]);
    until("the figures to say so", || {
        figures("waxwing_ca_up{ca=\"first\"} 1")
    });
    rig.waxwing(&["ca", "health"]).expect(0).says("all answer");
    assert_eq!(orders(), ordered, "no run had anything to do");
    dismiss(child);
    assert_eq!(subjects(), [told, back]);
}

/// Whoever asks for the page after a person has renewed something by hand has not to wait for the daemon's next pass.
#[test]
fn what_another_process_has_done_is_shown_to_whoever_asks() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    let configure = |name: &str| {
        rig.write_config(&format!(
            "{}{}[metrics]\nlisten = \"127.0.0.1:0\"\n\n{}",
            rig.config_at(&judge, ""),
            rig.installer(""),
            certificate(name, &["www.example.com"]),
        ));
    };
    configure("gone-by");
    rig.waxwing(&["renew"]).expect(0);
    configure("shop");
    let (child, address) = daemon(&rig);
    let number = || {
        let figures = get(&address, "/metrics").1;
        let mut lines = figures.lines();
        let line = lines.find(|line| {
            line.starts_with("waxwing_certificate_last_success") && line.contains("\"shop\"")
        });
        line.expect("a certificate").to_owned()
    };
    let before = number();
    rig.waxwing(&["renew", "shop", "--force", "--yes"])
        .expect(0);
    until("the figures to follow", || number() != before);
    let told = |name: &str| get(&address, "/metrics").1.contains(name);
    assert!(told("\"gone-by\""));
    rig.waxwing(&["forget", "gone-by", "--yes"]).expect(0);
    until("what is forgotten to be gone", || !told("\"gone-by\""));
    let page = get(&address, "/").1;
    assert!(page.contains("shop"), "{page}");
    dismiss(child);
}
