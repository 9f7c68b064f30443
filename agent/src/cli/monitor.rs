//! `twill monitor`.

use super::client::{Agent, Client, ClientError, block_on};
use super::output::{Format, Paint, Screen, clean, print, structured};
use super::{Exit, human};
use crate::control::api::{Event, EventKind, KernelAction, State};

/// Arguments of `twill monitor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to write; as JSON, one event on each line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    agent: Agent,
}

pub(super) fn run(args: &Args) -> Exit {
    block_on(async { listen(args).await.unwrap_or_else(|error| error.end()) })
}

async fn listen(args: &Args) -> Result<Exit, ClientError> {
    let mut events = Client::connect(&args.agent).await?.lines("/v1/monitor").await?;
    let screen = Screen::new(args.output);
    loop {
        let event: Event = events.next().await?;
        let text = match args.output {
            Format::Table | Format::Wide => render(&event, &screen),
            format => structured(&event, format, true),
        };
        if !print(&text) {
            return Ok(Exit::Yes);
        }
    }
}

/// One line.
pub(super) fn render(event: &Event, screen: &Screen) -> String {
    let (sign, paint, kind, text) = words(&event.what);
    // The time of day is enough on a screen.
    let time = event.time.get(11..23).unwrap_or(&event.time);
    format!(
        "{}  {} {kind:<8} {}\n",
        Paint::Dim.on(time, screen),
        paint.on(&sign.to_string(), screen),
        clean(&text)
    )
}

fn words(event: &EventKind) -> (char, Paint, &'static str, String) {
    match event {
        EventKind::Session { peer, state, reason } => {
            let (sign, paint) = match (state, reason) {
                (State::Established, _) => ('✓', Paint::Good),
                (_, Some(_)) => ('✗', Paint::Bad),
                (_, None) => ('·', Paint::Dim),
            };
            let why = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            (sign, paint, "session", format!("{peer} is {state:?}{why}"))
        }
        EventKind::Route { prefix, next_hop: Some(hop), from: Some(from), stale } => {
            let (sign, paint) = if *stale { ('~', Paint::Doubtful) } else { ('+', Paint::Good) };
            let stale = if *stale { ", stale" } else { "" };
            let hop = human::next_hop(*hop);
            (sign, paint, "route", format!("{prefix} via {hop} from {from}{stale}"))
        }
        EventKind::Route { prefix, .. } => {
            ('-', Paint::Bad, "route", format!("{prefix} has no route left"))
        }
        EventKind::Refused { peer, prefix, rule } => {
            ('✗', Paint::Bad, "refused", format!("{prefix} from {peer}: {rule}"))
        }
        EventKind::NearLimit { peer, family, received, limit } => (
            '!',
            Paint::Doubtful,
            "limit",
            format!("{peer} has sent {received} of at most {limit} {family} prefixes"),
        ),
        EventKind::Fault { peer, what } => {
            ('!', Paint::Doubtful, "fault", format!("in an UPDATE from {peer}: {what}"))
        }
        EventKind::Kernel { action, route, error } => {
            let (sign, paint, done) = match action {
                KernelAction::Installed => ('+', Paint::Good, "installed"),
                KernelAction::Removed => ('-', Paint::Plain, "removed"),
                KernelAction::Restored => ('!', Paint::Doubtful, "put back"),
                KernelAction::Failed => ('✗', Paint::Bad, "failed"),
            };
            let hop = route.next_hop.map_or(String::new(), |hop| format!(" via {hop}"));
            let device =
                route.device.as_ref().map_or(String::new(), |device| format!(" dev {device}"));
            let error = error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            (sign, paint, "kernel", format!("{done} {}{hop}{device}{error}", route.prefix))
        }
        EventKind::Setting { name, old, new } => {
            ('·', Paint::Plain, "setting", format!("{name}: {old} -> {new}"))
        }
        EventKind::Lag { lost } => {
            let lost = usize::try_from(*lost).unwrap_or(usize::MAX);
            let events = human::count(lost, "event is", "events are");
            ('!', Paint::Doubtful, "lag", format!("{events} missing here: they came too fast"))
        }
    }
}
