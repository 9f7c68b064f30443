//! `docs/reference/configuration.md` against the reader: the tables name every key that it knows
//! and no other, and a default that they state is what comes of leaving the key out.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const PAGE: &str = include_str!("../../../../docs/reference/configuration.md");

/// A key like none.
const NOBODYS: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";
/// What a peer must have.
const PEER: &str = "name: tor, address: 10.0.0.9, asn: 65000";

/// The keys that the reader knows in a mapping: it tells them where it is asked for another.
fn known(text: &str) -> BTreeSet<String> {
    let told = refusal(&(SMALL.to_owned() + &text.replace('?', NOBODYS)));
    let (_, known) = told.split_once("known here are ").expect(&told);
    known.lines().next().unwrap().split(", ").map(str::to_owned).collect()
}

/// The same, each behind the name of its mapping.
fn known_in(name: &str, text: &str) -> BTreeSet<String> {
    known(text).into_iter().map(|key| format!("{name}.{key}")).collect()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the tables between two headings whose head begins with `head`, by their cells.
fn rows<'a>(heading: &str, head: &str) -> Vec<Vec<&'a str>> {
    let (_, behind) = PAGE.split_once(&format!("\n{heading}\n")).expect(heading);
    let end = behind.find("\n#").unwrap_or(behind.len());
    let mut lines = behind[..end].lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some() && lines.next().is_some(), "{heading} has no table {head}");
    lines
        .take_while(|line| line.starts_with('|'))
        // A bar within code is written with a backslash; no key has one.
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect()
}

/// The keys of a row; `.b` behind `a.c` is `a.b`.
fn keys(cell: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for word in code(cell) {
        let key = match (word.strip_prefix('.'), keys.last()) {
            (Some(last), Some(before)) => {
                let (folder, _) = before.split_once('.').expect("a key before it");
                format!("{folder}.{last}")
            }
            _ => word,
        };
        keys.push(key);
    }
    keys
}

fn documented(heading: &str, head: &str) -> BTreeSet<String> {
    rows(heading, head).iter().flat_map(|row| keys(row[0])).collect()
}

fn without(mut keys: BTreeSet<String>, parts: &[&str]) -> BTreeSet<String> {
    for part in parts {
        assert!(keys.remove(*part), "{part} is no key");
    }
    keys
}

#[test]
fn the_tables_name_the_keys_that_the_reader_knows() {
    let mut top = without(known("?: 1"), &["mesh", "peers", "dataplane", "cni", "listen"]);
    top.extend(known_in("listen", "listen: {?: 1}"));
    assert_eq!(documented("## Top level", "| key"), top);

    assert_eq!(documented("## `mesh`", "| key"), known("mesh: {?: 1}"));
    let nodes = rows("## `mesh`", "| key").into_iter().find(|row| row[0] == "`nodes`").unwrap();
    for key in known("mesh: {nodes: [{name: n, ?: 1}]}") {
        assert!(code(nodes[2]).contains(&key), "the row of `nodes` lacks {key}");
    }

    let peer = |more: &str| format!("peers: [{{{PEER}, {more}}}]");
    let mut peers = without(known(&peer("?: 1")), &["import", "export"]);
    peers.extend(known_in("import", &peer("import: {?: 1}")));
    peers.extend(known_in("export", &peer("export: {?: 1}")));
    assert_eq!(documented("## `peers`: routers outside the mesh", "| key"), peers);

    let rule =
        |more: &str| peer(&format!("export: {{rules: [{{name: r, action: accept, {more}}}]}}"));
    assert_eq!(documented("### Rules", "| key of a rule"), known(&rule("?: 1")));
    let mut conditions = without(known(&rule("match: {?: 1}")), &["asPath"]);
    conditions.extend(known_in("asPath", &rule("match: {asPath: {?: 1}}")));
    assert_eq!(documented("### Rules", "| `match` | holds"), conditions);
    assert_eq!(documented("### Rules", "| `set` | does"), known(&rule("set: {?: 1}")));

    assert_eq!(documented("## `dataplane`", "| key"), known("dataplane: {?: 1}"));
    assert_eq!(documented("## `cni`", "| key"), known("cni: {?: 1}"));
}

