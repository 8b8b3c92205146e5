//! The wasmtime engine, the ticker behind its epochs, and the threads that guests run on.

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, EngineWeak};

/// Time between two epochs: how long a guest runs before others get their turn.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The engine with everything that has to live as long as it does.
pub(crate) struct GuestEngine {
    engine: Engine,
    guests: Option<tokio::runtime::Runtime>,
    ticker: Ticker,
}

impl GuestEngine {
    /// Starts the ticker and the guests' threads.
    pub(crate) fn new() -> Result<Self, wasmtime::Error> {
        let engine = Engine::new(&config())?;
        let ticker = Ticker::start(engine.weak())?;
        Ok(Self {
            engine,
            guests: Some(guest_runtime()?),
            ticker,
        })
    }

    pub(crate) const fn wasmtime(&self) -> &Engine {
        &self.engine
    }

    /// Where guests run: never on the caller's runtime, whose timers and sockets a spinning guest
    /// would hold up.
    pub(crate) fn guests(&self) -> &tokio::runtime::Handle {
        self.guests
            .as_ref()
            .expect("the runtime is taken out by drop alone")
            .handle()
    }
}

impl Drop for GuestEngine {
    fn drop(&mut self) {
        // A runtime must not be dropped, with its wait for blocking work, inside another one.
        if let Some(runtime) = self.guests.take() {
            runtime.shutdown_background();
        }
        self.ticker.stop();
    }
}

impl std::fmt::Debug for GuestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuestEngine")
    }
}

/// Part of the compile cache's key: change nothing here without need.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(512 << 10)
        .async_stack_size(1 << 20)
        .wasm_backtrace_max_frames(NonZeroUsize::new(16))
        .generate_address_map(true);
    config
}

/// `event_interval(1)` lets timers and wake-ups in after each poll. With the default of 61, four
/// spinning guests on two threads hold up a timer for 600 ms instead of 10.
fn guest_runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .event_interval(1)
        .thread_name("waxwing-guest")
        .enable_all()
        .build()
}

/// Advances the engine's epoch. A thread rather than a task, so that no guest can hold it up.
struct Ticker {
    /// Dropped to stop the thread.
    running: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> Result<Self, std::io::Error> {
        let (running, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("waxwing-ticker".to_owned())
            .spawn(move || {
                while stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        Ok(Self {
            running: Some(running),
            thread: Some(thread),
        })
    }

    fn stop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // It has no way to panic, and nothing to say if it did.
            drop(thread.join());
        }
    }
}
