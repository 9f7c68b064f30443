//! Killed at any moment, called by many at once, served beside the reference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Host, PLUGIN, addresses, can_run, installed};
use serde_json::json;

const REFERENCE: &str = "/usr/lib/cni/host-local";

/// ADD killed at its first system call, its second, and so on to its last; after each the pod's DEL
/// leaves nothing, and the next ADD works.
#[test]
fn add_killed_at_every_system_call() {
    if !can_run() || !installed("strace", "strace") {
        return;
    }
    let host = Host::new("kill-add");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let stdin = config.to_string();
    host.pod("a");
    for number in 1..1000 {
        let inject = format!("inject=all:signal=KILL:when={number}");
        let traced = ["strace", "-o", "/dev/null", "-e", &inject, PLUGIN];
        let answer = host.call_with(&traced, &Host::variables("ADD", "a"), stdin.as_bytes());
        let whole = answer.success;
        host.call("DEL", "a", &config).ok();
        assert_eq!(host.left(&["a"]), BTreeSet::new(), "after system call {number}");
        if whole {
            assert!(number > 60, "the ADD was not traced");
            return;
        }
        if number % 10 == 0 {
            host.call("ADD", "a", &config).ok();
            assert_eq!(host.leases().len(), 2, "after system call {number}");
            host.call("DEL", "a", &config).ok();
        }
    }
    panic!("the ADD never came to its end");
}

/// The same for DEL, which is then called again.
#[test]
fn del_killed_at_every_system_call() {
    if !can_run() || !installed("strace", "strace") {
        return;
    }
    let host = Host::new("kill-del");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let stdin = config.to_string();
    host.pod("a");
    for number in 20..1000 {
        let result = host.call("ADD", "a", &config).ok();
        let inject = format!("inject=all:signal=KILL:when={number}");
        let traced = ["strace", "-o", "/dev/null", "-e", &inject, PLUGIN];
        let answer = host.call_with(&traced, &Host::variables("DEL", "a"), stdin.as_bytes());
        if answer.success {
            assert!(number > 40, "the DEL was not traced");
            return;
        }
        host.call("DEL", "a", &config).ok();
        assert_eq!(host.left(&["a"]), BTreeSet::new(), "after system call {number}");
        // Killed or not, the address rests: the next pod gets another.
        let next = host.call("ADD", "a", &config).ok();
        assert_ne!(addresses(&next), addresses(&result), "after system call {number}");
        host.call("DEL", "a", &config).ok();
    }
    panic!("the DEL never came to its end");
}

/// ADD killed at random moments, without a tracer that changes its pace.
#[test]
fn add_killed_at_random_moments() {
    if !can_run() {
        return;
    }
    let host = Host::new("kill-random");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    let file = host.directory().join("config");
    std::fs::write(&file, config.to_string()).unwrap();
    host.pod("a");
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut killed = 0;
    for _ in 0..200 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let delay = Duration::from_micros((seed >> 33) % 6000);
        let mut child = host
            .command_outside(&[PLUGIN])
            .envs(Host::variables("ADD", "a"))
            .stdin(std::fs::File::open(&file).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while start.elapsed() < delay {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().signal().is_some());
        host.call("DEL", "a", &config).ok();
        assert_eq!(host.left(&["a"]), BTreeSet::new());
    }
    assert!(killed > 20, "only {killed} of 200 were killed before their end");
}

