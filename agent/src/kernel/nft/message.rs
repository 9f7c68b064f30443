//! Our table as messages to nfnetlink, collected into one transaction.

use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Emitable, ParseableParametrized};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Cmp, DataAttribute, Expressions, Hook, HookNumber,
    InetHookNumber, ListAttribute, Lookup, Meta, MetaKey, NfTablesMessage, Operator, Payload,
    Register, RuleAttribute, RuleMessage, SetAttribute, SetElementAttribute, SetElementFlags,
    SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute, TableMessage,
};
use nix::libc;
use twill_bgp::proto::types::Family;

use super::TABLE;
use crate::desired::masquerade::{Interval, Masquerade};
use crate::kernel::error::KernelError;
use crate::kernel::message::{Incoming, attributes, read_text};
use crate::kernel::socket::{Failure, Netlink};

const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;
const NFPROTO_INET: u8 = libc::NFPROTO_INET as u8;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;
pub(super) const DUMP: u16 = libc::NLM_F_DUMP as u16;
/// Bytes of `struct nfgenmsg`.
pub(super) const FIXED: usize = 4;
/// The first attribute of every object of a table is the table's name.
const NAME_OF_TABLE: u16 = 1;

/// Where NAT of sources stands among the hooks (linux/netfilter_ipv4.h: NF_IP_PRI_NAT_SRC).
const PRIORITY_SRCNAT: u32 = 100;
/// NFT_PAYLOAD_NETWORK_HEADER.
const NETWORK_HEADER: u32 = 1;
/// NFT_LOOKUP_F_INV.
const NOT_IN_SET: u32 = 1;
/// NFTA_MASQ_FLAGS, and NF_NAT_RANGE_PROTO_RANDOM_FULLY: ports that nobody can guess, and that two
/// processors do not choose alike.
const MASQ_FLAGS: u16 = 1;
const RANDOM_FULLY: u32 = 1 << 4;
/// Elements to a message: their attribute's length has 16 bits, and one takes at most 60 octets.
const ELEMENTS: usize = 1000;

/// What happens to elements of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// What a family needs to know of itself.
struct Part {
    family: Family,
    /// Behind the names of sets.
    suffix: &'static str,
    /// NFPROTO.
    protocol: u8,
    /// How nft calls the type of an address, by number (its enum datatypes): it shows the
    /// elements by it.
    key_type: u32,
    /// Octets of an address, and where source and destination stand in the header.
    length: u32,
    source: u32,
    destination: u32,
}

const PARTS: [Part; 2] = [
    Part {
        family: Family::Ipv4Unicast,
        suffix: "4",
        protocol: libc::NFPROTO_IPV4 as u8,
        key_type: 7,
        length: 4,
        source: 12,
        destination: 16,
    },
    Part {
        family: Family::Ipv6Unicast,
        suffix: "6",
        protocol: libc::NFPROTO_IPV6 as u8,
        key_type: 8,
        length: 16,
        source: 8,
        destination: 24,
    },
];

/// A transaction that is being collected.
pub(super) struct Batch<'a> {
    netlink: &'a mut Netlink,
}

fn boundary(netlink: &mut Netlink, kind: libc::c_int) {
    let mut request = netlink.request(kind as u16, 0);
    // The subsystem whose batch it is, in network order, where others have a resource's number.
    request.fixed(&[libc::AF_UNSPEC as u8, 0, 0, SUBSYSTEM as u8]);
}

/// Writes one message of nf_tables for a table of family inet.
pub(super) fn write(netlink: &mut Netlink, message: &NfTablesMessage, flags: u16) {
    write_for(NFPROTO_INET, netlink, message, flags);
}

/// The same for another family's table; 0 for all.
pub(super) fn write_for(family: u8, netlink: &mut Netlink, message: &NfTablesMessage, flags: u16) {
    let kind = SUBSYSTEM << 8 | u16::from(u8::from(message.message_type()));
    let mut body = vec![0; message.buffer_len()];
    message.emit(&mut body);
    let mut request = netlink.request(kind, flags);
    request.fixed(&[family, 0, 0, 0]);
    request.fixed(&body);
}

