//! Ranges of every size and number, hints that lie, and the reference on the same leases at once.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use std::collections::BTreeSet;

use common::{Host, PLUGIN, addresses, can_run, installed};
use serde_json::{Value, json};

const REFERENCE: &str = "/usr/lib/cni/host-local";

/// Ranges of one and two addresses are used whole, and huge ones like any other; each pod is
/// reached, and the one too many is told.
#[test]
fn the_smallest_and_the_largest_ranges() {
    if !can_run() {
        return;
    }
    let host = Host::new("sizes");
    for (number, (v4, v6, count)) in
        [("10.0.0.7/32", "fd00::7/128", 1), ("10.0.0.8/31", "fd00::8/127", 2)]
            .into_iter()
            .enumerate()
    {
        let mut config = host.config("1.0.0", "link-local", &[v4, v6]);
        config["name"] = format!("net{number}").into();
        for pod in 0..count {
            let pod = format!("p{number}-{pod}");
            host.pod(&pod);
            for address in addresses(&host.call("ADD", &pod, &config).ok()) {
                host.reaches(None, &address);
            }
        }
        let pod = format!("p{number}-more");
        host.pod(&pod);
        let words = format!("{v4} has {count} addresses, {count} held, 0 resting");
        host.call("ADD", &pod, &config).refused(11, &words);
    }
    let config = host.config("1.0.0", "link-local", &["10.128.0.0/9", "fd00::/8"]);
    for pod in ["a", "b"] {
        host.pod(pod);
        let result = host.call("ADD", pod, &config).ok();
        addresses(&result).iter().for_each(|address| host.reaches(None, address));
    }
}

/// A node with several pod CIDRs: one is used up, then the next; all are on link at the bridge.
#[test]
fn several_pod_cidrs() {
    if !can_run() {
        return;
    }
    let host = Host::new("cidrs");
    let mut config = host.config("1.0.0", "link-local", &[]);
    let set = json!([{"subnet": "10.0.0.0/31"}, {"subnet": "10.7.0.0/30"}]);
    config["ipam"]["ranges"] = json!([set, [{"subnet": "fd00::/64"}]]);
    let pods: Vec<String> = (0..5).map(|number| format!("p{number}")).collect();
    pods.iter().for_each(|pod| host.pod(pod));
    let mut given = Vec::new();
    for pod in &pods[..4] {
        let result = host.call("ADD", pod, &config).ok();
        addresses(&result).iter().for_each(|address| host.reaches(None, address));
        given.push(addresses(&result)[0].clone());
    }
    assert_eq!(given, ["10.0.0.0", "10.0.0.1", "10.7.0.1", "10.7.0.2"]);
    host.reaches(Some("p0"), "10.7.0.2");
    let words = "10.0.0.0/31, 10.7.0.0/30 has 4 addresses, 4 held";
    host.call("ADD", "p4", &config).refused(11, words);
}

/// Ranges that the runtime names, an address that `args` asks for, a resolv.conf.
#[test]
fn ranges_and_addresses_of_a_call() {
    if !can_run() {
        return;
    }
    let host = Host::new("call");
    host.pod("a");
    let mut config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    let file = host.directory().join("resolv.conf");
    let text = "# of the test\nnameserver 192.0.2.53\nsearch example.org example.net\n\
                domain example.org\noptions ndots:2\n";
    std::fs::write(&file, text).unwrap();
    config["ipam"]["resolvConf"] = json!(file);
    config["runtimeConfig"] = json!({"ipRanges": [[{"subnet": "10.9.0.0/24"}]]});
    config["args"] = json!({"cni": {"ips": ["10.9.0.77"], "mac": "02:00:00:00:00:77"}, "other": 1});
    let result = host.call("ADD", "a", &config).ok();
    assert_eq!(addresses(&result), ["10.9.0.77", "10.0.0.1"]);
    assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:77");
    let dns = json!({"nameservers": ["192.0.2.53"], "search": ["example.org", "example.net"],
        "domain": "example.org", "options": ["ndots:2"]});
    assert_eq!(result["dns"], dns);
    host.reaches(None, "10.9.0.77");
}

