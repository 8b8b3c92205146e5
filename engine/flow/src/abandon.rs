//! Giving up what is open of an order that nobody goes on with.
//!
//! A pending authorization counts at its CA until it expires, and some CAs try it again by
//! themselves. Everything here is a courtesy: each request is sent once, and what fails is logged and
//! never becomes the failure of a run.

use futures_util::future::join_all;
use waxwing_acme::authorization::{
    Authorization, AuthorizationStatus, DeactivateAuthorization, ReadAuthorization,
};
use waxwing_acme::order::{OrderStatus, ReadOrder};

use crate::failure::Failure;
use crate::session::{CaSession, Repeat};

/// Gives up the pending authorizations of an order.
pub(crate) async fn order(session: &CaSession, url: &str) {
    let read = async {
        let call = ReadOrder {
            url: url.to_owned(),
        };
        let state = session.call(&call, Repeat::Never).await?;
        if state.order.status != OrderStatus::Pending {
            return Ok(());
        }
        let reads = state.order.authorizations.into_iter().map(async |url| {
            let call = ReadAuthorization { url: url.clone() };
            session.call(&call, Repeat::Never).await.map(|it| (url, it))
        });
        let read: Vec<(String, Authorization)> = join_all(reads)
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let pending = read.into_iter().filter_map(|(url, authorization)| {
            (authorization.status == AuthorizationStatus::Pending).then_some(url)
        });
        deactivate(session, pending.collect()).await;
        Ok::<_, Failure>(())
    };
    if let Err(failure) = read.await {
        tracing::info!(order = url, cause = %failure.chain().join(": "), "could not be given up");
    }
}

/// Gives up these authorizations.
pub(crate) async fn authorizations(session: &CaSession, urls: Vec<String>) {
    deactivate(session, urls).await;
}

async fn deactivate(session: &CaSession, urls: Vec<String>) {
    let calls = urls.into_iter().map(async |url| {
        let call = DeactivateAuthorization { url };
        if let Err(failure) = session.call(&call, Repeat::Never).await {
            let causes = failure.lines();
            tracing::info!(authorization = call.url, ?causes, "could not be given up");
        }
    });
    join_all(calls).await;
}
