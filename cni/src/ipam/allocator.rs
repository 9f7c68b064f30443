//! Which address to give out next. Pure but for one question, whether an address is held.
//!
//! An address is reused as late as possible:
//! 1. one that was never given out, going on from the last such one, round all ranges of the set;
//! 2. else the one that was given back longest ago, once it has rested for the cooldown;
//! 3. else one that is free and in no record: another program may have freed it;
//! 4. else none, and the answer says when the next will have rested.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::address::{from_number, to_number};
use crate::config::Range;
use crate::ipam::clock::Uptime;
use crate::ipam::released::Released;
use crate::ipam::{IpamError, Lease, rest};

/// What is known when an address is asked for.
pub struct Question<'a> {
    /// The ranges to choose from, all of one family.
    pub set: &'a [Range],
    /// The last address that step 1 gave out.
    pub cursor: Option<IpAddr>,
    /// What was given back.
    pub released: &'a Released,
    /// Step 1 found nothing the last time.
    pub used_up: bool,
    /// Now.
    pub now: Uptime,
    /// How long an address rests.
    pub cooldown: Duration,
}

/// An address, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// By step 1 or 3.
    Unused(IpAddr),
    /// By step 2, after step 1 found nothing.
    Reused(IpAddr),
    /// By name.
    Requested(IpAddr),
}

impl Choice {
    /// The address.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Unused(address) | Self::Reused(address) | Self::Requested(address) => address,
        }
    }
}

/// Nothing can be given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The subnets.
    pub subnets: Vec<String>,
    /// How many addresses there are to give out.
    pub size: u128,
    /// Those of them that rest, and for how long; the next to be free first.
    pub resting: Vec<(IpAddr, Duration)>,
    /// Their leases, in the order of addresses.
    pub held: Vec<Lease>,
}

/// So many holders and resting addresses are named.
const NAMED: usize = 16;

impl Exhausted {
    /// By whom addresses are held, and until when others rest, of a bounded length.
    pub fn details(&self, now: SystemTime) -> String {
        let holder = |lease: &Lease| {
            format!("{} {} ({})", lease.container_id, lease.interface, lease.address)
        };
        let until = |(address, wait): &(IpAddr, Duration)| {
            format!("{address} until {}", time_of_day(now.checked_add(*wait).unwrap_or(now)))
        };
        let held = named("held by", &self.held, holder);
        let resting = named("resting", &self.resting, until);
        [held, resting].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// `None` for none.
fn named<T>(what: &str, items: &[T], name: impl Fn(&T) -> String) -> Option<String> {
    let more = items.len().saturating_sub(NAMED);
    let names: Vec<String> = items.iter().take(NAMED).map(name).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!names.is_empty()).then(|| format!("{what}: {}{more}", names.join(", ")))
}

/// Hours, minutes and seconds; an address never rests for a day.
fn time_of_day(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subnets, size) = (self.subnets.join(", "), self.size);
        let (held, resting) = (self.held.len(), self.resting.len());
        write!(f, "{subnets} has {size} addresses, {held} held, {resting} resting")?;
        match (self.resting.first(), self.resting.last()) {
            (Some((_, first)), Some((_, last))) => {
                let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
                write!(f, ", the first for {first:.1} s more, the last for {last:.1} s")
            }
            _ => f.write_str("; give the network another range, or delete pods"),
        }
    }
}

/// Chooses. `is_held` says whether a lease has the address.
///
/// # Errors
/// The outer error is that of `is_held`.
pub fn choose(
    question: &Question<'_>,
    mut is_held: impl FnMut(IpAddr) -> Result<bool, IpamError>,
) -> Result<Result<Choice, Exhausted>, IpamError> {
    if !question.used_up
        && let Some(address) = walk(question, &mut is_held)?
    {
        return Ok(Ok(Choice::Unused(address)));
    }
    let mut resting = Vec::new();
    for (address, time) in question.released.live() {
        if !question.set.iter().any(|range| range.contains(address)) {
            continue;
        }
        match rest(time, question.now, question.cooldown) {
            Duration::ZERO if !is_held(address)? => return Ok(Ok(Choice::Reused(address))),
            Duration::ZERO => {}
            wait if !is_held(address)? => resting.push((address, wait)),
            _ => {}
        }
    }
    if question.used_up
        && let Some(address) = walk(question, &mut is_held)?
    {
        return Ok(Ok(Choice::Unused(address)));
    }
    resting.sort_by_key(|(_, wait)| *wait);
    Ok(Err(Exhausted {
        subnets: question.set.iter().map(|range| range.subnet.to_string()).collect(),
        size: question.set.iter().map(Range::size).fold(0, u128::saturating_add),
        resting,
        held: Vec::new(),
    }))
}

