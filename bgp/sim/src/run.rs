//! Whole runs: a world by a plan and a seed, some rounds of faults, and what came of it.

use std::fmt;

use crate::clock::{Micros, SECOND};
use crate::random::Random;
use crate::script::Script;
use crate::settings::Settings;
use crate::topology::{Shape, Topology};
use crate::world::{Counters, Violation, World};

/// What a run is made of, beside its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// `None`: small, of a shape that the seed draws.
    pub shape: Option<Shape>,
    /// How many speakers; of a small world, at most.
    pub speakers: u32,
    /// How many of them reflect.
    pub reflectors: u32,
    /// With how many reflectors each of the others speaks.
    pub homes: u32,
    /// Prefixes of each speaker.
    pub prefixes: u32,
    /// Faults and a rest, so many times.
    pub rounds: u64,
    /// Faults in each.
    pub faults: u64,
}

impl Plan {
    /// A small world of whatever the seed draws.
    pub fn small() -> Plan {
        Plan {
            shape: None,
            speakers: 9,
            reflectors: 2,
            homes: 2,
            prefixes: 2,
            rounds: 2,
            faults: 12,
        }
    }

    /// A large one.
    pub fn large(shape: Shape, speakers: u32) -> Plan {
        Plan { shape: Some(shape), speakers, prefixes: 1, rounds: 3, faults: 8, ..Plan::small() }
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// Of all that happened.
    pub trace: u64,
    /// What that was.
    pub counters: Counters,
    /// How long it took in there.
    pub simulated: Micros,
    /// Speakers and sessions.
    pub size: (usize, usize),
}

/// A run that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was wrong.
    pub violation: Violation,
    /// What the script did, the latest last.
    pub log: Vec<(Micros, String)>,
    /// Up to there.
    pub trace: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, what) in &self.log {
            let what: String = what.chars().take(200).collect();
            writeln!(f, "{:>14.6} s  {what}", *at as f64 / 1e6)?;
        }
        write!(f, "{}", self.violation)
    }
}

/// Makes the world of a plan and a seed, all machines off.
pub(crate) fn world(plan: &Plan, seed: u64) -> World {
    let mut random = Random::new(seed);
    let (count, prefixes) = (plan.speakers.max(2), plan.prefixes);
    let (settings, topology) = match plan.shape {
        Some(shape) => (Settings::large(seed), of(shape, count, plan, prefixes, &mut random)),
        None => {
            let shape = random.one_of(&[Shape::Full, Shape::Reflectors, Shape::Ases], Shape::Full);
            let count = random.between(2, u64::from(count)) as u32;
            let settings = Settings::small(&mut random);
            (settings, of(shape, count, plan, prefixes, &mut random))
        }
    };
    World::new(topology, settings, seed)
}

fn of(shape: Shape, count: u32, plan: &Plan, prefixes: u32, random: &mut Random) -> Topology {
    match shape {
        Shape::Full => Topology::full(count, prefixes, random),
        Shape::Reflectors => {
            Topology::reflectors(count, plan.reflectors, plan.homes, prefixes, random)
        }
        Shape::Ases => Topology::ases(count, prefixes, random),
    }
}

/// Starts everyone, lets it come to rest, and then as many rounds of faults as the plan has.
/// `told` hears of each rest.
///
/// # Errors
///
/// What was wrong first.
pub fn run(
    plan: &Plan,
    seed: u64,
    mut told: impl FnMut(&World, u64),
) -> Result<Report, Box<Failure>> {
    let mut script = Script::new(world(plan, seed), seed);
    let spread = if plan.shape.is_some() { 10 * SECOND } else { seed % 7 * SECOND };
    let mut outcome = script.start(spread).and_then(|()| script.come_to_rest());
    told(&script.world, 0);
    for round in 1..=plan.rounds {
        if outcome.is_ok() {
            outcome = script.round(plan.faults);
            told(&script.world, round);
        }
    }
    let world = &script.world;
    match outcome {
        Ok(()) => Ok(Report {
            trace: world.trace(),
            counters: world.counters,
            simulated: world.now,
            size: (world.topology.members.len(), world.topology.sessions()),
        }),
        Err(violation) => {
            let trace = world.trace();
            Err(Box::new(Failure { violation, log: script.log, trace }))
        }
    }
}
