use super::log::Cursor;
use super::pending::Pending;
use super::{Outward, PerFamily};
use crate::types::{Families, Family, Ipv4Prefix, Ipv6Prefix};

/// One peer's part in its group.
pub(in crate::rib) struct Member {
    pub(super) group: usize,
    pub(super) position: Position,
    /// Passes over the tables that are not at their end.
    pub(super) walks: [Option<Walk>; 2],
    /// While behind: what it has yet to hear of.
    pub(super) pending: PerFamily<Pending<Ipv4Prefix>, Pending<Ipv6Prefix>>,
    /// By family: how far a bracketed pass has come (RFC 7313).
    pub(super) brackets: [Bracket; 2],
    /// Families whose End-of-RIB it has yet to be sent.
    pub(super) owed: Families,
    /// What must come before that; `None` while it is held back, or not known yet.
    pub(super) owed_after: Option<Cursor>,
}

/// How a member follows its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// Reads the log.
    Level(Cursor),
    /// Catches up with the table: by walks, then by what is pending.
    Behind,
}

/// The bracket around a whole table that is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bracket {
    /// None.
    #[default]
    Closed,
    /// BoRR is due.
    Due,
    /// BoRR is out; EoRR follows when the member has caught up.
    Open,
}

/// A pass over a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// The next place.
    pub(super) next: u32,
    /// The peer has nothing of what lies ahead, as when the session is new.
    pub(super) fresh: bool,
}

impl Member {
    /// A peer that has nothing yet.
    pub(super) fn new(group: usize, families: Families) -> Member {
        let walk = Some(Walk { next: 0, fresh: true });
        let mut walks = [None, None];
        for family in families.iter() {
            walks[crate::rib::base::index(family)] = walk;
        }
        Member {
            group,
            position: Position::Behind,
            walks,
            pending: PerFamily::default(),
            brackets: [Bracket::Closed; 2],
            owed: families,
            owed_after: None,
        }
    }

    /// Whether a walk will come to `place` and the peer knows nothing of it until then.
    pub(super) fn has_yet_to_walk<K: Outward>(&self, place: u32) -> bool {
        self.walks[K::INDEX].is_some_and(|walk| walk.fresh && place >= walk.next)
    }

    /// The families whose bracket is at `bracket`, which becomes `next`.
    pub(super) fn turn(&mut self, bracket: Bracket, next: Bracket) -> Families {
        let turned: Families = Family::ALL
            .into_iter()
            .filter(|family| self.brackets[crate::rib::base::index(*family)] == bracket)
            .collect();
        for family in turned.iter() {
            self.brackets[crate::rib::base::index(family)] = next;
        }
        turned
    }

    pub(super) fn has_caught_up(&self) -> bool {
        let PerFamily { v4, v6 } = &self.pending;
        self.walks.iter().all(Option::is_none) && v4.is_empty() && v6.is_empty()
    }
}
