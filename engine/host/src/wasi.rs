//! The WASI that guests are linked against: clocks, randomness and nothing else. Compilers link
//! it into guests whether they use it or not, so it is there and denies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};
use waxwing_flow::ports::Clock;

use crate::call::instant;

/// Bytes of stdout and stderr of one call that are looked at.
const OUTPUT_CAP: usize = 64 * 1024;
/// Bytes of them that are kept for the error message of a crash.
const TAIL: usize = 2 * 1024;
/// Bytes of randomness in one request.
const RANDOM_CAP: u64 = 64 * 1024;

/// No files, environment, arguments, sockets or name look-ups.
pub(crate) fn context(output: &Output, clock: Arc<dyn Clock>) -> WasiCtx {
    WasiCtx::builder()
        .stdout(output.clone())
        .stderr(output.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_CAP)
        .wall_clock(Wall(clock))
        .monotonic_clock(Monotonic(instant()))
        .build()
}

/// What a guest writes to stdout and stderr: a panic message at best. It reaches the log at debug
/// level after redaction, when the call ends.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Tail>>);

struct Tail {
    bytes: Vec<u8>,
    seen: usize,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Tail {
            bytes: Vec::new(),
            seen: 0,
        })))
    }

    /// The last of it, as text.
    pub(crate) fn tail(&self) -> String {
        let tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&tail.bytes).into_owned()
    }

    fn push(&self, bytes: &[u8]) {
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = OUTPUT_CAP.saturating_sub(tail.seen);
        tail.seen = tail.seen.saturating_add(bytes.len());
        tail.bytes
            .extend_from_slice(&bytes[..bytes.len().min(left)]);
        let extra = tail.bytes.len().saturating_sub(TAIL);
        tail.bytes.drain(..extra);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_CAP)
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

struct Wall(Arc<dyn Clock>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().unix_ms()).unwrap_or(0))
    }
}

/// Nanoseconds since the call began.
struct Monotonic(Instant);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
