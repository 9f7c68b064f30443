//! The binary that a container runtime executes, once per pod and verb.
//!
//! It begins where the C library calls it, not where the standard library would: that one looks up
//! the stack's bounds in /proc/self/maps and prepares for signals and threads that there are none
//! of, for a thirtieth of an ADD. What it does that matters is done here.
#![no_main]

use std::env;
use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, IntoRawFd};

use nix::sys::signal::{SigSet, Signal};

/// Exit codes of the specification: 0 for success.
const SUCCESS: c_int = 0;
const FAILURE: c_int = 1;

#[expect(unsafe_code, reason = "the name that the C library calls; nothing else here is unsafe")]
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    if open_standard_streams().and_then(|()| refuse_to_die_of_pipes()).is_err() {
        return FAILURE;
    }
    let answer = twill_cni::verbs::run(|name| env::var_os(name), io::stdin().lock());
    let text = answer.stdout.map(|json| format!("{json}\n")).unwrap_or_default();
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) if answer.success => SUCCESS,
        _ => FAILURE,
    }
}

/// A runtime may have closed some of the three: then a lease must not be what is written to as
/// standard output.
fn open_standard_streams() -> io::Result<()> {
    loop {
        let file = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if file.as_raw_fd() > 2 {
            return Ok(());
        }
        // Kept open for good.
        let _ = file.into_raw_fd();
    }
}

/// A delegate that reads no configuration, and a runtime that reads no answer, are errors.
fn refuse_to_die_of_pipes() -> io::Result<()> {
    Ok(SigSet::from(Signal::SIGPIPE).thread_block()?)
}
