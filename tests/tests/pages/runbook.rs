//! A page of the documentation, carried out as it stands.
//!
//! What stands behind a block's language says what becomes of the block; readers do not see it:
//!
//! | | |
//! |---|---|
//! | `write=FILE`, `append=FILE` | the text goes into that file of every host |
//! | `on=HOST`, `on=each` | the block runs on that host, on every host |
//! | `stays` | its last command goes on running; the lines below are awaited in what it says |
//! | `logged` | the lines are awaited in what the first program that stays says |
//! | `not-run="WHY"` | left out |
//!
//! An `sh` block is one script, whose end counts. In a `console` block a line that begins with `# `
//! is a command, and what follows is what it answers: it is asked until its answer has those lines
//! in that order, whatever stands between them where the page says `...`. Numbers that differ from
//! run to run (times, durations, counts of microseconds) and widths of columns are not compared.
//! A page whose commands, or shown answers, are marked in no way is an error.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use twill_book::markdown::{Block, blocks};
use twill_tests::lab::{Host, Process, WAIT, wait};

/// The hosts that a page speaks of, and what it started on them.
pub(crate) struct Runbook {
    hosts: Vec<Rc<Host>>,
    /// The folder of our programs, first in every command's PATH.
    programs: String,
    started: RefCell<Vec<Process>>,
}

/// What is to be done with a block.
#[derive(Debug, PartialEq, Eq)]
enum Task<'a> {
    Write(&'a str),
    Append(&'a str),
    Run { on: &'a str, stays: bool },
    Logged,
    Leave,
}

/// What a block's info string asks for.
fn task(block: &Block) -> Result<Task<'_>> {
    let (language, rest) = block.info.split_once(' ').unwrap_or((&block.info, ""));
    if rest.starts_with("not-run=\"") {
        return Ok(Task::Leave);
    }
    let mut on = None;
    let mut stays = false;
    for word in rest.split_whitespace() {
        match word.split_once('=') {
            Some(("write", path)) => return Ok(Task::Write(path)),
            Some(("append", path)) => return Ok(Task::Append(path)),
            Some(("on", host)) => on = Some(host),
            None if word == "stays" => stays = true,
            None if word == "logged" => return Ok(Task::Logged),
            _ => bail!("`{word}` behind `{language}` means nothing"),
        }
    }
    match (on, language) {
        (Some(on), "sh" | "console") => Ok(Task::Run { on, stays }),
        (None, "sh" | "console") => bail!("it says neither on= nor not-run="),
        (None, _) => Ok(Task::Leave),
        (Some(_), other) => bail!("`{other}` cannot be run"),
    }
}

/// The commands of a console block, each with the answer shown.
fn commands(text: &str) -> Result<Vec<(String, Vec<String>)>> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("# "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), Vec::new())),
            (None, Some((_, answer))) => answer.push(line.to_owned()),
            (None, None) => bail!("an answer without a command"),
        }
    }
    Ok(found)
}

