//! Certificates from Pebble: the real program with its DNS plugin and its state on disk, by turns
//! with the other client.

use std::path::Path;

use waxwing_world::dns_made_easy::{self, Api};
use waxwing_world::pebble::{self, Pebble};

use crate::driver::{self, Driver};
use crate::measure::{Row, Runs, mib, shown};
use crate::rig::{Judge, Rig, certificate};

/// Runs for each figure of a single certificate.
const RUNS: usize = 9;
/// Runs for each figure of ten names.
const RUNS_OF_TEN: usize = 5;
/// Runs for each figure of fifty certificates, which are a mean of fifty already.
const RUNS_OF_FIFTY: usize = 1;
/// Certificates in a row.
const ROW: u32 = 50;

/// One order at a time, as the other client works.
const NARROW: &str = "rate = { concurrent-requests = 1, concurrent-orders = 1 }";

/// The figures.
pub(crate) fn rows(program: &Path) -> Vec<Row> {
    let mut rig = Rig::new();
    let options = dns_made_easy::Options {
        zones: vec!["example.com".to_owned()],
        limit: usize::MAX,
        ..dns_made_easy::Options::default()
    };
    rig.provider = Api::start(&rig.world, options).expect("the provider starts");
    let pebble = Pebble::start(&rig.world, program, &pebble::Options::default());
    let judge = Judge::Pebble(pebble.expect("Pebble starts"));
    let driver = Driver {
        directory: judge.directory(),
        root: rig.path("root.pem"),
        credentials: rig.path("credentials.json"),
        records: driver::serve(&rig.world),
    };
    Runs::default().run(&mut driver.command(&[]));

    eprintln!("first run");
    let mut first = Runs::default();
    ours(&rig, &judge, "", &mut first, &[names("first", 1)]);
    let mut rows = vec![
        Row::new(
            "first run: account, 1 name, plugin compiled, wall",
            shown(first.wall()),
        ),
        Row::new("- its CPU", shown(first.cpu())),
    ];

    let (one, one_of_theirs) = by_turns(&rig, &judge, &driver, 1, RUNS);
    rows.extend(figures("1 name", &one, &one_of_theirs, "0.03 s"));
    rows.push(
        Row::new("- its peak memory", mib(one.peak()))
            .theirs(mib(one_of_theirs.peak()))
            .target("32 MB"),
    );
    let (ten, ten_of_theirs) = by_turns(&rig, &judge, &driver, 10, RUNS_OF_TEN);
    rows.extend(figures("10 names", &ten, &ten_of_theirs, ""));

    let (mut wide, mut narrow, mut theirs) = <(Runs, Runs, Runs)>::default();
    for turn in 0..RUNS_OF_FIFTY {
        eprintln!("{ROW} certificates, turn {}", turn + 1);
        let row = |who: &str| -> Vec<Vec<String>> {
            let label = |nth| format!("{who}{turn}-{nth}");
            (0..ROW).map(|nth| names(&label(nth), 1)).collect()
        };
        ours(&rig, &judge, "", &mut wide, &row("wide"));
        ours(&rig, &judge, NARROW, &mut narrow, &row("narrow"));
        theirs.run(&mut driver.command(&row("theirs")));
    }
    rows.push(
        Row::new(
            format!("{ROW} certificates in one run, orders side by side, wall each"),
            shown(wide.wall() / ROW),
        )
        .theirs("-".to_owned()),
    );
    rows.push(
        Row::new("- CPU each", shown(wide.cpu() / ROW))
            .theirs("-".to_owned())
            .target("0.03 s"),
    );
    rows.push(
        Row::new(
            "- one order at a time, wall each",
            shown(narrow.wall() / ROW),
        )
        .theirs(shown(theirs.wall() / ROW)),
    );
    rows.push(Row::new("- CPU each", shown(narrow.cpu() / ROW)).theirs(shown(theirs.cpu() / ROW)));
    rows.push(Row::new("- peak memory, side by side", mib(wide.peak())).theirs(mib(theirs.peak())));
    rows
}

/// The same orders by both, one after the other.
fn by_turns(rig: &Rig, judge: &Judge, driver: &Driver, count: usize, turns: usize) -> (Runs, Runs) {
    eprintln!("{count} names, {turns} turns");
    let (mut us, mut them) = <(Runs, Runs)>::default();
    for turn in 0..turns {
        ours(
            rig,
            judge,
            "",
            &mut us,
            &[names(&format!("us{turn}"), count)],
        );
        them.run(&mut driver.command(&[names(&format!("them{turn}"), count)]));
    }
    (us, them)
}

fn figures(what: &str, us: &Runs, them: &Runs, target: &str) -> [Row; 2] {
    [
        Row::new(format!("{what}, wall"), shown(us.wall())).theirs(shown(them.wall())),
        Row::new("- CPU", shown(us.cpu()))
            .theirs(shown(them.cpu()))
            .target(target),
    ]
}

/// One run of the program, in which all these certificates are new.
fn ours(rig: &Rig, judge: &Judge, more: &str, runs: &mut Runs, certificates: &[Vec<String>]) {
    // The rate that the provider allows is kept for each plugin: a name of its own for each run, or the
    // benchmark would wait for minutes.
    let run = certificates.first().and_then(|names| names.first());
    let run = run.and_then(|name| name.split('.').next()).unwrap_or("run");
    let plugin = format!("[plugin.dns-{run}]\nuses = \"dns-made-easy\"");
    let config = rig.config_at(judge, more);
    let mut config = config.replace("[plugin.dns-made-easy]", &plugin);
    for names in certificates {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = names[0].split('.').next().unwrap_or_default();
        config += &certificate(&format!("c-{name}-{}", names.len()), &names);
    }
    rig.write_config(&config);
    runs.run(&mut rig.command(&["renew"]));
    assert_eq!(rig.records(), [], "records are left");
}

/// So many names that nobody has had before.
fn names(label: &str, count: usize) -> Vec<String> {
    let name = |nth| format!("{label}.n{nth}.of{count}.example.com");
    (0..count).map(name).collect()
}
