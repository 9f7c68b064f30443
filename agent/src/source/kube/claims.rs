//! Whose is what among the Nodes (law 5): pod CIDRs and addresses, each with one owner.
//!
//! A kubelet writes its own Node's addresses and annotations, so what they claim gives way:
//! first the pod CIDRs of every `spec`, then addresses, then pod CIDRs by annotation. Within
//! each, the older Node is right.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use twill_bgp::proto::types::Prefix;

use super::doubt::{About, Doubt, Kind, Reason};
use super::node::NodeFacts;

/// What a Node has of what it claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Its addresses, in order.
    pub(super) addresses: Vec<IpAddr>,
    /// Its pod CIDRs, in order.
    pub(super) pod_cidrs: Vec<Prefix>,
}

/// What every Node has, by name; and every claim that is refused.
pub(super) fn settle<'a>(
    nodes: impl Iterator<Item = &'a NodeFacts>,
) -> (HashMap<&'a str, Holdings>, Vec<Doubt>) {
    let mut nodes: Vec<&NodeFacts> = nodes.collect();
    nodes.sort_by_key(|node| (node.created, &node.name));
    let mut ledger = Ledger::default();
    let mut doubts = Vec::new();
    let mut all: HashMap<&str, Holdings> = HashMap::with_capacity(nodes.len());
    for node in &nodes {
        let own = all.entry(&node.name).or_default();
        for cidr in &node.pod_cidrs {
            match ledger.claim(*cidr, &node.name) {
                Ok(()) => own.pod_cidrs.push(*cidr),
                Err(holder) => doubts.push(refused(node, &format!("its pod CIDR {cidr}"), &holder)),
            }
        }
    }
    for node in &nodes {
        let own = all.entry(&node.name).or_default();
        for address in &node.addresses {
            match ledger.claim_address(*address, &node.name) {
                Ok(()) => own.addresses.push(*address),
                Err(holder) => {
                    doubts.push(refused(node, &format!("its address {address}"), &holder));
                }
            }
        }
    }
    for node in &nodes {
        let Some(claimed) = &node.annotations.pod_cidrs else { continue };
        let own = all.entry(&node.name).or_default();
        let mut granted = Vec::new();
        for cidr in claimed {
            match ledger.claim(*cidr, &node.name) {
                Ok(()) => granted.push(*cidr),
                Err(holder) => {
                    let what = format!("the pod CIDR {cidr} of its annotation");
                    doubts.push(refused(node, &what, &holder));
                }
            }
        }
        // All that it asks for, or what it had.
        if granted.len() == claimed.len() {
            own.pod_cidrs = granted;
        }
    }
    for node in &nodes {
        if let Some(own) = all.get_mut(&*node.name) {
            without_next_hop(node, own, &mut doubts);
        }
    }
    (all, doubts)
}

/// A pod CIDR of a family that the Node has no address of.
fn without_next_hop(node: &NodeFacts, own: &mut Holdings, doubts: &mut Vec<Doubt>) {
    if own.addresses.is_empty() {
        return;
    }
    let Holdings { addresses, pod_cidrs } = own;
    pod_cidrs.retain(|cidr| {
        let family = cidr.family();
        let routed = addresses.iter().any(|address| Prefix::host(*address).family() == family);
        if !routed {
            doubts.push(Doubt {
                about: about(node),
                reason: Reason::Missing,
                note: format!(
                    "it has no {family} address, so nobody can be told a next hop for its pod \
                     CIDR {cidr}: give its kubelet one (--node-ip)"
                ),
            });
        }
        routed
    });
}

/// The Node of these facts.
pub(super) fn about(node: &NodeFacts) -> About {
    About { kind: Kind::Node, namespace: None, name: node.name.clone(), uid: node.uid.clone() }
}

fn refused(node: &NodeFacts, what: &str, holder: &(Prefix, String)) -> Doubt {
    let (held, owner) = holder;
    let note = format!(
        "{what} is refused: it overlaps {held} of Node {owner}, which is older or has it from the \
         control plane; give each its own"
    );
    Doubt { about: about(node), reason: Reason::ClaimRefused, note }
}

