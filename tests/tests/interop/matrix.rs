//! The page docs/reference/interop.md: a table of cells by partner, each filled by the test that
//! proved it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Columns, in the page's order.
pub(crate) const PARTNERS: [&str; 5] = ["FRR", "BIRD", "GoBGP", "OpenBGPD", "ExaBGP"];

/// What was asserted and held.
const YES: &str = "yes";
/// What no run has filled yet.
const UNKNOWN: &str = "?";

macro_rules! cells {
    ($($(#[doc = $proof:literal])+ $cell:ident = $title:literal,)+) => {
        /// One row of the matrix; its documentation is what a `yes` means, and stands on the page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Cell { $($(#[doc = $proof])+ $cell,)+ }

        impl Cell {
            /// In the page's order.
            pub(crate) const ALL: &[Cell] = &[$(Cell::$cell,)+];

            fn title(self) -> &'static str {
                match self { $(Cell::$cell => $title,)+ }
            }

            fn proof(self) -> &'static str {
                match self { $(Cell::$cell => concat!($($proof),+),)+ }
            }
        }
    };
}

cells! {
    /// An external session between two AS numbers above 65535 carries routes both ways; each side
    /// shows the other's number in the AS path.
    External = "eBGP, 4-octet AS numbers",
    /// An internal session in a 4-octet AS carries routes both ways, with LOCAL_PREF and an empty
    /// AS path.
    Internal = "iBGP, 4-octet AS number",
    /// The partner waits, we dial.
    WeOpen = "we open",
    /// We wait, the partner dials.
    TheyOpen = "they open",
    /// Both SYNs are on their way when the wire heals; no OPEN passes until both TCP connections
    /// had the chance to stand. One session is left, and holds: with our BGP Identifier the lower
    /// and the higher of the two.
    BothOpen = "both open at once",
    /// One session over IPv4 carries IPv4 and IPv6 routes both ways; ours are in its table, its
    /// are in our kernel by its next hops of both families.
    BothFamilies = "IPv4 and IPv6 in one session",
    /// The same password lets the session come up, another one does not.
    Password = "TCP MD5 (RFC 2385)",
    /// Both send TTL 255 and accept nothing less. The partner without it, which sends its usual
    /// TTL, does not get in.
    TtlSecurity = "GTSM (RFC 5082)",
    /// Its COMMUNITIES and LARGE_COMMUNITY are shown by us, and by another router that we pass
    /// the route on to.
    CommunitiesIn = "its communities kept and passed on",
    /// It shows what our export policy adds, beside what another router had set before us.
    CommunitiesOut = "our communities set and passed on",
    /// 500 IPv4 and 500 IPv6 prefixes come into our kernel, come again with another community, and
    /// go.
    ThousandIn = "a thousand prefixes in, changed, withdrawn",
    /// The same from us, all by reloads of our configuration that leave the session up.
    ThousandOut = "a thousand prefixes out, changed, withdrawn",
    /// `twill reset PEER --soft`: it sends its routes again, and the session stays.
    WeRefresh = "route refresh: we ask (RFC 2918)",
    /// By its own command; we send our routes again, and the session stays.
    TheyRefresh = "route refresh: it asks (RFC 2918)",
    /// Negotiated; the thousand prefixes travelled in that session, both ways.
    ExtendedMessages = "extended messages (RFC 8654)",
    /// Killed and started again, it sends all routes but one. Until then our kernel keeps all, and
    /// at its End-of-RIB the one goes; the others were never away.
    Helper = "graceful restart: it restarts, we help (RFC 4724)",
    /// Our agent is killed, and comes back with one route less. It keeps our routes until our
    /// End-of-RIB, then drops the one; it sees our restart, and our kernel keeps its routes.
    Restarting = "graceful restart: we restart, it helps (RFC 4724)",
    /// `twill peers` shows the text that its operator gave when shutting the session down.
    TheirWords = "shutdown text: theirs shown by us (RFC 9003)",
    /// It shows that we reset the session by our administrator's wish.
    OurWords = "our administrative reset shown by it (RFC 4486)",
}

/// The router across the table.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    /// One of [`PARTNERS`].
    pub(crate) name: &'static str,
    /// As it says.
    pub(crate) version: String,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Asserted.
    Yes,
    /// It cannot; in its words.
    Refused(String),
}

impl Outcome {
    /// `None` where nothing refused.
    pub(crate) fn of(refusal: Option<String>) -> Outcome {
        refusal.map_or(Outcome::Yes, Outcome::Refused)
    }

    fn text(&self) -> String {
        match self {
            Outcome::Yes => YES.to_owned(),
            Outcome::Refused(words) => {
                let words: Vec<&str> = words.split_whitespace().collect();
                format!("no: {}", words.join(" ").replace('|', "\\|"))
            }
        }
    }
}