/// Reads a message of nf_tables and whose family it is of; `None` for any other.
pub(super) fn read(message: &Incoming<'_>) -> Option<(u8, NfTablesMessage)> {
    if message.kind >> 8 != SUBSYSTEM {
        return None;
    }
    let family = *message.payload.first()?;
    let body = message.payload.get(FIXED..)?;
    NfTablesMessage::parse_with_param(body, message.kind as u8).ok().map(|read| (family, read))
}

/// Whether a message of nf_tables is about our table or something in it.
pub(super) fn is_ours(message: &Incoming<'_>) -> bool {
    let body = message.payload.get(FIXED..).unwrap_or_default();
    message.kind >> 8 == SUBSYSTEM
        && message.payload.first() == Some(&NFPROTO_INET)
        && attributes(body)
            .find(|(kind, _)| *kind == NAME_OF_TABLE)
            .is_some_and(|(_, name)| read_text(name) == TABLE)
}

impl Batch<'_> {
    pub(super) fn begin(netlink: &mut Netlink) -> Batch<'_> {
        boundary(netlink, libc::NFNL_MSG_BATCH_BEGIN);
        Batch { netlink }
    }

    /// All or nothing.
    pub(super) fn commit(self, what: &'static str) -> Result<(), KernelError> {
        let end = |netlink: &mut Netlink| boundary(netlink, libc::NFNL_MSG_BATCH_END);
        first(what, self.netlink.commit_then(end)?)
    }

    /// Has everything checked: without its end a batch is undone.
    pub(super) fn give_up(self, what: &'static str) -> Result<(), KernelError> {
        first(what, self.netlink.commit()?)
    }

    fn push(&mut self, message: &NfTablesMessage, flags: u16) {
        write(self.netlink, message, flags);
    }

    /// Without our table, whether it was there or not: only what is there can be deleted.
    pub(super) fn no_table(&mut self) {
        let table = || TableMessage { attributes: vec![TableAttribute::Name(TABLE.into())] };
        self.push(&NfTablesMessage::NewTable(table()), CREATE);
        self.push(&NfTablesMessage::DeleteTable(table()), 0);
    }

    /// Our table with all in it, where there is none.
    pub(super) fn whole_table(&mut self, wanted: &Masquerade) {
        let attributes = vec![TableAttribute::Name(TABLE.into())];
        self.push(&NfTablesMessage::NewTable(TableMessage { attributes }), CREATE);
        for (number, (set, part)) in (1..).zip(sets()) {
            let attributes = vec![
                SetAttribute::Table(TABLE.into()),
                SetAttribute::Name(format!("{set}{}", part.suffix)),
                SetAttribute::Flags(SetFlags::Interval),
                SetAttribute::KeyType(part.key_type),
                SetAttribute::KeyLen(part.length),
                SetAttribute::Id(number),
            ];
            self.push(&NfTablesMessage::NewSet(SetMessage { attributes }), CREATE);
        }
        self.elements("pods", wanted.pods.iter(), Change::Add);
        self.elements("exempt", wanted.exempt.iter(), Change::Add);
        self.chain();
        for part in &PARTS {
            self.rule(part);
        }
    }

    /// Adds or removes elements of the sets of both families.
    pub(super) fn elements<'a>(
        &mut self,
        set: &str,
        intervals: impl Iterator<Item = &'a Interval>,
        change: Change,
    ) {
        let intervals: Vec<&Interval> = intervals.collect();
        for part in &PARTS {
            let ends: Vec<ListAttribute<SetElementAttribute>> = intervals
                .iter()
                .filter(|interval| interval.family() == part.family)
                .flat_map(|interval| ends(interval))
                .collect();
            for some in ends.chunks(ELEMENTS) {
                let attributes = vec![
                    SetElementList::Table(TABLE.into()),
                    SetElementList::Set(format!("{set}{}", part.suffix)),
                    SetElementList::Elements(some.to_vec()),
                ];
                let message = SetElementMessage { attributes };
                match change {
                    Change::Add => self.push(&NfTablesMessage::NewSetElement(message), CREATE),
                    Change::Remove => self.push(&NfTablesMessage::DeleteSetElement(message), 0),
                }
            }
        }
    }

    fn chain(&mut self) {
        let attributes = vec![
            ChainAttribute::Table(TABLE.into()),
            ChainAttribute::Name("postrouting".into()),
            ChainAttribute::Type("nat".into()),
            ChainAttribute::Hook(vec![
                Hook::Number(HookNumber::Inet(InetHookNumber::PostRouting)),
                Hook::Priority(PRIORITY_SRCNAT),
            ]),
        ];
        self.push(&NfTablesMessage::NewChain(ChainMessage { attributes }), CREATE);
    }

    fn rule(&mut self, part: &Part) {
        let set = |name: &str| format!("{name}{}", part.suffix);
        let [sources, same_sources] = holds(part.source, part.length, set("pods"), 0);
        let [targets, other_targets] =
            holds(part.destination, part.length, set("exempt"), NOT_IN_SET);
        let [family, this_family] = is_family(part.protocol);
        let masquerade = Expressions::Other {
            expression_type: "masq".into(),
            attributes: vec![DefaultNla::new(MASQ_FLAGS, RANDOM_FULLY.to_be_bytes().to_vec())],
        };
        let expressions =
            [family, this_family, sources, same_sources, targets, other_targets, masquerade];
        let attributes = vec![
            RuleAttribute::Table(TABLE.into()),
            RuleAttribute::Chain("postrouting".into()),
            RuleAttribute::Expressions(expressions.into_iter().map(ListAttribute::from).collect()),
        ];
        self.push(&NfTablesMessage::NewRule(RuleMessage { attributes }), CREATE | APPEND);
    }
}

