//! What a peer has refused of our OPEN, and is not offered again (RFC 5492 sections 3 and 5).
//!
//! A speaker that knows no capabilities answers Unsupported Optional Parameter (2/4): all are
//! dropped. One that dislikes some answers Unsupported Capability (2/7) and lists them: those of
//! the list that we had offered are dropped; the rest of the list is what it wants from us and
//! cannot have. Nothing is dropped that the session could not do without.

use super::SessionConfig;
use super::negotiation::families_of;
use crate::types::Family;
use crate::wire::{Capability, Notification, Open};

/// The capabilities that a peer refused.
#[derive(Debug, Default)]
pub(super) struct Refused(Vec<Capability>);

impl Refused {
    /// As they were offered.
    pub(super) fn capabilities(&self) -> &[Capability] {
        &self.0
    }

    /// Whether `capability` is of a kind that was refused.
    pub(super) fn covers(&self, capability: &Capability) -> bool {
        self.0.iter().any(|refused| Kind::of(refused) == Kind::of(capability))
    }

    /// Learns from a NOTIFICATION that answered what we `sent`; whether the next OPEN will differ.
    pub(super) fn learn(
        &mut self,
        config: &SessionConfig,
        sent: &Open,
        notification: &Notification,
    ) -> bool {
        let named = match (notification.code, notification.subcode) {
            (2, 4) => Vec::new(),
            (2, 7) => parse(&notification.data),
            _ => return false,
        };
        let mut left = sent.clone();
        let mut dropped = Vec::new();
        left.capabilities.retain(|capability| {
            let kind = Kind::of(capability);
            let keep = !(named.is_empty() || named.contains(&kind)) || needed(config, capability);
            if !keep {
                dropped.push(capability.clone());
            }
            keep
        });
        if dropped.is_empty() || families_of(&left).and(config.families).is_empty() {
            return false;
        }
        self.0.append(&mut dropped);
        true
    }
}

/// An AS that does not fit into two octets cannot be spoken for without the capability, and a
/// role that is required must be said.
fn needed(config: &SessionConfig, capability: &Capability) -> bool {
    match capability {
        Capability::FourOctetAsn(_) => u16::try_from(config.local_asn.get()).is_err(),
        Capability::Role(_) => config.role.is_some_and(|offer| offer.required),
        _ => false,
    }
}

/// What tells capabilities apart; multiprotocol ones by their family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Family(Family),
    Code(u8),
}

impl Kind {
    fn of(capability: &Capability) -> Kind {
        match capability {
            Capability::Multiprotocol(family) => Kind::Family(*family),
            other => Kind::Code(other.code()),
        }
    }
}

/// Reads code, length and value triples as far as they are whole.
fn parse(mut data: &[u8]) -> Vec<Kind> {
    let mut kinds = Vec::new();
    while let [code, length, rest @ ..] = data {
        let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
        kinds.push(match (code, value) {
            (1, [high, low, _, safi]) => {
                match Family::from_afi_safi(u16::from_be_bytes([*high, *low]), *safi) {
                    Some(family) => Kind::Family(family),
                    None => Kind::Code(1),
                }
            }
            _ => Kind::Code(*code),
        });
        data = rest;
    }
    kinds
}
