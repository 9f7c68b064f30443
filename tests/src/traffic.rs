//! Steady traffic between all pairs of endpoints, and what became of it.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::lab::{Host, Process, WAIT, wait, wait_for};
use crate::node::binary;
use crate::pod::Pod;

const PORT: u16 = 7000;

/// Where traffic begins and ends.
#[derive(Clone, Copy)]
pub enum Endpoint<'a> {
    /// A pod, by all of its addresses.
    Pod(&'a Pod),
    /// A host, by these addresses.
    Host(&'a Host, &'a [IpAddr]),
}

impl Endpoint<'_> {
    fn name(&self) -> &str {
        match self {
            Endpoint::Pod(pod) => pod.name(),
            Endpoint::Host(host, _) => host.name(),
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Endpoint::Pod(pod) => pod.addresses(),
            Endpoint::Host(_, addresses) => addresses.to_vec(),
        }
    }

    fn spawn(&self, command: &[&str]) -> Result<Process> {
        match self {
            Endpoint::Pod(pod) => pod.spawn("traffic", command),
            Endpoint::Host(host, _) => host.spawn_quietly("traffic", command),
        }
    }
}

/// Packets dropped for full input queues since boot, by all processors: the second column of the
/// kernel's table, in hexadecimal.
fn overflows() -> u64 {
    let table = std::fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    let dropped = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    table.lines().filter_map(dropped).sum()
}

/// Traffic that flows until it is stopped.
pub struct Traffic {
    names: Vec<String>,
    processes: Vec<Process>,
    /// The machine's count of overflows when it began.
    overflows: u64,
}

/// One ordered pair in one family.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Which family.
    pub v6: bool,
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// The longest time between two arrivals.
    pub longest_gap: Duration,
}

impl Flow {
    /// Packets that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// All flows of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// In order of senders.
    pub flows: Vec<Flow>,
    /// Packets that this machine, of any namespace, dropped meanwhile because a processor's input
    /// queue was full (`net.core.netdev_max_backlog`): the load's fault, not the network's.
    pub overflows: u64,
}

impl Report {
    /// Packets lost over all flows.
    pub fn lost(&self) -> u64 {
        self.flows.iter().map(Flow::lost).sum()
    }

    /// Packets sent over all flows.
    pub fn sent(&self) -> u64 {
        self.flows.iter().map(|flow| flow.sent).sum()
    }

    /// The longest gap of any flow.
    pub fn longest_gap(&self) -> Duration {
        self.flows.iter().map(|flow| flow.longest_gap).max().unwrap_or_default()
    }

    /// The flows for which `keep` holds.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Flow) -> bool) -> Report {
        let flows = self.flows.iter().filter(|flow| keep(flow)).cloned().collect();
        Report { flows, overflows: self.overflows }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} flows, {} packets sent, {} lost, longest gap {:.0} ms",
            self.flows.len(),
            self.sent(),
            self.lost(),
            self.longest_gap().as_secs_f64() * 1000.0
        )?;
        if self.overflows > 0 {
            writeln!(f, "  this machine's input queues overflowed by {} packets", self.overflows)?;
        }
        for flow in self.flows.iter().filter(|flow| flow.lost() > 0) {
            let family = if flow.v6 { "IPv6" } else { "IPv4" };
            writeln!(
                f,
                "  {} -> {} {family}: {} of {} lost, longest gap {:.0} ms",
                flow.from,
                flow.to,
                flow.lost(),
                flow.sent,
                flow.longest_gap.as_secs_f64() * 1000.0
            )?;
        }
        Ok(())
    }
}

