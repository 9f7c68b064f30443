//! `docker-compose.yml`, as it stands, with a daemon of the test's own in a host of the lab, and
//! stand-ins for the images: three nodes that are not privileged, FRR and BIRD, and packets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use twill_tests::lab::{Host, Lab, WAIT, wait, wait_for};
use twill_tests::node::binary;
use twill_tests::skip::left_out;
use twill_tests::skip_unless;

const SOCKET: &str = "DOCKER_HOST=unix:///run/docker.sock";
/// Images are unpacked, containers made: longer than a command of the lab may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A host of the lab has a `/sys` of its own; containers want control groups in it.
const CONTROL_GROUPS: &str = "
mount -t tmpfs tmpfs /sys/fs/cgroup
for group in $(cut -d: -f2 /proc/self/cgroup); do
  mkdir /sys/fs/cgroup/${group#name=}
  case $group in name=*) options=none,$group ;; *) options=$group ;; esac
  mount -t cgroup -o $options cgroup /sys/fs/cgroup/${group#name=}
done
[ -n \"$(ls /sys/fs/cgroup)\" ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The system that all stand-ins stand on: made once, and kept beside what cargo built.
fn base() -> Result<PathBuf> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand-in.tar");
    if !file.exists() {
        let output = std::process::Command::new(root().join("deploy/stand-in-images"))
            .arg("base")
            .arg(&file)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(file)
}

/// Runs a command at the root of the checkout to its end, longer than [`Host::run`] would wait.
fn long(host: &Host, name: &str, command: &[&str]) -> Result<()> {
    let root = root().to_string_lossy().into_owned();
    let mut words = vec!["env", "-C", &root, SOCKET];
    words.extend(command);
    let mut process = host.spawn(name, &words)?;
    let code = process.wait(PATIENCE)?;
    ensure!(code == 0, "{}: {code}: {}", command.join(" "), process.output());
    Ok(())
}

fn docker(host: &Host, command: &[&str]) -> Result<String> {
    host.run(&[&["env", SOCKET, "docker"], command].concat())
}

/// Runs a command in a service's container.
fn within(host: &Host, service: &str, command: &[&str]) -> Result<String> {
    let filter = format!("label=com.docker.compose.service={service}");
    let id = docker(host, &["ps", "--quiet", "--filter", &filter])?;
    docker(host, &[&["exec", id.trim()], command].concat())
}

/// A daemon in the host's namespaces: it ends, with all its containers, when the host does. `None`
/// where this machine does not let it run.
fn start_daemon(lab: &Lab, host: &Host) -> Result<Option<String>> {
    host.run(&["sh", "-c", CONTROL_GROUPS])?;
    let data = lab.directory().join("docker");
    let mut daemon = host.spawn(
        "dockerd",
        &[
            "dockerd",
            "--host",
            "unix:///run/docker.sock",
            "--data-root",
            &data.to_string_lossy(),
            "--exec-root",
            "/run/docker-exec",
            "--pidfile",
            "/run/docker.pid",
            // Control groups know no namespaces: ours are told apart by their name.
            "--cgroup-parent",
            "/twill-compose",
        ],
    )?;
    wait_for("dockerd to answer", WAIT, || {
        if !daemon.is_running() {
            return Ok(Some(Some(daemon.output())));
        }
        Ok(docker(host, &["version"]).is_ok().then_some(None))
    })
}

/// In: `docker-compose up`. Out: six pods, their nodes, FRR and BIRD reach each other, and the
/// agents have three capabilities.
#[test]
fn compose_file_brings_up_a_cluster() -> Result<()> {
    skip_unless!(lab, docker, compose, debootstrap);
    let base = base()?;
    let lab = Lab::new("compose")?;
    let host = lab.host("docker")?;
    if let Some(why) = start_daemon(&lab, &host)? {
        left_out("docker", &format!("dockerd does not run here: {why}"));
        return lab.passed();
    }
    let programs = binary("twill")?.parent().context("no folder")?.to_string_lossy().into_owned();
    let base = base.to_string_lossy();
    long(&host, "images", &["deploy/stand-in-images", "load", &base, &programs])?;
    long(&host, "compose", &["docker-compose", "up", "--detach", "--no-build"])?;

    let mut pods = Vec::new();
    for node in ["node-a", "node-b", "node-c"] {
        let list = wait_for(format_args!("the pods of {node}"), PATIENCE, || {
            let list = within(&host, node, &["twill-pod", "list"])?;
            Ok((list.lines().count() == 2).then_some(list))
        })?;
        for line in list.lines() {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            ensure!(words.len() == 3, "a pod has an address of each family: {line}");
            pods.push((node, words));
        }
    }
    let addresses: Vec<&String> = pods.iter().flat_map(|(_, words)| &words[1..]).collect();
    let outside = ["192.0.2.1", "10.0.0.22", "10.0.0.12"].map(str::to_owned);
    let ping = ["ping", "-c", "1", "-W", "1", "-n", "-q"];
    let reach = |service: &str, prefix: &[&str], to: &str| {
        wait(format_args!("{service} {prefix:?} to reach {to}"), WAIT, || {
            within(&host, service, &[prefix, &ping, &[to]].concat()).map(|_| true)
        })
    };
    for (node, words) in &pods {
        for to in addresses.iter().copied().chain(&outside) {
            reach(node, &["twill-pod", "exec", &words[0]], to)?;
        }
    }
    for router in ["frr", "bird", "node-a"] {
        for to in &addresses {
            reach(router, &[], to)?;
        }
    }
    // NET_BIND_SERVICE, NET_ADMIN and NET_RAW, and nothing else.
    let effective = "for process in /proc/[0-9]*; do
        [ \"$(cat $process/comm)\" != twill ] || grep CapEff $process/status
    done";
    let capabilities = within(&host, "node-a", &["sh", "-c", effective])?;
    assert_eq!(capabilities.split_whitespace().next_back(), Some("0000000000003400"));
    long(&host, "down", &["docker-compose", "down"])?;
    host.run(&["sh", "-c", "find /sys/fs/cgroup -depth -type d -path '*/twill-compose*' -delete"])?;
    lab.passed()
}
