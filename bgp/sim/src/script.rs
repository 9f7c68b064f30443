//! Scripts of faults, drawn from a seed: what is broken, for how long, and what is true
//! afterwards; then everything is mended, and must come to rest.

use twill_bgp_proto::rib::PeerKey;
use twill_bgp_proto::session::{Direction, Event as Input, TcpFailure};
use twill_bgp_proto::types::{Families, Family};
use twill_bgp_proto::wire::{Cease, Message, RefreshKind, RouteRefresh};

use crate::clock::{Event, Micros, SECOND};
use crate::network::{Link, Packet};
use crate::random::Random;
use crate::speaker::Life;
use crate::topology::{Shape, nothing, prefix_of};
use crate::world::{Violation, World};

/// All is quiet by then: the longest hold time, the wait for an OPEN, the restart time, the wait
/// for an End-of-RIB and the longest back-off, one after the other.
const REST: Micros = (90 + 240 + 120 + 360 + 120 + 70) * SECOND;

/// How many may be hurt by one fault of many.
const MANY: u64 = 50;

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
    const ALL: [Fault; 17] = [
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
        Fault::Rogue,
        Fault::Refresh,
        Fault::Policy,
        Fault::Reconfigure,
        Fault::DialNow,
    ];
}

/// Drives a world by what it draws.
pub struct Script {
    /// The world.
    pub world: World,
    random: Random,
    /// What was done, for people.
    pub log: Vec<(Micros, String)>,
}

impl Script {
    /// Begins with all machines off.
    pub fn new(world: World, seed: u64) -> Script {
        Script { world, random: Random::new(seed ^ 0x5c41_9700), log: Vec::new() }
    }

    /// Switches everything on within `spread`, with every prefix announced.
    ///
    /// # Errors
    ///
    /// What is wrong at once.
    pub fn start(&mut self, spread: Micros) -> Result<(), Violation> {
        for versions in &mut self.world.truth.announced {
            versions.fill(Some(1));
        }
        for speaker in 0..self.count() {
            let delay = self.random.below(spread);
            self.boot_later(speaker, delay);
        }
        self.note(|| "all start".to_owned());
        self.world.run(spread)
    }

    /// `faults` faults, then everything is mended and comes to rest; then it stays quiet.
    ///
    /// # Errors
    ///
    /// What is wrong first.
    pub fn round(&mut self, faults: u64) -> Result<(), Violation> {
        for _ in 0..faults {
            let fault = self.random.one_of(&Fault::ALL, Fault::Break);
            self.fault(fault)?;
            self.pause(20 * SECOND)?;
        }
        self.mend()?;
        self.come_to_rest()
    }

    /// Repairs everything; some machines may stay off for good, some pairs apart.
    fn mend(&mut self) -> Result<(), Violation> {
        let leave_some = self.random.once_in(3);
        self.note(|| "all is mended".to_owned());
        self.world.network.mend();
        if leave_some
            && self.random.once_in(2)
            && let Some((one, other)) = self.pair()
        {
            self.note(|| format!("but {one} and {other} stay apart"));
            self.world.network.cut(one, other);
        }
        self.world.release();
        for speaker in 0..self.count() {
            let dead = self.life(speaker) != Life::Running && !self.is_booting(speaker);
            if dead && (!leave_some || self.random.once_in(2)) {
                let adopt = self.random.once_in(2);
                self.world.boot(speaker, adopt);
            }
        }
        self.world.run(0)
    }

    /// Waits until all is quiet, checks everything, and sees that it stays so.
    ///
    /// # Errors
    ///
    /// What is wrong first; also that it does not come to rest.
    pub fn come_to_rest(&mut self) -> Result<(), Violation> {
        let until = self.world.now + REST;
        let mut unrest = self.world.unrest();
        while let Some(what) = unrest {
            if self.world.now >= until {
                self.world.fail(|| format!("it does not come to rest: {what}"));
            }
            self.world.run(SECOND)?;
            unrest = self.world.unrest();
        }
        self.note(|| "quiet".to_owned());
        self.world.check()?;
        let before = (self.world.counters.changes, self.world.counters.downs);
        let quiet = Micros::from(self.world.settings.longest_hold()) * SECOND;
        let quiet = if self.random.once_in(4) { quiet + 10 * SECOND } else { 5 * SECOND };
        self.world.run(quiet)?;
        let after = (self.world.counters.changes, self.world.counters.downs);
        if before != after {
            self.world.fail(|| {
                format!(
                    "it was quiet, and then changes and losses went from {before:?} to {after:?}"
                )
            });
        }
        self.world.run(0)
    }

