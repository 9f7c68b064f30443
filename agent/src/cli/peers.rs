//! `twill peers [NAME]`.

use std::time::SystemTime;

use super::output::{Format, Paint, Screen, View, clean, read, wrap};
use super::table::{Cell, Table, number, painted, text};
use super::{Exit, client, human};
use crate::control::api::{
    Ended, MessageCounts, Negotiated, Peer, PeerDetail, PeerKind, Reason, State,
};

/// Arguments of `twill peers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this peer, with everything that is known of it.
    name: Option<String>,
    #[command(flatten)]
    view: View,
    #[command(flatten)]
    agent: client::Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    let Args { name, view, agent } = args;
    let Some(name) = name else {
        return read(
            agent,
            view,
            "/v1/peers",
            |peers: &Vec<Peer>, screen| list(peers, screen),
            |_| Exit::Yes,
        );
    };
    let uri = format!("/v1/peers/{}", client::escape(name));
    if matches!(view.output, Format::Json | Format::Yaml) {
        // A list, as without a name: a script reads both alike.
        return read(agent, view, &uri, |_: &One, _| String::new(), |_| Exit::Yes);
    }
    read(
        agent,
        view,
        &uri,
        |peer: &Peer, screen| detail(peer, screen, SystemTime::now()),
        |_| Exit::Yes,
    )
}

/// One peer, written as a list of one.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
#[serde(from = "Peer")]
struct One([Peer; 1]);

impl From<Peer> for One {
    fn from(peer: Peer) -> One {
        One([peer])
    }
}

fn state(state: State) -> Cell {
    let (sign, paint) = sign(state);
    painted(&format!("{sign} {state:?}"), paint)
}

fn sign(state: State) -> (char, Paint) {
    match state {
        State::Established => ('✓', Paint::Good),
        State::Idle | State::Connect | State::Active => ('✗', Paint::Bad),
        State::OpenSent | State::OpenConfirm => ('~', Paint::Doubtful),
    }
}

pub(super) fn list(peers: &[Peer], screen: &Screen) -> String {
    if peers.is_empty() {
        return "No peer is configured.\n".to_owned();
    }
    let mut table = Table::new([
        text("NAME").cut(8),
        text("ADDRESS").cut(15).rank(3),
        number("AS").rank(4),
        text("KIND").wide(),
        text("FAMILIES").wide(),
        text("STATE"),
        text("UP").rank(5),
        number("RCVD"),
        number("REFUSED").rank(2),
        number("STALE").rank(1),
        number("SENT"),
        number("FLAPS").wide(),
        text("WHY DOWN").cut(12),
    ]);
    for peer in peers {
        table.row([
            (&peer.name).into(),
            peer.address.into(),
            peer.asn.into(),
            kind(peer).into(),
            peer.families.join(",").into(),
            state(peer.state),
            human::optional(peer.uptime_seconds.map(human::duration)).into(),
            match peer.near_limit {
                Some(limit) => {
                    painted(&format!("{}/{limit}", peer.prefixes_received), Paint::Doubtful)
                }
                None => peer.prefixes_received.into(),
            },
            counted(peer.prefixes_rejected),
            counted(peer.prefixes_stale),
            peer.prefixes_advertised.into(),
            peer.flaps.into(),
            peer.down_because.as_deref().unwrap_or_default().into(),
        ]);
    }
    table.render(screen)
}

fn kind(peer: &Peer) -> &'static str {
    match (peer.kind, peer.ibgp) {
        (PeerKind::Mesh, true) => "mesh",
        (PeerKind::Mesh, false) => "mesh, eBGP",
        (PeerKind::External, true) => "outside, iBGP",
        (PeerKind::External, false) => "outside",
    }
}

/// A number that is only worth a place where it is not 0.
fn counted(count: u64) -> Cell {
    if count == 0 { Cell::default() } else { painted(&count.to_string(), Paint::Doubtful) }
}

pub(super) fn detail(peer: &Peer, screen: &Screen, now: SystemTime) -> String {
    let (sign, paint) = sign(peer.state);
    let up = peer.uptime_seconds.map(|up| format!(" for {}", human::duration(up)));
    let mut sheet = Sheet { out: String::new(), screen };
    sheet.out.push_str(&format!(
        "{}  {}{}\n",
        Paint::Title.on(&clean(&peer.name), screen),
        paint.on(&format!("{sign} {:?}", peer.state), screen),
        up.unwrap_or_default()
    ));
    sheet.line("address", &format!("{}, AS {}, {}", peer.address, peer.asn, kind(peer)));
    if let Some(why) = &peer.down_because {
        sheet.line("why down", why);
    }
    if let Some(error) = &peer.last_error {
        let when = peer.last_error_at.as_ref().map(|at| format!(" ({})", human::ago(at, now)));
        sheet.line("last error", &format!("{error}{}", when.unwrap_or_default()));
    }
    sheet.line("flaps", &human::count(peer.flaps as usize, "time", "times"));
    if let Some(detail) = &peer.detail {
        connection(&mut sheet, detail);
        if let Some(agreed) = &detail.negotiated {
            negotiated(&mut sheet, agreed);
        }
        sheet.title("Prefixes");
        sheet.out.push_str(&prefixes(detail).render(screen));
        reasons(&mut sheet, &peer.reasons, now);
        sheet.title("Messages");
        sheet.out.push_str(&messages(detail).render(screen));
    }
    sheet.out
}

