//! Runs a program as if the kernel lacked a feature: `twill-lab-without FEATURE COMMAND...`.
//!
//! A filter (seccomp) answers the system calls that ask for the feature as a kernel without it
//! would, and lets all others through to the kernel that is there.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// `TCP_MD5SIG` of `linux/tcp.h`.
const TCP_MD5SIG: i32 = 14;
/// `NETLINK_GET_STRICT_CHK` of `linux/netlink.h`.
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// A system call, the arguments that make it ask for the feature, by place, and the answer.
struct Answer {
    call: libc::c_long,
    arguments: &'static [(u8, i32)],
    error: i32,
}

fn answer(feature: &str) -> Result<Answer> {
    let option =
        |arguments| Answer { call: libc::SYS_setsockopt, arguments, error: libc::ENOPROTOOPT };
    Ok(match feature {
        "tcp-md5" => option(&[(1, libc::IPPROTO_TCP), (2, TCP_MD5SIG)]),
        "ipv4-ttl" => option(&[(1, libc::IPPROTO_IP), (2, libc::IP_MINTTL)]),
        "ipv6-ttl" => option(&[(1, libc::IPPROTO_IPV6), (2, libc::IPV6_MINHOPCOUNT)]),
        "strict-dumps" => option(&[(1, libc::SOL_NETLINK), (2, NETLINK_GET_STRICT_CHK)]),
        "ipv6" => Answer {
            call: libc::SYS_socket,
            arguments: &[(0, libc::AF_INET6)],
            error: libc::EAFNOSUPPORT,
        },
        _ => bail!("no feature {feature}: tcp-md5, ipv4-ttl, ipv6-ttl, strict-dumps or ipv6"),
    })
}

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    let feature = words.next().context("usage: twill-lab-without FEATURE COMMAND...")?;
    let program = words.next().context("no command")?;
    let Answer { call, arguments, error } = answer(&feature.to_string_lossy())?;
    let conditions = arguments
        .iter()
        .map(|(place, value)| {
            let value = u64::from(value.cast_unsigned());
            SeccompCondition::new(*place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let filter = SeccompFilter::new(
        [(call, vec![SeccompRule::new(conditions)?])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(error.cast_unsigned()),
        std::env::consts::ARCH.try_into()?,
    )?;
    apply_filter(&BpfProgram::try_from(filter)?)?;
    Err(Command::new(program).args(words).exec()).context("the command cannot be run")
}
