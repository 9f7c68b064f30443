//! Routes of a file: MRT (RFC 6396), not compressed, or UPDATE messages as they came, one after
//! the other, with AS numbers of four octets. Paths with sets are left out.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use bgpkit_parser::BgpkitParser;
use bgpkit_parser::models::ElemType;
use bytes::BytesMut;
use twill_bgp_proto::types::{AsPath, Asn, Families, Prefix, SegmentKind};
use twill_bgp_proto::wire::{Codec, Message};

/// Longer paths are left out: with a few more in front they would need a second segment.
const PATH_MAXIMUM: usize = 200;

/// What a BGP message begins with.
const MARKER: [u8; 16] = [0xff; 16];

/// Whether more routes are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    On,
    NoFurther,
}

/// Hands over each announced route, in the order of the file.
pub(super) fn routes(file: &Path, each: impl FnMut(Prefix, Vec<Asn>) -> Result<Go>) -> Result<()> {
    let name = file.display();
    let mut reader =
        BufReader::new(File::open(file).with_context(|| format!("cannot read {name}"))?);
    let mut begin = Vec::new();
    reader.by_ref().take(MARKER.len() as u64).read_to_end(&mut begin)?;
    let messages = begin == MARKER;
    let whole = begin.as_slice().chain(reader);
    let read = if messages { of_messages(whole, each) } else { of_mrt(whole, each) };
    read.with_context(|| format!("in {name}"))
}

fn of_mrt(reader: impl Read, mut each: impl FnMut(Prefix, Vec<Asn>) -> Result<Go>) -> Result<()> {
    for element in BgpkitParser::from_reader(reader) {
        let network = element.prefix.prefix;
        let path = element.as_path.and_then(|path| path.to_u32_vec_opt(false));
        let Some(path) = path.filter(|path| path.len() < PATH_MAXIMUM) else { continue };
        if element.elem_type != ElemType::ANNOUNCE {
            continue;
        }
        let path = path.into_iter().filter_map(Asn::new).collect();
        let prefix = Prefix::truncating(network.addr(), network.prefix_len())?;
        if each(prefix, path)? == Go::NoFurther {
            break;
        }
    }
    Ok(())
}

fn of_messages(
    mut reader: impl Read,
    mut each: impl FnMut(Prefix, Vec<Asn>) -> Result<Go>,
) -> Result<()> {
    let codec =
        Codec { four_octet_asn: true, ibgp: true, families: Families::ALL, ..Codec::default() };
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    let mut bytes = BytesMut::from(&bytes[..]);
    while let Some(message) = codec.decode(&mut bytes).context("no UPDATE")? {
        let Message::Update(update) = message else { continue };
        for reach in &update.reach {
            let Some(path) = plain(&reach.attributes.as_path) else { continue };
            for prefix in &reach.prefixes {
                if each(*prefix, path.clone())? == Go::NoFurther {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A path that is one sequence, or empty.
fn plain(path: &AsPath) -> Option<Vec<Asn>> {
    match &*path.segments {
        [] => Some(Vec::new()),
        [only] if only.kind == SegmentKind::Sequence && only.asns.len() < PATH_MAXIMUM => {
            Some(only.asns.to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use twill_bgp_proto::types::{Attributes, NextHop, Segment};

    use super::*;

    const ASNS: [u32; 3] = [65001, 200_000, 7];

    fn codec() -> Codec {
        Codec { four_octet_asn: true, ibgp: true, families: Families::ALL, ..Codec::default() }
    }

    fn path() -> Vec<Asn> {
        ASNS.into_iter().filter_map(Asn::new).collect()
    }

    /// An UPDATE with a plain path, and one with a set.
    fn updates() -> [BytesMut; 2] {
        let plain = AsPath::sequence(path());
        let set = Segment { kind: SegmentKind::Set, asns: path().into() };
        [plain, AsPath { segments: Box::new([set]) }].map(|as_path| {
            let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
            let attributes =
                Attributes { as_path, local_pref: Some(100), ..Attributes::originated(next_hop) };
            let prefixes = [prefix(0), prefix(1)];
            let mut out = BytesMut::new();
            codec().encode_updates(&attributes, prefixes, &mut out).unwrap();
            out
        })
    }

    fn prefix(third: u8) -> Prefix {
        Prefix::new(IpAddr::from([198, 51, third, 0]), 24).unwrap()
    }

    /// BGP4MP_MESSAGE_AS4, RFC 6396 section 4.4.3.
    fn record(message: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(65001_u32.to_be_bytes());
        body.extend(64512_u32.to_be_bytes());
        body.extend([0, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 1]);
        body.extend(message);
        let mut record = vec![0, 0, 0, 1, 0, 16, 0, 4];
        record.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        record
    }

    fn read(name: &str, bytes: &[u8], limit: usize) -> Vec<(Prefix, Vec<Asn>)> {
        let file = std::env::temp_dir().join(format!("twill-routes-{}-{name}", std::process::id()));
        std::fs::write(&file, bytes).unwrap();
        let mut found = Vec::new();
        let result = routes(&file, |prefix, path| {
            found.push((prefix, path));
            Ok(if found.len() < limit { Go::On } else { Go::NoFurther })
        });
        std::fs::remove_file(&file).unwrap();
        result.unwrap();
        found
    }

    #[test]
    fn both_forms_give_the_routes_without_sets() {
        let expected = vec![(prefix(0), path()), (prefix(1), path())];
        let messages = updates().concat();
        assert_eq!(read("messages", &messages, 9), expected);
        assert_eq!(read("messages", &messages, 1), expected[..1]);
        let records = updates().map(|update| record(&update)).concat();
        assert_eq!(read("records", &records, 9), expected);
        assert_eq!(read("records", &records, 1), expected[..1]);
    }
}
