use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Long enough for any state that should come at all, on a loaded machine.
pub const WAIT: Duration = Duration::from_secs(30);

/// Asks until the answer is yes; says what was waited for, and the last answer, where it stays no.
/// Returns how long it took.
pub fn wait(
    what: impl Display,
    within: Duration,
    mut ask: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let begin = Instant::now();
    wait_for(what, within, || Ok(ask()?.then_some(())))?;
    Ok(begin.elapsed())
}

/// Asks until there is an answer.
pub fn wait_for<T>(
    what: impl Display,
    within: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let answer = ask();
        if let Ok(Some(answer)) = answer {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            match answer {
                Err(error) => bail!("{what}: not within {within:?}; last: {error:#}"),
                Ok(_) => bail!("{what}: not within {within:?}"),
            }
        }
        pause();
    }
}

/// Looks again and again for this long, and fails at the first look that says no: for what must
/// stay as it is while something is away.
pub fn hold(
    what: impl Display,
    during: Duration,
    mut look: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < during {
        if !look()? {
            bail!("{what}: no more after {:?} of {during:?}", begin.elapsed());
        }
        pause();
    }
    Ok(())
}

/// Between two questions.
#[expect(clippy::disallowed_methods, reason = "the lab's one pause: between two looks at a state")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}
