//! Whole renewals: the program, its components, a CA, a DNS provider, files.

use std::fs;

use waxwing_world::{ca, pebble};

use crate::cases::rig::{Judge, Rig};

/// The same claim before both judges.
fn both(test: &str, claim: impl Fn(&Rig, &Judge)) {
    let rig = Rig::new();
    let judge = rig.ca(ca::Options::default());
    claim(&rig, &judge);
    let rig = Rig::new();
    if let Some(judge) = rig.pebble(test, &pebble::Options::default()) {
        claim(&rig, &judge);
    }
}

#[test]
fn one_name_becomes_files_that_a_server_uses() {
    both("one_name_becomes_files_that_a_server_uses", |rig, judge| {
        let config = rig.config(&[("first", &judge.directory())]);
        rig.write_config(&format!(
            "{config}[plugin.server]\nuses = \"install-files\"\n\
             grants.files.certs.dir = \"{}\"\n\n\
             [[certificate]]\ndomains = [\"www.example.com\"]\n",
            rig.path("tls").display()
        ));
        rig.waxwing(&["renew"]).expect(0);
        rig.verify("www.example.com", &judge.root_pem(0));
        assert!(rig.shown("www.example.com").contains("DNS:www.example.com"));
        let installed = fs::read(rig.path("tls/www.example.com.crt")).expect("installed");
        let stored = rig.stored("www.example.com").join("fullchain.pem");
        assert_eq!(installed, fs::read(stored).expect("stored"));
        assert!(rig.path("tls/www.example.com.key").exists());
        assert_eq!(rig.records(), [], "no record is left behind");
    });
}
