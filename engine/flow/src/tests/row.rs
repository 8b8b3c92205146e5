//! A CA whose orders fail one after the other.

use super::runs::{count, forced, issued_by, many};
use super::world::{Fault, World, profile, settings};
use crate::failure::Failure;
use crate::report::RunReport;

/// What came of forty certificates at a CA whose orders all fail so, while the next of the list is well.
async fn failing(fault: Fault) -> (World, RunReport) {
    let world = World::new(&["first", "second"]);
    world.state().always = Some(("first.example/order", fault));
    let cas = ["first", "second"];
    let mut first = profile("first");
    first.rate.concurrent_orders = 1;
    let settings = settings(vec![first, profile("second")], many(40, &cas));
    let report = forced(&world, &settings, None).await;
    for certificate in &report.certificates {
        assert_eq!(issued_by(certificate), Some("second"));
    }
    (world, report)
}

#[tokio::test(start_paused = true)]
async fn orders_that_may_be_lost_are_not_placed_twice_at_a_ca_that_fails_them_all() {
    let (world, _) = failing(Fault::Error500).await;
    // Two orders for each of the first four, one for each of the others.
    let asked = count(&world, "POST https://first.example/order [Error500]");
    assert_eq!(asked, 4 * 2 + 36);
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_fails_every_order_is_asked_once_for_each_certificate() {
    let (world, report) = failing(Fault::Fail).await;
    for certificate in &report.certificates {
        let [failed] = certificate.failures.as_slice() else {
            panic!("one CA failed: {:?}", certificate.failures);
        };
        assert!(matches!(failed.failure, Failure::Ca { .. }), "{failed:?}");
    }
    // Three tries for each of the first eight, one for each of the others.
    let asked = count(&world, "POST https://first.example/order [Fail]");
    assert_eq!(asked, 8 * 3 + 32);
}
