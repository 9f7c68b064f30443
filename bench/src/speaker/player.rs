//! All peers of a daemon under test in one process: plays its part as told on the standard input,
//! a line for each command, and answers each with a line of JSON.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver as Lines, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use twill_bgp_proto::types::{Asn, RouterId};

use super::receiver::{Expected, Receiver};
use super::session::{Hello, Session};
use super::table::{Table, Version};

#[derive(Args)]
pub(crate) struct Options {
    /// Sessions.
    #[arg(long)]
    peers: usize,
    /// The first so many announce the table, a share each.
    #[arg(long)]
    senders: usize,
    /// The last so many check what they are sent.
    #[arg(long)]
    receivers: usize,
    #[arg(long)]
    prefixes: usize,
    #[arg(long)]
    ibgp: bool,
    #[arg(long)]
    ipv6: bool,
    #[arg(long)]
    mrt: Option<PathBuf>,
    /// Every sender announces the whole table.
    #[arg(long)]
    overlap: bool,
    /// All dial at the same moment, and announce as soon as they are heard.
    #[arg(long)]
    at_once: bool,
    /// Seconds that a command may take.
    #[arg(long, default_value_t = 300)]
    within: u64,
}

/// The daemon's AS.
pub(super) const DAEMON_ASN: u32 = 64512;

/// How often every session says that it lives.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The pause before each single change, in which the daemon comes to rest.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a peer dials before it gives up.
const DIALLING: Duration = Duration::from_secs(30);

/// Octets of stack of a thread that dials.
const STACK: usize = 256 * 1024;

/// What a command came to.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// When it began, by the monotonic clock, in seconds.
    pub(super) began: f64,
    /// From the first octet sent until the last receiver was complete.
    pub(super) seconds: f64,
    /// Prefixes that nobody announced.
    pub(super) strange: usize,
    /// Of single changes: milliseconds each.
    pub(super) each: Vec<f64>,
    /// Attribute sets of the table.
    pub(super) groups: usize,
}

/// The daemon's address.
pub(super) fn daemon(ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))
    }
}

/// A peer's address.
pub(super) fn address(peer: usize, ipv6: bool) -> IpAddr {
    let [high, low] = u16::try_from(peer + 256).unwrap_or(u16::MAX).to_be_bytes();
    if ipv6 {
        let last = u16::from_be_bytes([high, low]);
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last))
    } else {
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }
}

/// A peer's AS.
pub(super) fn asn(peer: usize, ibgp: bool) -> Result<Asn> {
    let own = u32::try_from(peer)? + 100_000;
    Asn::new(if ibgp { DAEMON_ASN } else { own }).context("AS 0")
}

/// The table that a scenario is played with: within an AS that of nodes, else a whole one.
pub(super) fn table(
    prefixes: usize,
    senders: usize,
    (ibgp, ipv6): (bool, bool),
    mrt: Option<&Path>,
) -> Result<Table> {
    match mrt {
        _ if ibgp => Table::nodes(prefixes, senders, ipv6),
        Some(file) => Table::file(file, prefixes, senders, ipv6),
        None => Table::generated(prefixes, senders, ipv6),
    }
}

struct Player {
    options: Options,
    sessions: Vec<Session>,
    /// By session; only the last so many have one.
    receivers: Vec<Option<Receiver>>,
    expected: Expected,
    epoll: Epoll,
    buffer: Vec<u8>,
    spoke: Instant,
}

impl Player {
    fn new(options: Options) -> Result<Player> {
        let ibgp = options.ibgp;
        let shares = if options.overlap { 1 } else { options.senders };
        let kind = (ibgp, options.ipv6);
        let table = table(options.prefixes, shares, kind, options.mrt.as_deref())?;
        let daemon = daemon(options.ipv6);
        let mut senders = Vec::new();
        for peer in 0..options.senders {
            let asn = if ibgp { None } else { Some(asn(peer, false)?) };
            senders.push((asn, address(peer, options.ipv6)));
        }
        let prepended = if ibgp { None } else { Asn::new(DAEMON_ASN) };
        let expected = Expected::new(table, senders, prepended, daemon, options.overlap);
        let silent = options.peers.saturating_sub(options.receivers);
        let receivers = (0..options.peers)
            .map(|peer| (peer >= silent).then(|| Receiver::new(peer, &expected.table)))
            .collect();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let buffer = vec![0; 256 * 1024];
        let sessions = Vec::new();
        Ok(Player { options, sessions, receivers, expected, epoll, buffer, spoke: Instant::now() })
    }

