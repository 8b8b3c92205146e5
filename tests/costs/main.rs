//! What Waxwing costs: `cargo bench`. It prints a table and asserts nothing, since the figures depend
//! on the machine and on what else runs there; compare only figures of one run.
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

mod driver;
mod issuance;
mod measure;
mod plan;
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
    let program = env!("CARGO_BIN_EXE_waxwing");
    let size = fs::metadata(program).map_or(0, |file| file.len());
    let mut rows = vec![Row::new("program, stripped", mib(size)).target("30 MB")];
    eprintln!("plugin");
    rows.extend(plugin::rows());
    eprintln!("simulate");
    rows.extend(simulate::rows());
    match Pebble::find_or_skip("issuance and plan") {
        Some(pebble) => {
            let (issued, rig) = issuance::rows(&pebble);
            rows.extend(issued);
            eprintln!("plan");
            rows.extend(plan::rows(&rig));
        }
        None => rows.push(Row::new(
            "issuance, plan",
            "not measured: no Pebble".to_owned(),
        )),
    }
    println!("{}", table(&rows));
}
