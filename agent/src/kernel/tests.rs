//! The kernel's side of every message, in namespaces of their own.

use std::net::IpAddr;
use std::sync::Arc;

use twill_bgp::proto::types::{Families, Family, Prefix};

use super::routes::{self, Listed, Marks, Scope};
use super::settings::{Room, Setting, Settings};
use super::testing::{in_namespace, ip, link};
use super::*;
use crate::desired::Via;

const MARKS: Marks = Marks { table: 254, metric: 116, protocol: 116 };

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn index(netlink: &mut Netlink, name: &str) -> u32 {
    host::list(netlink).unwrap().link_named(name).unwrap().index
}

async fn listed(netlink: &mut Netlink, scope: Scope<'_>) -> Vec<Listed> {
    let mut found = Vec::new();
    routes::list(netlink, scope, |route| found.push(route)).await.unwrap();
    found
}

#[test]
fn routes_of_every_form_are_added_listed_replaced_and_deleted() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        let mut netlink = Netlink::open().unwrap();
        let device = index(&mut netlink, "eth0");
        let via = |next_hop, source| Via { next_hop, device, source };
        let all = [
            (prefix("10.1.0.0/16"), via(address("10.0.0.2"), None)),
            (prefix("0.0.0.0/0"), via(address("10.0.0.2"), None)),
            (prefix("10.2.0.0/24"), via(None, address("10.0.0.1"))),
            (prefix("10.3.0.0/24"), via(address("fd00::2"), None)),
            (prefix("fd00:1::/48"), via(address("fd00::2"), None)),
            (prefix("::/0"), via(address("fe80::2"), None)),
            (prefix("fd00:2::/64"), via(None, address("fd00::1"))),
        ];
        for marks in [MARKS, Marks { table: 1116, ..MARKS }] {
            for (prefix, via) in &all {
                routes::add(&mut netlink, &marks, *prefix, via);
            }
            assert_eq!(netlink.pending(), all.len());
            assert_eq!(netlink.commit().unwrap(), []);
            let mut found = listed(&mut netlink, Scope::Ours(&marks)).await;
            assert!(found.iter().all(|route| route.plain && route.has_our_place(&marks)));
            let mut ways: Vec<_> = found.iter().map(|route| (route.prefix, route.via)).collect();
            ways.sort_unstable();
            let mut wanted = all.to_vec();
            wanted.sort_unstable();
            assert_eq!(ways, wanted);

            routes::replace(&mut netlink, &marks, all[0].0, &via(address("10.0.0.9"), None));
            assert_eq!(netlink.commit().unwrap(), []);
            // Not as it was listed, so not what is meant.
            routes::delete(
                &mut netlink,
                &found[found.iter().position(|r| r.prefix == all[0].0).unwrap()],
            );
            assert_eq!(netlink.commit().unwrap()[0].refusal.errno, Errno::ESRCH);
            found = listed(&mut netlink, Scope::Ours(&marks)).await;
            for route in &found {
                routes::delete(&mut netlink, route);
            }
            assert_eq!(netlink.commit().unwrap(), []);
            assert_eq!(listed(&mut netlink, Scope::Ours(&marks)).await, []);
        }
    });
}

