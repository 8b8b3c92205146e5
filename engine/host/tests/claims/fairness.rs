//! A guest that spins holds up nobody but its own caller.

use std::time::Duration;

use serde_json::json;
use waxwing_core::budget::Limit;
use waxwing_core::plugin::Limits;
use waxwing_flow::plugin::PluginFailureKind;

use crate::guest;
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

/// The provider's rate is waited for before a call, not met in the middle of one.
#[tokio::test]
async fn calls_wait_until_the_provider_has_room_for_them() {
    let rate = "[dns]\nrate = { requests = 4, per = \"5m\", header-remaining = \"x-left\" }";
    let manifest = guest::DNS.replace("[dns]", rate);
    let settings = json!({ "misdeed": "send", "url": "https://api.example.net/v1/zones" });
    let stage = |limit| {
        let bytes = guest::dns(&manifest);
        let mut stage = Stage::new("room", bytes, &manifest, settings.clone());
        stage.settings.grants.limits.rate = limit;
        stage.grant_hosts(&["https://api.example.net"])
    };
    let show = stage(None).show();
    // A call about one record is given room for two requests and sends one.
    for _ in 0..3 {
        show.present().await.expect("success");
    }
    assert_eq!(show.clock.passed(), Duration::ZERO);
    show.present().await.expect("success");
    assert_eq!(show.clock.passed(), Duration::from_secs(300));
    assert_eq!(show.sent().len(), 4);

    // The operator knows better.
    let limit = Limit {
        count: 2,
        per: Duration::from_secs(60),
    };
    let show = stage(Some(limit)).show();
    for _ in 0..3 {
        show.present().await.expect("success");
    }
    assert_eq!(show.clock.passed(), Duration::from_secs(120));

    // So long nobody waits: the call is made, and told that it is too early.
    let limit = Limit {
        count: 1,
        per: Duration::from_secs(3_600),
    };
    let show = stage(Some(limit)).show();
    show.present().await.expect("success");
    let failure = show.present().await.expect_err("nothing is left");
    assert!(failure.to_string().contains("Throttled"), "{failure}");
    assert_eq!(show.clock.passed(), Duration::ZERO);
    assert_eq!(show.sent().len(), 1);
}
