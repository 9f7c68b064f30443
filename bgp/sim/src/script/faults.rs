//! What can be done to a network, one function for each.

use twill_bgp_proto::rib::PeerKey;
use twill_bgp_proto::session::{Direction, Event as Input, TcpFailure};
use twill_bgp_proto::types::Family;
use twill_bgp_proto::wire::{Cease, Message, RefreshKind, RouteRefresh};

use super::Script;
use super::machines::Death;
use crate::clock::{Micros, SECOND};
use crate::network::{Link, Packet};
use crate::topology::{Shape, nothing, prefix_of};
use crate::world::Violation;

/// A fault, or a change of what is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Fault {
    /// A connection breaks: both ends learn it, one only, or one long before the other.
    Break,
    /// A session is reset by an operator.
    Reset,
    /// A process dies, its kernel closes what was open; it comes back with its routes adopted.
    Kill,
    /// The same, but it comes back as if for the first time.
    KillCold,
    /// A machine is switched off, and on again.
    Power,
    /// A process leaves for a restart.
    Leave,
    /// A process shuts down for good, and starts again.
    Stop,
    /// The network falls apart.
    Partition,
    /// Between a pair nothing passes.
    Cut,
    /// Many processes restart together.
    RestartTogether,
    /// A process stands still.
    Stall,
    /// A prefix is withdrawn, announced, or announced anew with other attributes.
    Announce,
    /// All prefixes of a speaker change, again and again.
    Storm,
    /// Somebody announces what is another's, or stops doing so.
    Rogue,
    /// A peer asks for all routes again, or is sent them again.
    Refresh,
    /// A policy lets nothing pass, or lets it pass again.
    Policy,
    /// A session gets another hold time and bounces.
    Reconfigure,
    /// Waiting dials are begun at once.
    DialNow,
}

impl Fault {
    pub(super) const ALL: [Fault; 18] = [
        Fault::Break,
        Fault::Reset,
        Fault::Kill,
        Fault::KillCold,
        Fault::Power,
        Fault::Leave,
        Fault::Stop,
        Fault::Partition,
        Fault::Cut,
        Fault::RestartTogether,
        Fault::Stall,
        Fault::Announce,
        Fault::Storm,
        Fault::Rogue,
        Fault::Refresh,
        Fault::Policy,
        Fault::Reconfigure,
        Fault::DialNow,
    ];
}

