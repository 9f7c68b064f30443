//! Messages written down for people.
//!
//! | notation | octets |
//! |---|---|
//! | `0a01 ff` | as they stand |
//! | `ff*16` | sixteen times ff |
//! | `update[..]`, `open[..]`, `keepalive[..]`, `notification[..]`, `refresh[..]` | a header, then what stands within |
//! | `l[..]` | a length of two octets, then what stands within |
//! | `@4001[..]` | an attribute: flags, code, length (two octets where the flags say so), value |
//! | `#41[..]` | a capability or a parameter: code, length, value |
//! | a word of [`WORDS`] | what it stands for |

/// Valid parts, so that a row shows only what is wrong.
const WORDS: &[(&str, &str)] = &[
    // Attributes of a session with four-octet AS numbers.
    ("origin", "@4001[00]"),
    ("path", "@4002[02 01 0000fde9]"),
    ("path2", "@4002[02 01 fde9]"),
    ("hop", "@4003[c0000201]"),
    ("pref", "@4005[00000064]"),
    ("good", "origin path hop"),
    ("good2", "origin path2 hop"),
    // Prefixes.
    ("10.1.0.0/24", "18 0a0100"),
    ("10.2.0.0/16", "10 0a02"),
    ("fd00:1::/48", "30 fd0000010000"),
    ("fd00:2::/32", "20 fd000002"),
    // AFI and SAFI.
    ("ipv4", "0001 01"),
    ("ipv6", "0002 01"),
    ("vpnv4", "0001 80"),
    // Next hops with their length, and the reserved octet behind.
    ("via4", "04 c0000201 00"),
    ("via6", "10 fd00*1 00*13 01 00"),
    // Fixed parts of an OPEN: version 4, AS 65001, hold time 90 s, 192.0.2.1.
    ("hello", "04 fde9 005a c0000201"),
];

/// The octets that `text` stands for.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let spaced = text.replace('[', "[ ").replace(']', " ]");
    let mut tokens = spaced.split_whitespace();
    let octets = sequence(&mut tokens);
    assert_eq!(tokens.next(), None, "a bracket is closed that was not opened: {text}");
    octets
}

/// Up to the bracket that closes, or the end.
fn sequence<'a>(tokens: &mut impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut octets = Vec::new();
    while let Some(token) = tokens.next().filter(|token| *token != "]") {
        if let Some(kind) = token.strip_suffix('[') {
            let inner = sequence(tokens);
            octets.extend(enclosed(kind, &inner));
        } else if let Some((_, meaning)) = WORDS.iter().find(|(word, _)| *word == token) {
            octets.extend(bytes(meaning));
        } else if let Some((unit, times)) = token.split_once('*') {
            octets.extend(hex(unit).repeat(times.parse().unwrap()));
        } else {
            octets.extend(hex(token));
        }
    }
    octets
}

fn enclosed(kind: &str, inner: &[u8]) -> Vec<u8> {
    let wide = u16::try_from(inner.len()).unwrap().to_be_bytes();
    let narrow = || u8::try_from(inner.len()).unwrap();
    let message = |code: u8| {
        let length = u16::try_from(inner.len() + 19).unwrap().to_be_bytes();
        [&[0xFF; 16], &length[..], &[code], inner].concat()
    };
    match kind {
        "open" => message(1),
        "update" => message(2),
        "notification" => message(3),
        "keepalive" => message(4),
        "refresh" => message(5),
        "l" => [&wide, inner].concat(),
        _ => match (kind.strip_prefix('@').map(hex), kind.strip_prefix('#').map(hex)) {
            (Some(head), _) if head[0] & 0x10 != 0 => [&head, &wide[..], inner].concat(),
            (Some(head), _) | (_, Some(head)) => [&head, &[narrow()][..], inner].concat(),
            _ => panic!("unknown notation: {kind}["),
        },
    }
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "odd number of digits: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect(digits))
        .collect()
}
