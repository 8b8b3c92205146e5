//! One call of a plugin: a fresh store with its limits, run apart from the caller's runtime, and
//! ended by whatever comes first: an answer, a trap, a limit, or the caller losing interest.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use waxwing_flow::audit::AuditEvent;
use waxwing_flow::plugin::PluginFailure;

use crate::artifacts::Artifacts;
use crate::bindings::installer::waxwing::plugin::types::PluginError;
use crate::files::Writes;
use crate::instance::Instance;
use crate::judge::{Denial, Judge, Seen};
use crate::limits::{
    Bounds, DENIALS, EVENTS, HANDLES, HOSTCALL_FUEL, LOG_BYTES, LOG_MESSAGES, Limit, TABLE_ELEMENTS,
};
use crate::phase::Phase;
use crate::policy::Refusal;
use crate::redact::Redactor;
use crate::wasi::{self, Output};

/// Between a refusal and its hint in the text for a guest.
const HINT: &str = "; hint: ";

/// The refusal in a text that [`Call::deny`] answered.
pub(crate) fn without_hint(text: &str) -> &str {
    text.split_once(HINT).map_or(text, |(refusal, _)| refusal)
}

/// What host functions see of the call in progress.
pub(crate) struct Call {
    pub(crate) instance: Arc<Instance>,
    pub(crate) phase: Phase,
    /// When the host stops the call.
    pub(crate) deadline: Instant,
    /// The caller's runtime: connections and children live there.
    pub(crate) caller: Handle,
    pub(crate) redactor: Redactor,
    pub(crate) seen: Seen,
    pub(crate) artifacts: Artifacts,
    pub(crate) writes: Writes,
    pub(crate) http_calls: u32,
    /// What the host refused, of every kind.
    denials: u32,
    /// Acts for the audit trail.
    events: u64,
    pub(crate) log_messages_left: u32,
    pub(crate) log_bytes_left: usize,
    ticks: u64,
    meter: Meter,
    output: Output,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl Call {
    fn new(instance: Arc<Instance>, phase: Phase, caller: Handle, artifacts: Artifacts) -> Self {
        let bounds = instance.powers.bounds;
        let output = Output::new();
        let mut redactor = instance.redactor.clone();
        artifacts.redact(&mut redactor);
        Self {
            deadline: instant() + bounds.call,
            caller,
            redactor,
            seen: Seen::default(),
            writes: Writes::new(Arc::clone(&instance)),
            http_calls: 0,
            denials: 0,
            events: 0,
            log_messages_left: LOG_MESSAGES,
            log_bytes_left: LOG_BYTES,
            ticks: 0,
            meter: Meter::new(&bounds),
            wasi: wasi::context(&output, Arc::clone(&instance.host.clock)),
            output,
            table: ResourceTable::new(),
            artifacts,
            phase,
            instance,
        }
    }

    /// Time until the host stops the call.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(instant())
    }

    /// Remembers a refusal and answers the text for the guest.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) -> String {
        let hint = refusal.hint(&self.instance.powers);
        let limit = match refusal {
            Refusal::Budget(_) => Some(Limit::HttpCalls.key()),
            _ => None,
        };
        self.remember(refusal.to_string(), hint, limit)
    }

    /// Remembers a denial and answers the text for the guest.
    pub(crate) fn deny(&mut self, message: String, hint: String) -> String {
        self.remember(message, hint, None)
    }

    fn remember(&mut self, message: String, hint: String, limit: Option<&'static str>) -> String {
        self.denials += 1;
        let message = self.redactor.text(&message);
        let text = format!("{message}{HINT}{hint}");
        let denial = Denial {
            message: message.clone(),
            hint,
            limit,
        };
        if self.seen.denied(denial) {
            tracing::warn!(
                plugin = %self.instance.name,
                phase = %self.phase,
                "denied: {message}"
            );
        }
        text
    }

    /// Ends a guest that goes on and on after refusals: the time of the host's own work is not
    /// counted as the guest's, so that nothing else would stop it before the end of its call.
    pub(crate) fn heard(&self) -> wasmtime::Result<()> {
        if self.denials < DENIALS {
            return Ok(());
        }
        Err(wasmtime::Error::msg(format!(
            "the plugin went on after {DENIALS} refusals in one call"
        )))
    }

    /// Enters an act in the audit trail. Beyond [`EVENTS`] of one call they are only counted.
    pub(crate) fn audit(&mut self, event: AuditEvent) {
        self.events += 1;
        if self.events <= EVENTS {
            self.instance.host.audit.record(event);
        }
    }

    fn into_judge(mut self) -> Judge {
        if let Some(count @ 1..) = self.events.checked_sub(EVENTS) {
            self.instance.host.audit.record(AuditEvent::More {
                plugin: self.instance.name.clone(),
                count,
            });
        }
        if let Some(limit) = self.meter.hit {
            self.seen.hit(limit);
        }
        let written = self.output.tail();
        if !written.is_empty() {
            let text = self.redactor.text(&written);
            tracing::debug!(plugin = %self.instance.name, phase = %self.phase, "wrote: {text}");
        }
        self.seen.stderr = written;
        Judge {
            plugin: self.instance.name.clone(),
            phase: self.phase,
            bounds: self.instance.powers.bounds,
            redactor: std::mem::take(&mut self.redactor),
            seen: std::mem::take(&mut self.seen),
        }
    }
}