#[test]
fn a_batch_tells_which_of_its_messages_failed_and_why() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24"]);
        ip("route add 10.1.2.0/24 via 10.0.0.9 metric 116 proto static");
        let mut netlink = Netlink::open().unwrap();
        let device = index(&mut netlink, "eth0");
        for third in 0..500_u32 {
            let next_hop = if third == 7 { "192.0.2.1" } else { "10.0.0.2" };
            let via = Via { next_hop: address(next_hop), device, source: None };
            let prefix = prefix(&format!("10.{}.{}.0/24", 1 + third / 250, third % 250));
            routes::add(&mut netlink, &MARKS, prefix, &via);
        }
        let failures = netlink.commit().unwrap();
        let seen: Vec<_> =
            failures.iter().map(|failure| (failure.index, failure.refusal.errno)).collect();
        assert_eq!(seen, [(2, Errno::EEXIST), (7, Errno::ENETUNREACH)]);
        let words = failures[1].refusal.to_string();
        assert!(words.contains("Nexthop has invalid gateway"), "{words}");
        assert!(words.contains("connected route"), "{words}");
        let foreign = ip("route show 10.1.2.0/24");
        assert!(foreign.contains("via 10.0.0.9") && foreign.contains("static"), "{foreign}");
        assert_eq!(listed(&mut netlink, Scope::Ours(&MARKS)).await.len(), 498);
        assert_eq!(
            routes::families_of_ours(&mut netlink, &MARKS).unwrap(),
            Families::NONE.with(Family::Ipv4Unicast)
        );
        // Every message refused, as without the privilege: nothing of the answers is lost.
        for _ in 0..1000 {
            let via = Via { next_hop: address("192.0.2.1"), device, source: None };
            routes::add(&mut netlink, &MARKS, prefix("198.51.100.0/24"), &via);
        }
        assert_eq!(netlink.commit().unwrap().len(), 1000);
    });
}

#[test]
fn a_route_of_another_form_is_listed_as_not_ours_in_form() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24", "fd00::1/64"]);
        let mark = "metric 116 proto 116";
        ip(&format!("route add 10.1.0.0/24 {mark} nexthop via 10.0.0.2 nexthop via 10.0.0.3"));
        ip(&format!("route add blackhole 10.2.0.0/24 {mark}"));
        ip(&format!("route add 10.3.0.0/24 via 10.0.0.2 {mark} mtu 1400"));
        ip(&format!("-6 route add fd00:1::/64 via fd00::2 {mark}"));
        ip(&format!("-6 route append fd00:1::/64 via fd00::3 {mark}"));
        let mut netlink = Netlink::open().unwrap();
        let found = listed(&mut netlink, Scope::Ours(&MARKS)).await;
        assert!(found.len() >= 4 && found.iter().all(|route| !route.plain), "{found:?}");
        for route in &found {
            routes::delete(&mut netlink, route);
        }
        assert_eq!(netlink.commit().unwrap(), []);
        assert_eq!(listed(&mut netlink, Scope::Ours(&MARKS)).await, []);
    });
}

#[test]
fn a_large_table_is_listed_whole_and_only_ours() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24"]);
        let mut netlink = Netlink::open().unwrap();
        let via = Via {
            next_hop: address("10.0.0.2"),
            device: index(&mut netlink, "eth0"),
            source: None,
        };
        let foreign = Marks { protocol: 4, metric: 50, ..MARKS };
        for number in 0..10_000_u32 {
            let address = std::net::Ipv4Addr::from((11 << 24) + (number << 8));
            let prefix = Prefix::truncating(address.into(), 24).unwrap();
            routes::add(&mut netlink, &MARKS, prefix, &via);
            routes::add(&mut netlink, &foreign, prefix, &via);
            if netlink.pending() >= 512 {
                assert_eq!(netlink.commit().unwrap(), []);
            }
        }
        assert_eq!(netlink.commit().unwrap(), []);
        assert_eq!(listed(&mut netlink, Scope::Ours(&MARKS)).await.len(), 10_000);
        let mut all = listed(&mut netlink, Scope::Table(254)).await;
        all.retain(|route| matches!(route.prefix, Prefix::V4(_)));
        assert_eq!(all.len(), 20_001, "with the connected one");
        assert_eq!(listed(&mut netlink, Scope::Table(777)).await, []);
    });
}

