//! What the fuzz targets do with their input, and what must hold then. The targets themselves are
//! one line each, so that a plain test can run the seeds through the same functions.

use bytes::BytesMut;
use twill_bgp_proto::types::{Families, Family, Prefix};
use twill_bgp_proto::wire::{Codec, Message, MessageError, Update};

mod session;

pub use session::session;

/// The session that `octet` stands for (see README.md).
fn codec(octet: u8) -> Codec {
    let bit = |at: u8| octet & 1 << at != 0;
    let mut families = Families::ALL;
    if bit(4) {
        families = families.without(Family::Ipv4Unicast);
    }
    if bit(5) {
        families = families.without(Family::Ipv6Unicast);
    }
    Codec {
        four_octet_asn: bit(0),
        ibgp: bit(1),
        extended_message: bit(2),
        families,
        extended_next_hop: bit(3),
    }
}

/// One octet of session, then a stream of any octets.
pub fn frame(input: &[u8]) {
    let Some((session, stream)) = input.split_first() else { return };
    let codec = codec(*session);
    let mut whole = BytesMut::from(stream);
    let at_once = drain(&codec, &mut whole);

    let (front, back) = stream.split_at(stream.len() / 2);
    let mut buffer = BytesMut::from(front);
    let in_two = drain(&codec, &mut buffer).and_then(|mut messages| {
        buffer.extend_from_slice(back);
        messages.extend(drain(&codec, &mut buffer)?);
        Ok(messages)
    });
    assert_eq!(at_once, in_two);
    match at_once {
        Ok(messages) => messages.iter().for_each(|message| check_reread(&codec, message)),
        Err(error) => check_told(&error),
    }
}

/// The body of an OPEN.
pub fn open(body: &[u8]) {
    let Some(mut message) = framed(1, body) else { return };
    let codec = Codec::default();
    match codec.decode(&mut message) {
        Ok(Some(message)) => {
            let Message::Open(open) = &message else { panic!("not an OPEN: {message:?}") };
            assert!(open.asn().is_some());
            check_reread(&codec, &message);
        }
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => check_told(&error),
    }
}

/// The body of a NOTIFICATION: whatever it holds can be shown.
pub fn notification(body: &[u8]) {
    match alone(3, body) {
        Some(Message::Notification(notification)) => {
            assert!(!notification.to_string().is_empty());
        }
        Some(other) => panic!("not a NOTIFICATION: {other:?}"),
        None => {}
    }
}

/// The body of a KEEPALIVE, which has none.
pub fn keepalive(body: &[u8]) {
    match alone(4, body) {
        Some(Message::Keepalive) => assert!(body.is_empty()),
        Some(other) => panic!("not a KEEPALIVE: {other:?}"),
        None => assert!(!body.is_empty()),
    }
}

/// The body of a ROUTE-REFRESH.
pub fn refresh(body: &[u8]) {
    match alone(5, body) {
        None | Some(Message::RouteRefresh(_)) => {}
        Some(other) => panic!("not a ROUTE-REFRESH: {other:?}"),
    }
}

/// A message of the type `kind` around `body`; `None` where it is refused, or too long.
fn alone(kind: u8, body: &[u8]) -> Option<Message> {
    let codec = Codec::default();
    let mut message = framed(kind, body)?;
    match codec.decode(&mut message) {
        Ok(Some(message)) => {
            check_reread(&codec, &message);
            Some(message)
        }
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => {
            check_told(&error);
            None
        }
    }
}

/// One octet of session, then path attributes, which are put before the prefix 10.1.0.0/24:
/// unless the session is reset, the prefix is announced or withdrawn, and never passed over.
pub fn attributes(input: &[u8]) {
    let Some((session, attributes)) = input.split_first() else { return };
    let codec = codec(*session);
    let Ok(length) = u16::try_from(attributes.len()) else { return };
    let body = [&[0, 0], &length.to_be_bytes()[..], attributes, &[24, 10, 1, 0]].concat();
    let Some(mut message) = framed(2, &body) else { return };
    match codec.decode(&mut message) {
        Ok(Some(message)) => {
            let Message::Update(update) = &message else { panic!("not an UPDATE: {message:?}") };
            let prefix: Prefix = "10.1.0.0/24".parse().expect("a prefix");
            let announced = update.reach.iter().any(|reach| reach.prefixes.contains(&prefix));
            let told = announced || update.withdrawn.contains(&prefix);
            assert_eq!(told, codec.families.contains(Family::Ipv4Unicast), "{update:?}");
            check_reread(&codec, &message);
        }
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => check_told(&error),
    }
}

