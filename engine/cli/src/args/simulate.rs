//! Arguments of `simulate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use waxwing_core::disturbance;
use waxwing_core::time::{Timestamp, parse_stretch};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// More time than that says nothing about this configuration.
const LONGEST: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);

/// Arguments of `simulate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing simulate
      the next year, if all goes well
  waxwing simulate --outage internal=2027-01-10..+14d
      the CA `internal` is down for two weeks
  waxwing simulate --outage internal:slow=2027-01-10..+2d
      it takes orders and does not finish them
  waxwing simulate --outage internal:rejects=2027-01-10..2027-01-12
      it refuses every name
  waxwing simulate --outage dns=2027-01-10T08:00:00Z..+6h
      the DNS provider takes no records
  waxwing simulate --outage machine=2026-12-24..2027-01-06
      this machine is off; `network`: offline
  waxwing simulate --random-outages --seed 7 --for 2y --html timeline.html
  waxwing simulate --fleet 500 --random-outages
      500 certificates at the CAs of the first

Days are those of UTC, and the last one counts whole. No network is used, and
nothing is written but the file of --html.

Exit: 0 all that is promised was kept; 1 a certificate ran out that could have
      been renewed, or a limit of a CA was exceeded; 2 usage; 3 configuration;
      5 or 8 the file could not be written")]
pub(crate) struct Simulate {
    /// When it begins: a day or a moment; without, now
    #[arg(long, value_name = "DATE|TIME", value_parser = from)]
    pub(crate) from: Option<Timestamp>,
    /// How long it lasts: 90d, 6w, 1y
    #[arg(long = "for", value_name = "TIME", default_value = "1y", value_parser = long)]
    pub(crate) length: Duration,
    /// Trouble, as in the examples below; may be given several times
    #[arg(long, value_name = "WHO=FROM..TO")]
    pub(crate) outage: Vec<String>,
    /// Draw trouble as CAs, networks and machines have it in real life
    #[arg(long)]
    pub(crate) random_outages: bool,
    /// What is left to chance follows from this number
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The chance that a run is killed at an order, from 0 to 0.99
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = chance)]
    pub(crate) crash_rate: f64,
    /// How often a timer starts a run
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = every)]
    pub(crate) every: Duration,
    /// Not the certificates of the configuration, but so many at the CAs of its first one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) fleet: Option<u32>,
    /// Lives of the fleet, in turn; without, 90d,64d,45d,160h
    #[arg(long, value_name = "TIMES", value_delimiter = ',', value_parser = life)]
    pub(crate) lives: Option<Vec<Duration>>,
    /// Also draw the timeline into this file, one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

impl Simulate {
    /// How long the certificates of a fleet live, in turn.
    pub(crate) fn lives_of_the_fleet(&self) -> Vec<Duration> {
        let usual = || vec![90 * DAY, 64 * DAY, 45 * DAY, 160 * 60 * MINUTE];
        self.lives.clone().unwrap_or_else(usual)
    }
}

fn from(text: &str) -> Result<Timestamp, String> {
    let at = disturbance::beginning(text);
    at.ok_or_else(|| {
        "it is neither a day as in 2026-12-01 nor a time as in 2026-12-01T08:00:00Z".into()
    })
}

fn long(text: &str) -> Result<Duration, String> {
    within(text, DAY, LONGEST, "it has to be from 1d to 20y")
}

/// How far back somebody looks.
pub(super) fn back(text: &str) -> Result<Duration, String> {
    within(text, MINUTE, LONGEST, "it has to be from 1m to 20y")
}

fn every(text: &str) -> Result<Duration, String> {
    within(text, MINUTE, 30 * DAY, "it has to be from 1m to 30d")
}

fn life(text: &str) -> Result<Duration, String> {
    within(text, 60 * MINUTE, LONGEST, "it has to be from 1h to 20y")
}

/// A time that lies between two others.
pub(super) fn within(
    text: &str,
    least: Duration,
    most: Duration,
    wrong: &str,
) -> Result<Duration, String> {
    let time = parse_stretch(text)?;
    if (least..=most).contains(&time) {
        Ok(time)
    } else {
        Err(wrong.to_owned())
    }
}

fn chance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(part) if (0.0..=0.99).contains(&part) => Ok(part),
        Ok(part) if (0.99..=1.0).contains(&part) => Err(
            "it has to be a number from 0 to 0.99: where every run is killed, none gets a certificate"
                .to_owned(),
        ),
        _ => Err("it has to be a number from 0 to 0.99, such as 0.01".to_owned()),
    }
}