/// Once round all ranges, from behind the cursor. Ends at the first free address, so it takes no
/// more steps than there are leases and records, however large the ranges.
fn walk(
    question: &Question<'_>,
    is_held: &mut impl FnMut(IpAddr) -> Result<bool, IpamError>,
) -> Result<Option<IpAddr>, IpamError> {
    let set = question.set;
    let cursor = question.cursor.and_then(|cursor| {
        let within = |range: &Range| {
            cursor.is_ipv6() == range.subnet.is_ipv6()
                && (range.first..=range.last).contains(&cursor)
        };
        set.iter().position(within).map(|place| (place, to_number(cursor)))
    });
    let (start, behind) = cursor.map_or((0, None), |(place, number)| (place, Some(number)));
    // The range of the cursor comes first from behind it, and last up to it.
    for lap in 0..=set.len() {
        let Some(range) = set.get((start + lap) % set.len().max(1)) else { break };
        let (first, last) = (to_number(range.first), to_number(range.last));
        let (from, to) = match behind {
            Some(cursor) if lap == 0 => (cursor.saturating_add(1), last),
            Some(cursor) if lap == set.len() => (first, cursor),
            None if lap == set.len() => break,
            _ => (first, last),
        };
        let mut number = from;
        while number <= to {
            let address = from_number(number, range.subnet.is_ipv6());
            if range.contains(address) && !question.released.contains(address) && !is_held(address)?
            {
                return Ok(Some(address));
            }
            let Some(next) = number.checked_add(1) else { break };
            number = next;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::config::GatewayMode;

    fn set(subnets: &[&str]) -> Vec<Range> {
        subnets.iter().map(|s| Range::of(s.parse().unwrap(), GatewayMode::LinkLocal)).collect()
    }

    /// A network in memory: what the store keeps, without files.
    struct Model {
        set: Vec<Range>,
        held: HashSet<IpAddr>,
        records: Vec<(IpAddr, Uptime)>,
        cursor: Option<IpAddr>,
        used_up: bool,
        now: Uptime,
    }

    const COOLDOWN: Duration = Duration::from_nanos(10);

    impl Model {
        fn new(subnets: &[&str]) -> Self {
            Self {
                set: set(subnets),
                held: HashSet::new(),
                records: Vec::new(),
                cursor: None,
                used_up: false,
                now: Uptime(1),
            }
        }

        fn add(&mut self) -> Result<IpAddr, Exhausted> {
            self.now.0 += 1;
            let released = Released::new(self.records.clone());
            let question = Question {
                set: &self.set,
                cursor: self.cursor,
                released: &released,
                used_up: self.used_up,
                now: self.now,
                cooldown: COOLDOWN,
            };
            let choice = choose(&question, |address| Ok(self.held.contains(&address))).unwrap()?;
            match choice {
                Choice::Unused(address) => {
                    self.cursor = Some(address);
                    self.used_up = false;
                }
                Choice::Reused(_) => self.used_up = true,
                Choice::Requested(_) => unreachable!(),
            }
            assert!(self.held.insert(choice.address()), "given twice");
            Ok(choice.address())
        }

        fn del(&mut self, address: IpAddr) {
            self.now.0 += 1;
            self.held.remove(&address);
            self.records.push((address, self.now));
        }
    }

    #[test]
    fn unused_addresses_come_first_then_the_longest_rested() {
        let mut model = Model::new(&["10.0.0.0/29", "10.0.1.0/30"]);
        let all: Vec<String> = (0..8).map(|_| model.add().unwrap().to_string()).collect();
        let expected = [
            "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.1.1",
            "10.0.1.2",
        ];
        assert_eq!(all, expected);
        for address in ["10.0.0.5", "10.0.0.2"] {
            model.del(address.parse().unwrap());
        }
        let exhausted = model.add().unwrap_err();
        assert_eq!((exhausted.size, exhausted.resting.len()), (8, 2));
        assert!(exhausted.resting[1].1 <= COOLDOWN, "{exhausted}");
        model.now.0 += 100;
        assert_eq!(model.add().unwrap().to_string(), "10.0.0.5");
        assert_eq!(model.add().unwrap().to_string(), "10.0.0.2");
        assert_eq!(model.add().unwrap_err().resting, []);
    }

    #[test]
    fn exhaustion_names_holders_and_times() {
        let lease = |number: u8| Lease {
            address: IpAddr::from([10, 0, 0, number]),
            container_id: format!("pod-{number}"),
            interface: "eth0".into(),
            since: None,
            keyed: true,
        };
        let exhausted = Exhausted {
            subnets: vec!["10.0.0.0/27".into()],
            size: 30,
            resting: vec![(IpAddr::from([10, 0, 0, 30]), Duration::from_secs(59))],
            held: (1..=20).map(lease).collect(),
        };
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 12 * 3600);
        let details = exhausted.details(noon);
        assert!(details.starts_with("held by: pod-1 eth0 (10.0.0.1), pod-2 eth0"), "{details}");
        assert!(details.contains("(10.0.0.16) and 4 more; resting: 10.0.0.30 until 12:00:59 UTC"));
    }

    #[test]
    fn what_another_program_freed_is_found() {
        let mut model = Model::new(&["10.0.0.0/30"]);
        let first = model.add().unwrap();
        model.add().unwrap();
        model.del(first);
        model.now.0 += 100;
        assert_eq!(model.add().unwrap(), first);
        model.held.remove(&first);
        model.records.clear();
        assert!(model.used_up);
        assert_eq!(model.add().unwrap(), first);
    }

    #[test]
    fn a_cursor_of_another_range_starts_over() {
        let mut model = Model::new(&["fd00::/64"]);
        model.cursor = Some("10.0.0.1".parse().unwrap());
        assert_eq!(model.add().unwrap().to_string(), "fd00::1");
        model.cursor = Some("fd00::ffff:ffff:ffff:ffff".parse().unwrap());
        assert_eq!(model.add().unwrap().to_string(), "fd00::2");
    }

    proptest! {
        /// Any sequence of ADD and DEL: nothing given twice, nothing given before it rested,
        /// nothing refused while something has rested, and the longest rested is the one given.
        #[test]
        fn the_law(steps in proptest::collection::vec(any::<Option<prop::sample::Index>>(), 1..200)) {
            let mut model = Model::new(&["10.0.0.0/29", "10.0.1.0/31"]);
            let mut rests: HashMap<IpAddr, Uptime> = HashMap::new();
            let mut seen = HashSet::new();
            for step in steps {
                let held: Vec<IpAddr> = {
                    let mut held: Vec<_> = model.held.iter().copied().collect();
                    held.sort();
                    held
                };
                match step {
                    Some(index) if !held.is_empty() => {
                        let address = held[index.index(held.len())];
                        model.del(address);
                        rests.insert(address, model.now);
                    }
                    _ => match model.add() {
                        Ok(address) => {
                            if let Some(time) = rests.remove(&address) {
                                prop_assert!(model.now.since(time) >= COOLDOWN);
                                prop_assert!(rests.values().all(|other| *other > time));
                                prop_assert_eq!(seen.len(), 8);
                            }
                            seen.insert(address);
                        }
                        Err(exhausted) => {
                            prop_assert_eq!(model.held.len() + rests.len(), 8);
                            prop_assert_eq!(exhausted.resting.len(), rests.len());
                            prop_assert!(rests.values().all(|t| model.now.since(*t) < COOLDOWN));
                        }
                    },
                }
            }
        }
    }
}
