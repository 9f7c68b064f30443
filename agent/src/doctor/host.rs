//! Settings, ports, privileges, routes and files of the host.

use super::facts::{CniFile, Facts, Interface};
use super::{Finding, doubt, problem};

/// Strict reverse path filtering (RFC 3704).
const STRICT: u8 = 1;

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    if let Some(why) = &facts.bad_config {
        found.push(problem(
            "configuration",
            "the configuration cannot be used".to_owned(),
            why.clone(),
            "correct the lines that it names; `twill check FILE` shows them".to_owned(),
        ));
    }
    if facts.want.install {
        forwarding(facts, found);
        rp_filter(facts, found);
        mtu(facts, found);
        routes(facts, found);
    }
    port(facts, found);
    capabilities(facts, found);
    for lack in &facts.missing_features {
        found.push(problem(
            "kernel",
            "this kernel lacks what the configuration asks for".to_owned(),
            lack.clone(),
            "do as it says, and start the agent again".to_owned(),
        ));
    }
    cni(&facts.cni, &facts.want.cni_file, found);
}

fn forwarding(facts: &Facts, found: &mut Vec<Finding>) {
    let mut tell = |what: String, evidence: String, remedy: String| {
        // A running agent has set it, and somebody has taken it back; else it is still to be set.
        let make = if facts.agent { problem } else { doubt };
        let remedy = match facts.agent {
            true => remedy,
            false => format!("the agent sets it when it starts, where it may; or {remedy}"),
        };
        found.push(make("forwarding", what, evidence, remedy));
    };
    let off = |of: fn(&Interface) -> Option<bool>| -> Vec<&str> {
        let relevant =
            facts.interfaces.iter().filter(|one| one.ours || one.name == facts.want.bridge);
        relevant.filter(|one| of(one) == Some(false)).map(|one| one.name.as_str()).collect()
    };
    let four = off(|one| one.forwarding4);
    if facts.want.ipv4 && !four.is_empty() {
        tell(
            format!("IPv4 packets that come in by {} are not forwarded", four.join(", ")),
            format!("net.ipv4.conf.{}.forwarding = 0", four.join(", .")),
            "run `sysctl -w net.ipv4.ip_forward=1`".to_owned(),
        );
    }
    let six = off(|one| one.forwarding6);
    if facts.want.ipv6 && !six.is_empty() {
        tell(
            format!("IPv6 packets that come in by {} are not forwarded", six.join(", ")),
            format!("net.ipv6.conf.{}.forwarding = 0", six.join(", .")),
            "run `sysctl -w net.ipv6.conf.all.forwarding=1` (interfaces that learn their default \
             route by router advertisements need accept_ra=2 then)"
                .to_owned(),
        );
    }
}

fn rp_filter(facts: &Facts, found: &mut Vec<Finding>) {
    let uplinks = facts.interfaces.iter().filter(|one| one.uplink);
    // With one way in and out, what comes in comes by the way back.
    if uplinks.clone().count() < 2 {
        return;
    }
    for one in uplinks.filter(|one| one.rp_filter == Some(STRICT)) {
        found.push(doubt(
            "rp-filter",
            format!(
                "packets that come in by {} and would be answered by another way are dropped",
                one.name
            ),
            format!("rp_filter of {} is 1 (strict), and this host has several uplinks", one.name),
            format!(
                "run `sysctl -w net.ipv4.conf.all.rp_filter=0` and `sysctl -w \
                 net/ipv4/conf/{}/rp_filter=2` (loose)",
                one.name
            ),
        ));
    }
}

fn mtu(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(least) = facts.interfaces.iter().filter(|one| one.ours).min_by_key(|one| one.mtu)
    else {
        return;
    };
    let bridge = facts.interfaces.iter().find(|one| one.name == facts.want.bridge);
    let pods = facts.want.mtu.or(bridge.map(|one| one.mtu));
    if let Some(pods) = pods.filter(|pods| *pods > least.mtu) {
        found.push(problem(
            "mtu",
            "packets of pods are larger than an uplink takes: they are fragmented, or lost where \
             ICMP is filtered"
                .to_owned(),
            format!(
                "pods have MTU {pods} ({}), {} has {}",
                if facts.want.mtu.is_some() { "dataplane.mtu" } else { &facts.want.bridge },
                least.name,
                least.mtu
            ),
            format!(
                "set dataplane.mtu to auto or to at most {}, and make the pods anew",
                least.mtu
            ),
        ));
    }
}