/// Prefixes that share no address, each with its owner.
#[derive(Default)]
struct Ledger<'a>(BTreeMap<Prefix, Entry<'a>>);

#[derive(Clone, Copy)]
struct Entry<'a> {
    owner: &'a str,
    is_address: bool,
}

impl<'a> Ledger<'a> {
    /// Takes it for `owner`, who may have part of it already.
    fn claim(&mut self, prefix: Prefix, owner: &'a str) -> Result<(), (Prefix, String)> {
        let own = Entry { owner, is_address: false };
        let refuse = |held: &Prefix, entry: &Entry<'_>| Err((*held, entry.owner.to_owned()));
        let is_own = |entry: &Entry<'_>| entry.owner == owner && !entry.is_address;
        if let Some((held, entry)) = self.before(prefix) {
            return if is_own(&entry) { Ok(()) } else { refuse(&held, &entry) };
        }
        // What lies within it sorts behind it.
        let within: Vec<(Prefix, Entry<'_>)> = self
            .0
            .range(prefix..)
            .take_while(|(held, _)| prefix.covers(**held))
            .map(|(held, entry)| (*held, *entry))
            .collect();
        if let Some((held, entry)) = within.iter().find(|(_, entry)| !is_own(entry)) {
            return refuse(held, entry);
        }
        for (held, _) in within {
            self.0.remove(&held);
        }
        self.0.insert(prefix, own);
        Ok(())
    }

    /// An address lies in nobody's pod CIDR, not even its Node's own.
    fn claim_address(&mut self, address: IpAddr, owner: &'a str) -> Result<(), (Prefix, String)> {
        let host = Prefix::host(address);
        if let Some((held, entry)) = self.before(host) {
            return Err((held, entry.owner.to_owned()));
        }
        self.0.insert(host, Entry { owner, is_address: true });
        Ok(())
    }

    /// What is, or covers, `prefix`: it sorts right before it.
    fn before(&self, prefix: Prefix) -> Option<(Prefix, Entry<'a>)> {
        let (held, entry) = self.0.range(..=prefix).next_back()?;
        held.covers(prefix).then_some((*held, *entry))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::kube::testing::{node, parsed};

    /// Claims of several Nodes, the first the oldest: what each has in the end.
    fn outcome(nodes: &[NodeFacts]) -> Vec<(String, Vec<String>)> {
        let (holdings, _) = settle(nodes.iter());
        nodes
            .iter()
            .map(|node| {
                let own = &holdings[&*node.name];
                let addresses = own.addresses.iter().map(ToString::to_string);
                let all = addresses.chain(own.pod_cidrs.iter().map(ToString::to_string));
                (node.name.to_string(), all.collect())
            })
            .collect()
    }

    fn facts(name: &str, created: i64, addresses: &[&str], cidrs: &[&str]) -> NodeFacts {
        NodeFacts { created, ..parsed(&node(name, addresses, cidrs)) }
    }

    #[test]
    fn the_older_node_is_right() {
        let old = facts("z", 1, &["10.0.0.1"], &["10.244.1.0/24"]);
        let new = facts("a", 2, &["10.0.0.1", "10.0.0.2"], &["10.244.1.128/25"]);
        let found = outcome(&[old.clone(), new.clone()]);
        assert_eq!(found[0].1, ["10.0.0.1", "10.244.1.0/24"]);
        assert_eq!(found[1].1, ["10.0.0.2"]);
        let (_, doubts) = settle([&new, &old].into_iter());
        assert_eq!(doubts.len(), 2);
        assert!(doubts.iter().all(|doubt| &*doubt.about.name == "a"), "{doubts:?}");
    }

    #[test]
    fn an_address_never_lies_in_a_pod_cidr() {
        let victim = facts("victim", 2, &["10.0.0.2"], &["10.244.2.0/24"]);
        let thief = facts("thief", 1, &["10.244.2.7", "10.0.0.1"], &["10.244.1.0/24"]);
        let found = outcome(&[victim, thief]);
        assert_eq!(found[0].1, ["10.0.0.2", "10.244.2.0/24"]);
        assert_eq!(found[1].1, ["10.0.0.1", "10.244.1.0/24"]);
    }

    #[test]
    fn an_annotation_moves_what_is_free_and_takes_nothing_from_others() {
        let victim = facts("victim", 2, &["10.0.0.2"], &["10.244.2.0/24"]);
        let annotated = |value: &str| {
            let mut object = node("other", &["10.0.0.1"], &["10.244.1.0/24"]);
            object
                .metadata
                .annotations
                .get_or_insert_default()
                .insert("kube-router.io/pod-cidrs".to_owned(), value.to_owned());
            NodeFacts { created: 1, ..parsed(&object) }
        };
        for (claim, expected) in [
            ("10.99.0.0/24", "10.99.0.0/24"),
            ("10.244.0.0/23", "10.244.0.0/23"),
            ("10.244.1.0/25", "10.244.1.0/25"),
            // What is another's leaves it with what it had.
            ("10.244.2.0/25", "10.244.1.0/24"),
            ("10.244.0.0/16", "10.244.1.0/24"),
            ("10.99.0.0/24,10.244.2.0/24", "10.244.1.0/24"),
            ("10.0.0.0/30", "10.244.1.0/24"),
            ("10.0.0.0/31", "10.244.1.0/24"),
        ] {
            let found = outcome(&[victim.clone(), annotated(claim)]);
            assert_eq!(found[0].1, ["10.0.0.2", "10.244.2.0/24"], "{claim}");
            assert_eq!(found[1].1, ["10.0.0.1", expected], "{claim}");
        }
    }

    #[test]
    fn a_pod_cidr_needs_an_address_of_its_family() {
        let one = facts("a", 1, &["10.0.0.1"], &["10.244.1.0/24", "fd00:244::/64"]);
        let (holdings, doubts) = settle(std::iter::once(&one));
        assert_eq!(holdings["a"].pod_cidrs.len(), 1);
        assert_eq!(doubts[0].reason, Reason::Missing);
    }

    proptest! {
        /// Whatever Nodes say of themselves, no address has two owners.
        #[test]
        fn nothing_has_two_owners(
            claims in proptest::collection::vec(
                (0u8..4, 0u32..64, 26u8..=32, any::<bool>(), any::<bool>()), 0..16),
        ) {
            let mut objects: Vec<_> =
                (0..4).map(|number| node(&format!("n{number}"), &[], &[])).collect();
            for (owner, address, length, by_annotation, is_address) in claims {
                let address = std::net::Ipv4Addr::from(0x0a00_0100 | address);
                let cidr = Prefix::truncating(address.into(), length).unwrap().to_string();
                let object = &mut objects[usize::from(owner)];
                if is_address {
                    object.status.addresses.push(crate::source::kube::object::NodeAddress {
                        kind: "InternalIP".to_owned(), address: address.to_string(),
                    });
                } else if by_annotation {
                    object.metadata.annotations.get_or_insert_default()
                        .insert("twill.dev/pod-cidr".to_owned(), cidr);
                } else {
                    object.spec.pod_cidrs.push(cidr);
                }
            }
            let nodes: Vec<NodeFacts> = objects.iter().map(parsed).collect();
            let (holdings, _) = settle(nodes.iter());
            let mut held: Vec<(&str, Prefix)> = Vec::new();
            for (name, own) in &holdings {
                let hosts = own.addresses.iter().map(|address| Prefix::host(*address));
                held.extend(own.pod_cidrs.iter().copied().chain(hosts).map(|prefix| (*name, prefix)));
            }
            for (index, (name, prefix)) in held.iter().enumerate() {
                for (other, held) in &held[index + 1..] {
                    prop_assert!(name == other || !prefix.overlaps(*held), "{prefix} {held}");
                }
            }
        }
    }
}
