//! The owner of the host's part: the bridge that pods hang on, and settings of interfaces.
//!
//! In go the snapshot and hints from the kernel; out go changes to the bridge and to settings, a
//! [`HostReport`] and [`KernelNotice`]s. What is wanted follows from the snapshot and the host's
//! links and addresses ([`HostWants`]); what differs is changed, and each change is reported with
//! the value before. Nothing global is ever changed: where the host's own global setting stands
//! in the way, the report says so and what to do.
//!
//! All is compared again a few milliseconds after a hint, and every minute. Where the bridge was
//! deleted and made again, by whomever, the pods that hung on it are put back.

mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tracing::{info, warn};
use twill_cni::address::Cidr;
use twill_cni::link::{BridgeSpec, BridgeState, InterfaceName, ensure_bridge};

use super::fight::Fight;
use super::report::{HostReport, KernelNotice};
use crate::desired::cni::PORT;
use crate::desired::host::{BridgeWants, HostWants, Want};
use crate::kernel::host::{self as kernel_host, Address, Link};
use crate::kernel::settings::{Room, Setting, SettingError, Settings};
use crate::kernel::{Event, Group, HostView, KernelError, Netlink, Watch};
use crate::source::Snapshot;

/// How long after the first hint all is compared: most changes come as a handful of messages.
const SETTLE: Duration = Duration::from_millis(3);
/// How often all is compared in any case.
const COMPARE: Duration = Duration::from_secs(60);
/// After a failure; doubled with each, up to [`COMPARE`].
const RETRY: Duration = Duration::from_millis(500);
/// So many of the last changes are remembered for the report.
const REMEMBERED: usize = 200;

/// What the owner acts upon.
#[derive(Debug)]
pub struct Inputs {
    /// The snapshot in force.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Where interface settings are; /proc/sys unless the host's is mounted elsewhere.
    pub settings: Settings,
}

/// Where the owner tells of itself.
#[derive(Debug)]
pub struct Outputs {
    /// After each comparison that changed something.
    pub report: watch::Sender<Arc<HostReport>>,
    /// As it happens.
    pub notices: broadcast::Sender<KernelNotice>,
}

#[derive(Debug)]
struct Owner {
    netlink: Netlink,
    watch: Watch,
    settings: Settings,
    snapshot: Arc<Snapshot>,
    view: HostView,
    /// The index of the bridge that pods were last seen to hang on.
    pods_on: Option<u32>,
    changed: Vec<String>,
    /// Failures in a row.
    failures: u32,
    fights: BTreeMap<Setting, Fight>,
    outputs: Outputs,
}

/// Keeps bridge and settings as they should be, until dropped.
///
/// Acts in the network namespace of the thread that first polls it. At the end everything stays.
///
/// # Errors
/// Where netlink sockets cannot be opened or break; never for a setting.
pub async fn run(inputs: Inputs, outputs: Outputs) -> Result<(), KernelError> {
    let Inputs { snapshot: mut snapshots, settings } = inputs;
    let netlink = Netlink::open()?;
    let groups = [Group::Links, Group::Addresses, Group::Settings];
    let watch = Watch::open(&groups, Some(netlink.port()))?;
    let mut owner = Owner {
        netlink,
        watch,
        settings,
        snapshot: Arc::clone(&snapshots.borrow_and_update()),
        view: HostView::default(),
        pods_on: None,
        changed: Vec::new(),
        failures: 0,
        fights: BTreeMap::new(),
        outputs,
    };
    let mut snapshots_come = true;
    let mut events = Vec::new();
    loop {
        let mut next = tokio::time::Instant::now() + owner.compare().await?;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => break,
                result = owner.watch.wait(&mut events) => {
                    result?;
                    if events.drain(..).any(|event| owner.concerns(&event)) {
                        next = next.min(tokio::time::Instant::now() + SETTLE);
                    }
                }
                changed = snapshots.changed(), if snapshots_come => match changed {
                    Ok(()) => {
                        owner.snapshot = Arc::clone(&snapshots.borrow_and_update());
                        break;
                    }
                    // Without a source, the last snapshot stays in force.
                    Err(_) => snapshots_come = false,
                },
            }
        }
    }
}

