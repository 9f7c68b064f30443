//! The binary that a container runtime executes, once per pod and verb.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let answer = twill_cni::verbs::run(|name| env::var_os(name), io::stdin().lock());
    let text = answer.stdout.map(|json| format!("{json}\n")).unwrap_or_default();
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) if answer.success => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
