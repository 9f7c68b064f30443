//! A real kube-apiserver and its etcd, from the folder that KUBEBUILDER_ASSETS names.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::api::{ADDRESS, PORT};
use crate::lab::{Host, Lab, Process, WAIT, wait};

/// Keys, certificates and data, on the host's own `/run`.
const FOLDER: &str = "/run/apiserver";

fn assets() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
    let complete = ["etcd", "kube-apiserver"].iter().all(|name| folder.join(name).is_file());
    complete.then_some(folder)
}

/// Why there is none; `None` where there is one.
pub fn unavailable() -> Option<String> {
    assets().is_none().then(|| {
        "KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver, so nothing was shown \
         against a real API server"
            .to_owned()
    })
}

/// Starts both; their processes, and the certificate by which the API server is known. Whoever
/// shows the token `root` may do everything; RBAC holds for all others.
pub(super) fn start(lab: &Lab, host: &Host) -> Result<(Vec<Process>, PathBuf)> {
    let assets = assets().context("KUBEBUILDER_ASSETS")?;
    let program = |name: &str| assets.join(name).to_string_lossy().into_owned();
    let key = rcgen::KeyPair::generate()?;
    host.write(&format!("{FOLDER}/sign.key"), &key.serialize_pem())?;
    host.write(&format!("{FOLDER}/verify.pem"), &key.public_key_pem())?;
    host.write(&format!("{FOLDER}/tokens.csv"), "root,admin,admin,system:masters\n")?;
    let data = format!("--data-dir={FOLDER}/etcd");
    let etcd = host.spawn("etcd", &[&program("etcd"), &data, "--unsafe-no-fsync"])?;
    let mut command = vec![program("kube-apiserver")];
    command.extend([
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--cert-dir={FOLDER}"),
        "--bind-address=0.0.0.0".to_owned(),
        format!("--advertise-address={ADDRESS}"),
        format!("--secure-port={PORT}"),
        "--service-cluster-ip-range=10.96.0.0/12".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={FOLDER}/sign.key"),
        format!("--service-account-key-file={FOLDER}/verify.pem"),
        format!("--token-auth-file={FOLDER}/tokens.csv"),
        "--authorization-mode=RBAC".to_owned(),
        // Its controller, which makes the accounts of namespaces, does not run here.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--allow-privileged=true".to_owned(),
    ]);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let server = host.spawn("kube-apiserver", &words)?;
    // It signs itself a certificate, and leaves that of the authority in the same file.
    let certificate = format!("{FOLDER}/apiserver.crt");
    wait("kube-apiserver to have a certificate", WAIT, || Ok(host.read(&certificate).is_ok()))?;
    let authority = lab.directory().join("authority.pem");
    write(&authority, &host.read(&certificate)?)?;
    Ok((vec![etcd, server], authority))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