impl Owner {
    /// Whether a hint may be about something of ours. Ports of pods come and go without.
    fn concerns(&self, event: &Event) -> bool {
        let is_bridge = |link: &Link| *link.name == *self.snapshot.dataplane.bridge;
        let holds = |index| self.view.addresses.iter().any(|address| address.interface == index);
        let on_bridge =
            |address: &Address| self.view.links.get(&address.interface).is_none_or(is_bridge);
        match event {
            Event::Link(link) => {
                (is_bridge(link) || holds(link.index))
                    && self.view.links.get(&link.index) != Some(link)
            }
            Event::LinkGone(link) => is_bridge(link) || holds(link.index),
            Event::Address(address) | Event::AddressGone(address) => {
                !address.is_link_local() || on_bridge(address)
            }
            Event::Setting | Event::Lost => true,
            Event::Route(_) => false,
        }
    }

    /// Compares everything once, mends, reports; how long to rest.
    async fn compare(&mut self) -> Result<Duration, KernelError> {
        let mut problems = Vec::new();
        let changes = self.changed.len();
        match self.compare_all(&mut problems).await {
            Ok(()) | Err(KernelError::Refused { .. } | KernelError::Unsteady { .. }) => {}
            Err(error) => return Err(error),
        }
        if self.changed.len() > REMEMBERED {
            self.changed.drain(..self.changed.len() - REMEMBERED);
        }
        let report =
            HostReport { ready: problems.is_empty(), problems, changed: self.changed.clone() };
        self.failures = if report.ready { 0 } else { self.failures.saturating_add(1) };
        let rest = match self.failures {
            0 => COMPARE,
            failures => RETRY.saturating_mul(1 << failures.min(8)).min(COMPARE),
        };
        self.outputs.report.send_if_modified(|current| {
            let differs = current.ready != report.ready
                || current.problems != report.problems
                || changes != self.changed.len();
            if differs {
                for problem in report.problems.iter().filter(|one| !current.problems.contains(one))
                {
                    warn!("{problem}");
                }
                *current = Arc::new(report);
            }
            differs
        });
        Ok(rest)
    }

    async fn compare_all(&mut self, problems: &mut Vec<String>) -> Result<(), KernelError> {
        self.view = self.list(problems)?;
        let mut wants = HostWants::new(&self.snapshot, &self.view);
        problems.append(&mut wants.problems);
        if let Some(bridge) = wants.bridge {
            match self.make_bridge(bridge).await {
                // It has an index now, or its addresses are back.
                Ok(true) => self.view = self.list(problems)?,
                Ok(false) => {}
                Err(problem) => problems.push(problem),
            }
        }
        for want in wants.settings {
            if let Err(problem) = self.set(&want) {
                problems.push(problem);
            }
        }
        Ok(())
    }

    fn list(&mut self, problems: &mut Vec<String>) -> Result<HostView, KernelError> {
        kernel_host::list(&mut self.netlink)
            .inspect_err(|error| problems.push(format!("{error}; trying again")))
    }

