//! A guest that spins holds up nobody but its own caller.

use std::time::Duration;

use serde_json::json;
use waxwing_core::plugin::Limits;
use waxwing_flow::plugin::PluginFailureKind;

use crate::stage::{Stage, attempt, records};

#[tokio::test]
async fn while_guests_spin_another_call_and_a_timer_finish() {
    let mut stage = Stage::dns("fair-spinner", json!({ "misdeed": "spin" }));
    stage.settings.grants.limits = Limits {
        cpu: Some(Duration::from_secs(2)),
        ..Limits::default()
    };
    let spinner = stage.show();
    let url = "https://api.example.net/v1/zones";
    let quick = Stage::dns("fair-quick", json!({ "misdeed": "send", "url": url })).show();

    // Twice as many as the guests have threads.
    let spins: Vec<_> = (0..4)
        .map(|_| {
            let dns = spinner.dns();
            tokio::spawn(async move { dns.present(&attempt(), &records(1)).await })
        })
        .collect();
    let mut timer = tokio::time::interval(Duration::from_millis(20));
    timer.tick().await;
    timer.tick().await;
    let receipt = quick.present().await.expect("success");
    assert_eq!(receipt, "200  fine");
    assert!(
        spins.iter().all(|spin| !spin.is_finished()),
        "stopped too early to tell"
    );
    for spin in spins {
        let failure = spin.await.expect("no panic").expect_err("a limit");
        assert_eq!(
            failure.kind,
            PluginFailureKind::Limit {
                key: "cpu".to_owned()
            }
        );
    }
}

#[tokio::test]
async fn a_dropped_call_stops_its_guest() {
    let url = "https://api.example.net/v1/zones";
    let mut stage = Stage::dns("fair-dropped", json!({ "misdeed": "hammer", "url": url }));
    stage.settings.grants.limits = Limits {
        http_calls: Some(u32::MAX),
        cpu: Some(Duration::from_secs(3600)),
        ..Limits::default()
    };
    let show = stage.show();
    let dns = show.dns();
    let (attempt, records) = (attempt(), records(1));
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    tokio::select! {
        _ = dns.present(&attempt, &records) => panic!("it hammers for an hour"),
        () = async { while show.sent().is_empty() { tick.tick().await; } } => {}
    }
    let mut before = 0;
    for _ in 0..500 {
        tick.tick().await;
        let now = show.sent().len();
        if now == before {
            return;
        }
        before = now;
    }
    panic!("still hammering");
}
