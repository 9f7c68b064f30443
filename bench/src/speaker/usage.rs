//! What a daemon uses: all processes in a host's PID namespace but the one that holds it open.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use twill_tests::lab::Host;

/// See the module.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    /// Resident memory at its peak, in MB.
    pub(crate) peak: f64,
    /// Resident memory now, in MB.
    pub(crate) resident: f64,
}

impl Usage {
    pub(crate) fn of(host: &Host) -> Result<Usage> {
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

/// Routes in a host's kernel, by family: those of the main table, with whatever shares its tree.
/// The kernel walks the whole tree for it, and who writes waits for that to end now and then: see
/// [`super::probe`] for looking while routes are written.
pub(crate) fn kernel_routes(host: &Host, ipv6: bool) -> Result<usize> {
    let file = |name: &str| {
        let path = format!("/proc/{}/net/{name}", host.pid());
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    if ipv6 {
        entries(&file("rt6_stats")?).context("rt6_stats has another form")
    } else {
        prefixes(&file("fib_triestat")?).context("fib_triestat has another form")
    }
}

/// The fourth of the numbers, in hexadecimal: the entries.
fn entries(rt6_stats: &str) -> Option<usize> {
    usize::from_str_radix(rt6_stats.split_whitespace().nth(3)?, 16).ok()
}

/// Of the main table, which comes first. Without policy rules the local one shares its tree, and
/// is counted there as well.
fn prefixes(fib_triestat: &str) -> Option<usize> {
    let main = fib_triestat.lines().skip_while(|line| !line.starts_with("Main:"));
    let mut count = main.filter_map(|line| line.trim().strip_prefix("Prefixes:"));
    count.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_counted_in_the_main_table() {
        let text = "Basic info: size of leaf: 48 bytes\nMain:\n\tAver depth:     2.50\n\
                    \tPrefixes:       2006\n\tNull ptrs:      4\nLocal:\n\tPrefixes:       7\n";
        assert_eq!(prefixes(text), Some(2006));
        assert_eq!(prefixes("Local:\n"), None);
        assert_eq!(entries("0001 0002 0010 001f 0000 0007 0000\n"), Some(31));
        assert_eq!(entries("\n"), None);
    }
}
