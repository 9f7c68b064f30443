use bytes::{Buf, BytesMut};

use super::error::MessageError;
use super::frame::{self, Header, Kind};
use super::message::Message;
use super::notification::Notification;
use super::open::Open;
use super::refresh::RouteRefresh;
use super::update::{self, Update};
use crate::types::{Families, Family};

/// What a session has agreed on, as far as bytes depend on it. Starts at the defaults of a
/// session that is not yet open, and is replaced when the OPENs are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Codec {
    /// AS numbers in AS_PATH and AGGREGATOR take four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Both sides are of one AS: LOCAL_PREF, ORIGINATOR_ID and CLUSTER_LIST are valid.
    pub ibgp: bool,
    /// Up to 65,535 octets (RFC 8654) instead of 4,096.
    pub extended_message: bool,
    /// Families that both sides carry; NLRI of others is ignored.
    pub families: Families,
    /// Families whose NLRI may have an IPv6 next hop although it is IPv4 (RFC 8950).
    pub extended_next_hop: bool,
}

impl Default for Codec {
    fn default() -> Codec {
        Codec {
            four_octet_asn: false,
            ibgp: false,
            extended_message: false,
            families: Families::NONE.with(Family::Ipv4Unicast),
            extended_next_hop: false,
        }
    }
}

impl Codec {
    /// The longest message of the session, in octets.
    pub const fn max_message_len(&self) -> usize {
        if self.extended_message { frame::EXTENDED_MAXIMUM } else { frame::MAXIMUM }
    }

    /// Takes one whole message off the front of `buffer`; `None` where more octets are needed.
    ///
    /// # Errors
    ///
    /// The session must end with the error's NOTIFICATION; `buffer` is then of no more use.
    pub fn decode(&self, buffer: &mut BytesMut) -> Result<Option<Message>, MessageError> {
        let Some(header) = Header::peek(buffer, self.max_message_len())? else { return Ok(None) };
        let Some(message) = buffer.get(..header.length) else {
            return Ok(None);
        };
        let message = self.decode_whole(header.kind, message)?;
        buffer.advance(header.length);
        Ok(Some(message))
    }

    fn decode_whole(&self, kind: Kind, message: &[u8]) -> Result<Message, MessageError> {
        let body = message.get(frame::HEADER..).unwrap_or_default();
        Ok(match kind {
            Kind::Open => Message::Open(Open::decode(body)?),
            Kind::Update => Message::Update(update::decode(self, body)?),
            Kind::Notification => Message::Notification(Notification::decode(body)?),
            Kind::Keepalive => Message::Keepalive,
            Kind::RouteRefresh => Message::RouteRefresh(RouteRefresh::decode(message)?),
        })
    }

    /// Appends `message` to `out`, always in valid form. An [`Update`] may take several messages;
    /// of its routes, those that this session cannot carry are withdrawn instead (use
    /// [`Codec::encode_updates`] to learn which).
    pub fn encode(&self, message: &Message, out: &mut BytesMut) {
        let kind = match message {
            Message::Open(_) => Kind::Open,
            Message::Update(update) => return self.encode_update(update, out),
            Message::Notification(_) => Kind::Notification,
            Message::Keepalive => Kind::Keepalive,
            Message::RouteRefresh(_) => Kind::RouteRefresh,
        };
        let start = frame::begin(kind, out);
        match message {
            Message::Open(open) => open.encode(out),
            Message::Notification(notification) => notification.encode(out),
            Message::RouteRefresh(refresh) => refresh.encode(out),
            Message::Update(_) | Message::Keepalive => {}
        }
        frame::finish(start, out);
    }

    fn encode_update(&self, update: &Update, out: &mut BytesMut) {
        self.encode_withdrawals(update.withdrawn.iter().copied(), out);
        for reach in &update.reach {
            // Refused routes were withdrawn, which is all that can be said in this session.
            let _refused =
                self.encode_updates(&reach.attributes, reach.prefixes.iter().copied(), out);
        }
        if let Some(family) = update.end_of_rib {
            self.encode_end_of_rib(family, out);
        }
    }
}
