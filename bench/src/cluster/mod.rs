//! One agent of a large cluster: what it costs to start, to rest, and to follow a tenth of the
//! nodes being replaced.
//!
//! ```text
//! agent (sandbox of the DaemonSet) ── 10.0.0.0/16 ── stand-in for the API server: nodes, services
//!                                               └── BIRD, the reflector: every node's route
//! ```
//!
//! The nodes are objects and routes, nothing else: one machine has no room for thousands.

mod objects;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use twill_tests::kube::{ADDRESS, Api, NAMESPACE, sandbox};
use twill_tests::lab::{Host, Lab, Process, hold, wait};
use twill_tests::node::binary;
use twill_tests::router::Bird;

use self::objects::{REFLECTOR, address, name, node, pod_cidr, service};
use crate::speaker::usage::{Usage, kernel_routes};

/// Objects put at once.
const BATCH: usize = 500;
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the agent is left alone before and while it is measured at rest.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Options {
    /// Sizes of clusters
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 5000])]
    nodes: Vec<usize>,
    /// Services, each with an EndpointSlice of three endpoints
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// Seconds that the agent is measured at rest
    #[arg(long, default_value_t = 20)]
    rest: u64,
    /// Seconds over which a tenth of the nodes is replaced
    #[arg(long, default_value_t = 10)]
    churn: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    for count in &options.nodes {
        Stage::build(*count, options)?.measure(options)?;
    }
    Ok(())
}

/// A cluster without its agent.
struct Stage {
    agent: Option<Process>,
    _bird: Bird,
    api: Api,
    node: Rc<Host>,
    count: usize,
    lab: Lab,
}

