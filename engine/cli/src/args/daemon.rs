//! What `daemon` takes.

use std::time::Duration;

use clap::Args;

use super::simulate::within;

/// A CA is looked at about so often. What a look has seen is believed for two hours, so that it is also
/// the longest that can be asked for.
const LOOKS: Duration = Duration::from_secs(60 * 60);

/// Arguments of `daemon`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waxwing daemon                  in the foreground
  waxwing daemon --look-every 5m  for CAs of your own
  waxwing schedule add --daemon   by systemd or launchd

It sleeps until something is due and looks at the CAs about once an hour. SIGHUP
reads the configuration again (one that is not good changes nothing). Without
it what has changed is taken up at the next pass, within a day; what a run of
another process has done, within the hour or when somebody asks at [metrics]
listen. That address and its token count from the next start on. SIGTERM and
Ctrl-C end it within 10 s. systemd is told when it is ready and that it is
alive (Type=notify, WatchdogSec).

Exit: 0 stopped, 2 usage, 3 configuration, 5 the state cannot be used,
      7 another daemon is at work, 8 not allowed")]
pub(crate) struct Daemon {
    /// Do not look at the CAs between renewals
    #[arg(long)]
    pub(crate) no_monitor: bool,
    /// Look at the CAs about so often, from 1s to 1h; less than the usual 1h is for CAs of your own
    #[arg(long, value_name = "TIME", value_parser = every, conflicts_with = "no_monitor")]
    pub(crate) look_every: Option<Duration>,
}

impl Daemon {
    /// How often CAs are looked at; none: never.
    pub(crate) fn looks(&self) -> Option<Duration> {
        (!self.no_monitor).then(|| self.look_every.unwrap_or(LOOKS))
    }
}

fn every(text: &str) -> Result<Duration, String> {
    within(
        text,
        Duration::from_secs(1),
        LOOKS,
        "it has to be from 1s to 1h",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cas_are_looked_at_once_an_hour_unless_somebody_wants_it_otherwise() {
        let looks = |no_monitor, look_every| {
            Daemon {
                no_monitor,
                look_every,
            }
            .looks()
        };
        assert_eq!(looks(false, None), Some(LOOKS));
        assert_eq!(looks(true, None), None);
        let five = every("5m").expect("a time");
        assert_eq!(looks(false, Some(five)), Some(Duration::from_secs(300)));
        for wrong in ["2h", "10ms", "often"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }
}