/// One octet of session, then the body of an UPDATE.
pub fn update(input: &[u8]) {
    let Some((session, body)) = input.split_first() else { return };
    let codec = codec(*session);
    let Some(mut message) = framed(2, body) else { return };
    match codec.decode(&mut message) {
        Ok(Some(message)) => check_reread(&codec, &message),
        Ok(None) => panic!("a whole message was not taken"),
        Err(error) => check_told(&error),
    }
}

/// A message of the type `kind` around `body`; `None` where it would be too long.
fn framed(kind: u8, body: &[u8]) -> Option<BytesMut> {
    let length = u16::try_from(body.len() + 19).ok()?;
    let mut message = BytesMut::with_capacity(usize::from(length));
    message.extend_from_slice(&[0xFF; 16]);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&[kind]);
    message.extend_from_slice(body);
    Some(message)
}

/// Every message at the front of `buffer`.
fn drain(codec: &Codec, buffer: &mut BytesMut) -> Result<Vec<Message>, MessageError> {
    let mut messages = Vec::new();
    while let Some(message) = codec.decode(buffer)? {
        messages.push(message);
    }
    Ok(messages)
}

/// What the peer is told about a fault must itself be no fault.
fn check_told(error: &MessageError) {
    let told = Message::Notification(error.notification.clone());
    let mut out = BytesMut::new();
    Codec::default().encode(&told, &mut out);
    assert_eq!(Codec::default().decode(&mut out), Ok(Some(told)));
    assert!(!error.notification.to_string().is_empty());
}

/// A message written anew must read the same.
fn check_reread(codec: &Codec, message: &Message) {
    let Message::Update(update) = message else {
        let mut out = BytesMut::new();
        codec.encode(message, &mut out);
        assert_eq!(codec.decode(&mut out), Ok(Some(message.clone())));
        return;
    };
    // Internal peers are always sent a local preference: one that came without has gained it,
    // so that it is the second writing that must be as the first.
    let Some(first) = rewritten(codec, update) else { return };
    let Some(second) = rewritten(codec, &first) else { return };
    assert_eq!(first, second);
    assert_eq!(first.withdrawn, update.withdrawn);
    assert_eq!(first.reach.len(), update.reach.len());
    for (read, wanted) in first.reach.iter().zip(&update.reach) {
        assert_eq!(read.prefixes, wanted.prefixes);
        assert_eq!(read.attributes.as_path, wanted.attributes.as_path);
        assert_eq!(read.attributes.next_hop, wanted.attributes.next_hop);
        assert_eq!(read.attributes.communities, wanted.attributes.communities);
    }
}

/// Written and read again; `None` where the attributes, put right, have become too long to send.
fn rewritten(codec: &Codec, update: &Update) -> Option<Update> {
    let mut out = BytesMut::new();
    codec.encode_withdrawals(update.withdrawn.iter().copied(), &mut out);
    let mut read = Update::default();
    for reach in &update.reach {
        codec.encode_updates(&reach.attributes, reach.prefixes.iter().copied(), &mut out).ok()?;
    }
    for message in drain(codec, &mut out).expect("what we write is valid") {
        let Message::Update(part) = message else { panic!("not an UPDATE: {message:?}") };
        assert!(part.faults.is_empty(), "{:?}", part.faults);
        read.withdrawn.extend(part.withdrawn);
        for reach in part.reach {
            match read.reach.last_mut() {
                // More messages than one for the same route.
                Some(last)
                    if last.attributes == reach.attributes
                        && last.prefixes.first().map(|p| p.family())
                            == reach.prefixes.first().map(|p| p.family()) =>
                {
                    last.prefixes.extend(reach.prefixes);
                }
                _ => read.reach.push(reach),
            }
        }
    }
    Some(read)
}
