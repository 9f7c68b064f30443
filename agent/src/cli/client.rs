//! The client of the agent's socket: HTTP with JSON over `/run/twill/twill.sock`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::Exit;
use crate::control::api::Refusal;

/// Where the agent's socket is, unless said otherwise.
pub const SOCKET: &str = "/run/twill/twill.sock";

/// The longest wait for the beginning of an answer; the agent itself gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(40);
/// The largest answer: a table of millions of routes. A line of a stream is one answer.
const ANSWER: usize = 2 << 30;

/// Which agent to ask.
#[derive(Debug, clap::Args)]
pub struct Agent {
    /// The agent's socket.
    #[arg(long, value_name = "PATH", env = "TWILL_SOCKET", hide_env_values = true, default_value = SOCKET)]
    socket: PathBuf,
}

#[cfg(test)]
impl Agent {
    pub(crate) fn at(socket: &Path) -> Agent {
        Agent { socket: socket.to_owned() }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody is there.
    #[error("cannot reach the agent at {}: {what}; {remedy}", path.display())]
    Unreachable { path: PathBuf, what: String, remedy: &'static str },
    /// The agent said no.
    #[error("{}{}", refusal.error, remedy(refusal))]
    Refused { status: StatusCode, refusal: Refusal },
    /// Not what an agent says.
    #[error(
        "the answer from {} makes no sense: {what}; is the agent of another version?",
        path.display()
    )]
    Garbled { path: PathBuf, what: String },
}

fn remedy(refusal: &Refusal) -> String {
    refusal.remedy.as_ref().map_or_else(String::new, |remedy| format!("; {remedy}"))
}

impl ClientError {
    /// Prints the reason, and says how the command ends.
    pub(super) fn end(&self) -> Exit {
        eprintln!("twill: {self}");
        match self {
            ClientError::Refused { status, .. } if *status == StatusCode::BAD_REQUEST => {
                Exit::Usage
            }
            ClientError::Refused { status, .. } if *status == StatusCode::SERVICE_UNAVAILABLE => {
                Exit::Unreachable
            }
            ClientError::Refused { .. } => Exit::No,
            ClientError::Unreachable { .. } | ClientError::Garbled { .. } => Exit::Unreachable,
        }
    }
}

/// One connection to the agent.
pub(crate) struct Client {
    path: PathBuf,
    sender: SendRequest<Full<Bytes>>,
    /// Process id of the agent, where the kernel tells.
    server: Option<u32>,
    /// Drives the connection, and ends with it.
    _connection: JoinSet<()>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(agent: &Agent) -> Result<Client, ClientError> {
        let path = agent.socket.clone();
        let unreachable = |error: &io::Error| unreachable(&path, error);
        let timeout = || io::Error::new(io::ErrorKind::TimedOut, "it does not accept connections");
        let stream = tokio::time::timeout(PATIENCE, UnixStream::connect(&path))
            .await
            .unwrap_or_else(|_| Err(timeout()))
            .map_err(|error| unreachable(&error))?;
        let server = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let server = server.and_then(|pid| u32::try_from(pid).ok());
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(&io::Error::other(error)))?;
        let mut driver = JoinSet::new();
        // What goes wrong with the connection is told by whoever waits for an answer.
        driver.spawn(async move { drop(connection.await) });
        Ok(Client { path, sender, server, _connection: driver })
    }

    /// The agent's process id: 0 and what is in another namespace is none.
    pub(super) fn server_process(&self) -> Option<u32> {
        self.server.filter(|pid| *pid > 0)
    }

    /// Asks, and waits for the beginning of the answer; one that is no success is an error.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        uri: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::HOST, "twill")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.garbled(&error))?;
        let answer = tokio::time::timeout(PATIENCE, self.sender.send_request(request))
            .await
            .map_err(|_| {
                let slow = io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
                unreachable(&self.path, &slow)
            })?
            .map_err(|error| unreachable(&self.path, &io::Error::other(error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.whole(answer).await?;
        let refusal = serde_json::from_slice(&body).map_err(|_| {
            let text = String::from_utf8_lossy(&body);
            self.garbled(&format!("{status}: {}", text.chars().take(200).collect::<String>()))
        })?;
        Err(ClientError::Refused { status, refusal })
    }

    /// Asks for one document.
    pub(crate) async fn document<T: DeserializeOwned>(
        &mut self,
        method: Method,
        uri: &str,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let answer = self.send(method, uri, body).await?;
        let body = self.whole(answer).await?;
        serde_json::from_slice(&body).map_err(|error| self.garbled(&error))
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(answer.into_body(), ANSWER).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| self.garbled(&error))
    }

    fn garbled(&self, what: &dyn ToString) -> ClientError {
        ClientError::Garbled { path: self.path.clone(), what: what.to_string() }
    }

    /// Asks for a stream of documents, one on each line.
    pub(crate) async fn lines(mut self, uri: &str) -> Result<Lines, ClientError> {
        let answer = self.send(Method::GET, uri, Vec::new()).await?;
        Ok(Lines { client: self, body: answer.into_body(), buffer: BytesMut::new(), seen: 0 })
    }
}

/// A stream of documents.
pub(crate) struct Lines {
    client: Client,
    body: Incoming,
    buffer: BytesMut,
    /// So much of the buffer holds no end of line.
    seen: usize,
}

impl Lines {
    /// The next document. A stream that ends is an agent that ended.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        let line = self.line().await?;
        serde_json::from_slice(&line).map_err(|error| {
            // The last line of a stream may say why there is no further one.
            match serde_json::from_slice(&line) {
                Ok(refusal) => ClientError::Refused { status: StatusCode::NOT_FOUND, refusal },
                Err(_) => self.client.garbled(&error),
            }
        })
    }

    async fn line(&mut self) -> Result<BytesMut, ClientError> {
        loop {
            let fresh = self.buffer.iter().skip(self.seen).position(|byte| *byte == b'\n');
            if let Some(end) = fresh.map(|end| self.seen.saturating_add(end)) {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                self.seen = 0;
                return Ok(line);
            }
            self.seen = self.buffer.len();
            let ended = || ClientError::Unreachable {
                path: self.client.path.clone(),
                what: "the connection ended".to_owned(),
                remedy: "the agent has stopped or restarted: try again",
            };
            let frame = self.body.frame().await.ok_or_else(ended)?.map_err(|_| ended())?;
            if let Some(data) = frame.data_ref() {
                self.buffer.extend_from_slice(data);
            }
            if self.buffer.len() > ANSWER {
                return Err(self.client.garbled(&"a line without end"));
            }
        }
    }
}

fn unreachable(path: &Path, error: &io::Error) -> ClientError {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "start it with `twill agent`, or name its socket with --socket or TWILL_SOCKET"
        }
        io::ErrorKind::PermissionDenied => "only root may speak to it: try sudo",
        io::ErrorKind::TimedOut => "it may be busy or stuck: look at its log",
        _ => "look at its log, or name its socket with --socket or TWILL_SOCKET",
    };
    let text = error.to_string();
    let what = text.split(" (os error").next().unwrap_or(&text).to_owned();
    ClientError::Unreachable { path: path.to_owned(), what, remedy }
}

/// Runs a command that speaks to the agent.
pub(super) fn block_on(command: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("twill: cannot start: {error}; check `ulimit -n`");
            Exit::No
        }
    }
}

/// A part of a path or query, such that no character of it means anything.
pub(super) fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
