//! What a guest answers is believed as far as the contract goes.

use serde_json::json;
use waxwing_core::name::DomainName;
use waxwing_flow::plugin::{PluginFailureKind, PropagationHint, ZoneAnswer};

use crate::guest;
use crate::stage::{Show, Stage, answer, attempt, records, removals};

fn show(misdeed: &str) -> Show {
    Stage::dns("answers", json!({ "misdeed": misdeed })).show()
}

#[tokio::test]
async fn records_are_placed_in_batches_of_the_plugins_size() {
    let show = show("count");
    let report = show
        .dns()
        .present(&attempt(), &records(5))
        .await
        .expect("success");
    // The receipts count the calls: two, two and one record. State lasts over them.
    let placed: Vec<(&str, &str)> = report
        .placed
        .iter()
        .map(|p| (p.key.as_str(), p.receipt.as_str()))
        .collect();
    let want = [
        ("key-1", "1"),
        ("key-2", "1"),
        ("key-3", "2"),
        ("key-4", "2"),
        ("key-5", "3"),
    ];
    assert_eq!(placed, want);
    assert_eq!(report.failed, []);
    let ms = std::time::Duration::from_millis;
    let hint = PropagationHint {
        nameservers: Vec::new(),
        min_wait: ms(10),
        expected: ms(20),
        give_up: ms(30),
    };
    assert_eq!(report.propagation, hint);
    assert_eq!(
        show.dns().cleanup(&attempt(), &removals(5)).await,
        Ok(Vec::new())
    );
}

#[tokio::test]
async fn the_contract_writes_names_with_a_final_dot() {
    let receipt = show("").present().await.expect("success");
    assert_eq!(receipt, "_acme-challenge.example.com.=value-1 try 1");
}

#[tokio::test]
async fn receipts_of_a_good_batch_survive_a_bad_one() {
    let url = "https://api.example.net/v1/zones";
    let calls = std::sync::atomic::AtomicU32::new(0);
    let stage = Stage::dns(
        "answers",
        json!({ "misdeed": "tell-in-second", "url": url }),
    );
    let show = stage
        .answering(move |_| {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(answer(if call == 0 { 200 } else { 500 }, &[], ""))
        })
        .show();
    let report = show
        .dns()
        .present(&attempt(), &records(5))
        .await
        .expect("a report");
    let placed: Vec<&str> = report.placed.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(placed, ["key-1", "key-2"]);
    let failed: Vec<&str> = report.failed.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(failed, ["key-3", "key-4", "key-5"]);
    assert!(
        report
            .failed
            .iter()
            .all(|(_, f)| f.kind == PluginFailureKind::Crashed)
    );
}

#[tokio::test]
async fn a_record_that_the_guest_does_not_account_for_is_a_failed_one() {
    for misdeed in [
        "answer-nothing",
        "answer-twice",
        "answer-strangers",
        "receipt-too-long",
    ] {
        let report = show(misdeed)
            .dns()
            .present(&attempt(), &records(2))
            .await
            .expect("a report");
        assert_eq!(report.placed, [], "{misdeed}");
        let keys: Vec<&str> = report.failed.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["key-1", "key-2"], "{misdeed}");
        for (_, failure) in report.failed {
            assert_eq!(failure.code, "plugin.bad-answer", "{misdeed}");
            // It has sent nothing, whatever it answers.
            assert!(failure.untouched, "{misdeed}");
        }
    }
}

#[tokio::test]
async fn garbage_is_cut_and_cleaned() {
    let report = show("answer-garbage")
        .dns()
        .present(&attempt(), &records(1))
        .await;
    let report = report.expect("a report");
    let (_, failure) = &report.failed[0];
    assert_eq!(failure.code, "hostile.other");
    assert!(failure.message.len() < 3000 && !failure.message.contains(char::is_control));
}

#[tokio::test]
async fn clean_up_names_only_what_it_was_asked_about() {
    let left = show("keep")
        .dns()
        .cleanup(&attempt(), &removals(3))
        .await
        .expect("an answer");
    let keys: Vec<&str> = left.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["key-1", "key-2", "key-3"]);
    let failure = show("answer-strangers")
        .dns()
        .cleanup(&attempt(), &removals(1))
        .await;
    assert_eq!(failure.expect_err("a bad answer").code, "plugin.bad-answer");
}

#[tokio::test]
async fn preflight_and_validate_answer_in_the_engines_words() {
    let name = DomainName::parse("_acme-challenge.example.com").expect("a literal name");
    let show = show("");
    let zones = show.dns().preflight(std::slice::from_ref(&name)).await;
    let zone = ZoneAnswer {
        name: name.to_string(),
        zone: Some("example.com".to_owned()),
        problem: None,
    };
    assert_eq!(zones, Ok(vec![zone]));
    let findings = show.dns().validate(false).await.expect("findings");
    assert_eq!(findings[0].message, "validate");
}

#[tokio::test]
async fn a_serial_plugin_has_one_call_at_a_time() {
    let manifest = guest::DNS.replace("[dns]", "[dns]\nserial = true");
    let settings = json!({ "misdeed": "count" });
    let stage = Stage::new("serial", guest::dns(&manifest), &manifest, settings);
    let show = stage.show();
    let calls = (0..8).map(|_| {
        let dns = show.dns();
        tokio::spawn(async move { dns.present(&attempt(), &records(1)).await })
    });
    let mut receipts = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        let report = call.await.expect("no panic").expect("success");
        receipts.push(report.placed[0].receipt.parse::<u32>().expect("a count"));
    }
    // Reading and writing the count are two host calls, so two guests at once would repeat one.
    receipts.sort_unstable();
    assert_eq!(receipts, (1..=8).collect::<Vec<u32>>());
}
