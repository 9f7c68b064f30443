//! How a world behaves: delays, sizes of steps, what speakers offer.

use std::time::Duration;

use twill_bgp_proto::types::HoldTime;

use crate::boot::hold_time;
use crate::clock::Micros;
use crate::random::{Random, mix};

/// Drawn from the seed for small worlds; steady for large ones.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The longest time that most packets take.
    pub(crate) delay: Micros,
    /// Now and then one takes up to this.
    pub(crate) slow: Micros,
    /// The longest time until a core has its turn.
    pub(crate) turn: Micros,
    /// News handled at one turn.
    pub(crate) news: usize,
    /// Prefixes told at one turn.
    pub(crate) told: usize,
    /// Octets handed to a peer at once.
    pub(crate) chunk: usize,
    /// Octets that may wait for the slowest peer of a group.
    pub(crate) log: usize,
    /// Octets that may be on their way on one connection.
    pub(crate) window: usize,
    /// The longest segment; `None`: as written.
    pub(crate) segment: Option<usize>,
    /// One in so many speakers offers no graceful restart; 0: all do.
    pub(crate) plain: u64,
    /// Speakers offer RFC 8538.
    pub(crate) notification: bool,
    /// Hold times of speakers, in seconds.
    pub(crate) holds: [u16; 3],
    /// The longest back-off of a dial that failed.
    pub(crate) retry_max: Duration,
    /// Kernels are looked at.
    pub(crate) kernel: bool,
    /// Decides what differs between speakers.
    pub(crate) salt: u64,
}

impl Settings {
    /// As a cluster behaves: a network of a data centre, a core that handles batches.
    pub fn large(seed: u64) -> Settings {
        Settings {
            delay: 2_000,
            slow: 30_000,
            turn: 5_000,
            news: 1024,
            told: 4096,
            chunk: 32 * 1024,
            log: 8 * 1024 * 1024,
            window: 256 * 1024,
            segment: None,
            plain: 0,
            notification: false,
            holds: [90, 90, 90],
            retry_max: Duration::from_secs(2),
            kernel: false,
            salt: mix(seed),
        }
    }

    /// Whatever may go wrong between few.
    pub fn small(random: &mut Random) -> Settings {
        let holds = random.one_of(&[[9, 30, 90], [90, 90, 90], [3, 3, 9]], [90, 90, 90]);
        Settings {
            delay: random.one_of(&[100, 2_000, 20_000, 150_000], 2_000),
            slow: random.one_of(&[1_000, 50_000, 900_000], 50_000),
            turn: random.one_of(&[1, 500, 20_000], 500),
            news: random.one_of(&[1, 4, 1024], 1024),
            told: random.one_of(&[1, 3, 4096], 4096),
            chunk: random.one_of(&[1, 128, 32 * 1024], 32 * 1024),
            log: random.one_of(&[100, 1000, 8 * 1024 * 1024], 1000),
            window: random.one_of(&[64, 1024, 256 * 1024], 256 * 1024),
            segment: random.one_of(&[None, Some(40), Some(7)], None),
            plain: random.one_of(&[0, 0, 3], 0),
            notification: random.once_in(4),
            holds,
            retry_max: random.one_of(
                &[Duration::from_secs(2), Duration::from_secs(120)],
                Duration::from_secs(2),
            ),
            kernel: true,
            salt: random.bits(),
        }
    }

    /// The longest hold time of all.
    pub(crate) fn longest_hold(&self) -> u16 {
        self.holds.into_iter().max().unwrap_or(90)
    }

    pub(crate) fn hold_time(&self, speaker: u32) -> HoldTime {
        let place = mix(self.salt ^ u64::from(speaker)) % self.holds.len() as u64;
        hold_time(self.holds.get(place as usize).copied().unwrap_or(90))
    }

    /// Whether a speaker offers graceful restart.
    pub(crate) fn restarts(&self, speaker: u32) -> bool {
        self.plain == 0 || !mix(self.salt ^ 0xa5 ^ u64::from(speaker)).is_multiple_of(self.plain)
    }

    /// How long the next packet takes.
    pub(crate) fn delay(&self, random: &mut Random) -> Micros {
        let most = if random.once_in(64) { self.slow } else { self.delay };
        1 + random.below(most)
    }
}
