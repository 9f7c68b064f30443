//! Policies of an outside router, changed while the session is up.
//!
//! ```text
//! node-a  AS 64512, 10.0.0.1 ── tor  AS 65000, 10.0.0.254; announces 192.0.2.0/24 with 65000:7,
//!                                    198.51.100.0/24 without
//! ```

use anyhow::{Context, Result};
use serde_json::Value;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{WAIT, wait, wait_for};
use twill_tests::node::Node;
use twill_tests::router::Frr;
use twill_tests::skip_unless;

const FRR: &str = "
router bgp 65000
 bgp router-id 10.0.0.254
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.0.0.1 remote-as 64512
 neighbor 10.0.0.1 timers connect 1
 address-family ipv4 unicast
  network 192.0.2.0/24 route-map MARK
  network 198.51.100.0/24
 exit-address-family
route-map MARK permit 10
 set community 65000:7
";

const OPEN: &str = "
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import: {default: accept}
    export: {prefixes: [podCIDRs]}
";

/// Marked routes are refused, the others preferred; the pod CIDR leaves with a community and a
/// longer path.
const CLOSED: &str = "
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    import:
      default: accept
      rules:
        - {name: not-marked, match: {communities: '65000:7'}, action: reject}
        - {name: rest, match: {asPath: {beginsWith: 65000, maxLength: 1}}, set: {localPref: 250}, action: accept}
    export:
      rules:
        - {name: ours, match: {prefixes: [podCIDRs]}, set: {communities: {add: '64512:9'}, prepend: 1, med: 30}, action: accept}
";

/// A rule refuses what was taken, changes what stays, and lets it in again; the session does not
/// notice, and no route is asked for again.
#[test]
fn rules_change_under_a_live_session() -> Result<()> {
    skip_unless!(lab, frr);
    let plan = Plan { nodes: 1, pods: 0, more: OPEN.to_owned(), ..Plan::default() };
    let cluster = Cluster::build("policy", plan)?;
    let node = &cluster.nodes[0];
    node.start()?;
    let frr = Frr::start(cluster.neighbor("tor", &["10.0.0.254/24", "fd00::254/64"])?, FRR)?;
    for prefix in ["192.0.2.0/24", "198.51.100.0/24"] {
        node.wait_route(prefix, "via 10.0.0.254")?;
    }
    wait("FRR to have the pod CIDR", WAIT, || Ok(sent(&frr)?["aspath"]["length"] == 1))?;
    let before = session(node)?;

    let without_peers = Plan { more: String::new(), ..cluster.plan.clone() }.config(1);
    node.reload(&format!("{without_peers}{CLOSED}"))?;
    node.wait_no_route("192.0.2.0/24", WAIT)?;
    let refused = route(node, "192.0.2.0/24")?;
    assert_eq!(refused["valid"], false, "{refused}");
    assert_eq!(refused["reason"], "refused: rule not-marked of tor", "{refused}");
    assert!(node.cli(&["routes", "--all", "-o", "wide"])?.stdout.contains("not-marked"));
    assert_eq!(route(node, "198.51.100.0/24")?["localPref"], 250);
    wait("FRR to see the change", WAIT, || {
        let path = sent(&frr)?;
        Ok(path["aspath"]["string"] == "64512 64512"
            && path["community"]["string"] == "64512:9"
            && path["metric"] == 30)
    })?;

    node.reload(&cluster.plan.config(1))?;
    node.wait_route("192.0.2.0/24", "via 10.0.0.254")?;
    wait("FRR to see it taken back", WAIT, || Ok(sent(&frr)?["aspath"]["length"] == 1))?;
    assert_eq!(session(node)?, before, "flaps, OPENs and refreshes sent");
    cluster.lab.passed()
}

/// What a bounce, or a request for the routes, would change.
fn session(node: &Node) -> Result<(Value, Value, Value)> {
    let detail = node.json(&["peers", "tor"])?[0].clone();
    let sent = &detail["detail"]["messagesSent"];
    Ok((detail["flaps"].clone(), sent["open"].clone(), sent["routeRefresh"].clone()))
}

fn route(node: &Node, prefix: &str) -> Result<Value> {
    wait_for(format_args!("{prefix} from tor"), WAIT, || {
        let routes = node.json(&["routes", prefix, "--all"])?;
        Ok(routes.as_array().and_then(|routes| routes.first().cloned()))
    })
}

/// The pod CIDR as FRR has it.
fn sent(frr: &Frr) -> Result<Value> {
    let text = frr.vtysh("show bgp ipv4 unicast 10.244.1.0/24 json")?;
    let table: Value = serde_json::from_str(&text).context("FRR answered no JSON")?;
    Ok(table["paths"][0].clone())
}