fn port(facts: &Facts, found: &mut Vec<Finding>) {
    let port = facts.want.port;
    let foreign = facts.listeners.iter().filter(|listener| {
        let ours = listener.process.as_ref().is_some_and(|(_, name)| name == "twill");
        !(facts.agent && (ours || listener.process.is_none()))
    });
    for listener in foreign {
        let (who, remedy) = match &listener.process {
            Some((pid, name)) if name == "twill" => (
                format!("process {pid} (twill)"),
                "an agent runs whose socket was not found: name it with --socket".to_owned(),
            ),
            Some((pid, name)) => (
                format!("process {pid} ({name})"),
                format!("stop {name}, or give the agent another port with listen.port"),
            ),
            None => (
                "a process that could not be found".to_owned(),
                format!("find it with `ss -ltnp sport = :{port}` as root, and stop it"),
            ),
        };
        found.push(problem(
            "port",
            format!("TCP port {port} is taken"),
            format!("{who} listens on {}", listener.at),
            remedy,
        ));
    }
    if facts.agent && facts.listeners.is_empty() {
        found.push(problem(
            "port",
            format!("nobody listens on TCP port {port}: peers cannot dial this node"),
            "an agent answers on its socket, and no listener has that port".to_owned(),
            "look at the agent's log; give doctor the agent's own file with --config".to_owned(),
        ));
    }
}

fn capabilities(facts: &Facts, found: &mut Vec<Finding>) {
    for name in facts.missing_capabilities.iter().flatten() {
        let without = match *name {
            "CAP_NET_ADMIN" => "no route, interface or packet filter can be changed",
            "CAP_NET_BIND_SERVICE" => "the BGP port cannot be listened on",
            _ => "pods' IPv6 neighbour solicitations are not answered",
        };
        let whose = if facts.agent { "the agent" } else { "this process" };
        found.push(problem(
            "capabilities",
            format!("without {name}, {without}"),
            format!("{whose} does not have it (CapEff in /proc)"),
            "run as root, or grant it: AmbientCapabilities of the systemd unit, \
             `capabilities` of the container"
                .to_owned(),
        ));
    }
}

fn routes(facts: &Facts, found: &mut Vec<Finding>) {
    for (route, owner) in &facts.hiding {
        found.push(problem(
            "routes",
            format!("packets to pods of {owner} take a route that is not ours"),
            route.clone(),
            format!("remove it with `ip route del {route}` where nobody needs it"),
        ));
    }
    let protocol = facts.want.protocol;
    for name in &facts.protocol_names {
        found.push(doubt(
            "protocol",
            format!("the number of our routes, {protocol}, is {name}'s too"),
            format!("rt_protos of iproute2 names {protocol} {name}"),
            "give one of them another number: dataplane.routeProtocol".to_owned(),
        ));
    }
    for route in &facts.odd_routes {
        found.push(problem(
            "protocol",
            format!("somebody else makes routes of our protocol number, {protocol}: the agent would remove them"),
            format!("{route}; ours have metric {}", facts.want.metric),
            "give one of the two another number: dataplane.routeProtocol; where dataplane.metric \
             was changed, it is of an earlier run and goes by itself"
                .to_owned(),
        ));
    }
}

fn cni(files: &[CniFile], ours: &str, found: &mut Vec<Finding>) {
    let at = files.iter().position(|file| file.name == ours);
    for (index, file) in files.iter().enumerate().filter(|(_, file)| file.name != ours) {
        let types = file.types.join(", ");
        let remedy = format!("remove {} where what made it is gone from this host", file.name);
        if at.is_none_or(|at| index < at) {
            let make = if at.is_some() { problem } else { doubt };
            found.push(make(
                "cni",
                format!(
                    "the container runtime takes {} before ours: new pods are not Twill's",
                    file.name
                ),
                format!("it sorts before {ours} and names {types}"),
                remedy,
            ));
        } else {
            found.push(doubt(
                "cni",
                format!("{} is another network's: it would be taken if ours were gone", file.name),
                format!("it names {types}"),
                remedy,
            ));
        }
    }
}
