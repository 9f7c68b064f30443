//! The least that attaching a pod can cost: the same kernel objects, and nothing else.
//!
//! `cni-floor add|check|del NETNS HOST_END BRIDGE_INDEX ADDRESS`: no configuration, no lease, no
//! result. It knows what a plugin has to find out: that the bridge is there, and its index. What was
//! learned about making these objects faster was learned by it, too.
//!
//! `cni-floor measure PROGRAM` runs a program and says how much memory it had at its peak; a small
//! program must ask, because a child's peak begins with its parent's.

use std::error::Error;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::net::netdevice::name_to_index;

const POD_END: &str = "eth0";
const VETH_INFO_PEER: u16 = 1;
const NUM_TX_QUEUES: u16 = 31;
const NUM_RX_QUEUES: u16 = 32;
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const UP: u32 = libc::IFF_UP as u32;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["measure", program, rest @ ..] => measure(program, rest),
        ["add", netns, host, bridge, address] => add(netns, host, bridge, address),
        ["check", netns, host, ..] => check(netns, host),
        ["del", _, host, ..] => delete(host),
        _ => Err("usage: cni-floor add|check|del NETNS HOST_END BRIDGE_INDEX ADDRESS".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(program: &str, arguments: &[&str]) -> Outcome {
    let status = Command::new(program).args(arguments).status()?;
    eprintln!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    if status.success() { Ok(()) } else { Err(format!("{program}: {status}").into()) }
}

fn add(netns: &str, host: &str, bridge: &str, address: &str) -> Outcome {
    let netns = File::open(netns)?;
    let (bridge, address): (u32, Ipv4Addr) = (bridge.parse()?, address.parse()?);
    let mut batch = Batch::default();
    batch.push(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, |m| {
        m.link(0, UP);
        m.attribute(libc::IFLA_IFNAME, format!("{host}\0").as_bytes());
        m.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        m.one_queue();
        m.nest(libc::IFLA_LINKINFO, |m| {
            m.attribute(libc::IFLA_INFO_KIND, b"veth");
            m.nest(libc::IFLA_INFO_DATA, |m| {
                m.nest(VETH_INFO_PEER, |m| {
                    m.link(0, 0);
                    m.attribute(libc::IFLA_IFNAME, b"eth0\0");
                    m.one_queue();
                    let netns = netns.as_raw_fd() as u32;
                    m.attribute(libc::IFLA_NET_NS_FD, &netns.to_ne_bytes());
                });
            });
        });
    });
    batch.send(&Socket::new(NETLINK_ROUTE)?)?;

    setns(&netns, CloneFlags::CLONE_NEWNET)?;
    let pod = Socket::new(NETLINK_ROUTE)?;
    let index = name_to_index(&pod, POD_END)?;
    let mut batch = Batch::default();
    batch.push(libc::RTM_NEWLINK, 0, |m| m.link(index, UP));
    batch.push(libc::RTM_NEWADDR, libc::NLM_F_CREATE, |m| {
        m.0.extend_from_slice(&[libc::AF_INET as u8, 32, 0, 0]);
        m.0.extend_from_slice(&index.to_ne_bytes());
        m.attribute(libc::IFA_LOCAL, &address.octets());
        m.attribute(libc::IFA_ADDRESS, &address.octets());
    });
    for (length, scope) in [(32, libc::RT_SCOPE_LINK), (0, libc::RT_SCOPE_UNIVERSE)] {
        batch.push(libc::RTM_NEWROUTE, libc::NLM_F_CREATE, |m| {
            let main = libc::RT_TABLE_MAIN;
            m.0.extend_from_slice(&[libc::AF_INET as u8, length, 0, 0, main, 3, scope, 1]);
            m.0.extend_from_slice(&[0; 4]);
            let kind = if length == 0 { libc::RTA_GATEWAY } else { libc::RTA_DST };
            m.attribute(kind, &GATEWAY.octets());
            m.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        });
    }
    batch.send(&pod)
}

fn check(netns: &str, host: &str) -> Outcome {
    ask(host)?;
    setns(File::open(netns)?, CloneFlags::CLONE_NEWNET)?;
    ask(POD_END)
}

fn ask(name: &str) -> Outcome {
    let mut batch = Batch::default();
    batch.push(libc::RTM_GETLINK, 0, |m| {
        m.link(0, 0);
        m.attribute(libc::IFLA_IFNAME, format!("{name}\0").as_bytes());
    });
    batch.send(&Socket::new(NETLINK_ROUTE)?)
}

fn delete(host: &str) -> Outcome {
    let mut batch = Batch::default();
    batch.push(libc::RTM_DELLINK, 0, |m| {
        m.link(0, 0);
        m.attribute(libc::IFLA_IFNAME, format!("{host}\0").as_bytes());
    });
    batch.send(&Socket::new(NETLINK_ROUTE)?)
}

/// Messages for one system call, the last one acknowledged.
#[derive(Default)]
struct Batch(Vec<u8>);

impl Batch {
    fn push(&mut self, kind: u16, flags: i32, body: impl FnOnce(&mut Body)) {
        let mut message = Body(vec![0; 16]);
        body(&mut message);
        let length = message.0.len() as u32;
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        message.0[..4].copy_from_slice(&length.to_ne_bytes());
        message.0[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.0.extend_from_slice(&message.0);
    }

    /// All answers of a batch are there when the kernel has taken it.
    fn send(&self, socket: &Socket) -> Outcome {
        socket.send(&self.0, 0)?;
        let mut answers = Vec::with_capacity(16 * 1024);
        loop {
            answers.clear();
            match socket.recv(&mut answers, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            let refused = answers.get(4..6) == Some(&(libc::NLMSG_ERROR as u16).to_ne_bytes())
                && answers.get(16..20) != Some(&[0; 4]);
            if refused {
                return Err(format!("the kernel refused: {:?}", answers.get(16..20)).into());
            }
        }
    }
}

struct Body(Vec<u8>);

impl Body {
    /// Without this the kernel makes more of them and waits for RCU to take them away again.
    fn one_queue(&mut self) {
        for kind in [NUM_TX_QUEUES, NUM_RX_QUEUES] {
            self.attribute(kind, &1u32.to_ne_bytes());
        }
    }

    fn link(&mut self, index: u32, flags: u32) {
        self.0.extend_from_slice(&[0; 4]);
        for word in [index, flags, flags] {
            self.0.extend_from_slice(&word.to_ne_bytes());
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |m| m.0.extend_from_slice(value));
    }

    fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        body(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
