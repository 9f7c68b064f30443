//! Readiness: when the first exchange with all peers is complete (RFC 4724 section 4.1).
//!
//! In go what peers do, out comes the moment at which our own End-of-RIB may leave, the R bit
//! goes, and whoever keeps routes of the run before may sweep them.
//!
//! After a restart (RFC 4724 section 4.1) every awaited peer must have come up and sent the
//! End-of-RIB of each family, or the deferral timer ends the wait. Two kinds of peer are not
//! waited for once they are up: those without graceful restart, which send no End-of-RIB, and
//! those that have restarted themselves, which hold theirs back just as we do: nodes that all
//! restart at once would wait for each other. Such a peer announces its own routes at once,
//! though, so it gets a short grace in which they arrive.
//!
//! A first start keeps nobody waiting: End-of-RIB leaves at once, without the R bit. But it is not
//! ready before it knows what its peers know; a node that called itself ready without routes would
//! be given pods that reach nobody. A peer that does not come costs it [`FIRST`] and no more:
//! nothing forwards yet that a longer wait could save.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::types::{Families, Family};

/// How long after Established a peer that restarted itself is given to send what it originates.
/// FRR, which says so for minutes after its start, sends its first UPDATE after a second.
pub const GRACE: Duration = Duration::from_secs(3);

/// The longest wait of a first start: time to dial every peer a few times.
pub const FIRST: Duration = Duration::from_secs(10);

/// How far a peer is that is Established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    /// Its End-of-RIBs that are outstanding.
    missing: Families,
    /// It restarted itself: done at this time, or at its End-of-RIB.
    until: Option<Instant>,
}

/// The wait, until it is over.
#[derive(Debug)]
pub struct Deferral {
    restarting: bool,
    /// `None` until the peers are known for the first time: there is nothing to judge by.
    awaited: Option<BTreeSet<IpAddr>>,
    established: BTreeMap<IpAddr, Progress>,
    until: Instant,
    over: Option<bool>,
}

impl Deferral {
    /// `restarting`: routes of the run before were found, and for so long may be waited.
    pub fn new(restarting: bool, longest: Duration, now: Instant) -> Deferral {
        Deferral {
            restarting,
            awaited: None,
            established: BTreeMap::new(),
            until: now + if restarting { longest } else { longest.min(FIRST) },
            over: None,
        }
    }

    /// Whether OPENs are to carry the R bit.
    pub fn restarting(&self) -> bool {
        self.restarting && self.over.is_none()
    }

    /// `Some(by_timer)` once the wait is over. It never begins again.
    pub fn over(&self) -> Option<bool> {
        self.over
    }

    /// The peers to wait for, as a whole set.
    pub fn expect(&mut self, peers: impl IntoIterator<Item = IpAddr>, now: Instant) {
        self.awaited = Some(peers.into_iter().collect());
        self.judge(now);
    }

    /// A peer is Established; `promised` are the families whose End-of-RIB it will send.
    pub fn up(&mut self, peer: IpAddr, promised: Families, restarted: bool, now: Instant) {
        if self.over.is_none() {
            let until = restarted.then(|| now + GRACE);
            self.established.insert(peer, Progress { missing: promised, until });
            self.judge(now);
        }
    }

    /// A peer sent End-of-RIB.
    pub fn end_of_rib(&mut self, peer: IpAddr, family: Family, now: Instant) {
        if let Some(progress) = self.established.get_mut(&peer) {
            progress.missing = progress.missing.without(family);
        }
        self.judge(now);
    }

    /// A peer is Established no more: it is expected back.
    pub fn down(&mut self, peer: IpAddr) {
        self.established.remove(&peer);
    }