/// 100 ADDs at once; then their DELs and 100 further ADDs, all 200 at once in one range: no address
/// twice, nobody fails, nothing stays.
#[test]
fn two_hundred_at_once() {
    if !can_run() {
        return;
    }
    let host = Host::new("many");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let pods: Vec<String> = (0..200).map(|number| format!("p{number}")).collect();
    let script = pods.iter().map(|pod| format!("netns add {pod}\n")).collect::<String>();
    let file = host.directory().join("pods");
    std::fs::write(&file, script).unwrap();
    host.run(&["ip", "-batch", file.to_str().unwrap()]);
    let all = |calls: &[(&'static str, &String)]| -> Vec<serde_json::Value> {
        let (host, config) = (&host, &config);
        std::thread::scope(|scope| {
            let calls: Vec<_> = calls
                .iter()
                .map(|(verb, pod)| scope.spawn(move || host.call(verb, pod, config).ok()))
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        })
    };
    let (early, late) = pods.split_at(100);
    let adds: Vec<_> = early.iter().map(|pod| ("ADD", pod)).collect();
    let first: BTreeSet<String> = all(&adds).iter().flat_map(addresses).collect();
    assert_eq!((first.len(), host.leases().len()), (200, 200));
    let both: Vec<_> =
        early.iter().zip(late).flat_map(|(old, new)| [("DEL", old), ("ADD", new)]).collect();
    let answers = all(&both);
    let second: BTreeSet<String> =
        answers.iter().filter(|answer| !answer.is_null()).flat_map(addresses).collect();
    assert_eq!((second.len(), host.leases().len()), (200, 200));
    assert!(first.is_disjoint(&second), "what was just given back rests");
    let dels: Vec<_> = late.iter().map(|pod| ("DEL", pod)).collect();
    all(&dels);
    assert!(host.left(&[]).is_empty(), "{:?}", host.left(&[]));
}

/// The reference host-local and this plugin in one directory: each sees the other's leases, skips
/// its addresses, and frees what the other gave out.
#[test]
fn one_directory_with_the_reference() {
    if !can_run() || !installed(REFERENCE, "containernetworking-plugins") {
        return;
    }
    let host = Host::new("reference");
    let ours = host.config("1.0.0", "link-local", &["10.0.0.0/29"]);
    let mut theirs = ours.clone();
    theirs["ipam"] = json!({"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/29", "gateway": "10.0.0.6"}]], "dataDir": host.data()});
    let reference = |verb: &str, pod: &str| {
        let stdin = theirs.to_string();
        host.call_with(&[REFERENCE], &Host::variables(verb, pod), stdin.as_bytes())
    };
    for pod in ["a", "b", "c", "d"] {
        host.pod(pod);
    }
    // A node moves over with pods running: theirs, ours, theirs.
    let mut given = Vec::new();
    given.extend(addresses(&reference("ADD", "a").ok()));
    given.extend(addresses(&host.call("ADD", "b", &ours).ok()));
    given.extend(addresses(&reference("ADD", "c").ok()));
    assert_eq!(given, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    reference("CHECK", "b").ok();
    let text = std::fs::read(host.data().join("net/10.0.0.2")).unwrap();
    assert_eq!(text, b"b\r\neth0");
    // Each frees the other's.
    reference("DEL", "b").ok();
    assert!(!host.leases().contains(&"10.0.0.2".to_owned()));
    host.call("DEL", "b", &ours).ok();
    host.call("DEL", "a", &ours).ok();
    host.call("DEL", "c", &ours).ok();
    assert_eq!(host.leases(), [""; 0]);
    // What they freed can be used again once nothing else is left; what we freed rests.
    let next: Vec<_> =
        ["a", "b", "c"].map(|pod| addresses(&host.call("ADD", pod, &ours).ok())).concat();
    assert_eq!(next, ["10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    let next = addresses(&host.call("ADD", "d", &ours).ok());
    assert_eq!(next, ["10.0.0.2"]);
}

/// `ipam.type` of another plugin: addresses by the reference's host-local, the pod as ever; its
/// error is passed on, and nothing stays when we fail after it.
#[test]
fn a_delegate_gives_the_addresses() {
    if !can_run() || !installed(REFERENCE, "containernetworking-plugins") {
        return;
    }
    let host = Host::new("delegate");
    let mut config = host.config("1.0.0", "link-local", &[]);
    config["ipam"] = json!({"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/30"}]], "dataDir": host.data()});
    for pod in ["a", "b"] {
        host.pod(pod);
    }
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(result["ips"][0]["address"], "10.0.0.2/32");
    host.reaches(None, "10.0.0.2");
    host.call("CHECK", "a", &common::after(&config, &result)).ok();
    let before = host.left(&["a", "b"]);
    let refused = host.call("ADD", "b", &config);
    assert!(refused.json["msg"].as_str().unwrap().contains("host-local"), "{}", refused.json);
    assert_eq!(host.left(&["a", "b"]), before);
    host.call("DEL", "a", &config).ok();
    // We fail after the delegate's success.
    config["bridge"] = "lo".into();
    host.call("ADD", "b", &config).refused(100, "not a bridge");
    assert_eq!(host.left(&["a", "b"]), BTreeSet::new());
}

/// No pod of another boot lives: its leases are free.
#[test]
fn a_reboot_frees_all_leases() {
    if !can_run() {
        return;
    }
    let host = Host::new("reboot");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/29"]);
    for pod in ["a", "b"] {
        host.pod(pod);
    }
    host.call("ADD", "a", &config).ok();
    let state = host.data().join("net/.twill/state");
    let mut bytes = std::fs::read(&state).unwrap();
    bytes[8..44].copy_from_slice(b"00000000-0000-0000-0000-000000000000");
    std::fs::write(&state, bytes).unwrap();
    let result = host.call("ADD", "b", &config).ok();
    assert_eq!(host.leases(), addresses(&result));
    assert_eq!(addresses(&result), ["10.0.0.2"], "as late as possible, across a boot, too");
}

