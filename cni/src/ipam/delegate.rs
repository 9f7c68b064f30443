//! Addresses by another plugin: the one place where the plugin executes anything.
//!
//! CNI specification 1.1.0, section 4: found in CNI_PATH, given the same environment and the whole
//! configuration, its error passed on, its DEL run after a failed ADD.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::error::{Code, Error};

/// A plugin that was found.
pub struct Delegate<'a> {
    program: PathBuf,
    configuration: &'a Value,
}

impl<'a> Delegate<'a> {
    /// Looks for it.
    ///
    /// # Errors
    /// Code 4 where CNI_PATH does not hold it.
    pub fn find(kind: &str, path: &[PathBuf], configuration: &'a Value) -> Result<Self, Error> {
        let found = path.iter().map(|directory| directory.join(kind)).find(|path| path.is_file());
        let program = found.ok_or_else(|| {
            let path: Vec<_> =
                path.iter().map(|directory| directory.display().to_string()).collect();
            let path = path.join(":");
            Error::new(
                Code::Environment,
                format!("CNI_PATH: no plugin {kind} (ipam.type) in \"{path}\"; install it there"),
            )
        })?;
        Ok(Self { program, configuration })
    }

    /// Runs a verb. Environment and stderr are this process's.
    ///
    /// # Errors
    /// The plugin's own error, with its own code; 5 where it could not be run, 6 where its answer
    /// is not JSON.
    pub fn run(&self, verb: &str) -> Result<Value, Error> {
        let output = self.execute(verb).map_err(|error| {
            Error::new(Code::Io, format!("cannot run {}: {error}", self.program.display()))
        })?;
        let text = output.stdout.trim_ascii();
        let answer: Value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(text).map_err(|error| {
                Error::new(
                    Code::Decoding,
                    format!(
                        "{}: its answer to {verb} is not JSON: {error}",
                        self.program.display()
                    ),
                )
            })?
        };
        if output.status.success() {
            return Ok(answer);
        }
        Err(refusal(&self.program, verb, &answer, &output))
    }

    fn execute(&self, verb: &str) -> std::io::Result<Output> {
        let mut child = Command::new(&self.program)
            .env("CNI_COMMAND", verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it all says why itself.
            let _ = stdin.write_all(self.configuration.to_string().as_bytes());
        }
        child.wait_with_output()
    }
}

fn refusal(program: &Path, verb: &str, answer: &Value, output: &Output) -> Error {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = answer.get("code").and_then(Value::as_u64).and_then(|code| u32::try_from(code).ok());
    match code {
        Some(code) => {
            let message = format!("{}: {}", program.display(), text("msg"));
            Error::passed_on(code, message, text("details"))
        }
        None => Error::new(
            Code::Io,
            format!("{}: {verb} failed ({}) without a reason", program.display(), output.status),
        ),
    }
}
