//! Chains of others that drop what pods send or receive.

use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, InetHookNumber, NfTablesMessage, RuleAttribute,
    RuleMessage,
};
use nix::libc;

use super::message::{DUMP, read, write_for};
use crate::kernel::error::KernelError;
use crate::kernel::message::Incoming;
use crate::kernel::socket::Netlink;

/// A base chain's policy (linux/netfilter.h: NF_DROP).
const DROP: u32 = 0;

/// A chain in the way of forwarded packets that drops those which no rule of it accepts, and has
/// no rule that names the bridge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DroppingChain {
    /// As nft names it: `ip`, `ip6` or `inet`.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
}

pub(super) fn dropping(
    netlink: &mut Netlink,
    bridge: &str,
) -> Result<Vec<DroppingChain>, KernelError> {
    let get = NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() });
    let mut chains = netlink.dump(
        "the packet filter's chains cannot be listed",
        |netlink| write_for(0, netlink, &get, DUMP),
        Vec::new,
        |chains, message| chains.extend(dropping_chain(&message)),
    )?;
    let mut found = Vec::new();
    for (family, chain) in chains.drain(..) {
        if !names(netlink, family, &chain, bridge)? {
            found.push(chain);
        }
    }
    Ok(found)
}

fn dropping_chain(message: &Incoming<'_>) -> Option<(u8, DroppingChain)> {
    let (number, NfTablesMessage::NewChain(ChainMessage { attributes })) = read(message)? else {
        return None;
    };
    let family = match i32::from(number) {
        libc::NFPROTO_INET => "inet",
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        _ => return None,
    };
    let (mut table, mut name) = (String::new(), String::new());
    let (mut forwards, mut drops) = (false, false);
    for attribute in attributes {
        match attribute {
            ChainAttribute::Table(text) => table = text,
            ChainAttribute::Name(text) => name = text,
            ChainAttribute::Policy(policy) => drops = policy == DROP,
            ChainAttribute::Hook(hook) => {
                let forward = HookNumber::Inet(InetHookNumber::Forward);
                forwards = hook.contains(&Hook::Number(forward));
            }
            _ => {}
        }
    }
    (forwards && drops).then_some((number, DroppingChain { family, table, name }))
}

/// Whether a rule of the chain names the bridge: then somebody has thought of it.
fn names(
    netlink: &mut Netlink,
    family: u8,
    chain: &DroppingChain,
    bridge: &str,
) -> Result<bool, KernelError> {
    let attributes =
        vec![RuleAttribute::Table(chain.table.clone()), RuleAttribute::Chain(chain.name.clone())];
    let get = NfTablesMessage::GetRule(RuleMessage { attributes });
    netlink.dump(
        "the packet filter's rules cannot be listed",
        |netlink| write_for(family, netlink, &get, DUMP),
        || false,
        |names, message| {
            *names |= message.payload.windows(bridge.len()).any(|part| part == bridge.as_bytes());
        },
    )
}
