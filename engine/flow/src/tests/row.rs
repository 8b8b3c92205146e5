//! A CA whose orders fail one after the other.

use super::runs::{count, forced, issued_by, many};
use super::world::{Fault, World, profile, settings};
use crate::failure::Failure;

#[tokio::test(start_paused = true)]
async fn a_ca_that_fails_every_order_is_not_asked_for_every_certificate() {
    let world = World::new(&["first", "second"]);
    world.state().always = Some(("first.example/order", Fault::Fail));
    let cas = ["first", "second"];
    let mut first = profile("first");
    first.rate.concurrent_orders = 1;
    let settings = settings(vec![first, profile("second")], many(40, &cas));
    let report = forced(&world, &settings, None).await;
    let mut spared = 0;
    for certificate in &report.certificates {
        assert_eq!(issued_by(certificate), Some("second"));
        let [failed] = certificate.failures.as_slice() else {
            panic!("one CA failed: {:?}", certificate.failures);
        };
        match &failed.failure {
            Failure::Ca { .. } => {}
            Failure::InARow { .. } => {
                spared += 1;
                let lines = failed.failure.chain();
                assert!(
                    lines[0].starts_with("first was not asked: it has failed"),
                    "{lines:?}"
                );
                assert!(lines.len() > 2, "the cause of another one: {lines:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let asked = count(&world, "POST https://first.example/order");
    assert!(
        spared >= 20,
        "{spared} were spared, and {asked} orders were sent"
    );
    // Three tries each.
    assert!(asked <= 3 * (40 - spared), "{asked}");
}
