//! Scripts of faults, drawn from a seed: what is broken, for how long, and what is true
//! afterwards; then everything is mended, and must come to rest.

mod faults;
mod machines;

pub use faults::Fault;
use twill_bgp_proto::types::Families;

use crate::clock::{Micros, SECOND};
use crate::random::Random;
use crate::speaker::Life;
use crate::world::{Violation, World};

/// All is quiet by then: the longest hold time, the wait for an OPEN, the restart time, the wait
/// for an End-of-RIB and the longest back-off, one after the other.
const REST: Micros = (90 + 240 + 120 + 360 + 120 + 70) * SECOND;

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

    /// Families whose routes anyone keeps as stale.
    pub fn stale(&self) -> Families {
        let peers = self.world.speakers.iter().flat_map(|it| &it.peers);
        peers
            .fold(Families::NONE, |all, peer| peer.session.stale().iter().fold(all, Families::with))
    }
}
