//! What control asks of the BGP speaker, as a trait, so that tests can answer in its place.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::broadcast;
use twill_bgp::proto::types::Prefix;
use twill_bgp::{
    Announcement, BestChange, Handle, Notice, PeerStatus, Reset, RouteEntry, RouteQuery, Stopped,
};

/// An answer of the speaker; [`Stopped`] where there is nobody left to give one.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Stopped>>;

/// The part of [`Handle`] that control uses; the same names mean the same.
#[allow(missing_docs, reason = "documented at Handle")]
pub trait Speaker: Send + Sync + 'static {
    fn peers(&self) -> Answer<'_, Vec<PeerStatus>>;
    fn routes(&self, query: RouteQuery) -> Answer<'_, Vec<RouteEntry>>;
    fn announce(&self, route: Announcement) -> Answer<'_, ()>;
    fn withdraw(&self, prefix: Prefix) -> Answer<'_, bool>;
    fn reset(&self, peer: Arc<str>, how: Reset) -> Answer<'_, bool>;
    /// The best paths: first the whole Loc-RIB, then changes; ends with the speaker.
    fn changes(&self) -> Answer<'_, BoxStream<'static, Vec<BestChange>>>;
    fn notices(&self) -> broadcast::Receiver<Notice>;
}

impl Speaker for Handle {
    fn peers(&self) -> Answer<'_, Vec<PeerStatus>> {
        Handle::peers(self).boxed()
    }

    fn routes(&self, query: RouteQuery) -> Answer<'_, Vec<RouteEntry>> {
        Handle::routes(self, query).boxed()
    }

    fn announce(&self, route: Announcement) -> Answer<'_, ()> {
        Handle::announce(self, route).boxed()
    }

    fn withdraw(&self, prefix: Prefix) -> Answer<'_, bool> {
        Handle::withdraw(self, prefix).boxed()
    }

    fn reset(&self, peer: Arc<str>, how: Reset) -> Answer<'_, bool> {
        async move { Handle::reset(self, &peer, how).await }.boxed()
    }

    fn changes(&self) -> Answer<'_, BoxStream<'static, Vec<BestChange>>> {
        async {
            let subscription = self.subscribe().await?;
            Ok(stream::unfold(subscription, async |mut subscription| {
                let changes = subscription.next().await?;
                Some((changes, subscription))
            })
            .boxed())
        }
        .boxed()
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        Handle::notices(self)
    }
}
