//! Letters behind one that waits.

use waxwing_core::notify::event::Notice;

use super::*;

/// The way may be free again long before the last one that failed is tried again.
#[tokio::test]
async fn a_new_letter_is_tried_at_once_with_those_that_wait() {
    let mut town = Town::new();
    town.broken = true;
    town.set_down("mail", true);
    town.run().await;
    town.set_down("mail", false);
    town.wait(1);
    town.run().await;
    assert_eq!(town.got("mail"), [""; 0], "nothing is new");
    // What could not be read can be, and then cannot be again.
    town.broken = false;
    town.run().await;
    town.broken = true;
    town.run().await;
    let told = ["failed Began", "failed Over", "failed Began"];
    assert_eq!(town.got("mail"), told);
    assert_eq!(town.outbox.waiting().expect("letters"), []);
}

impl Town {
    fn people(&self, all: &[(&'static str, u16)]) {
        let people = all.iter().copied().collect();
        *self.receivers[&name("mail")].people.lock().expect("a lock") = people;
    }
}

#[tokio::test]
async fn whom_a_server_refuses_for_now_keeps_nobody_from_hearing() {
    let mut town = Town::new();
    town.people(&[("boss", 451), ("ops", 250)]);
    town.broken = true;
    town.run().await;
    assert_eq!(town.got("mail"), ["ops: failed Began"]);
    // The mailbox stays full, for a week.
    for day in 0..7 {
        town.broken = day % 2 == 1;
        town.wait(24 * 60);
        town.run().await;
    }
    let heard = town.got("mail");
    assert_eq!(heard.len(), 8, "{heard:?}");
    assert!(heard.iter().all(|one| one.starts_with("ops: ")));
    // That it has not worked again and again the others hear once.
    let of_mail = |got: &[String]| {
        let of_it = got.iter().filter(|one| one.starts_with("notifier-failed"));
        of_it.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of_mail(&town.got("chat")), ["notifier-failed Began"]);
    // Then each message comes once, to whoever lacks it.
    town.people(&[("boss", 250), ("ops", 250)]);
    for _day in 0..2 {
        town.wait(24 * 60);
        town.run().await;
    }
    let boss = town.got("mail");
    let boss = boss.iter().filter(|one| one.starts_with("boss: "));
    assert_eq!(boss.count(), 8);
    assert_eq!(town.got("mail").len(), 16);
    assert_eq!(town.outbox.waiting().expect("letters"), []);
    assert_eq!(
        of_mail(&town.got("chat")),
        ["notifier-failed Began", "notifier-failed Over"]
    );
}

#[tokio::test]
async fn who_is_refused_for_good_is_not_forgotten_for_one_who_gets_it_later() {
    let mut town = Town::new();
    town.people(&[("boss", 550), ("late", 451), ("ops", 250)]);
    town.broken = true;
    town.run().await;
    town.people(&[("boss", 550), ("late", 250), ("ops", 250)]);
    town.wait(24 * 60);
    town.run().await;
    assert_eq!(
        town.got("mail"),
        ["ops: failed Began", "late: failed Began"]
    );
    assert_eq!(town.got("chat"), ["failed Began", "notifier-failed Began"]);
    town.people(&[("boss", 250), ("late", 250), ("ops", 250)]);
    town.broken = false;
    town.run().await;
    assert_eq!(
        town.got("chat").last().map(String::as_str),
        Some("notifier-failed Over")
    );
}

#[tokio::test]
async fn nobody_is_tried_twice_in_one_run_by_hand() {
    let mut town = Town::new();
    town.by_hand = true;
    town.broken = true;
    town.people(&[("boss", 451), ("ops", 250)]);
    town.run().await;
    assert_eq!(town.tries("mail"), 1);
    town.wait(60);
    town.run().await;
    assert_eq!(town.tries("mail"), 2);
}

/// A receiver that was away for so long that its letters were tried again and again hears the story from its beginning.
#[tokio::test]
async fn what_waits_for_a_receiver_that_was_away_comes_in_order() {
    let mut town = Town::new();
    town.set_down("mail", true);
    town.broken = true;
    for _hour in 0..12 {
        town.run().await;
        town.wait(60);
    }
    town.broken = false;
    town.run().await;
    town.set_down("mail", false);
    town.wait(25 * 60);
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began", "failed Over"]);
    // The same for one that comes back just when there is news.
    town.set_down("mail", true);
    town.broken = true;
    for _hour in 0..12 {
        town.wait(60);
        town.run().await;
    }
    town.set_down("mail", false);
    town.wait(1);
    town.broken = false;
    town.run().await;
    assert_eq!(town.got("mail")[2..], ["failed Began", "failed Over"]);
}

/// A message that a mail server takes for spam, or a webhook cannot read, is not the last word.
#[tokio::test]
async fn a_message_that_nobody_takes_keeps_the_others_for_a_while_only() {
    let mut town = Town::new();
    *town.receivers[&name("mail")].poison.lock().expect("a lock") = Some("failed Began");
    town.broken = true;
    town.run().await;
    town.broken = false;
    for _hour in 0..24 {
        town.wait(60);
        town.run().await;
    }
    assert_eq!(town.got("mail"), ["failed Over"]);
    // That one still waits is told, and is not over.
    let of_mail = |got: Vec<String>| {
        let of_it = got
            .into_iter()
            .filter(|one| one.starts_with("notifier-failed"));
        of_it.collect::<Vec<_>>()
    };
    assert_eq!(
        of_mail(town.got("chat")),
        ["notifier-failed Began", "notifier-failed Worse"]
    );
    // A server that is down is not asked for each of many letters in each run.
    town.set_down("mail", true);
    for nth in 0..12 {
        town.broken = nth % 2 == 0;
        town.wait(24 * 60);
        let before = town.tries("mail");
        town.run().await;
        assert!(town.tries("mail") - before <= 2);
    }
}

/// Where the outbox cannot be written a receiver that is down for an hour swallows nothing.
#[tokio::test]
async fn what_is_not_taken_beside_the_outbox_is_sent_by_the_next_run() {
    let mut town = Town::new();
    town.reminder.keeps = true;
    town.outbox.0.lock().expect("a lock").broken = true;
    town.broken = true;
    town.set_down("mail", true);
    for _hour in 0..3 {
        town.run().await;
        town.wait(60);
    }
    assert_eq!(town.got("chat"), ["failed Began"]);
    town.people(&[("boss", 451), ("ops", 250)]);
    town.set_down("mail", false);
    for _hour in 0..3 {
        town.run().await;
        town.wait(60);
    }
    assert_eq!(town.got("mail"), ["ops: failed Began"]);
    town.people(&[("boss", 250), ("ops", 250)]);
    for _hour in 0..3 {
        town.run().await;
        town.wait(60);
    }
    assert_eq!(
        town.got("mail"),
        ["ops: failed Began", "boss: failed Began"]
    );
    // Whoever has it already does not get it again when the outbox can be written.
    town.wait(24 * 60 * 9);
    town.people(&[("boss", 451), ("ops", 250)]);
    let before = town.got("mail").len();
    town.run().await;
    assert_eq!(town.got("mail").len(), before + 1, "{:?}", town.got("mail"));
    town.outbox.0.lock().expect("a lock").broken = false;
    town.people(&[("boss", 250), ("ops", 250)]);
    town.run().await;
    let got = town.got("mail");
    assert_eq!(got.len(), before + 2, "{got:?}");
    assert!(
        got.last().is_some_and(|last| last.starts_with("boss: ")),
        "{got:?}"
    );
    // What waits then goes into the outbox as soon as that can be written.
    let mut town = Town::new();
    town.reminder.keeps = true;
    town.outbox.0.lock().expect("a lock").broken = true;
    town.broken = true;
    town.set_down("mail", true);
    town.run().await;
    town.outbox.0.lock().expect("a lock").broken = false;
    town.run().await;
    assert_eq!(town.reminder.unsent(), []);
    assert_eq!(town.outbox.waiting().expect("letters").len(), 1);
    town.set_down("mail", false);
    town.by_hand = true;
    town.wait(60);
    town.run().await;
    assert_eq!(town.got("mail"), ["failed Began"]);
    assert_eq!(
        town.got("chat"),
        [
            "failed Began",
            "notifier-failed Began",
            "notifier-failed Over"
        ]
    );
}

/// Two of them do no more than one.
#[tokio::test]
async fn several_messages_that_nobody_takes_keep_no_others() {
    let mut town = Town::new();
    *town.receivers[&name("mail")].poison.lock().expect("a lock") = Some("failed Began");
    for _again in 0..3 {
        town.broken = true;
        town.run().await;
        town.wait(24 * 60);
        town.broken = false;
        town.run().await;
        town.wait(24 * 60);
    }
    for _day in 0..6 {
        town.wait(24 * 60);
        town.run().await;
    }
    let over = town.got("mail");
    assert_eq!(over, ["failed Over", "failed Over", "failed Over"]);
    // The next one comes on its day.
    *town.receivers[&name("mail")].poison.lock().expect("a lock") = None;
    town.broken = true;
    town.run().await;
    assert_eq!(
        town.got("mail").last().map(String::as_str),
        Some("failed Began")
    );
}

/// What is delivered late says how it was then.
#[tokio::test]
async fn a_letter_of_before_does_not_end_what_came_since() {
    let mut town = Town::new();
    town.people(&[("boss", 250), ("late", 451), ("ops", 250)]);
    town.broken = true;
    town.run().await;
    town.wait(24 * 60);
    town.people(&[("boss", 550), ("late", 451), ("ops", 250)]);
    town.broken = false;
    town.run().await;
    assert_eq!(
        town.got("chat"),
        ["failed Began", "failed Over", "notifier-failed Began"]
    );
    town.wait(3 * 24 * 60);
    town.people(&[("boss", 550), ("late", 250), ("ops", 250)]);
    town.run().await;
    assert_eq!(town.outbox.waiting().expect("letters"), []);
    assert_eq!(town.got("chat").len(), 3, "boss is still refused");
}

#[tokio::test]
async fn a_test_that_reaches_everybody_ends_it_for_the_others_too() {
    let mut town = Town::new();
    town.people(&[("boss", 550), ("ops", 250)]);
    town.broken = true;
    town.run().await;
    let told = town.outbox.told().expect("what was told");
    let sent = |whole| Sent {
        notifier: name("mail"),
        to: String::new(),
        late: false,
        heartbeat: false,
        written: town.clock.now(),
        whole,
        rest: false,
        outcome: Ok(Delivered::default()),
    };
    let words = |notice: &Notice| (format!("{:?}", notice.at), String::new(), String::new());
    let office = Office {
        outbox: &town.outbox,
        reminder: &town.reminder,
        listeners: &town.listeners,
        clock: &town.clock,
        words: &words,
        frame: town.frame(),
        by_hand: true,
    };
    assert_eq!(office.mended(&told, &[sent(false)]), Posting::default());
    let change = office.mended(&told, &[sent(true)]);
    assert_eq!(town.outbox.post(&told, &change), Ok(true));
    town.run().await;
    assert_eq!(
        town.got("chat").last().map(String::as_str),
        Some("notifier-failed Over")
    );
}
