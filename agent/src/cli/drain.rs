//! `twill drain`: marks what this node announces, waits until its traffic has moved, withdraws.
//!
//! That traffic has moved is read from the kernel's counters of forwarded packets: it has when, for
//! a while, no more than a few are forwarded each second. They count every packet that this host
//! passes on, of pods of its own too: which of them had another way cannot be known here. So
//! a node that is not quiet in time stays marked, and says so.

use std::collections::VecDeque;
use std::time::Duration;

use hyper::Method;
use tokio::time::{Instant, MissedTickBehavior};

use super::Exit;
use super::client::{Agent, Client, ClientError, block_on};
use super::output::print;
use crate::control::api::Draining;
use crate::drain::Drain;

/// How often the counters are read.
const TICK: Duration = Duration::from_millis(250);
/// The longest wait that can be asked for, and the longest silence, in seconds.
const LONGEST: i64 = 86_400;

/// Arguments of `twill drain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Announces as before again.
    #[arg(long, conflicts_with_all = ["wait", "quiet", "below", "force"])]
    undo: bool,
    /// How long to wait for traffic to move.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds())]
    wait: u32,
    /// For how long hardly a packet may be forwarded before traffic counts as moved.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = seconds())]
    quiet: u32,
    /// So many packets forwarded each second, on average over that time, are hardly any.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    below: u32,
    /// Withdraws when the wait is over, though traffic has not moved: it is lost if it has no
    /// other way.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    agent: Agent,
}

fn seconds() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=LONGEST)
}

pub(super) fn run(args: &Args) -> Exit {
    block_on(async {
        match drain(args).await {
            Ok(exit) => exit,
            Err(error) => error.end(),
        }
    })
}

async fn drain(args: &Args) -> Result<Exit, ClientError> {
    let mut client = Client::connect(&args.agent).await?;
    if args.undo {
        let before = ask(&mut client, Method::GET, None).await?.state;
        ask(&mut client, Method::DELETE, None).await?;
        print(match before {
            Some(_) => "✓ undone: this node announces as before\n",
            None => "✓ this node was not drained\n",
        });
        return Ok(Exit::Yes);
    }
    if ask(&mut client, Method::GET, None).await?.state == Some(Drain::Withdrawn) {
        print("✓ this node is drained already; `twill drain --undo` ends it\n");
        return Ok(Exit::Yes);
    }
    ask(&mut client, Method::PUT, Some(Drain::Marked)).await?;
    print("~ marked with GRACEFUL_SHUTDOWN and local preference 0; waiting for traffic to move\n");
    let outcome = wait(&mut client, args).await?;
    let why = match outcome {
        Outcome::Moved => "traffic has moved".to_owned(),
        Outcome::Undone => {
            eprintln!("twill: somebody else has undone the drain; nothing was withdrawn");
            return Ok(Exit::No);
        }
        Outcome::Late(seen) if args.force => format!("{}, withdrawn by --force", seen.text()),
        Outcome::Late(seen) => {
            eprintln!(
                "twill: traffic has not moved within {} s: {}; this node stays marked. Move its \
                 pods and look for destinations without another path, then run `twill drain` \
                 again, with --wait for more time or --force to withdraw all the same; \
                 `twill drain --undo` takes the marks away",
                args.wait,
                seen.text()
            );
            return Ok(Exit::No);
        }
    };
    ask(&mut client, Method::PUT, Some(Drain::Withdrawn)).await?;
    print(&format!("✓ drained: {why}; `twill drain --undo` brings the node back\n"));
    Ok(Exit::Yes)
}

async fn ask(
    client: &mut Client,
    method: Method,
    state: Option<Drain>,
) -> Result<Draining, ClientError> {
    // A word always serializes.
    let body = state.map(|state| serde_json::to_vec(&state).unwrap_or_default());
    client.document(method, "/v1/drain", body.unwrap_or_default()).await
}

/// How waiting ended.
enum Outcome {
    Moved,
    Late(Seen),
    Undone,
}

/// What was forwarded, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    /// Packets a second.
    Rate(f64),
    /// Not watched for long enough.
    TooShort,
    /// The kernel does not count.
    Unknown,
}

impl Seen {
    fn text(self) -> String {
        match self {
            Seen::Rate(rate) => format!("{rate:.0} packets a second are forwarded"),
            Seen::TooShort => "--wait is not longer than --quiet".to_owned(),
            Seen::Unknown => "this kernel does not count what it forwards".to_owned(),
        }
    }
}

/// Until it is quiet, and no longer than was asked for.
async fn wait(client: &mut Client, args: &Args) -> Result<Outcome, ClientError> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(args.wait.into());
    let mut counts = Counts { quiet: Duration::from_secs(args.quiet.into()), of: VecDeque::new() };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = ask(client, Method::GET, None).await?;
        if now.state != Some(Drain::Marked) {
            return Ok(Outcome::Undone);
        }
        let seen = match now.forwarded_packets {
            Some(count) => counts.add(begin.elapsed(), count),
            None => Seen::Unknown,
        };
        match seen {
            Seen::Rate(rate) if rate <= f64::from(args.below) => return Ok(Outcome::Moved),
            seen if Instant::now() >= end => return Ok(Outcome::Late(seen)),
            _ => {}
        }
    }
}

/// What the kernel counted, when.
struct Counts {
    quiet: Duration,
    of: VecDeque<(Duration, u64)>,
}

impl Counts {
    /// The rate over the last while, once it was watched for so long.
    fn add(&mut self, at: Duration, count: u64) -> Seen {
        self.of.push_back((at, count));
        let old = |entry: Option<&(Duration, u64)>| {
            entry.is_some_and(|(then, _)| at.saturating_sub(*then) >= self.quiet)
        };
        // The newest that is old enough stays as the beginning.
        while old(self.of.get(1)) {
            self.of.pop_front();
        }
        match self.of.front() {
            Some((then, before)) if old(self.of.front()) => {
                #[allow(clippy::cast_precision_loss, reason = "packets of a few seconds")]
                let packets = count.saturating_sub(*before) as f64;
                Seen::Rate(packets / at.saturating_sub(*then).as_secs_f64())
            }
            _ => Seen::TooShort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred packets in the first second, then none: quiet 2 s after that, not before.
    #[test]
    fn quiet_is_what_was_quiet_for_long_enough() {
        let mut counts = Counts { quiet: Duration::from_secs(2), of: VecDeque::new() };
        let mut rate = |quarter: u64| {
            counts.add(Duration::from_millis(250 * quarter), 1000 + 25 * quarter.min(4))
        };
        let seen: Vec<Seen> = (0..=12).map(&mut rate).collect();
        assert!(seen[..8].iter().all(|seen| *seen == Seen::TooShort), "{seen:?}");
        assert_eq!(seen[8], Seen::Rate(50.0));
        assert_eq!(seen[10], Seen::Rate(25.0));
        assert_eq!(seen[12], Seen::Rate(0.0));
    }
}
