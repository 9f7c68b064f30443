//! What a daemon uses: all processes in a host's PID namespace but the one that holds it open.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use twill_tests::lab::Host;

/// See the module.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    /// User and system time, in seconds.
    pub(super) cpu: f64,
    /// Resident memory at its peak, in MB.
    pub(super) peak: f64,
    /// Resident memory now, in MB.
    pub(super) resident: f64,
}

impl Usage {
    pub(super) fn of(host: &Host) -> Result<Usage> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid"));
        let holder = host.pid().to_string();
        let wanted = namespace(&holder)?;
        let ticks = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")? as f64;
        let mut usage = Usage::default();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = name.bytes().all(|byte| byte.is_ascii_digit());
            if number && name != holder && namespace(&name).is_ok_and(|found| found == wanted) {
                usage.add(&name, ticks);
            }
        }
        Ok(usage)
    }

    /// A process that ends meanwhile counts for nothing.
    fn add(&mut self, pid: &str, ticks: f64) {
        let read = |file: &str| {
            fs::read_to_string(Path::new("/proc").join(pid).join(file)).unwrap_or_default()
        };
        let stat = read("stat");
        // Behind the name, which may hold anything: state is the first field, utime the twelfth.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let times = fields.split_whitespace().skip(11).take(2);
        self.cpu += times.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / ticks;
        let status = read("status");
        self.peak += megabytes(&status, "VmHWM:");
        self.resident += megabytes(&status, "VmRSS:");
    }
}

fn megabytes(status: &str, key: &str) -> f64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0 / 1e6
}

/// Routes in a host's kernel, by family.
pub(super) fn kernel_routes(host: &Host, ipv6: bool) -> Result<usize> {
    let pid = host.pid();
    if ipv6 {
        let text = fs::read_to_string(format!("/proc/{pid}/net/ipv6_route"))?;
        return Ok(text.lines().count());
    }
    let text = fs::read_to_string(format!("/proc/{pid}/net/fib_triestat"))?;
    let counts = text.lines().filter_map(|line| line.trim().strip_prefix("Prefixes:"));
    Ok(counts.filter_map(|count| count.trim().parse::<usize>().ok()).sum())
}
