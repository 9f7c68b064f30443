//! How a process begins: what it is configured with, and what it announces.

use std::time::Duration;

use twill_bgp_proto::deferral::Deferral;
use twill_bgp_proto::rib::Rib;
use twill_bgp_proto::session::{Event as Input, Passive, RestartingSide, Session, SessionConfig};
use twill_bgp_proto::types::{
    Attributes, ClusterId, Community, Families, Family, HoldTime, NextHop, Prefix,
};

use crate::clock::Event;
use crate::speaker::{Kernel, Life, Peer};
use crate::topology::{Neighbor, ipv4_of, prefix_of};
use crate::world::{DEFERRAL, World};

/// How long peers keep the routes of a speaker that restarts.
const RESTART_TIME: Duration = Duration::from_secs(120);

impl World {
    pub(crate) fn empty_rib(&self, speaker: u32) -> Rib {
        let Some(member) = self.topology.members.get(speaker as usize) else {
            unreachable!("numbers are those of members")
        };
        let id = member.router_id;
        let mut rib = Rib::new(member.asn, id, ClusterId(id.to_ipv4()));
        rib.limit_logs(self.settings.log);
        rib
    }

    fn session_config(&self, speaker: u32, peer: u32, restarted: bool) -> Option<SessionConfig> {
        let member = self.topology.members.get(speaker as usize)?;
        let neighbor = member.peers.get(peer as usize)?;
        let other = self.topology.members.get(neighbor.speaker as usize)?;
        let restarts = self.settings.restarts(speaker);
        Some(SessionConfig {
            local_asn: member.asn,
            peer_asn: other.asn,
            router_id: member.router_id,
            hold_time: self.settings.hold_time(speaker),
            connect_retry: Duration::from_secs(1),
            connect_retry_max: self.settings.retry_max,
            families: Families::ALL,
            passive: if neighbor.passive { Passive::Yes } else { Passive::No },
            role: None,
            extended_next_hop: false,
            graceful_restart: restarts.then_some(RestartingSide {
                restart_time: RESTART_TIME,
                restarted,
                forwarding: if restarted { Families::ALL } else { Families::NONE },
                notification: self.settings.notification,
            }),
        })
    }

    /// A new process, which remembers nothing but its configuration, and its routes in the kernel
    /// where it is to `adopt` them.
    pub(crate) fn boot(&mut self, speaker: u32, adopt: bool) {
        self.trace.word(0xb007 << 32 | u64::from(speaker));
        let Some(life) = self.speakers.get(speaker as usize).map(|it| it.life) else { return };
        if life == Life::Running {
            return;
        }
        let now = self.clock.instant(self.now);
        let restarting = adopt && self.settings.restarts(speaker);
        let count = self.topology.members.get(speaker as usize).map_or(0, |it| it.peers.len());
        let mut peers = Vec::with_capacity(count);
        for peer in 0..count as u32 {
            let Some(config) = self.session_config(speaker, peer, restarting) else { continue };
            peers.push(Peer::new(Session::new(config, self.random.bits())));
        }
        let rib = self.empty_rib(speaker);
        let neighbors = self.topology.members.get(speaker as usize).map(|member| {
            let address = |peer: &Neighbor| ipv4_of(peer.speaker).into();
            member.peers.iter().map(address).collect::<Vec<std::net::IpAddr>>()
        });
        let Some(it) = self.speakers.get_mut(speaker as usize) else { return };
        it.life = Life::Running;
        it.booting = false;
        it.rib = rib;
        it.deferral = Deferral::new(restarting, DEFERRAL, now);
        it.peers = peers;
        it.inbox.clear();
        it.due = false;
        it.unsettled = false;
        it.sendable.clear();
        it.synced = false;
        it.stopped_until = 0;
        if restarting {
            it.rib.hold_end_of_rib();
        }
        if let Some(kernel) = &mut it.kernel {
            if restarting {
                kernel.adopted = kernel.routes.keys().copied().collect();
            } else {
                *kernel = Kernel::default();
            }
        }
        it.deferral.expect(neighbors.unwrap_or_default(), now);
        if let Some(at) = it.deferral.poll_timeout() {
            let delay = self.clock.micros(at).saturating_sub(self.now);
            self.plan(delay, Event::Deferral { speaker });
        }
        if life == Life::Off {
            self.release();
        }
        self.announce_all(speaker);
        for peer in 0..count as u32 {
            self.input(speaker, peer, Input::Start);
        }
        self.schedule_core(speaker);
    }

    /// A new process tells its RIB all that it is to announce.
    fn announce_all(&mut self, speaker: u32) {
        let count = self.truth.announced.get(speaker as usize).map_or(0, Vec::len);
        for index in 0..count as u32 {
            self.originate(speaker, index);
        }
        let from = (speaker, Prefix::host(std::net::Ipv4Addr::UNSPECIFIED.into()));
        let rogue: Vec<Prefix> = self
            .truth
            .rogues
            .range(from..)
            .take_while(|(rogue, _)| *rogue == speaker)
            .map(|(_, prefix)| *prefix)
            .collect();
        for prefix in rogue {
            if let Some(it) = self.running(speaker) {
                it.rib.announce(prefix, attributes(prefix, 0));
            }
        }
    }

    /// Makes a speaker's RIB say what is true of one of its prefixes.
    pub(crate) fn originate(&mut self, speaker: u32, index: u32) {
        let Some(prefix) = prefix_of(speaker, index) else { return };
        let version = self
            .truth
            .announced
            .get(speaker as usize)
            .and_then(|versions| versions.get(index as usize).copied().flatten());
        let Some(it) = self.running(speaker) else { return };
        match version {
            Some(version) => it.rib.announce(prefix, attributes(prefix, version)),
            None => it.rib.withdraw(prefix),
        }
        self.schedule_core(speaker);
    }
}

/// The attributes of a speaker's own route. The version tells one announcement of a prefix from
/// the next.
pub(crate) fn attributes(prefix: Prefix, version: u32) -> Attributes {
    let next_hop = match prefix.family() {
        Family::Ipv4Unicast => NextHop::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Family::Ipv6Unicast => {
            NextHop::V6 { global: std::net::Ipv6Addr::UNSPECIFIED, link_local: None }
        }
    };
    let community = Community(MARK << 16 | version & 0xffff);
    Attributes { communities: [community].into(), ..Attributes::originated(next_hop) }
}

/// The first half of a community that holds a version.
const MARK: u32 = 7;

/// The version that a route carries.
pub(crate) fn version_of(attributes: &Attributes) -> Option<u32> {
    let community = attributes.communities.first()?;
    (community.0 >> 16 == MARK).then_some(community.0 & 0xffff)
}

/// The hold time that a number of seconds means; the default where it means none.
pub(crate) fn hold_time(seconds: u16) -> HoldTime {
    HoldTime::from_secs(seconds).unwrap_or(HoldTime::DEFAULT)
}
