//! Faults of machines and processes, and of the network between them.

use twill_bgp_proto::session::{Direction, Event as Input};
use twill_bgp_proto::wire::Cease;

use super::Script;
use crate::clock::{Event, Micros, SECOND};
use crate::network::Packet;
use crate::speaker::Life;
use crate::world::Violation;

/// How many may be hurt by one fault of many.
const MANY: u64 = 50;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    Killed,
    Leaves,
    Stops,
}

impl Script {
    /// A process ends, and comes back after a while.
    pub(super) fn restart(&mut self, adopt: bool, death: Death) -> Result<(), Violation> {
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

    pub(super) fn end_process(&mut self, speaker: u32, death: Death) {
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

    pub(super) fn power(&mut self) -> Result<(), Violation> {
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

    pub(super) fn partition(&mut self) -> Result<(), Violation> {
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

    pub(super) fn restart_together(&mut self) -> Result<(), Violation> {
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

    /// Some speakers, each once.
    pub(super) fn some(&mut self) -> Vec<u32> {
        let count = u64::from(self.count());
        let most = if self.random.once_in(3) { count / 2 } else { MANY.min(count / 2) };
        let many = self.random.between(1, most.max(1));
        let mut some: Vec<u32> = (0..many).map(|_| self.anyone()).collect();
        some.sort_unstable();
        some.dedup();
        some
    }

    pub(super) fn boot_later(&mut self, speaker: u32, delay: Micros) {
        if let Some(it) = self.world.speakers.get_mut(speaker as usize) {
            it.booting = true;
        }
        self.world.plan(delay, Event::Boot { speaker });
    }
}