impl WasiView for Call {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Now, on a clock that nobody sets: what deadlines and durations are counted by.
#[expect(
    clippy::disallowed_methods,
    reason = "a limit on a guest has to hold whatever the wall clock does, so the Clock port, which \
              may jump, is no help"
)]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// What a call runs: instantiates the component in the store and calls one export.
pub(crate) type Body<T> = Box<
    dyn for<'a> FnOnce(
            &'a mut Store<Call>,
        ) -> Pin<
            Box<dyn Future<Output = wasmtime::Result<Result<T, PluginError>>> + Send + 'a>,
        > + Send,
>;

/// Calls a plugin. File writes of a call that does not succeed are undone; so are those of a call
/// whose future is dropped.
///
/// `accept` turns the guest's answer into the engine's; what it refuses counts as a failed call.
pub(crate) async fn call<T, A>(
    instance: &Arc<Instance>,
    phase: Phase,
    artifacts: Artifacts,
    body: Body<T>,
    accept: impl FnOnce(T, &Judge) -> Result<A, PluginFailure> + Send + 'static,
) -> Result<A, PluginFailure>
where
    T: Send + 'static,
    A: Send + 'static,
{
    let turn = instance.turn().await;
    let instance = Arc::clone(instance);
    let guests = instance.host.engine.guests().clone();
    let caller = Arc::clone(&instance);
    let call = Call::new(Arc::clone(&instance), phase, Handle::current(), artifacts);
    let task = Task(guests.spawn(async move {
        // Given back when the guest is gone, which is later than a caller that loses interest.
        let _turn = turn;
        let result = run(call, body, accept).await;
        caller.keep_rate();
        result
    }));
    match task.join().await {
        Ok(result) => result,
        Err(failed) => Err(instance.broken(phase, &failed.to_string())),
    }
}

async fn run<T, A>(
    call: Call,
    body: Body<T>,
    accept: impl FnOnce(T, &Judge) -> Result<A, PluginFailure>,
) -> Result<A, PluginFailure> {
    let deadline = call.deadline;
    let mut store = store(call);
    let end = tokio::time::timeout_at(deadline.into(), body(&mut store)).await;
    let mut call = store.into_data();
    let writes = std::mem::replace(&mut call.writes, Writes::new(Arc::clone(&call.instance)));
    let judge = call.into_judge();
    let result = match end {
        Ok(Ok(Ok(answer))) => accept(answer, &judge),
        Ok(Ok(Err(error))) => Err(judge.guest(error)),
        Ok(Err(trap)) => Err(judge.trap(&trap)),
        Err(_elapsed) => Err(judge.out_of_time()),
    };
    match result {
        Ok(answer) => {
            writes.keep();
            Ok(answer)
        }
        Err(mut failure) => {
            failure.causes.extend(writes.undo());
            Err(failure)
        }
    }
}

fn store(call: Call) -> Store<Call> {
    let instance = Arc::clone(&call.instance);
    let cpu_ticks = instance.powers.bounds.cpu_ticks();
    let mut store = Store::new(instance.host.engine.wasmtime(), call);
    store.limiter(|call| &mut call.meter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    store.set_max_component_handles(HANDLES);
    store.set_epoch_deadline(1);
    // Ticks reach a store only while its guest runs, so they count computing and not waiting.
    store.epoch_deadline_callback(move |mut context| {
        let call = context.data_mut();
        call.ticks += 1;
        if call.ticks > cpu_ticks {
            call.seen.hit(Limit::Cpu);
            return Ok(UpdateDeadline::Interrupt);
        }
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

/// A task that ends when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    async fn join(mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a future on the caller's runtime, and stops it when the guest is stopped.
pub(crate) async fn on_caller<T: Send + 'static>(
    caller: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    Task(caller.spawn(work)).join().await
}

/// Counts the memory and table space of a component over all its memories and tables.
struct Meter {
    memory_left: u64,
    elements_left: usize,
    hit: Option<Limit>,
}

impl Meter {
    fn new(bounds: &Bounds) -> Self {
        Self {
            memory_left: bounds.memory,
            elements_left: TABLE_ELEMENTS,
            hit: None,
        }
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let Some(left) = self.memory_left.checked_sub(more) else {
            self.hit = Some(Limit::Memory);
            return Ok(false);
        };
        self.memory_left = left;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let Some(left) = self.elements_left.checked_sub(more) else {
            self.hit = Some(Limit::Memory);
            return Ok(false);
        };
        self.elements_left = left;
        Ok(true)
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}
