//! What the kernel says of our table, so that a change by somebody else is seen.

use std::hash::{DefaultHasher, Hasher};

use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, NfTablesMessage, RuleAttribute, RuleMessage, SetElementList,
    SetElementMessage,
};

use super::TABLE;
use super::message::{DUMP, FIXED, is_ours, set_names, write};
use crate::kernel::error::KernelError;
use crate::kernel::message::Incoming;
use crate::kernel::socket::Netlink;

const WHAT: &str = "the table for masquerade cannot be listed";

/// All that the kernel says of our table: chains, rules, and the elements of its sets. Equal
/// prints are tables that do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print(u64);

#[derive(Default)]
struct Seen {
    print: DefaultHasher,
    messages: usize,
}

impl Seen {
    fn add(&mut self, message: &Incoming<'_>) {
        self.messages += 1;
        self.print.write_u16(message.kind);
        // The fixed part carries the number of the ruleset's generation.
        self.print.write(message.payload.get(FIXED..).unwrap_or_default());
    }
}

pub(super) fn print(netlink: &mut Netlink) -> Result<Option<Print>, KernelError> {
    let attributes = vec![ChainAttribute::Table(TABLE.into())];
    let chains = NfTablesMessage::GetChain(ChainMessage { attributes });
    let attributes = vec![RuleAttribute::Table(TABLE.into())];
    let rules = NfTablesMessage::GetRule(RuleMessage { attributes });
    let sets = set_names().map(|set| {
        let attributes = vec![SetElementList::Table(TABLE.into()), SetElementList::Set(set)];
        NfTablesMessage::GetSetElement(SetElementMessage { attributes })
    });
    let mut whole = DefaultHasher::new();
    for (number, part) in [chains, rules].into_iter().chain(sets).enumerate() {
        let ask = |netlink: &mut Netlink| write(netlink, &part, DUMP);
        let seen = netlink.dump(WHAT, ask, Seen::default, |seen, message| {
            // A dump of chains heeds no table: it lists all of the family.
            if is_ours(&message) {
                seen.add(&message);
            }
        })?;
        if number == 0 && seen.messages == 0 {
            return Ok(None);
        }
        whole.write_u64(seen.print.finish());
    }
    Ok(Some(Print(whole.finish())))
}