    fn hello(&self, peer: usize) -> Result<Hello> {
        Ok(Hello {
            daemon: daemon(self.options.ipv6),
            own: address(peer, self.options.ipv6),
            asn: asn(peer, self.options.ibgp)?,
            router_id: RouterId::new(Ipv4Addr::from(0x0a01_0000 + u32::try_from(peer)? + 1))
                .context("the router id is 0")?,
            ibgp: self.options.ibgp,
        })
    }

    /// Opens one session after the other: a daemon's listening queue may be short.
    fn connect(&mut self) -> Result<()> {
        for peer in 0..self.options.peers {
            let hello = self.hello(peer)?;
            let deadline = Instant::now() + DIALLING;
            let session = loop {
                match Session::open(&hello) {
                    Ok(session) => break session,
                    Err(error) if Instant::now() > deadline => {
                        return Err(error.context(format!("peer {peer} got no session")));
                    }
                    // A daemon that has just started, or dials at the same time.
                    Err(_) => self.pump(Some(Duration::from_millis(100)))?,
                }
            };
            self.take(session)?;
            self.pump(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Opens all sessions at the same moment, a thread for each; what is to be announced follows
    /// as soon as the daemon has answered.
    fn connect_at_once(&mut self) -> Result<()> {
        let peers = 0..self.options.peers;
        let hellos = peers.clone().map(|peer| self.hello(peer)).collect::<Result<Vec<_>>>()?;
        let first = Some(Version::First);
        let messages = peers.map(|peer| self.messages(peer, first)).collect::<Result<Vec<_>>>()?;
        let sessions = std::thread::scope(|scope| {
            let open = |(hello, messages)| {
                let task = move || -> Result<Session> {
                    let mut session = insist(hello)?;
                    session.send(messages);
                    session.write()?;
                    Ok(session)
                };
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, task)
            };
            let threads: Vec<_> = hellos.iter().zip(messages).map(open).collect();
            let join = |thread: io::Result<std::thread::ScopedJoinHandle<'_, Result<Session>>>| {
                thread?.join().map_err(|_| anyhow!("a dialling thread panicked"))?
            };
            threads.into_iter().map(join).collect::<Result<Vec<Session>>>()
        })?;
        sessions.into_iter().try_for_each(|session| self.take(session))
    }

    fn take(&mut self, session: Session) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.sessions.len() as u64);
        self.epoll.add(session.fd(), event)?;
        self.sessions.push(session);
        Ok(())
    }

    /// Polls for what each session waits for.
    fn arm(&mut self, peer: usize) -> Result<()> {
        let session = &mut self.sessions[peer];
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, !session.deaf);
        flags.set(EpollFlags::EPOLLOUT, session.unsent());
        session.polled_for_writing = session.unsent();
        let mut event = EpollEvent::new(flags, peer as u64);
        self.epoll.modify(session.fd(), &mut event)?;
        Ok(())
    }

    /// One round of reading and writing.
    fn pump(&mut self, timeout: Option<Duration>) -> Result<()> {
        if self.spoke.elapsed() > KEEPALIVE {
            self.spoke = Instant::now();
            for peer in 0..self.sessions.len() {
                self.sessions[peer].keepalive();
                self.sessions[peer].write()?;
                self.arm(peer)?;
            }
        }
        let millis = timeout.unwrap_or(Duration::from_millis(100)).as_millis();
        let mut events = [EpollEvent::empty(); 64];
        let count = self.epoll.wait(&mut events, EpollTimeout::from(u16::try_from(millis)?))?;
        for event in &events[..count] {
            let peer = usize::try_from(event.data())?;
            let session = &mut self.sessions[peer];
            if event.events().contains(EpollFlags::EPOLLOUT) {
                session.write()?;
            }
            if !session.deaf {
                let (receiver, expected) = (&mut self.receivers[peer], &self.expected);
                session
                    .read(&mut self.buffer, |body| match receiver {
                        Some(receiver) => receiver.update(body, expected),
                        None => Ok(()),
                    })
                    .with_context(|| format!("peer {peer}"))?;
            }
            if session.polled_for_writing != session.unsent() {
                self.arm(peer)?;
            }
        }
        Ok(())
    }

    /// Until all is sent and every receiver that listens has the table in this version.
    fn finish(&mut self, version: Option<Version>) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(self.options.within);
        loop {
            let sessions = self.sessions.iter().zip(&self.receivers);
            let mut open = sessions.filter(|(session, receiver)| {
                session.unsent()
                    || !session.deaf
                        && receiver.as_ref().is_some_and(|receiver| !receiver.complete(version))
            });
            let Some((_, receiver)) = open.next() else { return Ok(()) };
            if Instant::now() > deadline {
                let state = receiver.as_ref().map(Receiver::summary).unwrap_or_default();
                bail!("not complete in time: {state}");
            }
            self.pump(None)?;
        }
    }

    /// What a peer says to announce, or withdraw, what is its.
    fn messages(&self, peer: usize, version: Option<Version>) -> Result<Bytes> {
        let codec = Session::codec(self.options.ibgp);
        let table = &self.expected.table;
        if peer >= self.options.senders {
            return Ok(Bytes::new());
        }
        let owner = if self.options.overlap { 0 } else { peer };
        let Some(version) = version else { return Ok(table.withdrawals(owner, &codec)) };
        let own = address(peer, self.options.ipv6);
        let asn = if self.options.ibgp { None } else { Some(asn(peer, false)?) };
        table.announcements(owner, asn, own, version, &codec)
    }

    /// All senders announce, or withdraw, what is theirs.
    fn all(&mut self, version: Option<Version>) -> Result<Answer> {
        let senders = 0..self.options.senders;
        let messages =
            senders.map(|peer| self.messages(peer, version)).collect::<Result<Vec<_>>>()?;
        let (began, begin) = (monotonic()?, Instant::now());
        for (peer, messages) in messages.into_iter().enumerate() {
            self.sessions[peer].send(messages);
            self.sessions[peer].write()?;
            self.arm(peer)?;
        }
        self.finish(version)?;
        let seconds = begin.elapsed().as_secs_f64();
        Ok(Answer { began, seconds, ..Answer::default() })
    }

    /// Announces and withdraws the whole table of the first sender `count` times, a pause before
    /// each: with a table of one prefix, single changes.
    fn single(&mut self, count: usize) -> Result<Answer> {
        let announce = self.messages(0, Some(Version::First))?;
        let withdraw = self.messages(0, None)?;
        let mut each = Vec::new();
        for _ in 0..count {
            for (version, message) in [(Some(Version::First), &announce), (None, &withdraw)] {
                let rest = Instant::now();
                while rest.elapsed() < PAUSE {
                    self.pump(Some(Duration::from_millis(1)))?;
                }
                let begin = Instant::now();
                self.sessions[0].send(message.clone());
                self.sessions[0].write()?;
                // Without sleep: how long this process takes to wake is not the daemon's.
                while self.receivers.iter().flatten().any(|one| !one.complete(version)) {
                    self.pump(Some(Duration::ZERO))?;
                    if begin.elapsed() > Duration::from_secs(10) {
                        bail!("a single change did not come through");
                    }
                }
                each.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
        }
        Ok(Answer { each, ..Answer::default() })
    }

    fn obey(&mut self, command: &str) -> Result<Answer> {
        let mut words = command.split_whitespace();
        let mut answer = match words.next() {
            Some("announce") => self.all(Some(Version::First))?,
            Some("change") => self.all(Some(Version::Second))?,
            Some("withdraw") => self.all(None)?,
            Some("single") => {
                self.single(words.next().and_then(|word| word.parse().ok()).unwrap_or(1))?
            }
            Some(word @ ("deafen" | "listen")) => {
                let last = self.sessions.len().saturating_sub(1);
                self.sessions[last].deaf = word == "deafen";
                self.arm(last)?;
                Answer::default()
            }
            Some("settle") => {
                let begin = Instant::now();
                self.finish(Some(Version::Second))?;
                Answer { seconds: begin.elapsed().as_secs_f64(), ..Answer::default() }
            }
            _ => bail!("no command: {command}"),
        };
        answer.strange = self.receivers.iter().flatten().map(|receiver| receiver.strange).sum();
        answer.groups = self.expected.table.groups();
        Ok(answer)
    }
}

