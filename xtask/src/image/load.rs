//! The archive as docker and containerd take it: both daemons run by hand, in a host of the lab.

use anyhow::{Context, Result};
use twill_tests::lab::{Host, Lab, WAIT, wait};
use twill_tests::skip_unless;

use super::archive::{Archive, Image};

const SOCKET: &str = "/run/containerd.sock";
/// What containerd is run with: state and images in the host's own `/run`, nothing for kubelets.
const CONFIG: &str = r#"
version = 2
root = "/run/containerd-root"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd.sock"
"#;

/// A host with the archive in `/run/image.tar`.
fn host(lab: &Lab) -> Result<std::rc::Rc<Host>> {
    let files = ["twill", "twill-cni"].map(|name| (format!("bin/{name}"), b"#!".to_vec()));
    let image = Image { name: "twill:1".to_owned(), architecture: "amd64", files: files.into() };
    let host = lab.host("docker")?;
    let path = lab.directory().join("image.tar");
    std::fs::write(&path, Archive::of(&image)?.content)?;
    host.run(&["cp", &path.to_string_lossy(), "/run/image.tar"])?;
    Ok(host)
}

fn start_containerd(host: &Host) -> Result<()> {
    host.write("/run/containerd.toml", CONFIG)?;
    host.spawn("containerd", &["containerd", "--config", "/run/containerd.toml"])?;
    wait("containerd to answer", WAIT, || {
        Ok(host.run(&["ctr", "--address", SOCKET, "version"]).is_ok())
    })
    .map(drop)
}

#[test]
fn containerd_imports_the_image_under_its_full_name() -> Result<()> {
    skip_unless!(lab, containerd);
    let lab = Lab::new("containerd")?;
    let host = host(&lab)?;
    start_containerd(&host)?;
    let ctr = ["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images"];
    host.run(&[&ctr[..], &["import", "/run/image.tar"]].concat())?;
    let names = host.run(&[&ctr[..], &["list", "--quiet"]].concat())?;
    assert!(names.lines().any(|name| name == "docker.io/library/twill:1"), "{names}");
    lab.passed()
}

#[test]
fn docker_loads_the_image_under_its_tag() -> Result<()> {
    skip_unless!(lab, docker);
    let lab = Lab::new("docker")?;
    let host = host(&lab)?;
    let daemon = [
        "dockerd",
        "--host",
        "unix:///run/d.sock",
        "--data-root",
        "/run/docker-root",
        "--exec-root",
        "/run/docker-exec",
        "--pidfile",
        "/run/d.pid",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge",
        "none",
        "--storage-driver",
        "vfs",
    ];
    host.spawn("dockerd", &daemon)?;
    let docker = ["docker", "--host", "unix:///run/d.sock"];
    wait("dockerd to answer", WAIT, || {
        Ok(host.run(&[&docker[..], &["version"]].concat()).is_ok())
    })?;
    host.run(&[&docker[..], &["load", "--input", "/run/image.tar"]].concat())?;
    let image = host.run(&[&docker[..], &["image", "inspect", "twill:1"]].concat())?;
    let image: serde_json::Value = serde_json::from_str(&image).context("docker's answer")?;
    assert_eq!(image[0]["Config"]["Entrypoint"][0], "/bin/twill");
    assert_eq!(image[0]["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
    lab.passed()
}
