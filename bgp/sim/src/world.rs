//! The world: speakers, network, clock; one event after the other.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use twill_bgp_proto::deferral::Deferral;
use twill_bgp_proto::rib::Change;
use twill_bgp_proto::types::{Attributes, Prefix};

use crate::clock::{Clock, Event, Micros, Queue};
use crate::network::{Network, Packet};
use crate::random::{Random, Trace};
use crate::settings::Settings;
use crate::speaker::{Kernel, Life, Peer, Speaker};
use crate::topology::Topology;

/// The longest wait of a restarted speaker for its peers' End-of-RIB.
pub(crate) const DEFERRAL: Duration = Duration::from_secs(120);

/// Something that must never be so.
#[derive(Debug, Clone, thiserror::Error)]
#[error("after {:.6} s: {what}", *at as f64 / 1e6)]
pub struct Violation {
    /// When it was seen.
    pub at: Micros,
    /// What is wrong, and where.
    pub what: String,
}

/// What is true whatever anyone has heard: what every speaker wants to be known.
#[derive(Debug, Default, Clone)]
pub(crate) struct Truth {
    /// By speaker and prefix: the version that is announced, where one is.
    pub(crate) announced: Vec<Vec<Option<u32>>>,
    /// Speakers that announce what is another's.
    pub(crate) rogues: BTreeSet<(u32, Prefix)>,
    /// Sessions whose import policy lets nothing in: speaker and key.
    pub(crate) shut_in: BTreeSet<(u32, u32)>,
    /// The same for export.
    pub(crate) shut_out: BTreeSet<(u32, u32)>,
}

/// Counters for people.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counters {
    /// Events handled.
    pub events: u64,
    /// Octets that arrived.
    pub octets: u64,
    /// BGP messages that arrived.
    pub messages: u64,
    /// Sessions that came up, each side counted.
    pub ups: u64,
    /// Sessions that were lost, each side counted.
    pub downs: u64,
    /// Changes of best routes.
    pub changes: u64,
    /// Best routes that went without another.
    pub losses: u64,
    /// Routes that went from a kernel without another.
    pub kernel_losses: u64,
    /// Connections dialled.
    pub dials: u64,
}

/// See the module.
pub struct World {
    pub(crate) topology: Topology,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Now.
    pub now: Micros,
    pub(crate) queue: Queue,
    pub(crate) network: Network,
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) truth: Truth,
    /// For delays and turns.
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    pub(crate) violation: Option<Violation>,
    /// What happened so far.
    pub counters: Counters,
    /// Sides of sessions that are up.
    pub(crate) up: usize,
    pub(crate) scratch: BytesMut,
    pub(crate) changes: Vec<Change>,
    /// One copy of each attribute set for all speakers: what each has decoded is equal, and
    /// millions of routes fit into memory. Only looked up, never walked in order.
    shared: HashSet<Arc<Attributes>>,
    shared_limit: usize,
}

impl World {
    /// A world of machines that are all switched off.
    pub fn new(topology: Topology, settings: Settings, seed: u64) -> World {
        let mut random = Random::new(seed);
        let clock = Clock::new();
        let announced =
            topology.members.iter().map(|member| vec![None; member.prefixes as usize]).collect();
        let mut world = World {
            speakers: Vec::with_capacity(topology.members.len()),
            topology,
            settings,
            clock,
            now: 0,
            queue: Queue::default(),
            network: Network::default(),
            truth: Truth { announced, ..Truth::default() },
            random: random.fork(),
            trace: Trace::default(),
            violation: None,
            counters: Counters::default(),
            up: 0,
            scratch: BytesMut::new(),
            changes: Vec::new(),
            shared: HashSet::new(),
            shared_limit: 1024,
        };
        for number in 0..world.topology.members.len() as u32 {
            let rib = world.empty_rib(number);
            let deferral = Deferral::new(false, DEFERRAL, clock.instant(0));
            world.speakers.push(Speaker {
                life: Life::Off,
                rib,
                deferral,
                peers: Vec::new(),
                inbox: Default::default(),
                due: false,
                unsettled: false,
                sendable: Default::default(),
                synced: false,
                stopped_until: 0,
                kernel: settings.kernel.then(Kernel::default),
                booting: false,
            });
        }
        world
    }

