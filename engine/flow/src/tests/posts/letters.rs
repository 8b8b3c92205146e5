//! Letters behind one that waits.

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
