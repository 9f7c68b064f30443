//! The rows as a page for readers: `docs/reference/faults.md`. `TWILL_WRITE_FAULTS=1 cargo test`
//! writes it anew; without that, the test checks that it is what the rows say.

use std::fmt::Write;

use super::{Row, as_path, attributes, header, multiprotocol, open, update};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/faults.md");

const HEAD: &str = "# What is answered to faulty bytes

Written by a test from the rows that it and its neighbours check, one row one test \
(`bgp/proto/src/wire/tests/faults`); `TWILL_WRITE_FAULTS=1 cargo test -p twill-bgp-proto page` \
writes it anew.

| answer | means |
|---|---|
| `reset C/S` | the session ends with a NOTIFICATION of this code and subcode (RFC 4271 section 6) |
| `accept P` | the routes are used |
| `withdraw P` | the routes are withdrawn, because the message says so or is treated as if it did |
| `refused A` | of the attribute A, why the message's routes are treated as withdrawn (RFC 7606) |
| `discarded A` | the attribute A is left out, the routes are used |
| `ignored A` | the attribute A is not looked at |
| `wait for more` | no whole message yet |

Bytes are hexadecimal. `XX*N` repeats, `l[..]` puts a length of two octets in front, `#XX[..]` a \
code and a length of one octet, `@FFTT[..]` flags and type of a path attribute and its length; \
`open[..]`, `update[..]`, `keepalive[..]`, `notification[..]` and `refresh[..]` put a header in \
front; words stand for what is right: `good` for ORIGIN, AS_PATH and NEXT_HOP together. Sessions \
have four-octet AS numbers and both families unless they say otherwise.
";

fn page() -> String {
    let sections: [(&str, &[Row]); 6] = [
        ("Message header", header::ROWS),
        ("OPEN", open::ROWS),
        ("UPDATE", update::ROWS),
        ("Attributes", attributes::ROWS),
        ("AS_PATH", as_path::ROWS),
        ("MP_REACH_NLRI and MP_UNREACH_NLRI", multiprotocol::ROWS),
    ];
    let count: usize = sections.iter().map(|(_, rows)| rows.len()).sum();
    let mut page = format!("{HEAD}\n{count} rows.\n");
    for (title, rows) in sections {
        write!(page, "\n## {title}\n\n| what | session | bytes | answer |\n|---|---|---|---|\n")
            .unwrap();
        for row in rows {
            let words = |text: &str| text.replace('_', " ");
            let (name, session) = (words(row.name), words(row.session));
            let bytes =
                if row.bytes.is_empty() { String::new() } else { format!("`{}`", row.bytes) };
            writeln!(page, "| {name} | {session} | {bytes} | `{}` |", row.answer).unwrap();
        }
    }
    page
}

#[test]
fn the_page_says_what_the_rows_say() {
    let page = page();
    if std::env::var_os("TWILL_WRITE_FAULTS").is_some() {
        std::fs::write(PATH, &page).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(written == page, "docs/reference/faults.md is old: set TWILL_WRITE_FAULTS=1 once");
}

/// The number that a reader may rely on.
#[test]
fn there_are_enough_rows() {
    assert!(page().lines().filter(|line| line.starts_with("| ")).count() > 150);
}