    /// When [`Deferral::handle_timeout`] wants to be called; `None` once it is over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over.is_some() {
            return None;
        }
        let graces = self
            .established
            .values()
            .filter(|progress| !progress.missing.is_empty())
            .filter_map(|progress| progress.until);
        graces.chain([self.until]).min()
    }

    /// The time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for progress in self.established.values_mut() {
            if progress.until.is_some_and(|until| until <= now) {
                progress.missing = Families::NONE;
            }
        }
        self.judge(now);
    }

    fn judge(&mut self, now: Instant) {
        if self.over.is_some() {
            return;
        }
        let done = |peer: &IpAddr| {
            self.established.get(peer).is_some_and(|progress| progress.missing.is_empty())
        };
        if self.awaited.as_ref().is_some_and(|awaited| awaited.iter().all(done)) {
            self.over = Some(false);
        } else if self.until <= now {
            self.over = Some(true);
        }
        if self.over.is_some() {
            self.established.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn epoch() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "the origin of a fake clock, read once")]
        static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
        *EPOCH
    }

    const LONGEST: Duration = Duration::from_secs(120);
    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn restarted(now: Instant, peers: &[IpAddr]) -> Deferral {
        let mut deferral = Deferral::new(true, LONGEST, now);
        assert!(deferral.restarting());
        deferral.expect(peers.iter().copied(), now);
        deferral
    }

    #[test]
    fn a_first_start_is_ready_once_its_peers_have_told_all() {
        let now = epoch();
        let mut deferral = Deferral::new(false, LONGEST, now);
        assert!(!deferral.restarting());
        deferral.expect([A], now);
        assert_eq!(deferral.over(), None);
        deferral.up(A, Families::NONE.with(Family::Ipv4Unicast), false, now);
        deferral.end_of_rib(A, Family::Ipv4Unicast, now);
        assert_eq!(deferral.over(), Some(false));
        assert_eq!(deferral.poll_timeout(), None);
    }

    #[test]
    fn a_first_start_does_not_wait_long_for_who_is_not_there() {
        let now = epoch();
        let mut deferral = Deferral::new(false, LONGEST, now);
        deferral.expect([A], now);
        assert_eq!(deferral.poll_timeout(), Some(now + FIRST));
        deferral.handle_timeout(now + FIRST);
        assert_eq!(deferral.over(), Some(true));
        let mut alone = Deferral::new(false, LONGEST, now);
        alone.expect([], now);
        assert_eq!(alone.over(), Some(false));
    }

    #[test]
    fn a_restart_waits_until_its_peers_are_known() {
        let now = epoch();
        let mut deferral = Deferral::new(true, LONGEST, now);
        deferral.handle_timeout(now);
        assert_eq!(deferral.over(), None);
        deferral.expect([], now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn every_family_of_every_peer_is_waited_for() {
        let now = epoch();
        let mut deferral = restarted(now, &[A, B]);
        deferral.up(A, Families::ALL, false, now);
        deferral.up(B, Families::ALL, false, now);
        deferral.end_of_rib(A, Family::Ipv4Unicast, now);
        deferral.end_of_rib(A, Family::Ipv6Unicast, now);
        deferral.end_of_rib(B, Family::Ipv4Unicast, now);
        assert_eq!(deferral.over(), None);
        deferral.end_of_rib(B, Family::Ipv6Unicast, now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn a_peer_that_does_not_come_costs_the_whole_deferral() {
        let now = epoch();
        let mut deferral = restarted(now, &[A, B]);
        deferral.up(A, Families::NONE, false, now);
        assert_eq!(deferral.poll_timeout(), Some(now + LONGEST));
        deferral.handle_timeout(now + LONGEST - Duration::from_millis(1));
        assert_eq!(deferral.over(), None);
        deferral.handle_timeout(now + LONGEST);
        assert_eq!(deferral.over(), Some(true));
        assert_eq!(deferral.poll_timeout(), None);
    }

    #[test]
    fn a_peer_without_graceful_restart_owes_no_end_of_rib() {
        let now = epoch();
        let mut deferral = restarted(now, &[A]);
        deferral.up(A, Families::NONE, false, now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn nodes_that_restart_together_do_not_wait_for_each_other() {
        let now = epoch();
        let mut deferral = restarted(now, &[A, B]);
        deferral.up(A, Families::ALL, true, now);
        let later = now + Duration::from_millis(300);
        deferral.up(B, Families::ALL, true, later);
        assert_eq!(deferral.over(), None);
        assert_eq!(deferral.poll_timeout(), Some(now + GRACE));
        deferral.handle_timeout(now + GRACE);
        assert_eq!(deferral.over(), None);
        assert_eq!(deferral.poll_timeout(), Some(later + GRACE));
        deferral.handle_timeout(later + GRACE);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn the_end_of_rib_of_a_restarted_peer_ends_its_grace() {
        let now = epoch();
        let mut deferral = restarted(now, &[A]);
        deferral.up(A, Families::NONE.with(Family::Ipv4Unicast), true, now);
        assert_eq!(deferral.over(), None);
        deferral.end_of_rib(A, Family::Ipv4Unicast, now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn a_peer_that_is_lost_again_is_expected_back() {
        let now = epoch();
        let mut deferral = restarted(now, &[A, B]);
        deferral.up(A, Families::NONE, false, now);
        deferral.down(A);
        deferral.up(B, Families::NONE, false, now);
        assert_eq!(deferral.over(), None);
        deferral.up(A, Families::NONE, false, now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn a_peer_that_is_removed_is_waited_for_no_more() {
        let now = epoch();
        let mut deferral = restarted(now, &[A, B]);
        deferral.up(A, Families::NONE, false, now);
        deferral.expect([A], now);
        assert_eq!(deferral.over(), Some(false));
    }

    #[test]
    fn a_peer_may_be_up_before_it_is_awaited() {
        let now = epoch();
        let mut deferral = restarted(now, &[A]);
        deferral.up(B, Families::ALL, false, now);
        deferral.end_of_rib(B, Family::Ipv4Unicast, now);
        deferral.expect([B], now);
        assert_eq!(deferral.over(), None);
        deferral.end_of_rib(B, Family::Ipv6Unicast, now);
        assert_eq!(deferral.over(), Some(false));
    }
}
