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