impl Traffic {
    /// Every endpoint sends `rate` packets a second to every other, in each family both have;
    /// returns when every flow has been heard by its receiver.
    pub fn start(endpoints: &[Endpoint<'_>], rate: u32) -> Result<Traffic> {
        let program = binary("twill-lab-traffic")?;
        let mut traffic =
            Traffic { names: Vec::new(), processes: Vec::new(), overflows: overflows() };
        for (number, endpoint) in endpoints.iter().enumerate() {
            let words = arguments(&program, number, endpoint, endpoints, rate);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            traffic.names.push(endpoint.name().to_owned());
            traffic.processes.push(endpoint.spawn(&words)?);
        }
        for process in &traffic.processes {
            wait("a traffic program to listen", WAIT, || {
                Ok(process.own_output().contains("ready"))
            })?;
        }
        traffic.say("go")?;
        wait("traffic on every flow", WAIT, || {
            let report = traffic.report()?;
            Ok(!report.flows.is_empty() && report.flows.iter().all(|flow| flow.received > 0))
        })
        .with_context(|| match traffic.report() {
            Ok(report) => format!("flows: {report}"),
            Err(error) => format!("{error:#}"),
        })?;
        Ok(traffic)
    }

    fn say(&mut self, word: &str) -> Result<()> {
        for process in &mut self.processes {
            process.write(&format!("{word}\n"))?;
        }
        Ok(())
    }

    /// Stops the senders, waits until nothing more arrives, and counts.
    pub fn stop(mut self) -> Result<Report> {
        self.say("stop")?;
        let mut before = None;
        let mut unchanged = 0;
        wait("traffic to drain", WAIT, || {
            let report = self.report()?;
            let received: u64 = report.flows.iter().map(|flow| flow.received).sum();
            unchanged = if before.replace(received) == Some(received) { unchanged + 1 } else { 0 };
            Ok(unchanged == 5)
        })?;
        self.report()
    }

    /// Counts as of now.
    pub fn report(&mut self) -> Result<Report> {
        let before: Vec<usize> =
            self.processes.iter().map(|process| process.output().lines().count()).collect();
        self.say("report")?;
        let mut answers = Vec::new();
        for (process, before) in self.processes.iter().zip(before) {
            let line = wait_for("a traffic report", WAIT, || {
                let output = process.output();
                let complete = output.ends_with('\n') && output.lines().count() > before;
                Ok(complete.then(|| output.lines().last().unwrap_or_default().to_owned()))
            })?;
            let answer: Value = serde_json::from_str(&line)
                .with_context(|| format!("the traffic program said: {line}"))?;
            answers.push(answer);
        }
        Ok(self.join(&answers))
    }

    /// Each sender's count of a flow beside its receiver's.
    fn join(&self, answers: &[Value]) -> Report {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut flows = Vec::new();
        for (from, answer) in answers.iter().enumerate() {
            for sent in list(&answer["sent"]) {
                let to = usize::try_from(sent["to"].as_u64().unwrap_or_default()).unwrap_or(0);
                let v6 = sent["v6"].as_bool().unwrap_or_default();
                let heard = list(&answers[to]["received"])
                    .into_iter()
                    .find(|heard| heard["from"] == from && heard["v6"] == v6)
                    .unwrap_or_default();
                flows.push(Flow {
                    from: self.names[from].clone(),
                    to: self.names[to].clone(),
                    v6,
                    sent: sent["sent"].as_u64().unwrap_or_default(),
                    received: heard["received"].as_u64().unwrap_or_default(),
                    longest_gap: Duration::from_secs_f64(
                        heard["longestGapMs"].as_f64().unwrap_or_default() / 1000.0,
                    ),
                });
            }
        }
        Report { flows, overflows: overflows().saturating_sub(self.overflows) }
    }
}

fn arguments(
    program: &Path,
    number: usize,
    endpoint: &Endpoint<'_>,
    endpoints: &[Endpoint<'_>],
    rate: u32,
) -> Vec<String> {
    let own = endpoint.addresses();
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(["--number".into(), number.to_string(), "--rate".into(), rate.to_string()]);
    for address in &own {
        words.extend(["--bind".into(), std::net::SocketAddr::new(*address, PORT).to_string()]);
    }
    for (other, to) in endpoints.iter().enumerate().filter(|(other, _)| *other != number) {
        for address in to.addresses() {
            if own.iter().any(|own| own.is_ipv4() == address.is_ipv4()) {
                let address = std::net::SocketAddr::new(address, PORT);
                words.extend(["--to".into(), format!("{other}@{address}")]);
            }
        }
    }
    words
}
