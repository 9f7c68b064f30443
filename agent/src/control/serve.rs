//! Accepts connections and answers them, each in a task that ends with this one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

use super::Shared;
use super::socket::{ControlSocket, HttpListener};

/// Clients of the Unix socket at once; most of them watch.
const SOCKET_CLIENTS: usize = 64;
/// Clients of the HTTP address at once.
const HTTP_CLIENTS: usize = 32;
/// How long a client of the HTTP address may stay: nothing there streams.
const HTTP_STAY: Duration = Duration::from_secs(60);
/// The longest head of a request.
const HEAD: usize = 16 << 10;
/// How long a client may take to send it.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Pause after a failed accept: without file descriptors the next would fail as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// How often an HTTP address that could not be had is tried again.
const REBIND: Duration = Duration::from_secs(10);

/// What those get who come when all places are taken.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
    connection: close\r\n\r\n\
    {\"error\":\"too many clients\",\"remedy\":\"end some of those that watch, and try again\"}";

/// Serves the Unix socket until dropped.
pub(super) async fn socket(socket: &ControlSocket, router: &Router) {
    let mut clients = Clients::new(SOCKET_CLIENTS, None);
    loop {
        tokio::select! {
            accepted = socket.listener.accept() => {
                let stream = accepted.map(|(stream, _)| stream);
                clients.take(stream, router, "the control socket").await;
            }
            () = clients.leave() => {}
        }
    }
}

/// Serves the HTTP address, and follows it when the configuration changes, until dropped. An
/// address that cannot be had is shown by `twill status`, and the old one is served on.
pub(super) async fn http(shared: &Arc<Shared>, first: Option<HttpListener>, router: &Router) {
    let mut snapshots = shared.backend.snapshot.clone();
    let mut clients = Clients::new(HTTP_CLIENTS, Some(HTTP_STAY));
    let mut bound = first;
    loop {
        let wanted = snapshots.borrow_and_update().http;
        if wanted != bound.as_ref().map(|http| http.address) {
            bound = rebind(shared, bound, wanted).await;
        }
        let unmet = wanted != bound.as_ref().map(|http| http.address);
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() {
                // Nobody is left to change it.
                return serve_on(bound.as_ref(), clients, router).await;
            },
            accepted = accept(bound.as_ref()) => {
                clients.take(accepted, router, "the HTTP address").await;
            }
            () = clients.leave() => {}
            () = tokio::time::sleep(REBIND), if unmet => {}
        }
    }
}

/// Serves an address that does not change, until dropped.
pub(super) async fn bound(bound: Option<&HttpListener>, router: &Router) {
    serve_on(bound, Clients::new(HTTP_CLIENTS, Some(HTTP_STAY)), router).await;
}

async fn serve_on(bound: Option<&HttpListener>, mut clients: Clients, router: &Router) {
    loop {
        tokio::select! {
            accepted = accept(bound) => {
                clients.take(accepted, router, "the HTTP address").await;
            }
            () = clients.leave() => {}
        }
    }
}

async fn accept(bound: Option<&HttpListener>) -> io::Result<tokio::net::TcpStream> {
    match bound {
        Some(http) => http.listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn rebind(
    shared: &Shared,
    old: Option<HttpListener>,
    wanted: Option<std::net::SocketAddr>,
) -> Option<HttpListener> {
    let (bound, problem) = match wanted {
        None => (None, None),
        Some(address) => match HttpListener::bind(address).await {
            Ok(new) => (Some(new), None),
            Err(error) => (old, Some(error.to_string())),
        },
    };
    shared.problem.send_if_modified(|before| {
        let changed = *before != problem;
        if let (true, Some(problem)) = (changed, &problem) {
            tracing::warn!("{problem}");
        }
        *before = problem;
        changed
    });
    bound
}

/// The connections of one listener.
struct Clients {
    tasks: JoinSet<()>,
    most: usize,
    stay: Option<Duration>,
}

impl Clients {
    fn new(most: usize, stay: Option<Duration>) -> Clients {
        Clients { tasks: JoinSet::new(), most, stay }
    }

    /// Completes when one has left; never while there is none.
    async fn leave(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    async fn take<S>(&mut self, accepted: io::Result<S>, router: &Router, place: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection on {place}: {error}");
                return tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        };
        // Those that have left but were not seen off yet take no place.
        while self.tasks.try_join_next().is_some() {}
        if self.tasks.len() >= self.most {
            // A fresh connection has room for so little; a client that is gone already needs none.
            let _: Result<Result<(), io::Error>, _> =
                tokio::time::timeout(HEAD_TIME, stream.write_all(FULL)).await;
            return;
        }
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let stay = self.stay;
        self.tasks.spawn(async move {
            let ended = match stay {
                None => connection.await,
                Some(stay) => match tokio::time::timeout(stay, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                },
            };
            if let Err(error) = ended {
                tracing::debug!("a client of control left early: {error}");
            }
        });
    }
}
