use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::desired::fixture::{THREE, snapshot};
use crate::kernel::testing::{in_namespace, ip, link};
use crate::reconcile::report::FibRoute;

fn fib(device: &str) -> FibReport {
    let installed =
        ["10.244.2.0/24", "fd00:244:1::/64", "fd00:244:2::/64"].map(|prefix| FibRoute {
            prefix: prefix.parse().unwrap(),
            next_hop: Some("fd00::2".parse().unwrap()),
            device: Some(device.to_owned()),
            reason: None,
        });
    FibReport { installed: installed.into(), ..FibReport::default() }
}

fn packet() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 24, ICMPV6, 255];
    packet.extend("fd00:244:1::5".parse::<Ipv6Addr>().unwrap().octets());
    packet.extend("ff02::1:ff00:9".parse::<Ipv6Addr>().unwrap().octets());
    packet.extend([SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
    packet.extend("fd00:244:2::9".parse::<Ipv6Addr>().unwrap().octets());
    packet
}

#[test]
fn only_valid_solicitations_are_read() {
    let good = packet();
    let question = read(&good).unwrap();
    assert_eq!(question.target.to_string(), "fd00:244:2::9");
    assert_eq!(question.source.to_string(), "fd00:244:1::5");
    for length in 0..good.len() {
        assert_eq!(read(&good[..length]), None, "cut at {length}");
    }
    for (at, octet) in [(6, 17), (7, 254), (40, ADVERTISEMENT), (41, 1), (8, 0xff), (48, 0xff)] {
        let mut bad = good.clone();
        bad[at] = octet;
        assert_eq!(read(&bad), None, "octet {at}");
    }
    let mut detection = good;
    detection[8..24].fill(0);
    assert_eq!(read(&detection), None, "duplicate address detection");
}

#[test]
fn it_answers_for_remote_pods_that_are_routed_elsewhere() {
    let snapshot = snapshot(THREE);
    for (target, device, answers) in [
        ("fd00:244:2::9", "eth0", true),
        ("fd00:244:2::9", "twill0", false),
        ("fd00:244:1::9", "eth0", false),
        ("fd00:244:3::9", "eth0", false),
        ("2001:db8::1", "eth0", false),
        ("fe80::2", "eth0", false),
    ] {
        let target_address = target.parse().unwrap();
        let got = answers_for(target_address, "twill0", &snapshot, &fib(device));
        assert_eq!(got, answers, "{target} by {device}");
    }
    assert!(!answers_for(
        "fd00:244:2::9".parse().unwrap(),
        "twill0",
        &snapshot,
        &FibReport::default()
    ));
}

/// A namespace on the bridge, gone with the test.
struct Pod(Child);

impl Drop for Pod {
    fn drop(&mut self) {
        // Killed or already gone: both are the end of it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Pod {
    fn start() -> Pod {
        let child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pod = Pod(child);
        // It has its namespace once it speaks.
        let mut line = [0];
        io::Read::read_exact(pod.0.stdout.as_mut().unwrap(), &mut line).unwrap();
        pod
    }

    fn run(&self, command: &str) -> String {
        let target = self.0.id().to_string();
        let output = Command::new("nsenter")
            .args(["--net", "-t", &target])
            .args(command.split(' '))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_pod_with_a_wide_mask_resolves_remote_pods_to_the_bridge() {
    in_namespace(|| async {
        link("eth0", &["fd00::1/64"]);
        let bridge = || {
            ip("link add twill0 type bridge");
            ip("link set twill0 up");
            ip("-6 route add fd00:244:1::/64 dev twill0");
        };
        bridge();
        let pod = Pod::start();
        ip("link add port type veth peer name pod0");
        ip(&format!("link set pod0 netns {}", pod.0.id()));
        ip("link set port master twill0 up");
        pod.run("ip address add fd00:244:1::5/32 dev pod0 nodad");
        pod.run("ip link set pod0 up");

        let (_keep, snapshot) = watch::channel(Arc::new(snapshot(THREE)));
        let (_keep_fib, fib) = watch::channel(Arc::new(fib("eth0")));
        let mut task = JoinSet::new();
        task.spawn(run(Inputs { snapshot, fib }));
        let resolved = async |target: &str| {
            let answered = format!("{target} ");
            // Each ping asks anew; nothing answers it behind the bridge.
            for _ in 0..40 {
                let ping = format!("ping -6 -c 1 -W 0.1 {target}");
                let target = pod.0.id().to_string();
                tokio::process::Command::new("nsenter")
                    .args(["--net", "-t", &target])
                    .args(ping.split(' '))
                    .stdout(Stdio::null())
                    .status()
                    .await
                    .unwrap();
                let neighbours = pod.run("ip -6 neighbour show dev pod0");
                if let Some(line) = neighbours
                    .lines()
                    .find(|line| line.starts_with(&answered) && line.contains("lladdr"))
                {
                    return Some(line.to_owned());
                }
            }
            None
        };
        let line = tokio::time::timeout(Duration::from_secs(30), resolved("fd00:244:2::9"));
        let line = line.await.unwrap().expect("an answer");
        let mac = ip("-o link show twill0");
        let mac = mac.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(line.starts_with("fd00:244:2::9 ") && line.contains(mac), "{line}; {mac}");

        // The bridge is made again.
        ip("link del twill0");
        bridge();
        ip("link set port master twill0");
        pod.run("ip -6 neighbour flush all");
        let line = tokio::time::timeout(Duration::from_secs(30), resolved("fd00:244:2::7"));
        assert!(line.await.unwrap().expect("an answer").starts_with("fd00:244:2::7 "));
    });
}