    /// The hash of all that happened.
    pub fn trace(&self) -> u64 {
        self.trace.value()
    }

    /// Events that are planned.
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    /// Sides of sessions that are up.
    pub fn sides_up(&self) -> usize {
        self.up
    }

    /// Notes what must never be so; the first word counts.
    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { at: self.now, what: what() });
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    ///
    /// The first violation, at once.
    pub fn run(&mut self, duration: Micros) -> Result<(), Violation> {
        let end = self.now + duration;
        while self.violation.is_none()
            && let Some((at, event)) = self.queue.pop(end)
        {
            self.now = self.now.max(at);
            self.counters.events += 1;
            self.handle(event);
        }
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        self.now = end;
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        self.trace.word(self.now);
        match event {
            Event::Arrive { connection, generation, to } => {
                self.arrive(crate::network::Link { connection, generation }, to);
            }
            Event::Timer { speaker, peer } => self.timer(speaker, peer),
            Event::Core { speaker } => self.core(speaker),
            Event::Deferral { speaker } => {
                let now = self.clock.instant(self.now);
                if let Some(it) = self.running(speaker) {
                    it.deferral.handle_timeout(now);
                    self.schedule_core(speaker);
                }
            }
            Event::Boot { speaker } => self.boot(speaker, false),
        }
    }

    pub(crate) fn running(&mut self, speaker: u32) -> Option<&mut Speaker> {
        self.speakers.get_mut(speaker as usize).filter(|it| it.life == Life::Running)
    }

    pub(crate) fn peer(&mut self, speaker: u32, peer: u32) -> Option<&mut Peer> {
        self.running(speaker)?.peers.get_mut(peer as usize)
    }

    pub(crate) fn plan(&mut self, delay: Micros, event: Event) {
        let tie = self.random.bits();
        self.queue.push(self.now + delay, tie, event);
    }

    /// Postpones what happens in a stopped process; whether it is one.
    pub(crate) fn is_stopped(&mut self, speaker: u32, event: Event) -> bool {
        let until = self.speakers.get(speaker as usize).map_or(0, |it| it.stopped_until);
        if until <= self.now {
            return false;
        }
        let delay = until - self.now + self.random.below(1000);
        self.plan(delay, event);
        true
    }

    /// One copy for all speakers.
    pub(crate) fn share(&mut self, attributes: Arc<Attributes>) -> Arc<Attributes> {
        if let Some(known) = self.shared.get(&attributes) {
            return known.clone();
        }
        if self.shared.len() >= self.shared_limit {
            self.shared.retain(|attributes| Arc::strong_count(attributes) > 1);
            self.shared_limit = (self.shared.len() * 2).max(1024);
        }
        self.shared.insert(attributes.clone());
        attributes
    }

    /// Lets pass what a cut, or a machine that was off, held back.
    pub(crate) fn release(&mut self) {
        let speakers = std::mem::take(&mut self.speakers);
        let off =
            |speaker: u32| speakers.get(speaker as usize).is_none_or(|it| it.life == Life::Off);
        let released = self
            .network
            .release(|network, one, other| !network.is_cut(one, other) && !off(one) && !off(other));
        self.speakers = speakers;
        for (link, to, count) in released {
            for _ in 0..count {
                let delay = self.settings.delay(&mut self.random);
                let (connection, generation) = (link.connection, link.generation);
                self.plan(delay, Event::Arrive { connection, generation, to });
            }
        }
    }

    /// A packet to the other end.
    pub(crate) fn send(&mut self, link: crate::network::Link, to: u8, packet: Packet) {
        let at = self.now + self.settings.delay(&mut self.random);
        if let Some(at) = self.network.send(link, to, packet, at) {
            let (connection, generation) = (link.connection, link.generation);
            self.plan(at - self.now, Event::Arrive { connection, generation, to });
        }
    }
}
