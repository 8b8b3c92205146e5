//! Every endpoint of a CA with every fault, once and for ever: what a run makes of it, and that the
//! CA's ledger agrees.
//!
//! The cells are played in this process: the real engine on a simulated clock, the real HTTP client
//! over loopback, the world's CA. What came of them is `engine/FAULTS.md`, which `WAXWING_BLESS=1`
//! writes anew.

mod cell;
mod judge;
mod page;
mod plan;
mod ports;
mod verdict;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use waxwing_core::plugin::Manifest;
use waxwing_core::profiles;
use waxwing_core::settings::raw::{self, SourceFile};
use waxwing_core::settings::resolve::{Catalog, resolve};
use waxwing_core::settings::{PluginSource, Settings};
use waxwing_io::http::HttpSender;
use waxwing_world::World;
use waxwing_world::ca::{self, Ca, Finalize};
use waxwing_world::pebble::{self, Front, Pebble};
use waxwing_world::server::Closed;

use cell::{Played, Stage, play};
use judge::Office;
use plan::{Cell, Course, Endpoint, Ill};

/// Threads that play, each with cells side by side: most of the time is spent waiting.
const THREADS: usize = 3;

/// Cells side by side on each.
const WIDTH: usize = 8;

/// How many Pebbles may stand still: see [`Pebble::until_it_stands_still`].
const PEBBLES: usize = 3;

/// The test before Pebble.
const AT_PEBBLE: &str = "pebble_and_the_worlds_ca_make_a_run_end_alike";

#[test]
fn whatever_a_ca_gets_wrong_ends_well_or_is_told_with_a_time_for_the_next_try() {
    let played = at_the_world();
    let page = page::page(played);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../FAULTS.md");
    page::print(&page);
    let wrong: Vec<String> = played
        .iter()
        .flat_map(|one| one.wrong.iter().map(|what| format!("{}: {what}", one.cell)))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    if std::env::var_os("WAXWING_BLESS").is_some() {
        std::fs::write(&path, &page).expect("a writable checkout");
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        page,
        want.replace("\r\n", "\n"),
        "WAXWING_BLESS=1 writes it"
    );
}

#[test]
fn pebble_and_the_worlds_ca_make_a_run_end_alike() {
    let Some(program) = Pebble::find_or_skip(AT_PEBBLE) else {
        return;
    };
    let cells: Vec<Cell> = cells().into_iter().filter(Cell::is_for_pebble).collect();
    let mut wrong = Vec::new();
    let at_pebble = at_pebble(&program, &cells, &mut wrong);
    for one in &at_pebble {
        wrong.extend(one.wrong.iter().map(|what| format!("{}: {what}", one.cell)));
        let twin = at_the_world().iter().find(|twin| twin.cell == one.cell);
        let twin = twin.map_or("", |twin| &twin.text);
        if twin != one.text {
            let text = format!("{}: {}; at the world's CA: {twin}", one.cell, one.text);
            wrong.push(text);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Plays the cells at Pebble, at another one what was left when one stood still.
fn at_pebble(program: &Path, cells: &[Cell], wrong: &mut Vec<String>) -> Vec<Played> {
    let mut done: Vec<Played> = Vec::new();
    for _pebble in 0..PEBBLES {
        let is_left = |cell: &&Cell| !done.iter().any(|one| one.cell == **cell);
        let left: Vec<Cell> = cells.iter().filter(is_left).copied().collect();
        let world = World::start(&["example.com"]).expect("a world");
        let pebble = Pebble::start(&world, program, &pebble::Options::default());
        let pebble = pebble.expect("Pebble starts");
        let office =
            |world: &World, _cell| Office::Pebble(Front::start(world, &pebble).expect("a front"));
        let dead = pebble.until_it_stands_still();
        let (played, all) = work(&world, &Queue::of(&left), &office, dead);
        let played = played.into_iter().map(|(_nth, one)| one);
        if !all {
            let text = format!("{AT_PEBBLE}: Pebble stands still, which it cannot help: another\n");
            // Not by a macro, whose output the test harness would hide.
            let _unheard = std::io::stderr().write_all(text.as_bytes());
            done.extend(played.filter(|one| one.wrong.is_empty()));
            continue;
        }
        // A certificate that no run knows of would be one too many.
        let before = done.len();
        done.extend(played);
        let known: usize = done[before..].iter().map(|one| one.issued).sum();
        let issued = pebble.issued().expect("Pebble writes its log");
        if issued != known {
            wrong.push(format!(
                "Pebble has issued {issued} certificates, the runs know of {known}"
            ));
        }
        return done;
    }
    wrong.push(format!(
        "{PEBBLES} Pebbles stood still, one after the other"
    ));
    done
}

/// Every cell, played once for both tests.
fn at_the_world() -> &'static [Played] {
    static PLAYED: OnceLock<Vec<Played>> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let cells = cells();
        let queue = Queue::of(&cells);
        let play = || {
            let world = World::start(&["example.com"]).expect("a world");
            let (played, _all) = work(&world, &queue, &office, std::future::pending());
            played
        };
        let mut played: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_nth| scope.spawn(play)).collect();
            let done = threads
                .into_iter()
                .map(|thread| thread.join().expect("no cell panics"));
            done.flatten().collect()
        });
        played.sort_by_key(|(nth, _)| *nth);
        played.into_iter().map(|(_, played)| played).collect()
    })
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in Endpoint::ALL {
        for ill in Ill::ALL {
            let courses: &[Course] = match endpoint {
                // Nobody else can revoke it or advise about it.
                Endpoint::RenewalInfo | Endpoint::Revoke => &[Course::Once, Course::ForEver],
                _ => &[Course::Once, Course::ForEver, Course::WithSpare],
            };
            cells.extend(courses.iter().map(|&course| Cell {
                endpoint,
                ill,
                course,
            }));
        }
    }
    cells
}

