use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use twill_bgp_proto::wire::Cease;

use crate::core::{Core, Ending};
use crate::error::SpeakerError;
use crate::handle::Handle;
use crate::listener::{Doors, Listeners};
use crate::settings::Settings;

/// The longest restart time that RFC 4724 section 3 can say.
const RESTART_TIME_MAXIMUM: Duration = Duration::from_secs(4095);

/// A running BGP speaker. Owns all of its tasks: when it is dropped they end at once, as in a
/// crash, and peers see their connections close without a word. [`Speaker::leave`] and
/// [`Speaker::stop`] end it in good order; [`Speaker::abort`] waits until it is gone.
#[derive(Debug)]
pub struct Speaker {
    handle: Handle,
    endings: mpsc::Sender<(Ending, oneshot::Sender<()>)>,
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
}

impl Speaker {
    /// Listens, and waits for [`Handle::set_peers`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// Where one of the addresses cannot be listened on; nothing runs then.
    pub async fn start(settings: Settings) -> Result<Speaker, SpeakerError> {
        if let Some(time) = settings.restart_time.filter(|time| *time > RESTART_TIME_MAXIMUM) {
            return Err(SpeakerError::RestartTime { seconds: time.as_secs() });
        }
        let listeners = Listeners::open(&settings.listen)?;
        let addresses = listeners.addresses().to_vec();
        let (doors, watch_doors) = watch::channel(Doors::default());
        let mut tasks = JoinSet::new();
        listeners.accept(&mut tasks, &watch_doors);
        let (core, ends) = Core::new(settings, listeners, doors);
        tasks.spawn(core.run());
        Ok(Speaker { handle: ends.handle, endings: ends.endings, addresses, tasks })
    }

    /// Speaks to it; may be cloned and kept.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where it listens, in the order of [`Settings::listen`], with the ports that were taken
    /// where 0 was asked for.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Leaves for a restart: closes every session without a NOTIFICATION once what was to be sent
    /// is sent, so that peers keep our routes for the restart time (RFC 4724).
    pub async fn leave(self) {
        self.end(Ending::Leave).await;
    }

    /// Ends every session and tells each peer why; peers forget our routes.
    pub async fn stop(self, cease: Cease) {
        self.end(Ending::Stop(cease)).await;
    }

    /// Ends everything at once, as dropping does, and returns when nothing listens any more: the
    /// same addresses can then be listened on again.
    pub async fn abort(mut self) {
        self.tasks.shutdown().await;
    }

    async fn end(mut self, ending: Ending) {
        let (done, ended) = oneshot::channel();
        if self.endings.send((ending, done)).await.is_ok() {
            // An error means that the core is gone, which is as good.
            let _ = ended.await;
        }
        self.tasks.shutdown().await;
    }
}
