//! Signs of life of a daemon: between two of them nothing takes longer than [`longest`] says, but for a sleep whose
//! end is known.
//!
//! What waits for others gives signs while it does; what cannot, as a disk that does not answer, gives none, and the
//! service manager starts another process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use waxwing_flow::ports::Clock as _;
use waxwing_io::clock::SystemClock;
use waxwing_io::service::Pulse;

/// Without a sign of life for so long, it hangs, if there are few certificates.
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Whoever looks at all of them may take so long for each more: a slow disk is no end.
const EACH: Duration = Duration::from_millis(500);

/// How many certificates there are.
static CERTIFICATES: AtomicU32 = AtomicU32::new(0);

/// Without a sign of life for so long, it hangs.
pub(crate) fn longest() -> Duration {
    LONGEST + EACH * CERTIFICATES.load(Ordering::Relaxed)
}

/// So many certificates are looked at.
pub(crate) fn looks_at(certificates: usize) {
    let count = u32::try_from(certificates).unwrap_or(u32::MAX / 2);
    CERTIFICATES.store(count, Ordering::Relaxed);
}

/// Whatever waits gives a sign this often.
const EVERY: Duration = Duration::from_secs(60);

/// That of the daemon that this process is, if it is one.
static PULSE: OnceLock<Pulse> = OnceLock::new();

/// The first one.
pub(crate) fn begin() -> Pulse {
    PULSE.get_or_init(|| Pulse::begin(longest())).clone()
}

/// A runtime in which somebody waits for others: as long as it goes on, this process lives.
///
/// # Errors
/// When the system has no room for it.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let Some(pulse) = PULSE.get() {
        runtime.spawn(async {
            loop {
                pulse.beat(longest());
                SystemClock.sleep(EVERY).await;
            }
        });
    }
    Ok(runtime)
}
