//! Network namespaces for tests: each test has its own thread in its own namespace, so tests
//! run side by side.

use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

/// The longest that a test may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs a test in a fresh network namespace, on a thread and a runtime of its own. Without the
/// privilege it is skipped, and says so.
pub(crate) fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name(name);
        let thread = named.spawn_scoped(scope, || {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET) {
                let why = format!("no network namespace without root: {errno}");
                return twill_tests::skip::left_out("lab", &why);
            }
            ip("link set lo up");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::time::timeout(DEADLINE, test()).await.expect("the test ends in time");
            });
        });
        let thread = thread.unwrap();
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs `ip` in this thread's namespace.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `nft` in this thread's namespace.
pub(crate) fn nft(arguments: &str) -> String {
    let output = Command::new("nft").args(arguments.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft {arguments}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A pair of interfaces that are up: `name`, and its far end, whose name ends in `-far`.
pub(crate) fn link(name: &str, addresses: &[&str]) {
    ip(&format!("link add {name} type veth peer name {name}-far"));
    for address in addresses {
        let settled = if address.contains(':') { "nodad" } else { "" };
        ip(&format!("address add {address} dev {name} {settled}"));
    }
    ip(&format!("link set {name}-far up"));
    ip(&format!("link set {name} up"));
}
