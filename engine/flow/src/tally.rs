//! How many requests to CAs an attempt takes.
//!
//! A session is shared by all certificates of a run, so its own count says nothing about one of them. The
//! count belongs to the work on one certificate instead, wherever it is polled. Outside of such work
//! nothing is counted.

use std::cell::Cell;

tokio::task_local! {
    static SENT: Cell<u32>;
}

/// Does this work with a count of its own, which begins at nothing.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> T {
    SENT.scope(Cell::new(0), work).await
}

/// Counts a request that is about to be sent.
pub(crate) fn count() {
    let _nobody_counts = SENT.try_with(|sent| sent.set(sent.get().saturating_add(1)));
}

/// What was sent since this was last asked.
pub(crate) fn take() -> u32 {
    SENT.try_with(|sent| sent.replace(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_is_done_side_by_side_is_counted_apart() {
        let work = async |requests: u32| {
            for _ in 0..requests {
                count();
                tokio::task::yield_now().await;
            }
            (take(), take())
        };
        count();
        let (one, two) = tokio::join!(counted(work(3)), counted(work(5)));
        assert_eq!((one, two, take()), ((3, 0), (5, 0), 0));
    }
}
