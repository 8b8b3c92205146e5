//! What the DNS says of a name decides before anything is ordered for it.

use waxwing_world::ca;
use waxwing_world::pebble;
use waxwing_world::traffic::Class;

use crate::cases::rig::{Judge, Rig, both, certificate};

fn plain(test: &str, claim: impl Fn(&Rig, &Judge)) {
    let (at_world, at_pebble) = (ca::Options::default(), pebble::Options::default());
    both(test, &at_world, &at_pebble, claim);
}

fn orders(judge: &Judge) -> usize {
    judge.traffic().count(Class::NewOrder)
}

#[test]
fn a_ca_that_caa_forbids_is_told_with_the_record_to_add_and_not_asked() {
    let test = "a_ca_that_caa_forbids_is_told_with_the_record_to_add_and_not_asked";
    plain(test, |rig, judge| {
        let dns = rig.world.dns();
        dns.set_caa("example.com", "issue", "theirs.example")
            .expect("in a zone");
        let config = rig.config_at(judge, "caa = [\"ours.example\"]");
        let one = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{config}{one}"));
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("first: the CAA records of example.com let only theirs.example issue")
            .says("example.com. CAA 0 issue \"ours.example\"");
        assert_eq!(orders(judge), 0);
        // Without a look of its own, a plan goes by what the run has found.
        let plan = rig.waxwing(&["plan"]).expect(0);
        plan.says("first: CAA did not let it issue when a run last looked, ");
        dns.set_caa("www.example.com", "issue", "ours.example")
            .expect("in a zone");
        rig.waxwing(&["renew"]).expect(0);
        assert_eq!(orders(judge), 1);
    });
}

#[test]
fn signatures_that_do_not_hold_cost_no_order() {
    plain("signatures_that_do_not_hold_cost_no_order", |rig, judge| {
        rig.world.dns().bogus("example.com").expect("a name");
        let config = rig.config_at(judge, "");
        let one = certificate("one", &["www.example.com"]);
        rig.write_config(&format!("{config}{one}"));
        let run = rig.waxwing(&["renew"]).expect(5);
        run.says("www.example.com").says("DNSSEC").says("DS record");
        assert_eq!(orders(judge), 0);
    });
}

#[test]
fn a_caa_record_that_nobody_can_judge_is_not_called_good() {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    rig.world
        .dns()
        .set_caa("example.com", "issue", "theirs.example")
        .expect("in a zone");
    let one = certificate("one", &["www.example.com"]);
    rig.write_config(&format!("{}{one}", rig.config_at(&judge, "")));
    let run = rig.waxwing(&["check"]);
    let run = run.says("nobody can say whether they allow first: the profile has no `caa`");
    assert!(run.stdout.contains("warn   CAA"), "{}", run.stdout);
    assert!(!run.stdout.contains("allowed at"), "{}", run.stdout);
}