#[test]
fn hints_come_for_what_others_do_and_not_for_our_own_doing() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24"]);
        let mut netlink = Netlink::open().unwrap();
        let mut watch = Watch::open(&[Group::Routes], Some(netlink.port())).unwrap();
        let device = index(&mut netlink, "eth0");
        let via = Via { next_hop: address("10.0.0.2"), device, source: None };
        routes::add(&mut netlink, &MARKS, prefix("10.1.0.0/24"), &via);
        assert_eq!(netlink.commit().unwrap(), []);
        ip("route replace 10.1.0.0/24 via 10.0.0.3 metric 116 proto 116");
        ip("route del 10.1.0.0/24 metric 116");
        let mut events = Vec::new();
        while events.len() < 2 {
            let mut more = Vec::new();
            watch.wait(&mut more).await.unwrap();
            events.append(&mut more);
        }
        let seen: Vec<_> = events
            .iter()
            .map(|event| match event {
                Event::Route(event) => (event.deleted, event.replaced, event.route.via.next_hop),
                other => panic!("{other:?}"),
            })
            .collect();
        let third = address("10.0.0.3");
        assert_eq!(seen, [(false, true, third), (true, false, third)]);
    });
}

#[test]
fn lost_hints_are_noticed() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24"]);
        let mut netlink = Netlink::open().unwrap();
        let mut watch = Watch::with_buffer(&[Group::Routes], None, 4096).unwrap();
        let device = index(&mut netlink, "eth0");
        let via = Via { next_hop: address("10.0.0.2"), device, source: None };
        for third in 0..200 {
            routes::add(&mut netlink, &MARKS, prefix(&format!("10.1.{third}.0/24")), &via);
        }
        assert_eq!(netlink.commit().unwrap(), []);
        let mut events = Vec::new();
        watch.wait(&mut events).await.unwrap();
        assert!(events.contains(&Event::Lost), "{events:?}");
        // And what comes later is heard.
        ip("route del 10.1.7.0/24 metric 116");
        events.clear();
        watch.wait(&mut events).await.unwrap();
        assert!(matches!(&events[..], [Event::Route(event)] if event.deleted), "{events:?}");
    });
}

#[test]
fn settings_are_written_as_files_and_by_netlink() {
    in_namespace(|| async {
        link("eth0", &["10.0.0.1/24"]);
        let mut netlink = Netlink::open().unwrap();
        let index = index(&mut netlink, "eth0");
        let files = Settings::default();
        // A container's view: nothing can be written as a file.
        let sealed = Settings::at("/proc/sys/none");
        let eth0: Arc<str> = Arc::from("eth0");
        let setting = |room, key| Setting { room, interface: Arc::clone(&eth0), key };
        for (key, value) in [
            ("forwarding", 1),
            ("proxy_arp", 1),
            ("send_redirects", 0),
            ("accept_redirects", 0),
            ("rp_filter", 2),
        ] {
            let setting = setting(Room::Ipv4, key);
            let before = files.read(&setting).unwrap();
            sealed.write(&mut netlink, &setting, index, value).unwrap();
            assert_eq!(files.read(&setting).unwrap(), value, "{setting} by netlink");
            files.write(&mut netlink, &setting, index, before).unwrap();
            assert_eq!(files.read(&setting).unwrap(), before, "{setting} as a file");
        }
        for room in [Room::Ipv4Neighbours, Room::Ipv6Neighbours] {
            let setting = setting(room, "proxy_delay");
            assert_ne!(files.read(&setting).unwrap(), 0);
            sealed.write(&mut netlink, &setting, index, 0).unwrap();
            assert_eq!(files.read(&setting).unwrap(), 0, "{setting} by netlink");
        }
        let forwarding = setting(Room::Ipv6, "forwarding");
        let error = sealed.write(&mut netlink, &forwarding, index, 1).unwrap_err().to_string();
        assert!(error.contains("sysctl -w net/ipv6/conf/eth0/forwarding=1"), "{error}");
        let absent = setting(Room::Ipv4, "no_such_setting");
        assert!(files.read(&absent).unwrap_err().to_string().contains("does not exist"));
    });
}