/// Names and values, one pair on each line.
struct Sheet<'a> {
    out: String,
    screen: &'a Screen,
}

impl Sheet<'_> {
    fn line(&mut self, name: &str, value: &str) {
        let name = Paint::Dim.on(&format!("{name:<13}"), self.screen);
        self.out.push_str(&format!("  {name} {}\n", wrap(value, self.screen.width, 16)));
    }

    fn title(&mut self, title: &str) {
        self.out.push_str(&format!("\n{}\n", Paint::Title.on(title, self.screen)));
    }
}

fn connection(sheet: &mut Sheet<'_>, detail: &PeerDetail) {
    sheet.title("Session");
    let who = if detail.dynamic {
        "it dialled and is a peer for as long as its session"
    } else if detail.passive {
        "it dials, we wait"
    } else {
        "we dial, and accept as well"
    };
    sheet.line("connecting", &format!("port {}, {who}", detail.port));
    if detail.addresses.len() > 1 {
        let addresses: Vec<String> = detail.addresses.iter().map(ToString::to_string).collect();
        sheet.line("known at", &addresses.join(", "));
    }
    if let Some(asn) = detail.local_asn {
        sheet.line("our AS", &format!("{asn} towards it"));
    }
    if let Some(role) = &detail.role {
        sheet.line("our role", role);
    }
    let password = if detail.password { "TCP MD5" } else { "no password" };
    sheet.line("guard", &format!("{}; {password}", detail.ttl));
    if let Some(limit) = detail.max_prefixes {
        let warning = detail.max_prefixes_warning.map(|at| format!("; told from {at} on"));
        let restart = match detail.max_prefixes_restart_seconds {
            Some(seconds) => format!("tried again {} after more", human::duration(seconds)),
            None => "down after more until it is reset".to_owned(),
        };
        let warning = warning.unwrap_or_default();
        sheet.line("limit", &format!("{limit} prefixes, each family{warning}; {restart}"));
    }
    if let (Some(local), Some(remote)) = (detail.local, detail.remote) {
        sheet.line("connection", &format!("{local} to {remote}"));
    }
    if detail.negotiated.is_none() {
        sheet.line(
            "timers",
            &format!(
                "hold time {} proposed, {} between attempts at first",
                hold_time(detail.hold_time_seconds),
                human::duration(detail.connect_retry_seconds)
            ),
        );
    }
}

fn hold_time(seconds: u16) -> String {
    if seconds == 0 { "none".to_owned() } else { format!("{seconds}s") }
}

fn negotiated(sheet: &mut Sheet<'_>, agreed: &Negotiated) {
    let dialled = if agreed.direction == "outgoing" { "we dialled" } else { "it dialled" };
    sheet.line("router id", &format!("{} ({dialled})", agreed.router_id));
    let timers = match agreed.hold_time_seconds {
        0 => "none: no keepalives are sent or expected".to_owned(),
        seconds => format!("hold time {seconds}s, keepalive every {}s", agreed.keepalive_seconds),
    };
    sheet.line("timers", &timers);
    sheet.line("in use", &agreed.in_use.join(", "));
    sheet.line("it offered", &agreed.capabilities.join(", "));
    if !agreed.refused.is_empty() {
        sheet.line("it refused", &format!("{}; left out since", agreed.refused.join(", ")));
    }
    let end = if agreed.end_of_rib.is_empty() {
        "not yet".to_owned()
    } else {
        agreed.end_of_rib.join(", ")
    };
    sheet.line("End-of-RIB", &end);
}

/// What came to an end, the newest first.
fn reasons(sheet: &mut Sheet<'_>, reasons: &[Reason], now: SystemTime) {
    if reasons.is_empty() {
        return;
    }
    sheet.title("What came to an end");
    for Reason { what, error, since, at, times } in reasons {
        let what = match what {
            Ended::Lost => "session",
            Ended::Attempt => "attempt",
        };
        let when = match times {
            0 | 1 => human::ago(at, now),
            times => {
                format!("{times} times, {} to {}", human::ago(since, now), human::ago(at, now))
            }
        };
        sheet.line(what, &format!("{error} ({when})"));
    }
}

fn prefixes(detail: &PeerDetail) -> Table<6> {
    let mut table = Table::new([
        text("  FAMILY"),
        number("RECEIVED"),
        number("ACCEPTED"),
        number("REFUSED"),
        number("STALE"),
        number("SENT"),
    ]);
    for of in &detail.by_family {
        table.row([
            format!("  {}", of.family).into(),
            of.received.into(),
            of.accepted.into(),
            of.rejected.into(),
            of.stale.into(),
            of.advertised.into(),
        ]);
    }
    table
}

fn messages(detail: &PeerDetail) -> Table<6> {
    let mut table = Table::new([
        text("  DIRECTION"),
        number("OPEN"),
        number("UPDATE"),
        number("NOTIFICATION"),
        number("KEEPALIVE"),
        number("REFRESH"),
    ]);
    for (direction, counts) in
        [("received", detail.messages_received), ("sent", detail.messages_sent)]
    {
        let MessageCounts { open, update, notification, keepalive, route_refresh } = counts;
        table.row([
            format!("  {direction}").into(),
            open.into(),
            update.into(),
            notification.into(),
            keepalive.into(),
            route_refresh.into(),
        ]);
    }
    table
}
