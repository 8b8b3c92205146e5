//! What Waxwing costs: `cargo bench`. It prints a table and asserts nothing, since the figures depend
//! on the machine and on what else runs there; compare only figures of one run.
//!
//! `cargo bench -- size plugin simulate issuance fleet` names the parts that are wanted.
//! `WAXWING_PROGRAM` names the program that is measured, if it is not the one that is built along.
//!
//! Both clients get their certificates from the same Pebble, one after the other by turns, so that
//! whatever disturbs the machine disturbs both. Wall times are medians, CPU times are means of user
//! and system time of the whole process (the kernel shows them in ticks of 10 ms, so many processes
//! are counted at once), memory is the highest resident set that was seen.

#![expect(
    clippy::disallowed_methods,
    reason = "it measures real processes in real time"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what it is for; what goes on meanwhile is told beside it"
)]

#[cfg(target_os = "linux")]
mod daemon;
mod driver;
mod fleet;
mod issuance;
mod measure;
mod plugin;
#[expect(dead_code, reason = "the integration tests use all of it")]
#[path = "../cases/rig.rs"]
mod rig;
mod simulate;

use std::fs;

use waxwing_world::pebble::Pebble;

use measure::{Row, mib, table};

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(driver::FLAG) {
        return driver::run(&arguments.collect::<Vec<_>>());
    }
    // Cargo itself says `--bench`.
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with('-'))
        .collect();
    let wanted = |part: &str| {
        let wanted = only.is_empty() || only.iter().any(|one| one == part);
        if wanted {
            eprintln!("{part}");
        }
        wanted
    };
    let mut rows = Vec::new();
    if wanted("size") {
        let size = fs::metadata(rig::executable()).map_or(0, |file| file.len());
        rows.push(Row::new("program, stripped", mib(size)).target("30 MB"));
    }
    if wanted("plugin") {
        rows.extend(plugin::rows());
    }
    if wanted("simulate") {
        rows.extend(simulate::rows());
    }
    if wanted("issuance") {
        match Pebble::find_or_skip("issuance") {
            Some(pebble) => rows.extend(issuance::rows(&pebble)),
            None => rows.push(Row::new("issuance", "not measured: no Pebble".to_owned())),
        }
    }
    if wanted("fleet") {
        let fleet = fleet::Fleet::new();
        rows.extend(fleet::rows(&fleet));
        #[cfg(target_os = "linux")]
        rows.extend(daemon::rows(&fleet));
        fleet.end();
    }
    println!("{}", table(&rows));
}