/// A line without what differs from run to run.
fn plain(line: &str) -> Result<String> {
    let stamp = Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z")?.replace_all(line, "TIME");
    let spans = Regex::new(r"\b\d+(\.\d+)? ?(us|µs|ms|s|m|h)( ?\d+(us|ms|s|m|h))*\b")?;
    let spans = spans.replace_all(&stamp, "SPAN");
    Ok(spans.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether `said` has the lines of `shown`, in order; without `...` between two of them, one right
/// after the other.
fn answers(shown: &[String], said: &str) -> Result<bool> {
    let said: Vec<String> = said.lines().map(plain).collect::<Result<_>>()?;
    let mut at = 0;
    // Before the first line anything may stand, as a program may say more than a page shows.
    let mut gap = true;
    for line in shown {
        if line.trim() == "..." {
            gap = true;
            continue;
        }
        let line = plain(line)?;
        let Some(rest) = said.get(at..) else { return Ok(false) };
        let reach = if gap { rest.len() } else { 1 };
        match rest.iter().take(reach).position(|other| *other == line) {
            Some(skipped) => at += skipped + 1,
            None => return Ok(false),
        }
        gap = false;
    }
    Ok(true)
}

impl Runbook {
    pub(crate) fn new(hosts: Vec<Rc<Host>>, programs: String) -> Runbook {
        Runbook { hosts, programs, started: RefCell::default() }
    }

    /// Carries out the blocks of a page, from the first to the last; how many there were.
    pub(crate) fn follow(&self, page: &str) -> Result<usize> {
        let mut carried_out = 0;
        for block in blocks(page) {
            let done = self
                .carry_out(&block)
                .with_context(|| format!("line {}: the block `{}`", block.line, block.info))?;
            carried_out += usize::from(done);
        }
        Ok(carried_out)
    }

    /// Does what a block asks for; whether that is anything.
    fn carry_out(&self, block: &Block) -> Result<bool> {
        match task(block)? {
            Task::Leave => return Ok(false),
            Task::Logged => {
                let shown: Vec<String> = block.text.lines().map(str::to_owned).collect();
                self.await_answer(0, &shown)?;
            }
            Task::Write(path) => {
                for host in &self.hosts {
                    host.write(path, &block.text)?;
                }
            }
            Task::Append(path) => {
                for host in &self.hosts {
                    host.write(path, &(host.read(path)? + &block.text))?;
                }
            }
            Task::Run { on, stays } => {
                let on: Vec<_> =
                    self.hosts.iter().filter(|host| on == "each" || host.name() == on).collect();
                ensure!(!on.is_empty(), "there is no such host");
                // What stays may only answer as shown once it stays on every host.
                let mut shown = Vec::new();
                for host in on {
                    shown.extend(self.run(host, block, stays)?);
                }
                for (at, answer) in shown {
                    self.await_answer(at, &answer)?;
                }
            }
        }
        Ok(true)
    }

    /// The words that run a script as the page's reader would, on a host of that name.
    fn shell<'a>(&'a self, host: &'a Host, script: &'a str) -> [&'a str; 10] {
        let enter =
            "hostname \"$1\" && PATH=\"$2:$PATH\" NO_COLOR=1 COLUMNS=200 exec sh -euc \"$3\"";
        let programs = &self.programs;
        ["unshare", "--uts", "--", "sh", "-c", enter, "sh", host.name(), programs, script]
    }

    /// Runs a block on a host; what stays, by its place in the list, and what it is to answer.
    fn run(&self, host: &Host, block: &Block, stays: bool) -> Result<Option<(usize, Vec<String>)>> {
        if block.info.starts_with("sh") {
            host.run(&self.shell(host, &block.text))?;
            return Ok(None);
        }
        let mut commands = commands(&block.text)?;
        let last = if stays { commands.pop() } else { None };
        for (command, shown) in commands {
            self.ask(host, &command, &shown)?;
        }
        let Some((command, shown)) = last else { return Ok(None) };
        let name = command.replace([' ', '/'], "-");
        let process = host.spawn(&name, &self.shell(host, &format!("exec {command}")))?;
        self.started.borrow_mut().push(process);
        // Each host has other neighbours than the page's; the first stands for all.
        let first = host.name() == self.hosts[0].name();
        Ok(first.then(|| (self.started.borrow().len() - 1, shown)))
    }

    /// Runs a command until it answers as shown.
    fn ask(&self, host: &Host, command: &str, shown: &[String]) -> Result<()> {
        wait(format_args!("{}: `{command}` to answer as shown", host.name()), WAIT, || {
            let said = host.run(&self.shell(host, command))?;
            ensure!(answers(shown, &said)?, "it answered:\n{said}");
            Ok(true)
        })
        .map(drop)
    }

    /// Waits until what was started has said what is shown.
    fn await_answer(&self, at: usize, shown: &[String]) -> Result<()> {
        let started = self.started.borrow();
        wait("what was started to say what is shown", WAIT, || {
            let said = started.get(at).context("nothing stays")?.output();
            ensure!(answers(shown, &said)?, "it said:\n{said}");
            Ok(true)
        })
        .map(drop)
    }
}

#[test]
fn answers_are_compared_without_times() -> Result<()> {
    let shown: Vec<String> =
        ["NAME  UP", "...", "a  3s", "b in 10.5 ms"].map(str::to_owned).to_vec();
    assert!(answers(&shown, "NAME UP\nx 1s\na    12s\nb in 7 ms\n")?);
    assert!(!answers(&shown, "NAME UP\nx 1s\na    12s\nc\nb in 7 ms\n")?, "a line between");
    assert!(!answers(&shown, "NAME UP\na 12s\nb is gone\n")?, "another line");
    assert!(!answers(&["2 of 2 up".to_owned()], "1 of 2 up\n")?, "another count");
    Ok(())
}

#[test]
fn a_command_marked_in_no_way_is_an_error() {
    let page = "```sh\nrm -r /\n```\n```console stays\n# x\n```\n```sh not-run=\"a reason\"\n```\n\
                ```sh on=b runs\n```\n```yaml on=b\n```\n```yaml\n```\n";
    let told: Vec<bool> = blocks(page).iter().map(|block| task(block).is_ok()).collect();
    assert_eq!(told, [false, false, true, false, false, true]);
}
