//! The looking glass: peers, routes and kernel routes of this node on one page, made here, with
//! no script and nothing from outside. Whatever came from a peer is escaped.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use twill_bgp::RouteQuery;

use super::answer::Failure;
use super::reading::{self, Reading};
use super::{Shared, api, view};
use crate::cli::human;

/// The most routes on the page.
const ROUTES: usize = 1000;

const STYLE: &str = "
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;
color:#1c2733;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;border-bottom:2px solid #ccd4dc}
th,td{padding:.25rem .75rem .25rem 0;vertical-align:top}
tr+tr td{border-top:1px solid #e6eaee}
.good{color:#17693a}.bad{color:#a61b1b}.dim{color:#66737f}
input{font:inherit;padding:.2rem .5rem;width:20rem}button{font:inherit;padding:.2rem .75rem}
@media(prefers-color-scheme:dark){body{color:#dfe6ec;background:#14191e}
th{border-color:#3a4550}tr+tr td{border-color:#252d35}
.good{color:#6fd08c}.bad{color:#ff8f87}.dim{color:#8a97a3}}";

/// What may be asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// An address or a prefix.
    q: Option<String>,
}

pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failure> {
    let q = asked.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    let status = shared.status().await?;
    let speaker = &shared.backend.speaker;
    let (query, complaint) = match reading::routes(q, twill_bgp::RouteSelection::Best, None) {
        Ok(Reading::Routes(query)) => (query, None),
        Ok(_) => (RouteQuery::default(), None),
        Err(failure) => (RouteQuery::default(), Some(failure.refusal.error)),
    };
    let peers = speaker.peers().await?;
    let routes = speaker.routes(query).await?;
    let snapshot = shared.backend.snapshot();
    let now = std::time::SystemTime::now();
    let peers: Vec<api::Peer> = peers.iter().map(|peer| view::peer(peer, &snapshot, now)).collect();
    let shown: Vec<api::Route> = routes.iter().take(ROUTES).map(view::route).collect();
    let mut html = String::new();
    let parts = Parts {
        status: &status,
        peers: &peers,
        routes: &shown,
        more: routes.len().saturating_sub(shown.len()),
        fib: &view::fib(&shared.backend.fib()),
        q: q.unwrap_or_default(),
        complaint: complaint.as_deref(),
    };
    write(&mut html, &parts).map_err(|error| Failure::internal(error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, html).into_response())
}

/// What stands on the page.
pub(super) struct Parts<'a> {
    pub(super) status: &'a api::Status,
    pub(super) peers: &'a [api::Peer],
    pub(super) routes: &'a [api::Route],
    pub(super) more: usize,
    pub(super) fib: &'a api::Fib,
    pub(super) q: &'a str,
    pub(super) complaint: Option<&'a str>,
}

pub(super) fn write(out: &mut String, parts: &Parts<'_>) -> std::fmt::Result {
    let status = parts.status;
    let (class, health) =
        if status.healthy { ("good", "✓ healthy") } else { ("bad", "✗ not healthy") };
    write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content='width=device-width'><title>Twill on {node}</title>\
         <style>{STYLE}</style><h1>{node} <span class={class}>{health}</span></h1>\
         <p>AS {asn}, router id {id}, version {version}, up {up}; {established} of {configured} \
         sessions up; {installed} of {expected} routes installed.</p>",
        node = escape(&status.node),
        asn = status.asn,
        id = status.router_id,
        version = escape(&status.version),
        up = human::duration(status.uptime_seconds),
        established = status.peers.established,
        configured = status.peers.configured,
        installed = status.routes.installed,
        expected = status.routes.expected,
    )?;
    if !status.sessions_down.is_empty() {
        out.push_str("<h2>Sessions down</h2><ul>");
        for session in &status.sessions_down {
            write!(out, "<li>{}</li>", escape(session))?;
        }
        out.push_str("</ul>");
    }
    if !status.problems.is_empty() {
        out.push_str("<ul class=bad>");
        for problem in &status.problems {
            write!(out, "<li>{}</li>", escape(problem))?;
        }
        out.push_str("</ul>");
    }
    peers(out, parts.peers)?;
    routes(out, parts)?;
    fib(out, parts.fib)?;
    out.push_str("</html>\n");
    Ok(())
}

fn peers(out: &mut String, peers: &[api::Peer]) -> std::fmt::Result {
    head(out, "Peers", &["Name", "Address", "AS", "State", "Up", "Received", "Accepted", "Sent"])?;
    for peer in peers {
        let up = peer.state == api::State::Established;
        let state = format!("{} {:?}", if up { "✓" } else { "✗" }, peer.state);
        write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td class={}>{state}<td>{}<td>{}<td>{}<td>{}",
            escape(&peer.name),
            peer.address,
            peer.asn,
            if up { "good" } else { "bad" },
            peer.uptime_seconds.map(human::duration).unwrap_or_default(),
            peer.prefixes_received,
            peer.prefixes_accepted,
            peer.prefixes_advertised,
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn routes(out: &mut String, parts: &Parts<'_>) -> std::fmt::Result {
    write!(
        out,
        "<h2>Routes</h2><form><input name=q value='{}' placeholder='address or prefix' \
         aria-label='address or prefix'> <button>Look up</button></form>",
        escape(parts.q)
    )?;
    if let Some(complaint) = parts.complaint {
        return write!(out, "<p class=bad>{}</p>", escape(complaint));
    }
    if parts.routes.is_empty() {
        out.push_str("<p class=dim>No route.</p>");
        return Ok(());
    }
    head(out, "", &["Prefix", "Next hop", "From", "AS path", "Preference", "MED", "Communities"])?;
    for route in parts.routes {
        write!(
            out,
            "<tr><td>{}<td>{}<td>{}{}<td>{}<td>{}<td>{}<td>{}",
            escape(&route.prefix),
            human::next_hop(route.next_hop),
            escape(&route.from),
            if route.stale { " <span class=dim>stale</span>" } else { "" },
            escape(&human::as_path(&route.as_path)),
            human::optional(route.local_pref),
            human::optional(route.med),
            escape(&route.communities.join(" ")),
        )?;
    }
    out.push_str("</table>");
    if parts.more > 0 {
        write!(
            out,
            "<p class=dim>And {} more: look one up, or ask <code>twill routes</code>.</p>",
            parts.more
        )?;
    }
    Ok(())
}

fn fib(out: &mut String, fib: &api::Fib) -> std::fmt::Result {
    head(out, "Kernel", &["State", "Prefix", "Next hop", "Device", "Reason"])?;
    for (class, sign, state, routes) in [
        ("bad", '✗', "missing", &fib.missing),
        ("bad", '✗', "unexpected", &fib.unexpected),
        ("dim", '~', "stale", &fib.stale),
        ("good", '✓', "installed", &fib.installed),
    ] {
        for route in routes.iter().take(ROUTES) {
            write!(
                out,
                "<tr><td class={class}>{sign} {state}<td>{}<td>{}<td>{}<td>{}",
                escape(&route.prefix),
                route.next_hop.map_or("on link".to_owned(), |hop| hop.to_string()),
                escape(route.device.as_deref().unwrap_or_default()),
                escape(route.reason.as_deref().unwrap_or_default()),
            )?;
        }
        if let Some(more) = routes.len().checked_sub(ROUTES).filter(|more| *more > 0) {
            write!(out, "<tr><td class=dim colspan=5>and {more} more {state}")?;
        }
    }
    write!(
        out,
        "</table><p class=dim>Compared with the kernel in {}.</p>",
        human::short(fib.sync_seconds)
    )
}

fn head(out: &mut String, title: &str, columns: &[&str]) -> std::fmt::Result {
    if !title.is_empty() {
        write!(out, "<h2>{title}</h2>")?;
    }
    out.push_str("<table><tr>");
    for column in columns {
        write!(out, "<th>{column}")?;
    }
    Ok(())
}

/// Text as HTML, also within quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}