/// Dials until there is a session.
fn insist(hello: &Hello) -> Result<Session> {
    let deadline = Instant::now() + DIALLING;
    loop {
        match Session::open(hello) {
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            session => return session.with_context(|| format!("{} got no session", hello.own)),
        }
    }
}

fn monotonic() -> Result<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).as_secs_f64())
}

/// The monotonic clock, as answers use it.
pub(super) fn now() -> Result<f64> {
    monotonic()
}

fn say(answer: &Answer) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    io::stdout().flush()?;
    Ok(())
}

fn listen() -> Lines<String> {
    let (tell, lines) = sync_channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

pub(crate) fn run(options: Options) -> Result<()> {
    let mut player = Player::new(options)?;
    let (began, begin) = (monotonic()?, Instant::now());
    if player.options.at_once {
        player.connect_at_once()?;
    } else {
        player.connect()?;
    }
    let groups = player.expected.table.groups();
    let seconds = begin.elapsed().as_secs_f64();
    say(&Answer { began, seconds, groups, ..Answer::default() })?;
    let lines = listen();
    loop {
        match lines.try_recv() {
            Ok(line) => {
                let answer = player.obey(&line)?;
                say(&answer)?;
            }
            Err(TryRecvError::Empty) => player.pump(Some(Duration::from_millis(10)))?,
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}