/// The values that a cell states for so many keys; `None` for one that is told in words.
fn values(cell: &str, count: usize) -> Vec<Option<String>> {
    let literal = |text: &str| {
        let text = text.trim().trim_matches('`');
        let list = text.starts_with('[') && text.ends_with(']');
        let word = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "./:-".contains(c));
        ((list || word) && !["none", "off", "required"].contains(&text)).then(|| text.to_owned())
    };
    let whole = literal(cell);
    if count == 1 || whole.is_some() {
        return vec![whole; count];
    }
    let parts: Vec<&str> = cell.split(", ").collect();
    if parts.len() == count { parts.into_iter().map(literal).collect() } else { vec![None; count] }
}

/// A file in which a key of a section has a value, and little else is said.
fn said(section: &str, key: &str, value: &str) -> String {
    let entry = match key.split_once('.') {
        Some((folder, key)) => format!("{folder}: {{{key}: {value}}}"),
        None => format!("{key}: {value}"),
    };
    SMALL.to_owned() + &around(section, &entry)
}

/// The entries of a section, in their place.
fn around(section: &str, entries: &str) -> String {
    match section {
        "" => format!("{entries}\n"),
        "peers" => {
            format!("peers: [{{{PEER}{}{entries}}}]\n", if entries.is_empty() { "" } else { ", " })
        }
        section => format!("{section}: {{{entries}}}\n"),
    }
}

/// Whether two snapshots mean the same, where they may differ in one key.
fn same(key: &str, one: &Snapshot, other: &Snapshot) -> bool {
    let waits = |snapshot: &Snapshot| {
        let peers = crate::desired::speaker::peers(snapshot, &BTreeSet::new()).configs;
        peers.iter().map(|peer| (peer.connect_retry, peer.connect_retry_max)).collect::<Vec<_>>()
    };
    // Left out, these are left to the speaker.
    let ours = !["connectRetry", "connectRetryMax"].contains(&key);
    if ours { one == other } else { waits(one) == waits(other) }
}

#[test]
fn a_default_on_the_page_is_what_comes_of_leaving_the_key_out() {
    let sections = [
        ("## Top level", ""),
        ("## `mesh`", "mesh"),
        ("## `peers`: routers outside the mesh", "peers"),
        ("## `dataplane`", "dataplane"),
        ("## `cni`", "cni"),
    ];
    let mut held = BTreeMap::new();
    for (heading, section) in sections {
        let silent = parse(&(SMALL.to_owned() + &around(section, ""))).unwrap().snapshot;
        for row in rows(heading, "| key") {
            let keys = keys(row[0]);
            for (key, value) in keys.iter().zip(values(row[1], keys.len())) {
                // A limit without a prefix is an error, and a strict role without a role.
                let alone = !["limit", "roleStrict"].contains(&key.as_str());
                let Some(value) = value.filter(|_| alone) else { continue };
                let text = said(section, key, &value);
                let spoken = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                assert!(same(key, &spoken.snapshot, &silent), "{section}.{key}: not {value}");
                *held.entry(section).or_insert(0) += 1;
            }
        }
    }
    assert!(held.len() == sections.len() && held.values().sum::<i32>() >= 30, "{held:?}");
}

/// Both tests can fail: a row with another default, and a key that nobody reads.
#[test]
fn a_wrong_default_would_be_seen() {
    let silent = parse(&(SMALL.to_owned() + "mesh: {}\n")).unwrap().snapshot;
    assert!(parse(&said("mesh", "holdTime", "30s")).unwrap().snapshot != silent);
    assert!(parse(&said("mesh", "holdTimes", "30s")).is_err());
    let silent = parse(&(SMALL.to_owned() + &around("peers", ""))).unwrap().snapshot;
    let spoken = parse(&said("peers", "connectRetry", "7s")).unwrap().snapshot;
    assert!(!same("connectRetry", &spoken, &silent));
}