impl Script {
    /// Does one of them.
    ///
    /// # Errors
    ///
    /// What went wrong at once.
    pub fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Break => self.break_connection(),
            Fault::Reset => {
                if let Some((speaker, key)) = self.session() {
                    self.note(|| format!("{speaker} resets its peer {key}"));
                    let cease = Cease::AdministrativeReset(String::new());
                    self.world.input(speaker, key, Input::Reset(cease));
                }
            }
            Fault::Kill => return self.restart(true, Death::Killed),
            Fault::KillCold => return self.restart(false, Death::Killed),
            Fault::Power => return self.power(),
            Fault::Leave => return self.restart(true, Death::Leaves),
            Fault::Stop => return self.restart(false, Death::Stops),
            Fault::Partition => return self.partition(),
            Fault::Cut => {
                if let Some((one, other)) = self.pair() {
                    self.note(|| format!("{one} and {other} are apart"));
                    self.world.network.cut(one, other);
                }
            }
            Fault::RestartTogether => return self.restart_together(),
            Fault::Stall => {
                let speaker = self.anyone();
                let longest = 2 * Micros::from(self.world.settings.longest_hold()) * SECOND;
                let longest = self.random.one_of(&[longest, SECOND], SECOND);
                let until = self.world.now + self.random.below(longest);
                self.note(|| format!("{speaker} stands still until {until}"));
                if let Some(it) = self.world.speakers.get_mut(speaker as usize) {
                    it.stopped_until = until;
                }
            }
            Fault::Announce => {
                let speaker = self.anyone();
                self.announce(speaker);
            }
            Fault::Storm => return self.storm(),
            Fault::Rogue => self.rogue(),
            Fault::Refresh => self.refresh(),
            Fault::Policy => self.policy(),
            Fault::Reconfigure => self.reconfigure(),
            Fault::DialNow => {
                if let Some((speaker, key)) = self.session() {
                    self.world.input(speaker, key, Input::DialNow);
                }
            }
        }
        Ok(())
    }

    fn break_connection(&mut self) {
        let Some((speaker, key)) = self.session() else { return };
        let directions: Vec<(Direction, Link, u8)> = match self.world.peer(speaker, key) {
            Some(peer) => Direction::ALL
                .into_iter()
                .filter_map(|direction| {
                    let socket = peer.socket(direction).as_ref().filter(|socket| socket.open)?;
                    Some((direction, socket.link, socket.side))
                })
                .collect(),
            None => return,
        };
        let place = self.random.place(directions.len());
        let Some((direction, link, side)) = directions.get(place).copied() else { return };
        let kind = self.random.below(3);
        self.note(|| format!("{direction:?} of {speaker} to its peer {key} breaks ({kind})"));
        if kind > 0 {
            // What was under way is lost with it.
            self.world.network.lose(link, 1 - side);
            self.world.network.lose(link, side);
        }
        if kind == 1 {
            self.world.send(link, 1 - side, Packet::Reset);
        }
        self.world.lost(speaker, key, direction, TcpFailure::Io("broken".to_owned()));
    }

    /// Faster than slow peers can follow.
    fn storm(&mut self) -> Result<(), Violation> {
        let speaker = self.anyone();
        for _ in 0..self.random.between(4, 64) {
            self.announce(speaker);
            if self.random.once_in(2) {
                let pause = self.random.below(4 * self.world.settings.turn);
                self.world.run(pause)?;
            }
        }
        Ok(())
    }

    fn announce(&mut self, speaker: u32) {
        let count = self.world.topology.members.get(speaker as usize).map_or(0, |it| it.prefixes);
        let index = self.random.below(u64::from(count)) as u32;
        let drop = self.random.once_in(2);
        let Some(version) = self
            .world
            .truth
            .announced
            .get_mut(speaker as usize)
            .and_then(|versions| versions.get_mut(index as usize))
        else {
            return;
        };
        *version = if drop { None } else { Some(self.random.below(1000) as u32 + 1) };
        let version = *version;
        self.note(|| format!("{speaker} announces its prefix {index} as {version:?}"));
        self.world.originate(speaker, index);
    }

    fn rogue(&mut self) {
        if self.world.topology.shape == Shape::Ases {
            return;
        }
        let (speaker, owner) = (self.anyone(), self.anyone());
        let index = self.random.below(2) as u32;
        let owned = self.world.topology.members.get(owner as usize).map_or(0, |it| it.prefixes);
        let Some(prefix) = prefix_of(owner, index).filter(|_| speaker != owner && index < owned)
        else {
            return;
        };
        let announced = self.world.truth.rogues.insert((speaker, prefix));
        self.note(|| format!("{speaker} claims {prefix} of {owner}: {announced}"));
        if !announced {
            self.world.truth.rogues.remove(&(speaker, prefix));
        }
        if let Some(it) = self.world.running(speaker) {
            if announced {
                it.rib.announce(prefix, crate::boot::attributes(prefix, 0));
            } else {
                it.rib.withdraw(prefix);
            }
            self.world.schedule_core(speaker);
        }
    }

    fn refresh(&mut self) {
        let Some((speaker, key)) = self.session() else { return };
        let family = self.random.one_of(&Family::ALL, Family::Ipv4Unicast);
        let ask = self.random.once_in(2);
        self.note(|| format!("{speaker}, peer {key}: {family} again, asked: {ask}"));
        let Some(peer) = self.world.peer(speaker, key) else { return };
        if !ask {
            if peer.live.is_some()
                && let Some(it) = self.world.running(speaker)
            {
                it.rib.refresh(PeerKey(key), family);
                self.world.may_send(speaker, key);
                self.world.schedule_core(speaker);
            }
            return;
        }
        let asks = peer.session.established().is_some_and(|(agreed, _)| agreed.route_refresh);
        if let Some(direction) = peer.up.filter(|_| asks) {
            let refresh = RouteRefresh { family: Some(family), kind: RefreshKind::Request };
            let message = Message::RouteRefresh(refresh);
            self.world.queue_message(speaker, key, direction, &message);
            self.world.write(speaker, key, direction);
        }
    }

    fn policy(&mut self) {
        let Some((speaker, key)) = self.session() else { return };
        let inward = self.random.once_in(2);
        let truth = &mut self.world.truth;
        let set = if inward { &mut truth.shut_in } else { &mut truth.shut_out };
        if !set.insert((speaker, key)) {
            set.remove(&(speaker, key));
        }
        let shut_in = truth.shut_in.contains(&(speaker, key));
        let shut_out = truth.shut_out.contains(&(speaker, key));
        self.note(|| format!("{speaker}, peer {key}: shut in {shut_in}, out {shut_out}"));
        let Some(neighbor) = self
            .world
            .topology
            .members
            .get(speaker as usize)
            .and_then(|member| member.peers.get(key as usize))
        else {
            return;
        };
        let import = if shut_in { nothing() } else { neighbor.import.clone() };
        let export = if shut_out { nothing() } else { neighbor.export.clone() };
        let live = self.world.peer(speaker, key).is_some_and(|peer| peer.live.is_some());
        if live && let Some(it) = self.world.running(speaker) {
            it.rib.set_policies(PeerKey(key), import, export);
            self.world.may_send(speaker, key);
            self.world.schedule_core(speaker);
        }
    }

    fn reconfigure(&mut self) {
        let Some((speaker, key)) = self.session() else { return };
        let seconds = self.random.one_of(&[9, 30, 60, 90], 90);
        self.note(|| format!("{speaker}, peer {key}: hold time {seconds} s"));
        let Some(peer) = self.world.peer(speaker, key) else { return };
        let mut config = peer.session.config().clone();
        config.hold_time = crate::boot::hold_time(seconds);
        self.world.input(speaker, key, Input::Configure(Box::new(config)));
    }
}
