//! `cargo xtask demo`: a cluster that can be looked at, in under a minute.

use std::io::{IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use twill_tests::cluster::{Cluster, Plan};
use twill_tests::lab::{Host, wait};
use twill_tests::node::{Node, binary, use_programs};
use twill_tests::router::Frr;

use crate::cargo::build_programs;
use crate::matrix::{Station, ping_all};

#[derive(Args)]
pub(crate) struct Options {
    /// Leaves everything up until Enter or Ctrl-C, and prints how to look around
    #[arg(long)]
    keep: bool,
}

/// Set in the process that runs in a user namespace of its own: where the programs are.
const NESTED: &str = "TWILL_DEMO_IN_USER_NAMESPACE";

/// The router's own network, which the nodes learn from it.
const OUTSIDE: [&str; 2] = ["192.0.2.1/24", "2001:db8::1/64"];

const PEERS: &str = "\
peers:
  - name: tor
    address: 10.0.0.254
    asn: 65000
    families: [ipv4, ipv6]
    import: {default: reject, prefixes: [192.0.2.0/24, 2001:db8::/64]}
    export: {default: reject, prefixes: [podCIDRs]}
";

/// Narrates: one line a step, rewritten on a terminal.
struct Story {
    begin: Instant,
}

impl Story {
    fn tell(&self, step: &str) {
        let seconds = self.begin.elapsed().as_secs_f64();
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K[{seconds:5.1} s] {step}");
        } else {
            println!("[{seconds:5.1} s] {step}");
        }
        // A terminal that went away is not the demo's failure.
        let _ = std::io::stdout().flush();
    }

    fn end_line(&self) {
        if std::io::stdout().is_terminal() {
            println!();
        }
    }
}

/// The router outside the mesh.
enum Router {
    Frr(Frr),
    Twill(Node),
}

