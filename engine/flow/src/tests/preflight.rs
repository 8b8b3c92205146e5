//! What the DNS says decides before a CA is asked.

use waxwing_core::name::CaName;
use waxwing_core::plan::hold::Hold;
use waxwing_core::settings::{Propagation, Settings};

use super::policy::{HOUR, timer};
use super::world::{Fault, World, certificate, profile, settings};
use crate::budget;
use crate::driver::Stop;
use crate::failure::Failure;
use crate::ports::Clock;
use crate::report::{CertificateReport, Outcome};
use crate::scheduler::{Force, Job};

fn shop() -> Settings {
    let mut first = profile("first");
    first.caa = vec!["first.example".to_owned()];
    let mut second = profile("second");
    second.caa = vec!["second.example".to_owned(), "old.example".to_owned()];
    let names = ["shop.example", "*.shop.example"];
    let cas = ["first", "second"];
    settings(vec![first, second], vec![certificate("shop", &names, &cas)])
}

async fn run(world: &World, settings: &Settings) -> CertificateReport {
    let job = Job {
        certificate: settings.certificates[0].clone(),
        seen: None,
        force: Force::No,
    };
    let report = world.run_with(settings, vec![job], false, Stop::new().1);
    report.await.expect("nothing crashes here").certificates[0].clone()
}

