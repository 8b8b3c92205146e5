//! Any of the targets: the one that the program is called after.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let target = waxwing_fuzz::target(env!("CARGO_BIN_NAME")).expect("a target of that name");
    (target.read)(bytes);
});
