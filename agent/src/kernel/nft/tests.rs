//! Our table in the real kernel, as nft shows it; each test in a namespace of its own.

use super::*;
use crate::desired::fixture::{THREE, snapshot};
use crate::kernel::testing::{in_namespace, nft};

/// What nft shows of our table, without spaces at the ends of lines.
fn table() -> String {
    let text = nft("list table inet twill");
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

fn wanted(more: &str) -> Masquerade {
    Masquerade::new(&snapshot(&format!("{THREE}{more}")), []).unwrap()
}

#[test]
fn nft_shows_the_table_that_was_meant() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        assert_eq!(filter.print().unwrap(), None);
        filter.check().unwrap();
        assert_eq!(filter.print().unwrap(), None, "a check changes nothing");
        filter.replace(&wanted("")).unwrap();
        let text = table();
        for part in [
            "elements = { 10.244.1.0/24 }",
            "elements = { fd00:244:1::/64 }",
            "10.0.0.1-10.0.0.3, 10.244.1.0-10.244.3.255",
            "fd00::1-fd00::2",
            "type nat hook postrouting priority srcnat; policy accept;",
            "ip saddr @pods4 ip daddr != @exempt4 masquerade fully-random",
            "ip6 saddr @pods6 ip6 daddr != @exempt6 masquerade fully-random",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        filter.remove().unwrap();
        filter.remove().unwrap();
        assert_eq!(nft("list ruleset"), "");
    });
}

#[test]
fn sets_follow_without_a_new_table() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        let (one, two) =
            (wanted(""), wanted("dataplane: {masqueradeExempt: [10.0.0.0/9, '2001:db8::/32']}"));
        filter.replace(&one).unwrap();
        let handle = |text: &str| {
            let line = text.lines().find(|line| line.contains("table inet")).unwrap();
            line.to_owned()
        };
        let before = (filter.print().unwrap(), handle(&nft("-a list table inet twill")));
        filter.update(&one, &two).unwrap();
        assert!(table().contains("10.0.0.0/9"), "{}", table());
        assert!(table().contains("2001:db8::/32"), "{}", table());
        assert_eq!(handle(&nft("-a list table inet twill")), before.1, "the same table");
        assert_ne!(filter.print().unwrap(), before.0);
        filter.update(&two, &one).unwrap();
        assert_eq!(filter.print().unwrap(), before.0);
        let error = filter.update(&two, &one).unwrap_err();
        assert!(error.to_string().starts_with("a change of the table for masquerade is refused"));
        assert_eq!(filter.print().unwrap(), before.0, "all or nothing");
    });
}

#[test]
fn whatever_somebody_changes_is_seen() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        for change in [
            "delete element inet twill pods4 { 10.244.1.0/24 }",
            "add element inet twill exempt4 { 192.0.2.0/24 }",
            "insert rule inet twill postrouting accept",
            "flush chain inet twill postrouting",
            "add chain inet twill other",
            "flush set inet twill exempt6",
        ] {
            filter.replace(&wanted("")).unwrap();
            let before = filter.print().unwrap();
            assert!(before.is_some());
            assert_eq!(filter.print().unwrap(), before, "the same twice");
            nft(change);
            assert_ne!(filter.print().unwrap(), before, "{change}");
        }
        let before = filter.print().unwrap();
        nft("add table ip other");
        assert_eq!(filter.print().unwrap(), before, "what others do is theirs");
    });
}

#[test]
fn chains_that_drop_pods_are_found_unless_they_name_the_bridge() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        nft("add table ip filter");
        nft("add chain ip filter INPUT { type filter hook input priority 0; policy drop; }");
        assert_eq!(filter.dropping("twill0").unwrap(), []);
        nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
        nft("add rule ip filter FORWARD iifname docker0 accept");
        let found = filter.dropping("twill0").unwrap();
        let DroppingChain { family, table, name } = found.first().unwrap();
        assert_eq!((found.len(), *family, &**table, &**name), (1, "ip", "filter", "FORWARD"));
        nft("insert rule ip filter FORWARD iifname twill0 accept");
        assert_eq!(filter.dropping("twill0").unwrap(), []);
    });
}

#[test]
fn only_changes_by_others_are_told() {
    in_namespace(|| async {
        let mut filter = Filter::open().unwrap();
        let mut watch = FilterWatch::open(filter.port()).unwrap();
        filter.replace(&wanted("")).unwrap();
        assert_eq!(watch.drain().unwrap(), None);
        nft("add table ip other");
        nft("add chain ip other one { type filter hook forward priority 0; }");
        assert_eq!(watch.wait().await.unwrap(), FilterEvent::Others);
        nft("add element inet twill exempt4 { 192.0.2.0/24 }");
        assert_eq!(watch.wait().await.unwrap(), FilterEvent::Ours);
        nft("flush ruleset");
        assert_eq!(watch.wait().await.unwrap(), FilterEvent::Ours);
    });
}
