//! The speaker as control sees it: always the one that runs, whichever that is.
//!
//! Another speaker takes the place of the one before where AS, router id or port change. Whoever
//! listens goes on listening, and what was announced at run time is announced by the next one.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use futures::stream::BoxStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use twill_bgp::proto::types::Prefix;
use twill_bgp::{
    Announcement, BestChange, Handle, Notice, PeerStatus, Reset, RouteEntry, RouteQuery, Stopped,
};

use crate::control::{Answer, Speaker};

/// Notices that a slow listener may fall behind.
const NOTICES: usize = 1024;

/// Stands for the speaker that runs.
#[derive(Debug, Clone)]
pub(super) struct Current {
    handle: watch::Sender<Option<Handle>>,
    notices: broadcast::Sender<Notice>,
    /// What was announced at run time.
    announced: watch::Sender<BTreeMap<Prefix, Announcement>>,
}

impl Current {
    pub(super) fn new() -> Current {
        Current {
            handle: watch::Sender::new(None),
            notices: broadcast::Sender::new(NOTICES),
            announced: watch::Sender::default(),
        }
    }

    /// Stands for `handle` from now on, and passes on its notices until it stops.
    pub(super) async fn follow(self, handle: Handle) {
        let mut notices = handle.notices();
        let again: Vec<Announcement> = self.announced.borrow().values().cloned().collect();
        for route in again {
            if handle.announce(route).await.is_err() {
                return;
            }
        }
        self.handle.send_replace(Some(handle));
        loop {
            match notices.recv().await {
                // An error means that nobody listens.
                Ok(notice) => drop(self.notices.send(notice)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn handle(&self) -> Result<Handle, Stopped> {
        self.handle.borrow().clone().ok_or(Stopped)
    }
}

impl Speaker for Current {
    fn peers(&self) -> Answer<'_, Vec<PeerStatus>> {
        async { self.handle()?.peers().await }.boxed()
    }

    fn routes(&self, query: RouteQuery) -> Answer<'_, Vec<RouteEntry>> {
        async { self.handle()?.routes(query).await }.boxed()
    }

    fn announce(&self, route: Announcement) -> Answer<'_, ()> {
        async {
            self.handle()?.announce(route.clone()).await?;
            self.announced.send_modify(|announced| {
                announced.insert(route.prefix, route);
            });
            Ok(())
        }
        .boxed()
    }

    fn withdraw(&self, prefix: Prefix) -> Answer<'_, bool> {
        async move {
            let withdrawn = self.handle()?.withdraw(prefix).await?;
            self.announced.send_modify(|announced| {
                announced.remove(&prefix);
            });
            Ok(withdrawn)
        }
        .boxed()
    }

    fn reset(&self, peer: Arc<str>, how: Reset) -> Answer<'_, bool> {
        async move { self.handle()?.reset(&peer, how).await }.boxed()
    }

    fn changes(&self) -> Answer<'_, BoxStream<'static, Vec<BestChange>>> {
        async {
            let handle = self.handle()?;
            Speaker::changes(&handle).await
        }
        .boxed()
    }

    fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }
}
