//! Addresses, connections, and the thread that owns them.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::auth::{Tokens, User};
use super::serve::{Body, Server};
use super::tls::Tls;
use super::world::World;

/// How the server is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it serves the API. Port 0: any.
    pub address: SocketAddr,
    /// Over TLS; `None`: plain HTTP, over which kubectl shows no token.
    pub tls: Option<Tls>,
    /// Where it is steered, for the program.
    pub control: Option<PathBuf>,
    /// Bearer tokens and their users. Without any, everybody may do everything; with, RBAC holds.
    pub tokens: Vec<(String, User)>,
}

impl Server {
    pub(super) fn new(tokens: &[(String, User)]) -> Server {
        let mut known = Tokens::default();
        for (token, user) in tokens {
            known.allow(token, user.clone());
        }
        let world = Rc::new(RefCell::new(World::new()));
        Server { world, tokens: Rc::new(RefCell::new(known)) }
    }

    /// Serves until dropped. `listener` is bound to the address already, and is bound again
    /// whenever the server has been deaf for a while.
    pub(super) async fn serve(
        &self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        let mut listener = Some(listener);
        let mut connections = JoinSet::new();
        let mut changes = self.world.borrow().changes();
        loop {
            changes.borrow_and_update();
            let listening = self.world.borrow().listening;
            match (listening, &listener) {
                (true, None) => listener = Some(TcpListener::bind(address).await?),
                (false, Some(_)) => {
                    listener = None;
                    connections.shutdown().await;
                }
                _ => {}
            }
            tokio::select! {
                accepted = accept(listener.as_ref()) => {
                    let server = self.clone();
                    let answer = move |request| server.clone().answer(request);
                    let (stream, tls) = (accepted?, tls.clone());
                    connections.spawn_local(async move {
                        match tls {
                            None => connection(stream, answer).await,
                            // Who shakes hands badly is left alone.
                            Some(tls) => if let Ok(stream) = tls.accept(stream).await {
                                connection(stream, answer).await;
                            }
                        }
                    });
                }
                changed = changes.changed() => if changed.is_err() { return Ok(()) },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Serves the control socket until dropped.
    pub(super) async fn steer(&self, listener: UnixListener) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let server = self.clone();
                    let answer = move |request| server.clone().control(request);
                    connections.spawn_local(connection(accepted?.0, answer));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<tokio::net::TcpStream> {
    match listener {
        Some(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }
        None => std::future::pending().await,
    }
}

async fn connection<S, F, R, E>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(hyper::Request<hyper::body::Incoming>) -> R + 'static,
    R: Future<Output = Result<Response<Body>, E>> + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    // A client that leaves early, and a connection that broke on purpose, are no news.
    drop(connection.await);
}

/// Runs the server as a program, until it is ended.
///
/// # Errors
/// Where it cannot listen.
pub fn run(options: &Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let server = Server::new(&options.tokens);
        let listener = TcpListener::bind(options.address).await?;
        let tls = options.tls.as_ref().map(Tls::acceptor).transpose()?;
        println!("listening on {}", listener.local_addr()?);
        match &options.control {
            Some(path) => {
                let control = UnixListener::bind(path)?;
                tokio::try_join!(server.serve(listener, tls), server.steer(control)).map(drop)
            }
            None => server.serve(listener, tls).await,
        }
    })
}
