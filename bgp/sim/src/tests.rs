//! The short run: small worlds over many seeds, two of a size, and proof that the checks can fail.

use twill_bgp_proto::rib::PeerKey;
use twill_bgp_proto::rib::policy::Policy;
use twill_bgp_proto::types::{Attributes, NextHop};
use twill_bgp_proto::wire::{Reach, Update};

use crate::clock::SECOND;
use crate::random::Random;
use crate::run::{Plan, run, world};
use crate::script::{Fault, Script};
use crate::settings::Settings;
use crate::topology::{Shape, Topology, ipv4_of, prefix_of};
use crate::world::World;

/// Runs a plan; a failure says how to see it again.
fn holds(plan: &Plan, seed: u64, options: &str) -> u64 {
    match run(plan, seed, |_, _| ()) {
        Ok(report) => {
            assert!(report.counters.ups > 0, "seed {seed}: no session ever came up");
            report.trace
        }
        Err(failure) => {
            panic!("{failure}\nagain by: cargo xtask sim --seed {seed}{options}")
        }
    }
}

/// A mesh of five that has come to rest.
fn at_rest(shape: Shape) -> Script {
    let plan = Plan { shape: Some(shape), speakers: 5, prefixes: 2, ..Plan::small() };
    let mut script = Script::new(world(&plan, 7), 7);
    script.start(SECOND).unwrap();
    script.come_to_rest().unwrap();
    script
}

#[test]
fn small_worlds_come_to_the_right_routes_after_every_script_of_faults() {
    for seed in 0..60 {
        holds(&Plan::small(), seed, "");
    }
}

#[test]
fn a_full_mesh_comes_to_the_right_routes() {
    let plan = Plan { rounds: 1, ..Plan::large(Shape::Full, 40) };
    holds(&plan, 1, " --topology full --speakers 40 --rounds 1");
}

#[test]
fn a_mesh_behind_reflectors_comes_to_the_right_routes() {
    let plan = Plan { rounds: 1, ..Plan::large(Shape::Reflectors, 100) };
    holds(&plan, 1, " --topology reflectors --speakers 100 --rounds 1");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let plan = Plan { rounds: 1, ..Plan::small() };
    let traces: Vec<u64> = (0..6).map(|seed| holds(&plan, seed, " --rounds 1")).collect();
    let again: Vec<u64> = (0..6).map(|seed| holds(&plan, seed, " --rounds 1")).collect();
    assert_eq!(traces, again);
    let mut different = traces;
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 6, "a seed decides nothing");
}

/// One speaker after the other restarts and is back within the restart time: no kernel loses a
/// route, the restarted one's no more than the others'.
#[test]
fn a_graceful_restart_takes_no_route_from_any_kernel() {
    for shape in [Shape::Full, Shape::Reflectors] {
        let plan = Plan { speakers: 6, ..Plan::small() };
        let mut random = Random::new(3);
        let topology = match shape {
            Shape::Reflectors => Topology::reflectors(6, 2, 2, 2, &mut random),
            Shape::Full | Shape::Ases => Topology::full(plan.speakers, 2, &mut random),
        };
        let settings = Settings { kernel: true, ..Settings::large(3) };
        let mut script = Script::new(World::new(topology, settings, 3), 3);
        script.start(SECOND).unwrap();
        script.come_to_rest().unwrap();
        let installed: usize = script.world.installed();
        for speaker in 0..6 {
            for leaves in [true, false] {
                script.restart_within(speaker, leaves, 5 * SECOND).unwrap();
                script.come_to_rest().unwrap();
            }
        }
        assert_eq!(script.world.counters.kernel_losses, 0, "{shape:?}");
        assert_eq!(script.world.installed(), installed);
        assert!(script.world.counters.downs > 0, "nobody noticed a restart");
    }
}

/// A speaker that stays away is forgotten: the same count that stays at 0 above.
#[test]
fn a_speaker_that_stays_away_is_taken_from_every_kernel() {
    let topology = Topology::full(4, 1, &mut Random::new(3));
    let settings = Settings { kernel: true, ..Settings::large(3) };
    let mut script = Script::new(World::new(topology, settings, 3), 3);
    script.start(SECOND).unwrap();
    script.come_to_rest().unwrap();
    script.restart_within(0, false, 125 * SECOND).unwrap();
    script.come_to_rest().unwrap();
    assert_eq!(script.world.counters.kernel_losses, 3);
}

/// A route that a session never brought.
fn forge(script: &mut Script, owner: u32, by: u32) {
    let prefix = prefix_of(owner, 0).unwrap();
    let attributes = Attributes::originated(NextHop::V4(ipv4_of(by)));
    let reach = Reach { attributes: attributes.into(), prefixes: vec![prefix] };
    let update = Update { reach: vec![reach], ..Update::default() };
    script.world.speakers[0].rib.update(PeerKey(0), update);
    script.world.schedule_core(0);
}

#[test]
fn a_route_that_nobody_sent_is_found() {
    for (shape, owner, expected) in [
        // Of nobody: the neighbour has sent less than was received.
        (Shape::Ases, 9, "has sent"),
        // By the right way, but its owner says another thing of it.
        (Shape::Full, 1, "instead"),
    ] {
        let mut script = at_rest(shape);
        let neighbor = script.world.topology.members[0].peers[0].speaker;
        forge(&mut script, owner, neighbor);
        script.world.run(SECOND).unwrap();
        let found = script.world.check().unwrap_err().what;
        assert!(found.contains(expected), "{shape:?}: {found}");
    }
}

#[test]
fn what_is_withdrawn_in_truth_and_still_announced_is_found() {
    for shape in [Shape::Full, Shape::Reflectors, Shape::Ases] {
        let mut script = at_rest(shape);
        script.world.truth.announced[3][1] = None;
        let found = script.world.check().unwrap_err().what;
        assert!(found.contains("right is None"), "{shape:?}: {found}");
    }
}

#[test]
fn what_is_not_its_announcers_is_found_where_policy_lets_it_in() {
    for shape in [Shape::Full, Shape::Reflectors] {
        let mut script = at_rest(shape);
        let open = std::sync::Arc::new(Policy::accept_all());
        for it in &mut script.world.speakers {
            for key in 0..it.peers.len() as u32 {
                it.rib.set_policies(PeerKey(key), open.clone(), open.clone());
            }
        }
        for _ in 0..200 {
            if script.fault(Fault::Rogue).and_then(|()| script.world.run(SECOND)).is_err() {
                break;
            }
        }
        let found = script.world.check().unwrap_err().what;
        assert!(found.contains("accepts"), "{found}");
    }
}

#[test]
fn a_route_without_a_session_is_found() {
    let mut script = at_rest(Shape::Full);
    script.world.speakers[0].peers[1].live = None;
    script.world.truth.announced[2][0] = Some(2);
    script.world.originate(2, 0);
    let found = script.world.run(SECOND).unwrap_err().what;
    assert!(found.contains("has no session"), "{found}");
}

#[test]
fn a_session_that_does_not_come_back_is_found() {
    let mut script = at_rest(Shape::Full);
    script.world.speakers[0].peers[1].session.handle(
        twill_bgp_proto::session::Event::Stop(twill_bgp_proto::wire::Cease::PeerDeconfigured),
        script.world.clock.instant(script.world.now),
    );
    let found = script.come_to_rest().unwrap_err().what;
    assert!(found.contains("does not come to rest"), "{found}");
}