/// Puts an outcome on the page, or holds it against the page.
pub(crate) fn record(tag: &Tag, cell: Cell, outcome: &Outcome) -> Result<()> {
    println!("{} {}: {}: {}", tag.name, tag.version, cell.title(), outcome.text());
    let column =
        PARTNERS.iter().position(|name| *name == tag.name).context("an unknown partner")?;
    if std::env::var_os("TWILL_WRITE_INTEROP").is_some() {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path())
            .context("cannot open docs/reference/interop.md")?;
        // The tests of a run are processes of their own.
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut page = Page::read(&text);
        page.versions[column].clone_from(&tag.version);
        page.rows[cell as usize][column] = outcome.text();
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(page.text().as_bytes())?;
        return Ok(());
    }
    let page = Page::read(&std::fs::read_to_string(path())?);
    let before = &page.rows[cell as usize][column];
    if page.versions[column] == tag.version && before == YES && *outcome != Outcome::Yes {
        bail!("{}: {} was a yes, now {}", tag.name, cell.title(), outcome.text());
    }
    Ok(())
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/interop.md")
}

/// The page, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    versions: [String; PARTNERS.len()],
    rows: Vec<[String; PARTNERS.len()]>,
}

impl Page {
    fn read(text: &str) -> Page {
        let unknown = || std::array::from_fn(|_| UNKNOWN.to_owned());
        let mut page = Page { versions: unknown(), rows: vec![unknown(); Cell::ALL.len()] };
        for line in text.lines() {
            let fields: Vec<&str> = line.split(" | ").collect();
            let [title, values @ ..] = fields.as_slice() else { continue };
            let title = title.trim_start_matches("| ");
            let values = values.iter().map(|value| value.trim_end_matches(" |"));
            let to = if title == HEAD {
                &mut page.versions
            } else if let Some(cell) = Cell::ALL.iter().find(|cell| cell.title() == title) {
                &mut page.rows[*cell as usize]
            } else {
                continue;
            };
            for ((to, value), name) in to.iter_mut().zip(values).zip(PARTNERS) {
                let value = if title == HEAD { value.trim_start_matches(name) } else { value };
                value.trim().clone_into(to);
            }
        }
        page
    }

    fn text(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        let heads: Vec<String> = PARTNERS
            .iter()
            .zip(&self.versions)
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let _ = writeln!(text, "| {HEAD} | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(PARTNERS.len()));
        for cell in Cell::ALL {
            let _ =
                writeln!(text, "| {} | {} |", cell.title(), self.rows[*cell as usize].join(" | "));
        }
        text += "\n## What a yes means\n\n";
        for cell in Cell::ALL {
            let _ = writeln!(text, "- **{}**:{}", cell.title(), cell.proof());
        }
        text
    }
}

const HEAD: &str = concat!("Twill ", env!("CARGO_PKG_VERSION"), " with");

const INTRODUCTION: &str = "\
# Interoperability

Written by the lab, where our agent meets real daemons in network namespaces: \
`TWILL_WRITE_INTEROP=1 cargo nextest run -p twill-tests --test interop`. \
Each yes was asserted by a test of that run, from both sides; whatever else a cell says is what \
the partner said. Without the variable the same tests hold the page to what it says.

Other versions are put in by `TWILL_FRR_BGPD`, `TWILL_BIRD`, `TWILL_GOBGPD`, `TWILL_OPENBGPD` and \
`TWILL_EXABGP`, each the path of the daemon. The same tests have passed with FRR 10.3, BIRD \
2.17.6 and 3.1.8, GoBGP 3.36.0, OpenBGPD 8.8 and ExaBGP 4.2.25, those of Debian 13.

";

#[test]
fn the_page_is_whole() -> Result<()> {
    let mut file = File::open(path())?;
    // A run that writes it may be at it.
    file.lock_shared()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let page = Page::read(&text);
    assert_eq!(page.text(), text, "written by hand? Let the lab write it");
    for cell in Cell::ALL {
        for (value, partner) in page.rows[*cell as usize].iter().zip(PARTNERS) {
            assert_ne!(value, UNKNOWN, "{partner}: {}", cell.title());
        }
    }
    Ok(())
}

#[test]
fn a_page_is_read_as_it_is_written() {
    let mut page = Page::read("");
    page.versions[1] = "2.0".to_owned();
    page.rows[3][4] = Outcome::Refused("a | b\n c".to_owned()).text();
    assert_eq!(page.rows[3][4], "no: a \\| b c");
    page.rows[0][0] = Outcome::Yes.text();
    assert_eq!(Page::read(&page.text()), page);
}