/// A key that names another's address, or that is lost, while the numbers agree or not: DEL frees
/// the holder's own leases all the same, and nobody else's.
#[test]
fn keys_that_lie() {
    if !can_run() {
        return;
    }
    let host = Host::new("keys");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24", "fd00::/64"]);
    let keys = host.data().join("net/.twill/keys");
    let lies: [(&str, &[&str]); 4] = [
        ("another's address", &["ln", "-sfn", "10.0.0.1 fd00::1"]),
        ("nonsense", &["ln", "-sfn", "nonsense"]),
        ("lost", &["rm"]),
        ("a file", &["sh", "-c", "rm $0; echo x > $0"]),
    ];
    host.pod("other");
    let other = host.call("ADD", "other", &config).ok();
    for (number, (what, lie)) in lies.into_iter().enumerate() {
        let pod = format!("p{number}");
        host.pod(&pod);
        host.call("ADD", &pod, &config).ok();
        assert_eq!(host.leases().len(), 4);
        let key = keys.join(format!("{pod}:eth0"));
        host.run(&[lie, &[key.to_str().unwrap()]].concat());
        host.call("DEL", &pod, &config).ok();
        let left: BTreeSet<String> = host.leases().into_iter().collect();
        assert_eq!(left, addresses(&other).into_iter().collect(), "{what}");
        host.call("DEL", &pod, &config).ok();
    }
    host.call("CHECK", "other", &common::after(&config, &other)).ok();
    host.call("DEL", "other", &config).ok();
    assert_eq!(host.left(&["other"]), BTreeSet::new());
}

/// Files of removed leases are used again, and no other lease changes with them: not where a kept
/// file has a second name, as after an ADD that was killed, and not where it is lost or damaged.
#[test]
fn kept_files_are_used_again() {
    if !can_run() {
        return;
    }
    let host = Host::new("spares");
    let config = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    let network = host.data().join("net");
    let kept = || {
        let files = std::fs::read_dir(network.join(".twill")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("spare.")).count()
    };
    for pod in ["a", "b", "c"] {
        host.pod(pod);
    }
    host.call("ADD", "a", &config).ok();
    host.call("DEL", "a", &config).ok();
    assert_eq!(kept(), 2, "the lease and the key");
    host.call("ADD", "a", &config).ok();
    assert_eq!(kept(), 0);
    host.call("ADD", "b", &config).ok();
    host.call("DEL", "a", &config).ok();
    // Both kept files are the lease of b as well.
    for number in ["spare.0", "spare.1"] {
        let path = network.join(".twill").join(number);
        std::fs::remove_file(&path).unwrap();
        std::fs::hard_link(network.join("10.0.0.3"), &path).unwrap();
    }
    host.call("ADD", "c", &config).ok();
    for (address, holder) in [("10.0.0.3", "b"), ("10.0.0.4", "c")] {
        let text = std::fs::read_to_string(network.join(address)).unwrap();
        assert_eq!(text, format!("{holder}\r\neth0"));
    }
    assert_eq!(kept(), 0);
    host.call("DEL", "c", &config).ok();
    std::fs::remove_file(network.join(".twill/spare.1")).unwrap();
    std::fs::remove_file(network.join(".twill/spare.0")).unwrap();
    std::fs::create_dir(network.join(".twill/spare.1")).unwrap();
    host.call("ADD", "c", &config).ok();
    host.call("DEL", "c", &config).ok();
    host.call("DEL", "b", &config).ok();
    assert_eq!(host.left(&["a", "b", "c"]), BTreeSet::new());
}

/// Ours and the reference's host-local on one directory at the same time: their lock is one, so
/// no address is given twice, and each frees what the other gave.
#[test]
fn the_reference_at_the_same_time() {
    if !can_run() || !installed(REFERENCE, "containernetworking-plugins") {
        return;
    }
    let host = Host::new("both");
    let ours = host.config("1.0.0", "link-local", &["10.0.0.0/24"]);
    let mut theirs = ours.clone();
    theirs["ipam"] = json!({"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/24"}]],
        "dataDir": host.data()});
    let pods: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    pods.iter().for_each(|pod| host.pod(pod));
    let all = |verb: &'static str, even_is_ours: bool| -> Vec<Value> {
        let (host, ours, theirs) = (&host, &ours, &theirs);
        std::thread::scope(|scope| {
            let call = |(number, pod): (usize, &'_ String)| {
                let pod = pod.clone();
                scope.spawn(move || {
                    let (program, config) = if (number % 2 == 0) == even_is_ours {
                        (PLUGIN, ours)
                    } else {
                        (REFERENCE, theirs)
                    };
                    let variables = Host::variables(verb, &pod);
                    host.call_with(&[program], &variables, config.to_string().as_bytes()).ok()
                })
            };
            let calls: Vec<_> = pods.iter().enumerate().map(call).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        })
    };
    let given: BTreeSet<String> = all("ADD", true).iter().flat_map(addresses).collect();
    assert_eq!((given.len(), host.leases().len()), (40, 40));
    all("DEL", false);
    assert_eq!(host.leases(), [""; 0]);
}