impl Router {
    fn host(&self) -> &Host {
        match self {
            Router::Frr(frr) => frr.host(),
            Router::Twill(node) => node.host(),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let nested = std::env::var_os(NESTED);
    if !nix::unistd::geteuid().is_root() {
        return run_in_user_namespace();
    }
    // Within a user namespace everything was built by the process outside.
    use_programs(nested.clone().map_or_else(build_programs, |built| Ok(built.into()))?);
    let outside = match nested {
        Some(_) => Some("root is needed for FRR".to_owned()),
        None => Frr::unavailable(),
    };
    let story = Story { begin: Instant::now() };
    story.tell("making three nodes, a router and a switch in network namespaces");
    let plan = Plan { more: PEERS.to_owned(), ..Plan::default() };
    let mut cluster = Cluster::build("demo", plan)?;
    let router = start_router(&cluster, outside.as_deref())?;

    story.tell("starting an agent on each node");
    for node in &cluster.nodes {
        node.start()?;
    }
    story.tell("waiting for the mesh: sessions up, routes in every kernel");
    cluster.wait_mesh()?;
    for node in &cluster.nodes {
        node.wait_route(OUTSIDE_ROUTES[0], "via")?;
        node.wait_route(OUTSIDE_ROUTES[1], "via")?;
    }
    wait_router(&router, &cluster)?;
    story.tell("attaching two pods to each node through the CNI plugin");
    cluster.attach_pods()?;

    let mut stations: Vec<Station<'_>> = cluster.pods.iter().map(Station::Pod).collect();
    let own = OUTSIDE.iter().filter_map(|own| own.split('/').next()?.parse().ok()).collect();
    stations.push(Station::Router(router.host(), own));
    let rows = stations.len();
    let matrix = ping_all(&stations, |row| story.tell(&format!("pinging: row {row} of {rows}")));
    story.tell("looking around");
    story.end_line();

    print_tables(&cluster, &router)?;
    println!("Who reaches whom (v4, v6; an exclamation mark means no answer)\n{}", matrix.text);
    for failure in &matrix.failures {
        println!("FAILED {failure}");
    }
    if options.keep {
        keep(&cluster, &router)?;
    }
    let answered = matrix.sent - matrix.failures.len();
    let seconds = story.begin.elapsed().as_secs_f64();
    println!("{answered} of {} pings answered, {seconds:.1} s.", matrix.sent);
    if !matrix.failures.is_empty() {
        bail!("{} pings were not answered", matrix.failures.len());
    }
    cluster.lab.passed()
}

/// The prefixes of [`OUTSIDE`].
const OUTSIDE_ROUTES: [&str; 2] = ["192.0.2.0/24", "2001:db8::/64"];

/// Builds, and starts this program again as the root of a user namespace.
fn run_in_user_namespace() -> Result<()> {
    println!("Not root: running in a user namespace, with our own speakers only.");
    let programs = build_programs()?;
    let error = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--net", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(NESTED, programs)
        .exec();
    bail!("cannot make a user namespace (run as root instead): {error}")
}

fn start_router(cluster: &Cluster, no_frr: Option<&str>) -> Result<Router> {
    let host = cluster.neighbor("tor", &["10.0.0.254/24", "fd00::254/64"])?;
    for address in OUTSIDE {
        host.batch(&format!("addr add {address} dev lo"))?;
    }
    match no_frr {
        None => Frr::start(host, &frr_config(cluster.plan.nodes)).map(Router::Frr),
        Some(why) => {
            println!("The outside router is a speaker of ours, not FRR: {why}.");
            let node = Node::new(host, &twill_config(cluster.plan.nodes))?;
            node.start()?;
            Ok(Router::Twill(node))
        }
    }
}

fn frr_config(nodes: usize) -> String {
    let mut text = String::from(
        "router bgp 65000\n bgp router-id 10.0.0.254\n no bgp ebgp-requires-policy\n \
         no bgp network import-check\n neighbor nodes peer-group\n neighbor nodes remote-as 64512\n \
         neighbor nodes timers connect 1\n",
    );
    for node in 1..=nodes {
        text += &format!(" neighbor 10.0.0.{node} peer-group nodes\n");
    }
    for (family, prefix) in [("ipv4", OUTSIDE_ROUTES[0]), ("ipv6", OUTSIDE_ROUTES[1])] {
        text += &format!(
            " address-family {family} unicast\n  network {prefix}\n  neighbor nodes activate\n \
             exit-address-family\n"
        );
    }
    text
}

fn twill_config(nodes: usize) -> String {
    let mut text = format!(
        "node: tor\nasn: 65000\naddresses: [10.0.0.254, fd00::254]\n\
         announce: [{}, '{}']\nmesh: {{mode: none}}\ncni: {{write: false}}\npeers:\n",
        OUTSIDE_ROUTES[0], OUTSIDE_ROUTES[1]
    );
    for node in 1..=nodes {
        text += &format!(
            "  - name: node-{node}\n    address: 10.0.0.{node}\n    asn: 64512\n    import: \
             {{default: reject, prefixes: [10.244.0.0/16 le 24, 'fd00:244::/32 le 64']}}\n    export: \
             {{default: reject, prefixes: [{}, '{}']}}\n",
            OUTSIDE_ROUTES[0], OUTSIDE_ROUTES[1]
        );
    }
    text
}

/// Until the router routes to every node's pods.
fn wait_router(router: &Router, cluster: &Cluster) -> Result<()> {
    for number in 1..=cluster.plan.nodes {
        for prefix in [format!("10.244.{number}.0/24"), format!("fd00:244:{number:x}::/64")] {
            match router {
                Router::Frr(frr) => frr.wait_route(&prefix)?,
                Router::Twill(node) => node.wait_route(&prefix, "via")?,
            };
        }
    }
    Ok(())
}

fn print_tables(cluster: &Cluster, router: &Router) -> Result<()> {
    let node = cluster.nodes.first().context("no node")?;
    for command in ["peers", "routes"] {
        println!("\n{}$ twill {command}", node.name());
        print!("{}", node.cli(&[command])?.stdout);
    }
    if let Router::Frr(frr) = router {
        println!("\ntor$ vtysh -c 'show bgp ipv4 unicast'");
        print!("{}", frr.vtysh("show bgp ipv4 unicast")?);
    }
    println!();
    Ok(())
}

fn keep(cluster: &Cluster, router: &Router) -> Result<()> {
    println!("Everything stays up until you press Enter. In another terminal, as root:");
    let twill = binary("twill")?;
    let hosts = cluster.nodes.iter().map(|node| &**node.host()).chain([router.host()]);
    for host in hosts {
        println!("  {:7} nsenter -t {} --net --mount --pid bash", host.name(), host.pid());
    }
    println!("and there:");
    println!("  {} status        (peers, routes, fib, explain 10.244.2.2)", twill.display());
    for pod in cluster.pods.iter().take(1) {
        println!("  ip netns exec {} ping ADDRESS   (on {})", pod.name(), pod.host().name());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.is_empty() {
        // No one to press Enter: the end of the process ends the lab.
        wait("Ctrl-C", std::time::Duration::from_secs(24 * 3600), || Ok(false))?;
    }
    Ok(())
}
