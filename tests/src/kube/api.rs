//! The API server on a host of the lab: the stand-in, or a real one with its etcd.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};

use crate::apiserver::{Asked, Fault};
use crate::lab::{Host, Lab, Process, WAIT, wait};
use crate::node::binary;

/// Where it is on the nodes' network.
pub const ADDRESS: &str = "10.0.0.200";
/// Where our manifests go.
pub const NAMESPACE: &str = "twill-system";
/// The administrator's kubeconfig, on the API server's host.
const ADMIN: &str = "/run/admin.kubeconfig";
pub(super) const PORT: u16 = 6443;

/// Which API server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// Ours.
    StandIn,
    /// kube-apiserver, with its etcd.
    Real,
}

/// The API server, and the administrator's way to it.
pub struct Api {
    server: Server,
    host: Rc<Host>,
    url: String,
    /// The certificate by which it is known.
    authority: PathBuf,
    /// Steers the stand-in.
    control: PathBuf,
    _processes: Vec<Process>,
}

impl Api {
    /// Starts the stand-in on `host`. RBAC holds.
    pub fn stand_in(lab: &Lab, host: Rc<Host>) -> Result<Api> {
        let program = binary("twill-lab-apiserver")?.to_string_lossy().into_owned();
        let control = lab.directory().join("apiserver.sock");
        let listen = format!("0.0.0.0:{PORT}");
        let steer = control.to_string_lossy().into_owned();
        let agent = format!("agent={NAMESPACE}/twill");
        let authority = lab.directory().join("authority.pem");
        let trust = authority.to_string_lossy().into_owned();
        let process = host.spawn(
            "apiserver",
            &[
                &program,
                "--tls-authority",
                &trust,
                "--tls-name",
                ADDRESS,
                "--listen",
                &listen,
                "--control",
                &steer,
                "--token",
                "root=admin",
                "--token",
                &agent,
            ],
        )?;
        wait("the API server to listen", WAIT, || Ok(process.output().contains("listening")))?;
        let url = format!("https://{ADDRESS}:{PORT}");
        let (server, _processes) = (Server::StandIn, vec![process]);
        let api = Api { server, host, url, authority, control, _processes };
        api.host.write(ADMIN, &api.kubeconfig("root"))?;
        Ok(api)
    }

    /// Starts a real one on `host`.
    pub fn real(lab: &Lab, host: Rc<Host>) -> Result<Api> {
        let (_processes, authority) = super::real::start(lab, &host)?;
        let url = format!("https://{ADDRESS}:{PORT}");
        let (server, control) = (Server::Real, PathBuf::new());
        let api = Api { server, host, url, authority, control, _processes };
        api.host.write(ADMIN, &api.kubeconfig("root"))?;
        wait("kube-apiserver to be ready", WAIT, || {
            Ok(api.kubectl(&["get", "--raw=/readyz"], "").is_ok())
        })?;
        Ok(api)
    }

    /// Which it is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// A kubeconfig for whoever has this token.
    fn kubeconfig(&self, token: &str) -> String {
        let cluster = json!({"server": self.url, "certificate-authority": self.authority});
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": "lab", "user": {"token": token}}],
            "contexts": [{"name": "lab", "context":
                {"cluster": "lab", "user": "lab", "namespace": NAMESPACE}}],
        })
        .to_string()
    }

    /// The kubeconfig of the agents, who are the DaemonSet's service account.
    pub fn agent_kubeconfig(&self) -> Result<String> {
        match self.server {
            Server::StandIn => Ok(self.kubeconfig("agent")),
            Server::Real => {
                let token = self.kubectl(&["create", "token", "twill", "-n", NAMESPACE], "")?;
                Ok(self.kubeconfig(token.trim()))
            }
        }
    }

    /// Runs kubectl as the administrator; its standard output.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let begin = ["env", "HOME=/run", "kubectl", "--kubeconfig", ADMIN];
        self.host.run_with_input(&[&begin[..], arguments].concat(), input)
    }

    /// Creates or changes an object.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let apply = ["apply", "--validate=false", "-f", "-"];
        self.kubectl(&apply, &object.to_string()).map(drop)
    }

    /// Applies a folder of manifests.
    pub fn apply_folder(&self, folder: &std::path::Path) -> Result<()> {
        let folder = folder.to_string_lossy();
        self.kubectl(&["apply", "--validate=false", "-k", &folder], "")?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "").map(drop)
    }

    /// An object, as JSON.
    pub fn get(&self, what: &[&str]) -> Result<Value> {
        let text = self.kubectl(&[&["get", "-o", "json"], what].concat(), "")?;
        serde_json::from_str(&text).context("kubectl's answer is no JSON")
    }

    /// Changes a Node's status by a merge patch, as its kubelet would.
    pub fn patch_node_status(&self, node: &str, status: &Value) -> Result<()> {
        let patch = json!({"status": status}).to_string();
        let arguments =
            ["patch", "node", node, "--subresource=status", "--type=merge", "-p", &patch];
        self.kubectl(&arguments, "").map(drop)
    }

    /// Puts objects into the stand-in, status included.
    pub fn put(&self, objects: &[Value]) -> Result<()> {
        self.steer("POST", "/objects", &objects).map(drop)
    }

    /// Takes objects away from the stand-in, each by plural, namespace and name.
    pub fn take_away(&self, places: &[[&str; 3]]) -> Result<()> {
        self.steer("DELETE", "/objects", &places).map(drop)
    }

    /// A fault of the stand-in, until cleared.
    pub fn fault(&self, fault: &Fault) -> Result<()> {
        self.steer("POST", "/faults", fault).map(drop)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) -> Result<()> {
        self.steer("DELETE", "/faults", &Value::Null).map(drop)
    }

    /// Whether the stand-in answers at all.
    pub fn listen(&self, yes: bool) -> Result<()> {
        self.steer("PUT", "/listening", &yes).map(drop)
    }

    /// The stand-in forgets its history.
    pub fn forget_history(&self) -> Result<()> {
        self.steer("POST", "/forget", &Value::Null).map(drop)
    }

    /// What the agents have asked of the stand-in.
    pub fn asked_by_agents(&self) -> Result<Vec<Asked>> {
        let asked: Vec<Asked> =
            serde_json::from_value(self.steer("GET", "/requests", &Value::Null)?)?;
        Ok(asked.into_iter().filter(|asked| asked.user.contains("serviceaccount")).collect())
    }

    /// Forgets what was asked.
    pub fn forget_asked(&self) -> Result<()> {
        self.steer("DELETE", "/requests", &Value::Null).map(drop)
    }

    fn steer(&self, method: &str, path: &str, body: &impl Serialize) -> Result<Value> {
        let mut stream = UnixStream::connect(&self.control)
            .context("only the stand-in can be told what to do")?;
        let body = serde_json::to_string(body)?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: control\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{method} {path}: {head}: {body}");
        }
        serde_json::from_str(body).context("the answer is no JSON")
    }
}
