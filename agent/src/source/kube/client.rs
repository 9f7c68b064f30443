//! The connection to the API server.
//!
//! A stack of our own around the crate's parts, for three things that matter when the other end
//! dies without a word: TCP keepalive, because a watch only listens and would never notice; a
//! limit on the time to an answer's head; and a note of whether the API server answers at all.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;
use tower::ServiceBuilder;

/// Where a pod finds its service account (the API server's convention).
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// What a pod's environment has where there is an API server.
const HOST: &str = "KUBERNETES_SERVICE_HOST";

/// A connection that is silent for so long is asked whether it lives...
const KEEPALIVE: Duration = Duration::from_secs(15);
/// ...this often...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// ...and so many times in vain before it is given up.
const KEEPALIVE_PROBES: u32 = 3;
/// To a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// From a request to the head of its answer: a list of many objects takes a while to begin.
const ANSWER: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig.
    #[error("{path}: {error}; give --kubeconfig a file that names a cluster and how to log in")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: kube::config::KubeconfigError,
    },
    /// The service account.
    #[error(
        "the pod's service account cannot be used: {0}; set automountServiceAccountToken, or give \
         --kubeconfig"
    )]
    InCluster(kube::config::InClusterError),
    /// TLS, or how to log in.
    #[error("no client for the API server can be made: {0}")]
    Stack(kube::Error),
}

/// Whether this process runs in a pod with a service account.
pub fn in_pod() -> bool {
    std::env::var_os(HOST).is_some_and(|host| !host.is_empty()) && Path::new(TOKEN).exists()
}

/// A client, and how its API server does.
#[derive(Clone)]
pub struct Connection {
    /// Cheap to clone.
    pub client: Client,
    /// Why the API server does not answer; `None` while it does.
    pub away: watch::Receiver<Option<String>>,
    /// Where the Secrets are that our resources name.
    pub namespace: String,
}

impl Connection {
    /// Makes a client; nothing is asked yet. `kubeconfig`: in place of the pod's service account.
    ///
    /// # Errors
    /// Where the one or the other is not what it should be.
    pub async fn new(
        kubeconfig: Option<&Path>,
        namespace: Option<String>,
    ) -> Result<Connection, ClientError> {
        let config = match kubeconfig {
            Some(path) => from_file(path).await?,
            None => Config::incluster().map_err(ClientError::InCluster)?,
        };
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let (tell, away) = watch::channel(None);
        let client = stack(&config, tell).map_err(ClientError::Stack)?;
        Ok(Connection { client, away, namespace })
    }
}

async fn from_file(path: &Path) -> Result<Config, ClientError> {
    let wrong = |error| ClientError::Kubeconfig { path: path.to_owned(), error };
    let file = Kubeconfig::read_from(path).map_err(wrong)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(wrong)
}

fn stack(config: &Config, away: watch::Sender<Option<String>>) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    connector.set_nodelay(true);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let http: HyperClient<_, Body> = HyperClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .map_result(move |result: Result<http::Response<_>, tower::BoxError>| {
            let now = match &result {
                Ok(answer) if answer.status().is_server_error() => {
                    Some(format!("it answers {}", answer.status()))
                }
                Ok(_) => None,
                Err(error) => Some(chain(error.as_ref())),
            };
            away.send_if_modified(|before| {
                let differs = before.is_some() != now.is_some();
                if differs {
                    *before = now;
                }
                differs
            });
            result
        })
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .timeout(ANSWER)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// An error with all its causes: "client error (Connect)" alone helps nobody.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
