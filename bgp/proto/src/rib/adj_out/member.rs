use super::log::Cursor;
use super::pending::Pending;
use super::{Outward, PerFamily};
use crate::types::{Families, Ipv4Prefix, Ipv6Prefix};

/// One peer's part in its group.
pub(in crate::rib) struct Member {
    pub(super) group: usize,
    pub(super) position: Position,
    /// Passes over the tables that are not at their end.
    pub(super) walks: [Option<Walk>; 2],
    /// While behind: what it has yet to hear of.
    pub(super) pending: PerFamily<Pending<Ipv4Prefix>, Pending<Ipv6Prefix>>,
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
            owed: families,
            owed_after: None,
        }
    }

    /// Whether a walk will come to `place` and the peer knows nothing of it until then.
    pub(super) fn has_yet_to_walk<K: Outward>(&self, place: u32) -> bool {
        self.walks[K::INDEX].is_some_and(|walk| walk.fresh && place >= walk.next)
    }

    pub(super) fn has_caught_up(&self) -> bool {
        let PerFamily { v4, v6 } = &self.pending;
        self.walks.iter().all(Option::is_none) && v4.is_empty() && v6.is_empty()
    }
}
