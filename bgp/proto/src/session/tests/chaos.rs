//! Scripts of faults, drawn from a seed that replays: whatever happened, once it is quiet the two
//! find each other again, on one connection, and nothing stays stale.

use std::time::Duration;

use super::graceful;
use super::world::{Side, World};
use crate::session::{Direction, Event, Passive, SessionConfig, State, TcpFailure};
use crate::types::{Families, Family};
use crate::wire::Cease;

/// Long enough for a hold time, the longest back-off and a dial.
const QUIET: Duration = Duration::from_secs(600);

struct Script {
    world: World,
    random: u64,
    passive: Passive,
}

impl Script {
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % below
    }

    fn pause(&mut self, milliseconds: u64) {
        let milliseconds = self.draw(milliseconds);
        self.world.run(Duration::from_millis(milliseconds));
    }

    fn config(&mut self, side: Side) -> SessionConfig {
        let restarted = self.draw(2) == 0;
        match side {
            Side::A => graceful(1, restarted),
            Side::B => SessionConfig { passive: self.passive, ..graceful(2, restarted) },
        }
    }

    fn boot(&mut self, side: Side) {
        let config = self.config(side);
        self.world.boot(side, config);
    }

    fn fault(&mut self) {
        let side = if self.draw(2) == 0 { Side::A } else { Side::B };
        match self.draw(7) {
            0 => {
                self.world.kill(side);
                self.pause(3000);
                self.boot(side);
            }
            1 => {
                self.world.power_off(side);
                self.pause(30_000);
                self.boot(side);
            }
            2 => {
                self.world.cut();
                self.pause(200_000);
                self.world.mend();
            }
            3 => self.world.handle(side, Event::Reset(Cease::AdministrativeReset(String::new()))),
            4 => {
                self.world.handle(side, Event::Leave);
                self.pause(5000);
                self.world.handle(side, Event::Start);
            }
            5 => {
                self.world.kill(side);
                self.world.kill(side.other());
                self.pause(10_000);
                self.boot(side);
                self.pause(1000);
                self.boot(side.other());
            }
            _ => {
                let direction = Direction::ALL[usize::try_from(self.draw(3)).unwrap()];
                self.world.lose_socket(side, direction);
                let failure = TcpFailure::Io("broken".to_owned());
                self.world.handle(side, Event::TcpClosed(direction, failure));
            }
        }
    }
}

fn run(seed: u64) {
    let passive = if seed.is_multiple_of(3) { Passive::Yes } else { Passive::No };
    let mut world = World::new(graceful(1, false), graceful(2, false), seed);
    world.delay = Duration::from_millis(1 + seed * 13 % 300);
    let mut script = Script { world, random: seed, passive };
    script.boot(Side::A);
    script.boot(Side::B);
    for _ in 0..15 {
        script.fault();
        script.pause(20_000);
    }
    let mut world = script.world;
    world.wait_established(QUIET);
    world.run(Duration::from_secs(2));
    world.assert_one_connection();
    for side in Side::BOTH {
        for family in Family::ALL {
            world.end_of_rib(side, family);
        }
    }
    let (a, b) = (world.a.ups(), world.b.ups());
    world.run(QUIET);
    assert_eq!((world.a.ups(), world.b.ups()), (a, b), "it stays up");
    for router in [&world.a, &world.b] {
        assert_eq!(router.session.state(), State::Established);
        assert_eq!(router.session.stale(), Families::NONE);
    }
}

#[test]
fn after_any_script_of_faults_the_two_find_each_other() {
    for seed in 0..300 {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
