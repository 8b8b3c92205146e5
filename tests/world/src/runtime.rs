//! The thread on which a world's servers run.

use std::future::Future;
use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// An asynchronous runtime on a thread of its own; dropping it ends every task and joins the
/// thread.
#[derive(Debug)]
pub(crate) struct Runtime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Runtime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("world".to_owned())
            .spawn(move || {
                // Either way the answer is to end: told to, or nobody is left to tell.
                let _told_or_gone = runtime.block_on(stopped);
            })?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `work` on the world's thread and waits for its result, from any other thread, be it of
    /// another runtime.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = mpsc::channel();
        self.handle.spawn(async move {
            // Nobody waits any more if this fails.
            let _unheard = done.send(work.await);
        });
        result.recv().map_err(io::Error::other)?
    }

    /// Runs `work` until it ends or the returned task is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Task {
        let (alive, gone) = mpsc::channel::<()>();
        let abort = self
            .handle
            .spawn(async move {
                let _alive = alive;
                work.await;
            })
            .abort_handle();
        Task { abort, gone }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook; a drop must not add another.
            let _panicked = thread.join();
        }
    }
}

/// A running task; dropping it stops the task and waits until its sockets are closed.
///
/// Must not be dropped on the world's own thread, which would wait for itself.
#[derive(Debug)]
pub(crate) struct Task {
    abort: AbortHandle,
    gone: mpsc::Receiver<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort.abort();
        // The sender lives in the task, so this returns when the task's memory is gone.
        let _disconnected = self.gone.recv();
    }
}