/// No room for another lease, by bytes and by inodes: ADD says so and leaves nothing, DEL works all
/// the same, and makes room.
#[test]
fn a_full_disk() {
    if !can_run() {
        return;
    }
    let host = Host::new("full");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    for pod in ["a", "b"] {
        host.pod(pod);
    }
    let data = host.data().to_str().unwrap().to_owned();
    std::fs::create_dir_all(&data).unwrap();
    let listed =
        || host.run(&["find", &format!("{data}/net"), "-name", "10.*", "-o", "-name", "*:eth0"]);
    for limit in ["size=64k", "size=1m,nr_inodes=40"] {
        host.run(&["mount", "-t", "tmpfs", "-o", limit, "tmpfs", &data]);
        host.call("ADD", "a", &config).ok();
        let fill = "i=0; while echo x > $0/fill$i; do i=$((i+1)); done 2>/dev/null; true";
        host.run(&["sh", "-c", fill, &data]);
        let before = listed();
        host.call("ADD", "b", &config).refused(5, "No space left on device");
        assert_eq!(listed(), before, "{limit}");
        assert!(!host.run_in("b", &["ip", "-br", "link"]).contains("eth0"));
        host.reaches(None, "10.0.0.1");
        host.call("DEL", "a", &config).ok();
        assert_eq!(listed(), "", "{limit}");
        host.run(&["sh", "-c", "rm $0/fill*", &data]);
        host.call("ADD", "b", &config).ok();
        host.call("DEL", "b", &config).ok();
        assert_eq!(host.run(&["ip", "-br", "link", "show", "type", "veth"]), "");
        host.run(&["umount", &data]);
    }
}

/// A data directory that became read-only: ADD leaves nothing; DEL takes the link away, says what
/// it could not do, and the next one, when the directory can be written again, does it.
#[test]
fn a_read_only_data_directory() {
    if !can_run() {
        return;
    }
    let host = Host::new("read-only");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    for pod in ["a", "b"] {
        host.pod(pod);
    }
    host.call("ADD", "a", &config).ok();
    let data = host.data().to_str().unwrap().to_owned();
    host.run(&["mount", "--bind", &data, &data]);
    host.run(&["mount", "-o", "remount,bind,ro", &data]);
    let before = host.left(&["a", "b"]);
    host.call("ADD", "b", &config).refused(5, "Read-only file system");
    assert_eq!(host.left(&["a", "b"]), before);
    host.call("DEL", "a", &config).refused(5, "Read-only file system");
    assert!(!host.run_in("a", &["ip", "-br", "link"]).contains("eth0"));
    assert_eq!(host.leases(), ["10.0.0.1"], "still held: nothing could be written");
    host.run(&["mount", "-o", "remount,bind,rw", &data]);
    host.call("DEL", "a", &config).ok();
    assert_eq!(host.left(&["a", "b"]), BTreeSet::new());
}

/// Each thing that the kernel is asked for fails once: ADD says so, and leaves nothing.
#[test]
fn an_add_whose_system_calls_fail() {
    if !can_run() || !installed("strace", "strace") {
        return;
    }
    let host = Host::new("refused");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let stdin = config.to_string();
    host.pod("a");
    // The bridge is there: the pair's messages are what fails.
    host.pod("b");
    host.call("ADD", "b", &config).ok();
    let before = host.left(&["a"]);
    for (call, least) in [
        ("sendto", 4),
        ("recvfrom", 5),
        ("socket", 2),
        ("setns", 1),
        ("ioctl", 3),
        ("linkat", 1),
        ("renameat2", 2),
    ] {
        let mut failed = 0;
        for number in 1..50 {
            let inject = format!("inject={call}:error=ENOBUFS:when={number}");
            let traced = ["strace", "-o", "/dev/null", "-e", &inject, PLUGIN];
            let answer = host.call_with(&traced, &Host::variables("ADD", "a"), stdin.as_bytes());
            if answer.success {
                break;
            }
            let code = answer.json["code"].as_u64().unwrap();
            assert!([4, 5, 100].contains(&code), "{call} {number}: {}", answer.json);
            assert_eq!(host.left(&["a"]), before, "{call} {number}: {}", answer.json);
            failed += 1;
        }
        assert!(failed >= least, "{call}: only {failed} failed");
        host.call("DEL", "a", &config).ok();
    }
}