/// The sets of our table.
pub(super) fn set_names() -> impl Iterator<Item = String> {
    sets().map(|(set, part)| format!("{set}{}", part.suffix))
}

fn sets() -> impl Iterator<Item = (&'static str, &'static Part)> {
    PARTS.iter().flat_map(|part| ["pods", "exempt"].map(|set| (set, part)))
}

/// The elements that make an interval: its first address, and the first behind it.
fn ends(interval: &Interval) -> Vec<ListAttribute<SetElementAttribute>> {
    let key = |address: IpAddr| {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        SetElementAttribute::Key(DataAttribute::Value(octets))
    };
    let mut ends = vec![ListAttribute::Element(vec![key(interval.first)])];
    if let Some(after) = interval.after {
        let flags = SetElementAttribute::Flags(SetElementFlags::IntervalEnd);
        ends.push(ListAttribute::Element(vec![key(after), flags]));
    }
    ends
}

/// The address at `offset` of the network header is in a set, or not.
fn holds(offset: u32, length: u32, set: String, flags: u32) -> [Expressions; 2] {
    [
        Expressions::Payload(vec![
            Payload::DestinationRegister(Register::Reg1),
            Payload::Base(NETWORK_HEADER),
            Payload::Offset(offset),
            Payload::Len(length),
        ]),
        Expressions::Lookup(vec![
            Lookup::Set(set),
            Lookup::SourceRegister(Register::Reg1),
            Lookup::Flags(flags),
        ]),
    ]
}

fn is_family(protocol: u8) -> [Expressions; 2] {
    [
        Expressions::Meta(vec![
            Meta::DestinationRegister(Register::Reg1),
            Meta::Key(MetaKey::Nfproto),
        ]),
        Expressions::Cmp(vec![
            Cmp::SourceRegister(Register::Reg1),
            Cmp::Op(Operator::Equal),
            Cmp::Data(DataAttribute::Value(vec![protocol])),
        ]),
    ]
}

fn first(what: &'static str, failures: Vec<Failure>) -> Result<(), KernelError> {
    match failures.into_iter().next() {
        Some(Failure { refusal, .. }) => Err(KernelError::Refused { what, refusal }),
        None => Ok(()),
    }
}