/// Cells that are still to be played.
struct Queue<'a> {
    cells: &'a [Cell],
    next: AtomicUsize,
}

impl<'a> Queue<'a> {
    const fn of(cells: &'a [Cell]) -> Self {
        Self {
            cells,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> Option<(usize, Cell)> {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        self.cells.get(nth).map(|cell| (nth, *cell))
    }
}

/// Plays cells side by side until there are no more, which it answers too, or the CA is dead.
fn work(
    world: &World,
    queue: &Queue<'_>,
    office: &dyn Fn(&World, Cell) -> Office,
    dead: impl Future<Output = ()>,
) -> (Vec<(usize, Played)>, bool) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let root = folder.path().join("root.pem");
    std::fs::write(&root, world.root_pem()).expect("written");
    let settings = settings(&root);
    let closed = Closed::new().expect("a port");
    let stage = Stage {
        world,
        settings: &settings,
        sender: HttpSender::direct(),
        closed: closed.url(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let played = RefCell::new(Vec::new());
    let all = runtime.block_on(async {
        let players = (0..WIDTH).map(|_nth| async {
            while let Some((nth, cell)) = queue.next() {
                let first = office(world, cell);
                let spare = (cell.course == Course::WithSpare).then(|| office(world, cell));
                let one = play(&stage, cell, nth, first, spare).await;
                played.borrow_mut().push((nth, one));
            }
        });
        tokio::select! {
            _done = futures_util::future::join_all(players) => true,
            () = dead => false,
        }
    });
    (played.into_inner(), all)
}

/// A CA that takes its time with the certificate.
fn office(world: &World, cell: Cell) -> Office {
    let options = ca::Options {
        finalize: Finalize::ProcessingReads(1),
        validation_delay: cell.validation_delay(),
        ..ca::Options::default()
    };
    Office::World(Ca::start(world, options).expect("a CA"))
}

/// A configuration with two CAs and a certificate, of which each cell changes the addresses and the
/// names.
fn settings(root: &Path) -> Settings {
    let ca = |name| {
        format!(
            "[ca.{name}]\ndirectories = [\"https://{name}.example/directory\"]\ntrust = {:?}\n\n",
            root.display().to_string()
        )
    };
    let text = format!(
        "[account]\nemail = \"ops@example.com\"\nagree-terms = true\n\n\
         [plugin.dns-made-easy]\nsecrets = {{ api-key = \"env:A\", secret-key = \"env:B\" }}\n\n\
         {}{}\
         [[certificate]]\nname = \"one\"\ndomains = [\"example.com\"]\nca = [\"first\", \"spare\"]\n",
        ca("first"),
        ca("spare"),
    );
    let file = SourceFile {
        path: root.with_file_name("waxwing.toml"),
        shown: "waxwing.toml".to_owned(),
        text,
    };
    let plugin = include_str!("../../plugins/dns-made-easy/plugin.toml");
    let manifest = Manifest::parse("plugin.toml", plugin).map_err(|error| error.to_string());
    let source = PluginSource::Embedded("dns-made-easy".to_owned());
    let catalog = Catalog {
        may_be_empty: false,
        profiles: profiles::shipped(),
        template: profiles::template(),
        manifests: BTreeMap::from([(source, manifest)]),
        zones: jiff::tz::TimeZoneDatabase::bundled(),
        here: jiff::tz::TimeZone::UTC,
        real: |_| None,
    };
    resolve(&raw::parse(&[file]), &catalog).expect("a good configuration")
}