fn orders(world: &World, ca: &str) -> usize {
    world.state().cas[ca].orders.len()
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_caa_forbids_is_not_asked_and_the_next_one_is() {
    let world = World::new(&["first", "second"]);
    let settings = shop();
    world.state().dns.caa = Some("old.example".to_owned());
    let report = run(&world, &settings).await;
    assert!(
        matches!(&report.outcome, Outcome::Issued { ca, .. } if ca.as_str() == "second"),
        "{report:?}"
    );
    assert_eq!(
        report.notes,
        [
            "first was not asked: the CAA records of shop.example let only old.example issue, so it \
          would refuse shop.example (what lets it: shop.example. CAA 0 issue \"first.example\")"
        ]
    );
    assert!(report.failures.is_empty(), "it did not fail");
    let stood_in = report.stands_in.map(|(ca, why)| format!("{ca}: {why}"));
    assert_eq!(stood_in.as_deref(), Some("first: CAA did not let it issue"));
    assert_eq!(orders(&world, "first"), 0);
}

#[tokio::test(start_paused = true)]
async fn if_caa_forbids_them_all_nothing_is_ordered_and_each_reason_is_told() {
    let world = World::new(&["first", "second"]);
    let settings = shop();
    world.state().dns.caa = Some("third.example".to_owned());
    let report = run(&world, &settings).await;
    let Outcome::Failed(Some(failure @ Failure::NoCa { .. })) = &report.outcome else {
        panic!("{report:?}");
    };
    let lines = failure.lines();
    assert!(lines[1].starts_with("first: the CAA records of shop.example let only third.example"));
    assert!(lines[2].starts_with("second: the CAA records of shop.example"));
    assert_eq!((orders(&world, "first"), orders(&world, "second")), (0, 0));
    // The owner changes the records: nothing else stands in the way.
    world.state().dns.caa = Some("first.example".to_owned());
    let report = run(&world, &settings).await;
    assert!(
        matches!(report.outcome, Outcome::Issued { .. }),
        "{report:?}"
    );
}

/// The wait for its next try is our own: nobody has asked for one.
#[tokio::test(start_paused = true)]
async fn where_no_other_ca_may_stand_in_a_failed_one_is_tried_again_by_its_ladder() {
    let world = World::new(&["first", "second"]);
    let settings = shop();
    world.state().dns.caa = Some("first.example".to_owned());
    world.state().always = Some(("first.example/order", Fault::Fail));
    for _ in 0..4 {
        timer(&world, &settings, Force::No).await;
        Clock::sleep(&world, std::time::Duration::from_secs(3 * 60 * 60)).await;
    }
    let report = timer(&world, &settings, Force::No).await;
    let Outcome::Held(Hold::Ladder { ca, failures, .. }) = &report.certificates[0].outcome else {
        panic!("{report:?}");
    };
    assert_eq!((ca.as_str(), *failures), ("first", 4));
    assert_eq!(orders(&world, "second"), 0);
}

/// Who foresees a run asks no DNS, and knows what the last one found.
#[tokio::test(start_paused = true)]
async fn what_caa_forbade_is_kept_for_those_who_do_not_look_until_it_is_let() {
    let world = World::new(&["first", "second"]);
    let settings = shop();
    let kept = |world: &World, hours: u64| {
        let shop = &settings.certificates[0];
        let now = world.now() + HOUR * u32::try_from(hours).expect("few");
        budget::forbidden(world, &shop.cas, shop, now)
    };
    assert!(kept(&world, 0).is_empty());
    world.state().dns.caa = Some("old.example".to_owned());
    // What a rehearsal finds is about other CAs.
    let job = Job {
        certificate: settings.certificates[0].clone(),
        seen: None,
        force: Force::No,
    };
    let rehearsal = world.run_with(&settings, vec![job], true, Stop::new().1);
    rehearsal.await.expect("nothing crashes here");
    assert!(kept(&world, 0).is_empty());
    run(&world, &settings).await;
    let told = kept(&world, 3);
    let told: Vec<_> = told
        .iter()
        .map(|(ca, why)| (ca.as_str(), why.as_str()))
        .collect();
    let why = "CAA did not let it issue when a run last looked, 3h ago";
    assert_eq!(told, [("first", why)]);
    assert!(kept(&world, 27).is_empty(), "nobody knows any more");
    // Other names have other records.
    let other = certificate("shop", &["other.example"], &["first", "second"]);
    assert!(budget::forbidden(&world, &other.cas, &other, world.now()).is_empty());
    // A look that failed says nothing new; one that finds the CA named does.
    world.state().always = Some(("caa", Fault::Fail));
    timer(&world, &settings, Force::Anyway).await;
    assert_eq!(kept(&world, 0).len(), 1);
    world.state().always = None;
    world.state().dns.caa = Some("first.example".to_owned());
    timer(&world, &settings, Force::Anyway).await;
    let left = kept(&world, 0);
    assert_eq!(
        left.keys().map(CaName::as_str).collect::<Vec<_>>(),
        ["second"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_zone_whose_signatures_do_not_hold_costs_no_order() {
    let world = World::new(&["first", "second"]);
    let settings = shop();
    world.state().dns.bogus = true;
    let report = run(&world, &settings).await;
    let Outcome::Failed(Some(Failure::Lookup(error))) = &report.outcome else {
        panic!("{report:?}");
    };
    assert!(error.bogus);
    assert!(report.next_try.is_some(), "it is tried again by itself");
    assert_eq!((orders(&world, "first"), orders(&world, "second")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn where_the_dns_is_closed_it_is_not_believed_either() {
    let world = World::new(&["first", "second"]);
    let mut settings = shop();
    settings.network.propagation = Propagation::Wait(std::time::Duration::from_secs(1));
    world.state().dns.caa = Some("third.example".to_owned());
    let report = run(&world, &settings).await;
    assert!(
        matches!(&report.outcome, Outcome::Issued { ca, .. } if ca.as_str() == "first"),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_is_told_and_stops_nothing() {
    let world = World::new(&["first"]);
    let settings = shop();
    world.state().always = Some(("caa", Fault::Fail));
    let report = run(&world, &settings).await;
    assert!(
        matches!(report.outcome, Outcome::Issued { .. }),
        "{report:?}"
    );
    assert!(
        report.notes[0].starts_with("failed to look up shop.example"),
        "{:?}",
        report.notes
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_open_of_an_order_that_is_refused_is_given_up() {
    let world = World::new(&["first"]);
    let mut settings = shop();
    settings.certificates = vec![certificate("shop", &["a.example", "b.example"], &["first"])];
    // The second challenge is not taken up before the first one is refused.
    {
        let mut state = world.state();
        let ca = state.cas.get_mut("first").expect("its name");
        ca.refused.insert("a.example".to_owned());
        ca.slow.insert("b.example".to_owned());
    }
    let report = run(&world, &settings).await;
    assert!(
        matches!(report.outcome, Outcome::Failed(_)) && report.failures.len() == 1,
        "{report:?}"
    );
    let statuses = world.state().cas["first"].proofs(0);
    assert_eq!(statuses, ["invalid", "deactivated"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_of_an_order_for_other_names_is_given_up() {
    let world = World::new(&["first"]);
    let mut settings = shop();
    world.state().dns.blind = true;
    let report = run(&world, &settings).await;
    assert!(
        matches!(report.outcome, Outcome::Failed(Some(_))),
        "{report:?}"
    );
    assert_eq!(world.state().cas["first"].proofs(0), ["pending", "pending"]);
    world.state().dns.blind = false;
    settings.certificates = vec![certificate("shop", &["other.example"], &["first"])];
    let report = run(&world, &settings).await;
    assert!(
        matches!(report.outcome, Outcome::Issued { .. }),
        "{report:?}"
    );
    assert_eq!(
        world.state().cas["first"].proofs(0),
        ["deactivated", "deactivated"]
    );
}