impl Stage {
    fn build(count: usize, options: &Options) -> Result<Stage> {
        let lab = Lab::new("bench-cluster")?;
        let lan = lab.switch("lan")?;
        let plug = |name: &str, address: &str| -> Result<Rc<Host>> {
            let host = lab.host(name)?;
            lab.plug(&host, "eth0", &lan, &[&format!("{address}/16")])?;
            Ok(host)
        };
        let api = Api::stand_in(&lab, plug("api", ADDRESS)?)?;
        api.apply_folder(&sandbox::deploy().join("base"))?;
        let numbers: Vec<usize> = (0..count).collect();
        let mut octets = 0;
        for batch in numbers.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().map(|number| node(*number, 0)).collect();
            octets += batch.iter().map(|node| node.to_string().len()).sum::<usize>();
            api.put(&batch)?;
        }
        let numbers: Vec<usize> = (0..options.services).collect();
        for batch in numbers.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().flat_map(|number| service(*number)).collect();
            api.put(&batch)?;
        }
        api.put(&[json!({"apiVersion": "twill.dev/v1alpha1", "kind": "BGPConfiguration",
            "metadata": {"name": "default"}, "spec": {"mesh": {"gtsm": "none"}}})])?;
        let reflector = plug("reflector", &address(REFLECTOR).to_string())?;
        let bird = Bird::start(reflector, &bird_config(count))?;
        let node = plug("node", &address(0).to_string())?;
        node.write("/etc/twill/kubeconfig", &api.agent_kubeconfig()?)?;
        println!(
            "\n{count} nodes of {:.1} kB, {} services, {NAMESPACE}",
            octets as f64 / 1e3 / count as f64,
            options.services
        );
        Ok(Stage { agent: None, _bird: bird, api, node, count, lab })
    }

    /// Seen from here, so that looking costs the agent nothing.
    fn ready(&self) -> bool {
        PathBuf::from(format!("/proc/{}/root/run/twill/ready", self.node.pid())).exists()
    }

    /// Routes to pods in the node's kernel.
    fn routes(&self, before: usize) -> Result<usize> {
        Ok(kernel_routes(&self.node, false)?.saturating_sub(before))
    }

    fn measure(mut self, options: &Options) -> Result<()> {
        let before = kernel_routes(&self.node, false)?;
        let twill = binary("twill")?.to_string_lossy().into_owned();
        let own = format!("NODE_NAME={}", name(0, 0));
        let command = [
            "env",
            &own,
            "RUST_LOG=info",
            &twill,
            "agent",
            "--kubeconfig",
            "/etc/twill/kubeconfig",
        ];
        let command = sandbox::command(&command)?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let begin = Instant::now();
        self.agent = Some(self.node.spawn("agent", &words)?);
        wait("the agent to be ready", PATIENCE, || Ok(self.ready()))?;
        let ready = begin.elapsed();
        let all = self.count - 1;
        wait("every route", PATIENCE, || Ok(self.routes(before)? >= all))?;
        let start = Usage::of(&self.node)?;
        println!(
            "  start to ready {:.2} s, to all {all} routes {:.2} s; {:.2} s of CPU",
            ready.as_secs_f64(),
            begin.elapsed().as_secs_f64(),
            start.cpu
        );

        self.stay(SETTLE)?;
        let settled = Usage::of(&self.node)?;
        self.stay(Duration::from_secs(options.rest))?;
        let rested = Usage::of(&self.node)?;
        println!(
            "  memory {:.1} MB resident, {:.1} MB at its peak; at rest {:.2} % of a CPU",
            rested.resident,
            rested.peak,
            (rested.cpu - settled.cpu) * 100.0 / options.rest as f64
        );
        self.churn(options, before)?;
        self.requests()?;
        self.lab.passed()
    }

    fn stay(&self, time: Duration) -> Result<()> {
        hold("the agent", time, || Ok(self.ready()))
    }

    /// A tenth of the nodes, each deleted and made anew under another name.
    fn churn(&self, options: &Options, before: usize) -> Result<()> {
        let replaced: Vec<usize> = (2..2 + self.count / 10).collect();
        let begin = Instant::now();
        let used = Usage::of(&self.node)?;
        let time = Duration::from_secs(options.churn);
        for (done, number) in replaced.iter().enumerate() {
            self.api.take_away(&[["nodes", "", &name(*number, 0)]])?;
            self.api.put(&[node(*number, 1)])?;
            let due = time.mul_f64((done + 1) as f64 / replaced.len() as f64);
            hold("the agent", due.saturating_sub(begin.elapsed()), || Ok(self.ready()))?;
        }
        let over = begin.elapsed();
        let all = self.count - 1;
        wait("every route again", PATIENCE, || Ok(self.routes(before)? >= all))?;
        self.stay(SETTLE)?;
        let now = Usage::of(&self.node)?;
        println!(
            "  {} nodes replaced in {:.1} s: {:.2} s of CPU, {:.1} % of one while it lasted; \
             {:.1} MB resident, {:.1} MB at its peak",
            replaced.len(),
            over.as_secs_f64(),
            now.cpu - used.cpu,
            (now.cpu - used.cpu) * 100.0 / over.as_secs_f64(),
            now.resident,
            now.peak
        );
        Ok(())
    }

    fn requests(&self) -> Result<()> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut begun = BTreeMap::new();
        for asked in self.api.asked_by_agents()? {
            *counts.entry(format!("{} {}", asked.verb, asked.resource)).or_default() += 1;
            // Further pages belong to the list that they go on.
            if asked.verb == "list" && !asked.query.contains("continue=") {
                *begun.entry(asked.resource).or_insert(0) += 1;
            }
        }
        let mut line = String::from("  requests:");
        for (what, count) in counts {
            write!(line, " {what} {count},").context("a line")?;
        }
        println!("{}", line.trim_end_matches(','));
        if let Some((resource, count)) = begun.iter().find(|(_, count)| **count > 1) {
            bail!("{resource} was listed {count} times in one start");
        }
        Ok(())
    }
}

/// The reflector: it has every node's route, and installs none.
fn bird_config(count: usize) -> String {
    let own = address(REFLECTOR);
    let mut text = format!("router id {own};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n");
    text += "protocol static { ipv4;\n";
    for number in (0..count).filter(|number| *number != 0) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "route {} via {};", pod_cidr(number), address(number));
    }
    let _ = write!(
        text,
        "}}\nprotocol bgp agent {{ local {own} as 64512; neighbor {} as 64512; direct; rr client;\n\
         rr cluster id 1.1.1.1; connect delay time 1; connect retry time 1;\n\
         error wait time 1, 2; ipv4 {{ import all; export where source = RTS_STATIC;\n\
         next hop keep; }}; }}\n",
        address(0)
    );
    text
}