    fn count(&self) -> u32 {
        self.world.topology.members.len() as u32
    }

    fn life(&self, speaker: u32) -> Life {
        self.world.speakers.get(speaker as usize).map_or(Life::Off, |it| it.life)
    }

    fn is_booting(&self, speaker: u32) -> bool {
        self.world.speakers.get(speaker as usize).is_some_and(|it| it.booting)
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.log.push((self.world.now, what()));
    }

    fn pause(&mut self, most: Micros) -> Result<(), Violation> {
        // Most faults meet the one before half done.
        let most = self.random.one_of(&[most, most / 20, most / 400, 1], most);
        let pause = self.random.below(most);
        self.world.run(pause)
    }

    fn anyone(&mut self) -> u32 {
        self.random.below(u64::from(self.count())) as u32
    }

    /// A session: speaker and key.
    fn session(&mut self) -> Option<(u32, u32)> {
        let speaker = self.anyone();
        let peers = self.world.topology.members.get(speaker as usize)?.peers.len();
        (peers > 0).then(|| (speaker, self.random.place(peers) as u32))
    }

    /// The two speakers of a session.
    fn pair(&mut self) -> Option<(u32, u32)> {
        let (speaker, key) = self.session()?;
        let member = self.world.topology.members.get(speaker as usize)?;
        Some((speaker, member.peers.get(key as usize)?.speaker))
    }

