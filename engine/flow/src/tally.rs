//! How many requests to CAs an attempt takes, and who looks on.
//!
//! A session is shared by all certificates of a run, so its own count says nothing about one of them. The
//! count belongs to the work on one certificate instead, wherever it is polled, and so does what is shown
//! of each request. Outside of such work nothing is counted or shown.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use waxwing_core::http::host_of;
use waxwing_core::name::CertificateName;

use crate::ports::{Clock, Policy};
use crate::report::{Asking, Observer, Progress};

tokio::task_local! {
    static SENT: Cell<u32>;
    static SEEN_BY: (Arc<dyn Observer>, CertificateName);
}

/// Does this work so that it is seen what each request of it waits for.
pub(crate) async fn seen<T>(
    observer: &Arc<dyn Observer>,
    certificate: &CertificateName,
    work: impl Future<Output = T>,
) -> T {
    let seen_by = (Arc::clone(observer), certificate.clone());
    SEEN_BY.scope(seen_by, work).await
}

/// Counts a request that is about to be sent, and shows who is asked and until when.
pub(crate) fn asks(clock: &dyn Clock, url: &str, policy: &Policy) {
    count();
    show(|| Asking::Answer {
        host: host_of(url).to_owned(),
        until: clock.now() + policy.reply,
    });
}

/// Waits before a request, and shows that.
pub(crate) async fn pause(clock: &dyn Clock, wait: Duration) {
    show(|| Asking::Pause {
        until: clock.now() + wait,
    });
    clock.sleep(wait).await;
}

fn show(asking: impl FnOnce() -> Asking) {
    let _nobody_looks = SEEN_BY.try_with(|(observer, certificate)| {
        observer.progress(certificate, &Progress::Asking(asking()));
    });
}

/// Does this work with a count of its own, which begins at nothing.
pub(crate) async fn counted<T>(work: impl Future<Output = T>) -> T {
    SENT.scope(Cell::new(0), work).await
}

fn count() {
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
