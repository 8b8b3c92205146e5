//! Feeds every target its corpus, each input as it is and then changed by chance.
//!
//! `WAXWING_FUZZ_SEED` repeats a run, `WAXWING_FUZZ_INPUTS` makes a longer one.

#![expect(
    clippy::disallowed_methods,
    reason = "the corpus is files, and its seed is a variable"
)]
#![expect(
    clippy::print_stdout,
    reason = "a failure is repeated from the seed that it shows"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use waxwing_fuzz::mutate::{Chance, mutate};
use waxwing_fuzz::{TARGETS, Target};

/// Inputs for each target, besides the corpus itself.
const INPUTS: usize = 20_000;
/// The seed of a plain `cargo test`, so that it says the same every time.
const SEED: u64 = 8555;

#[test]
fn nothing_that_others_write_makes_a_reader_panic_or_lose_anything() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("WAXWING_FUZZ_SEED").unwrap_or(SEED);
    let inputs = number("WAXWING_FUZZ_INPUTS").map_or(INPUTS, |inputs: u64| {
        usize::try_from(inputs).unwrap_or(INPUTS)
    });
    println!("WAXWING_FUZZ_SEED={seed} WAXWING_FUZZ_INPUTS={inputs}");
    let bad: Vec<String> = std::thread::scope(|scope| {
        let feeds: Vec<_> = TARGETS
            .iter()
            .map(|target| scope.spawn(move || feed(target, seed, inputs)))
            .collect();
        let ends = feeds.into_iter().map(|feed| feed.join().expect("caught"));
        ends.flatten().collect()
    });
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// The first input at which the target panics, if there is one.
fn feed(target: &Target, seed: u64, inputs: usize) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = folder.join(target.name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| fs::read(path).expect("a readable file"))
        .collect();
    let corpus: Vec<&[u8]> = corpus.iter().map(Vec::as_slice).collect();
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let mut chance = Chance::new(seed);
    let made = (0..inputs).map(|_| mutate(&mut chance, &corpus));
    let given = corpus.iter().map(|bytes| bytes.to_vec());
    for (nth, input) in given.chain(made).enumerate() {
        if catch_unwind(AssertUnwindSafe(|| (target.read)(&input))).is_err() {
            let shown = String::from_utf8_lossy(&input);
            return Some(format!("{}: input {nth}: {shown:?}", target.name));
        }
    }
    None
}
