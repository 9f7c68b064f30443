//! The server in a thread of its own, for a test in the same process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::auth::User;
use super::fault::Fault;
use super::record::Asked;
use super::serve::Server;
use super::world::World;

/// Closures that may wait for the server's thread.
const WAITING: usize = 16;

type Act = Box<dyn FnOnce(&mut World) + Send>;

/// A server that ends with this value.
///
/// Its methods may be called from anywhere, also within a runtime: they wait for the server's
/// thread, which never waits for them.
pub struct ApiServer {
    address: SocketAddr,
    acts: Option<SyncSender<Act>>,
    wake: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// On a free port of the loopback; everybody may do everything.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start() -> Result<ApiServer> {
        ApiServer::start_with(&[])
    }

    /// The same for those who show one of these bearer tokens; RBAC holds.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start_with(tokens: &[(String, User)]) -> Result<ApiServer> {
        // Bound here and now, whatever runtime the caller is in.
        let listener =
            std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let address = listener.local_addr()?;
        let (acts, todo) = sync_channel::<Act>(WAITING);
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let tokens = tokens.to_vec();
        let thread = std::thread::Builder::new().name("apiserver".to_owned()).spawn(move || {
            let server = Server::new(&tokens);
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let serving = async { server.serve(TcpListener::from_std(listener)?, None).await };
                tokio::select! {
                    // It ends only where it cannot listen again; tests then see it refuse.
                    _ = serving => {}
                    () = follow(&server, &todo, &woken) => {}
                }
            });
        })?;
        Ok(ApiServer { address, acts: Some(acts), wake, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does something with all that the server knows, between two requests.
    ///
    /// # Panics
    /// Where the server's thread has ended, which is a fault in it.
    pub fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut World) -> T + Send + 'static) -> T {
        let (answer, answered) = sync_channel(1);
        let act: Act = Box::new(move |world| {
            // The asker waits for it.
            let _ = answer.send(act(world));
        });
        let sent = self.acts.as_ref().map(|acts| acts.send(act));
        assert!(matches!(sent, Some(Ok(()))), "the API server's thread has ended");
        self.wake.notify_one();
        answered.recv().expect("the API server's thread has ended")
    }

    /// Creates an object, or replaces the one of its name, status included; as it stands then.
    ///
    /// # Panics
    /// Where the server refuses it.
    pub fn put(&self, object: Value) -> Value {
        self.with(|world| world.put(object)).expect("the object is accepted")
    }

    /// Changes an object, which must be there.
    ///
    /// # Panics
    /// Where it is not, or the server refuses the change.
    pub fn edit(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value) + Send + 'static,
    ) -> Value {
        let place = [plural, namespace, name].map(str::to_owned);
        self.with(move |world| world.edit(&place[0], &place[1], &place[2], change))
            .expect("the change is accepted")
    }

    /// Deletes an object, which must be there.
    ///
    /// # Panics
    /// Where it is not.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let place = [plural, namespace, name].map(str::to_owned);
        self.with(move |world| world.take_away(&place[0], &place[1], &place[2]))
            .expect("the object is there");
    }

    /// An object, where it is there.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let place = [plural, namespace, name].map(str::to_owned);
        self.with(move |world| world.get(&place[0], &place[1], &place[2]))
    }

    /// All objects of a resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        let plural = plural.to_owned();
        self.with(move |world| world.all(&plural))
    }

    /// Adds a fault; running watches take note.
    pub fn fault(&self, fault: Fault) {
        self.with(|world| world.add_fault(fault));
    }

    /// Ends all faults. Watches that fell silent stay so.
    pub fn clear_faults(&self) {
        self.with(World::clear_faults);
    }

    /// Whether it listens at all: without, connections are refused, and those that stand break.
    pub fn listen(&self, yes: bool) {
        self.with(move |world| world.listen(yes));
    }

    /// Forgets the history: watches from before have expired.
    pub fn forget_history(&self) {
        self.with(World::forget_history);
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.with(|world| world.asked().to_vec())
    }

    /// How often a verb was asked of a resource (`nodes`, `bgppeers.twill.dev`).
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.asked().iter().filter(|asked| asked.is(verb, resource)).count()
    }

    /// Forgets what was asked.
    pub fn forget_asked(&self) {
        self.with(World::forget_asked);
    }
}

/// Runs what the test wants done, until the test is gone.
async fn follow(server: &Server, todo: &Receiver<Act>, woken: &Notify) {
    loop {
        woken.notified().await;
        loop {
            match todo.try_recv() {
                Ok(act) => act(&mut server.world.borrow_mut()),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.acts = None;
        self.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}