    /// Makes the bridge as it should be; true: something was changed.
    async fn make_bridge(&mut self, wants: BridgeWants) -> Result<bool, String> {
        let name = wants.name;
        let failed = |error: String| {
            format!("the bridge {name} cannot be made: {error}; pods cannot be attached until then")
        };
        let spec = bridge_spec(&name, wants.mtu, &self.snapshot).map_err(&failed)?;
        let pods_on = self.pods_on;
        let work = move || {
            let BridgeState { index, mut changed, .. } =
                ensure_bridge(&spec).map_err(|error| error.to_string())?;
            if pods_on != Some(index) {
                changed.extend(pods::reattach(spec.name, index, PORT)?);
            }
            Ok((index, changed))
        };
        let done: Result<_, String> = match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) => Err(error.to_string()),
        };
        let (index, changed) = done.map_err(failed)?;
        self.pods_on = Some(index);
        for change in &changed {
            info!("{change}");
        }
        let any = !changed.is_empty();
        self.changed.extend(changed);
        Ok(any)
    }

    fn set(&mut self, want: &Want) -> Result<(), String> {
        match want {
            Want::Value(setting, value) => self.set_value(setting, *value),
            Want::LooseReversePath(link) => {
                let of = |interface: &Arc<str>| Setting {
                    room: Room::Ipv4,
                    interface: Arc::clone(interface),
                    key: "rp_filter",
                };
                let ours = of(link);
                let all = self
                    .settings
                    .read(&of(&Arc::from("all")))
                    .map_err(|error| error.to_string())?;
                let effective =
                    self.settings.read(&ours).map_err(|error| error.to_string())?.max(all);
                if effective == 1 { self.set_value(&ours, 2) } else { Ok(()) }
            }
            Want::KeepAddresses(link) => {
                let of = |interface: &Arc<str>| Setting {
                    room: Room::Ipv6,
                    interface: Arc::clone(interface),
                    key: "keep_addr_on_down",
                };
                // The kernel asks the global setting first.
                let all = self.settings.read(&of(&Arc::from("all")));
                if all.map_err(|error| error.to_string())? > 0 {
                    return Ok(());
                }
                self.set_value(&of(link), 1)
            }
            Want::Ipv6Forwarding(link) => {
                let of = |interface: &Arc<str>, key| Setting {
                    room: Room::Ipv6,
                    interface: Arc::clone(interface),
                    key,
                };
                let all = of(&Arc::from("all"), "forwarding");
                if self.settings.read(&all).map_err(|error| error.to_string())? != 0 {
                    return Ok(());
                }
                let own = of(link, "force_forwarding");
                match self.settings.read(&own) {
                    Ok(_) => self.set_value(&own, 1),
                    Err(SettingError::Absent(_)) => Err(format!(
                        "IPv6 packets from {link} are not forwarded: before Linux 6.17 the kernel \
                         forwards IPv6 by the global setting alone; run `sysctl -w {all}=1` on \
                         the host (interfaces that learn their default route by router \
                         advertisements need accept_ra=2 then)"
                    )),
                    Err(error) => Err(error.to_string()),
                }
            }
        }
    }

    fn set_value(&mut self, setting: &Setting, value: i64) -> Result<(), String> {
        let Some(link) = self.view.link_named(&setting.interface) else {
            // It has gone since it was listed: the hint is on its way.
            return Ok(());
        };
        let index = link.index;
        let before = self.settings.read(setting).map_err(|error| error.to_string())?;
        if before == value {
            return Ok(());
        }
        let now = Instant::now();
        let fight = self.fights.entry(setting.clone()).or_insert_with(|| Fight::new(now));
        if fight.again(now) {
            return Err(format!(
                "{setting} is set back to {before} again and again: find the program that does it"
            ));
        }
        self.settings
            .write(&mut self.netlink, setting, index, value)
            .map_err(|error| error.to_string())?;
        let change = format!("{setting}: {before} -> {value}");
        info!("{change}");
        self.changed.push(change);
        if self.outputs.notices.receiver_count() > 0 {
            // The last listener may have just left.
            let _ = self.outputs.notices.send(KernelNotice::Setting {
                name: setting.to_string(),
                old: before.to_string(),
                new: value.to_string(),
            });
        }
        Ok(())
    }
}

fn bridge_spec(name: &str, mtu: u32, snapshot: &Snapshot) -> Result<BridgeSpec, String> {
    let name = InterfaceName::new(name).map_err(|error| error.to_string())?;
    let subnets: Option<Vec<Cidr>> = snapshot
        .node
        .pod_cidrs
        .iter()
        .map(|prefix| Cidr::new(prefix.address(), prefix.len()))
        .collect();
    let subnets = subnets.ok_or("a pod CIDR is no subnet")?;
    Ok(BridgeSpec { mtu: Some(mtu), ..BridgeSpec::link_local(name, &subnets) })
}

#[cfg(test)]
mod tests;