    /// Some speakers, each once.
    fn some(&mut self) -> Vec<u32> {
        let count = u64::from(self.count());
        let most = if self.random.once_in(3) { count / 2 } else { MANY.min(count / 2) };
        let many = self.random.between(1, most.max(1));
        let mut some: Vec<u32> = (0..many).map(|_| self.anyone()).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    fn boot_later(&mut self, speaker: u32, delay: Micros) {
        if let Some(it) = self.world.speakers.get_mut(speaker as usize) {
            it.booting = true;
        }
        self.world.plan(delay, Event::Boot { speaker });
    }

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
            Fault::Announce => self.announce(),
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

    /// A process ends, and comes back after a while.
    fn restart(&mut self, adopt: bool, death: Death) -> Result<(), Violation> {
        let speaker = self.anyone();
        self.end_process(speaker, death);
        // Most are back within the restart time, some are not.
        let most = self.random.one_of(&[5, 5, 60, 200], 5) * SECOND;
        self.pause(most)?;
        self.note(|| format!("{speaker} starts, adopting: {adopt}"));
        self.world.boot(speaker, adopt);
        Ok(())
    }

    /// A graceful restart: `speaker` is back after `away`, with its routes adopted.
    #[cfg(test)]
    pub(crate) fn restart_within(
        &mut self,
        speaker: u32,
        leaves: bool,
        away: Micros,
    ) -> Result<(), Violation> {
        let death = if leaves { Death::Leaves } else { Death::Killed };
        self.end_process(speaker, death);
        self.world.run(away)?;
        self.world.boot(speaker, true);
        self.world.run(0)
    }

    fn end_process(&mut self, speaker: u32, death: Death) {
        if self.life(speaker) != Life::Running {
            return;
        }
        self.note(|| format!("{speaker}: {death:?}"));
        let peers =
            self.world.topology.members.get(speaker as usize).map_or(0, |it| it.peers.len());
        for key in 0..peers as u32 {
            match death {
                Death::Killed => {}
                Death::Leaves => {
                    // The peers are to have all there is.
                    for direction in Direction::ALL {
                        self.world.write(speaker, key, direction);
                    }
                    self.world.input(speaker, key, Input::Leave);
                }
                Death::Stops => {
                    let cease = Cease::AdministrativeShutdown(String::new());
                    self.world.input(speaker, key, Input::Stop(cease));
                }
            }
        }
        let lossy = self.random.once_in(2);
        self.drop_sockets(speaker, Some(lossy));
        self.bury(speaker, Life::Dead);
    }

    /// All sockets go. With `None` nobody is told; else the kernel says so, and what was under way
    /// may be lost.
    fn drop_sockets(&mut self, speaker: u32, tell: Option<bool>) {
        let peers =
            self.world.topology.members.get(speaker as usize).map_or(0, |it| it.peers.len());
        for key in 0..peers as u32 {
            for direction in Direction::ALL {
                let Some(socket) =
                    self.world.peer(speaker, key).and_then(|peer| peer.socket(direction).take())
                else {
                    continue;
                };
                let to = 1 - socket.side;
                match tell {
                    Some(true) => {
                        self.world.network.lose(socket.link, to);
                        self.world.send(socket.link, to, Packet::Reset);
                    }
                    Some(false) if socket.open => self.world.send(socket.link, to, Packet::Fin),
                    Some(false) | None => {}
                }
                self.world.network.leave(socket.link, socket.side);
            }
        }
    }

    /// Nothing of the process is left.
    fn bury(&mut self, speaker: u32, life: Life) {
        let Some(it) = self.world.speakers.get_mut(speaker as usize) else { return };
        let up = it.peers.iter().filter(|peer| peer.up.is_some()).count();
        it.life = life;
        it.peers = Vec::new();
        it.inbox.clear();
        it.sendable.clear();
        if life == Life::Off
            && let Some(kernel) = &mut it.kernel
        {
            *kernel = Default::default();
        }
        self.world.up -= up;
    }

    fn power(&mut self) -> Result<(), Violation> {
        let speaker = self.anyone();
        if self.life(speaker) != Life::Off {
            self.note(|| format!("{speaker} is switched off"));
            self.drop_sockets(speaker, None);
            self.bury(speaker, Life::Off);
        }
        let most = self.random.one_of(&[10, 200], 10) * SECOND;
        self.pause(most)?;
        self.note(|| format!("{speaker} is switched on"));
        self.world.boot(speaker, false);
        Ok(())
    }

    fn partition(&mut self) -> Result<(), Violation> {
        let some = self.some();
        let hold = Micros::from(self.world.settings.longest_hold()) * SECOND;
        self.note(|| format!("{} speakers are apart: {some:?}", some.len()));
        for speaker in &some {
            self.world.network.set_apart(*speaker, 1);
        }
        self.pause(2 * hold)?;
        if self.random.once_in(2) {
            self.note(|| "and back".to_owned());
            for speaker in some {
                self.world.network.set_apart(speaker, 0);
            }
            self.world.release();
        }
        Ok(())
    }

    fn restart_together(&mut self) -> Result<(), Violation> {
        let some = if self.random.once_in(4) { (0..self.count()).collect() } else { self.some() };
        for speaker in &some {
            self.end_process(*speaker, Death::Killed);
        }
        self.pause(5 * SECOND)?;
        let spread = self.random.one_of(&[1, SECOND, 10 * SECOND], SECOND);
        for speaker in some {
            if self.random.once_in(2) {
                self.world.boot(speaker, true);
                self.world.run(spread / 16)?;
            } else if self.life(speaker) != Life::Running {
                let delay = self.random.below(spread);
                self.boot_later(speaker, delay);
            }
        }
        Ok(())
    }

    fn announce(&mut self) {
        let speaker = self.anyone();
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
                it.rib.announce(prefix, crate::world::attributes(prefix, 0));
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
        config.hold_time = crate::world::hold_time(seconds);
        self.world.input(speaker, key, Input::Configure(Box::new(config)));
    }

    /// Families whose routes anyone keeps as stale.
    pub fn stale(&self) -> Families {
        let peers = self.world.speakers.iter().flat_map(|it| &it.peers);
        peers
            .fold(Families::NONE, |all, peer| peer.session.stale().iter().fold(all, Families::with))
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Killed,
    Leaves,
    Stops,
}
