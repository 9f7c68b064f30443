//! Sends small UDP packets at a steady rate to many destinations, and counts what arrives.
//!
//! Says `ready` when its sockets are bound. Standard input says when: `go`, `stop` (sending ends,
//! counting goes on), `report` (one line of JSON on standard output). Each packet carries its
//! source's number and a sequence number for that destination. A packet that was overtaken is late,
//! not lost; and on a machine so busy that this process is not run for a second or two, what
//! arrives meanwhile waits in the socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

const MAGIC: [u8; 4] = *b"twlt";
const PACKET: usize = 32;
/// Room for several seconds of all flows: a packet takes about 1 KiB of it.
const RECEIVE_BUFFER: usize = 32 << 20;
/// Packets that are owed are sent in turns of so many, with a look at what arrives between them.
const OWED_AT_ONCE: usize = 4;

/// What is known of packets from one source, of one family.
#[derive(Default)]
struct Heard {
    received: u64,
    overtaken: u64,
    duplicates: u64,
    next: u64,
    /// Below `next`.
    missing: BTreeSet<u64>,
    last: Option<Instant>,
    longest_gap: Duration,
}

impl Heard {
    fn take(&mut self, sequence: u64) {
        if sequence >= self.next {
            self.missing.extend(self.next..sequence);
            self.next = sequence + 1;
        } else if self.missing.remove(&sequence) {
            self.overtaken += 1;
        } else {
            self.duplicates += 1;
            return;
        }
        self.received += 1;
    }
}

struct Destination {
    number: u16,
    address: SocketAddr,
    sent: u64,
}

#[derive(Default)]
struct Options {
    number: u16,
    bind: Vec<SocketAddr>,
    to: Vec<Destination>,
    interval: Duration,
}

fn options() -> Result<Options> {
    let mut options = Options { interval: Duration::from_millis(5), ..Options::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} wants a value"))?;
        match word.as_str() {
            "--number" => options.number = value.parse()?,
            "--bind" => options.bind.push(value.parse()?),
            "--rate" => {
                let rate: f64 = value.parse()?;
                options.interval = Duration::from_secs_f64(1.0 / rate);
            }
            "--to" => {
                let (number, address) =
                    value.split_once('@').context("--to wants NUMBER@ADDRESS:PORT")?;
                let (number, address) = (number.parse()?, address.parse()?);
                options.to.push(Destination { number, address, sent: 0 });
            }
            other => bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

struct Traffic {
    options: Options,
    sockets: Vec<UdpSocket>,
    heard: BTreeMap<(u16, bool), Heard>,
    input: Vec<u8>,
    sending: bool,
    next: Instant,
}

impl Traffic {
    fn new(options: Options) -> Result<Traffic> {
        let mut sockets = Vec::new();
        for address in &options.bind {
            let socket =
                UdpSocket::bind(address).with_context(|| format!("cannot bind {address}"))?;
            socket.set_nonblocking(true)?;
            // Without the privilege, as much as the system allows.
            if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
                setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
            }
            sockets.push(socket);
        }
        Ok(Traffic {
            options,
            sockets,
            heard: BTreeMap::new(),
            input: Vec::new(),
            sending: false,
            next: Instant::now(),
        })
    }

    fn send(&mut self) {
        for destination in &mut self.options.to {
            let socket = self.sockets.iter().find(|socket| {
                socket.local_addr().is_ok_and(|own| own.is_ipv4() == destination.address.is_ipv4())
            });
            let mut packet = [0; PACKET];
            packet[..4].copy_from_slice(&MAGIC);
            packet[4..6].copy_from_slice(&self.options.number.to_be_bytes());
            packet[8..16].copy_from_slice(&destination.sent.to_be_bytes());
            destination.sent += 1;
            // A packet that the kernel refuses to send is a packet lost, and is counted as one.
            if let Some(socket) = socket {
                let _ = socket.send_to(&packet, destination.address);
            }
        }
    }

    fn receive(&mut self) {
        let mut packet = [0; 64];
        for socket in &self.sockets {
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                if length != PACKET || packet[..4] != MAGIC {
                    continue;
                }
                let number = u16::from_be_bytes([packet[4], packet[5]]);
                let mut sequence = [0; 8];
                sequence.copy_from_slice(&packet[8..16]);
                let sequence = u64::from_be_bytes(sequence);
                let now = Instant::now();
                let heard = self.heard.entry((number, from.is_ipv6())).or_default();
                heard.take(sequence);
                if let Some(last) = heard.last.replace(now) {
                    heard.longest_gap = heard.longest_gap.max(now - last);
                }
            }
        }
    }

    fn report(&self) -> String {
        let sent: Vec<_> = self
            .options
            .to
            .iter()
            .map(|to| serde_json::json!({"to": to.number, "v6": to.address.is_ipv6(), "sent": to.sent}))
            .collect();
        let received: Vec<_> = self
            .heard
            .iter()
            .map(|((from, v6), heard)| {
                serde_json::json!({
                    "from": from, "v6": v6, "received": heard.received,
                    "overtaken": heard.overtaken, "duplicates": heard.duplicates,
                    "longestGapMs": heard.longest_gap.as_secs_f64() * 1000.0,
                })
            })
            .collect();
        serde_json::json!({"sent": sent, "received": received}).to_string()
    }

    /// Reads what is there of the standard input; `false` when it has ended.
    fn read_commands(&mut self) -> Result<bool> {
        let mut bytes = [0; 256];
        let length = nix::unistd::read(io::stdin(), &mut bytes)?;
        self.input.extend_from_slice(&bytes[..length]);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.command(String::from_utf8_lossy(&line).trim())?;
        }
        Ok(length > 0)
    }

    fn command(&mut self, line: &str) -> Result<()> {
        match line {
            "go" => (self.sending, self.next) = (true, Instant::now()),
            "stop" => self.sending = false,
            "report" => {
                let mut out = io::stdout().lock();
                writeln!(out, "{}", self.report())?;
                out.flush()?;
            }
            other => bail!("unknown command {other:?}"),
        }
        Ok(())
    }

    fn run(mut self) -> Result<()> {
        let stdin = io::stdin();
        loop {
            let now = Instant::now();
            for _ in 0..OWED_AT_ONCE {
                if self.sending && now >= self.next {
                    self.send();
                    // A loaded machine may wake us late: the packets are owed all the same.
                    self.next += self.options.interval;
                }
            }
            let timeout = match self.sending {
                true => self.next.saturating_duration_since(now),
                false => Duration::from_secs(1),
            };
            let mut polled = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            polled.extend(
                self.sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)),
            );
            let millis = u16::try_from(timeout.as_millis()).unwrap_or(u16::MAX);
            let millis = if timeout.is_zero() { 0 } else { millis.max(1) };
            poll(&mut polled, PollTimeout::from(millis))?;
            let commanded = polled[0].any().unwrap_or(false);
            drop(polled);
            self.receive();
            if commanded && !self.read_commands()? {
                return Ok(());
            }
        }
    }
}

fn main() -> Result<()> {
    let traffic = Traffic::new(options()?)?;
    println!("ready");
    traffic.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overtaken_is_not_lost_and_what_comes_twice_counts_once() {
        let mut heard = Heard::default();
        for sequence in [0, 3, 1, 1, 4, 2, 4, 7] {
            heard.take(sequence);
        }
        assert_eq!((heard.received, heard.overtaken, heard.duplicates), (6, 2, 2));
        assert_eq!(heard.missing, [5, 6].into());
    }
}
