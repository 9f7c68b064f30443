//! What is wrong with a configuration: every problem with its place, key and remedy.

use std::fmt;
use std::path::PathBuf;

/// A place in a file; both numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl Place {
    pub(super) const START: Place = Place { line: 1, column: 1 };

    /// From a line that counts from 1 and a column that counts from 0, as the parser has them.
    pub(super) fn new(line: usize, column: usize) -> Place {
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Place { line: narrow(line).max(1), column: narrow(column).saturating_add(1) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong, or doubtful.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where; `None` for the file as a whole.
    pub place: Option<Place>,
    /// The key, as a path: `mesh.nodes[1].podCIDRs`; empty where there is none.
    pub key: String,
    /// What was expected, what was found, and the remedy.
    pub message: String,
}

impl Problem {
    pub(super) fn at(place: Place, message: impl Into<String>) -> Problem {
        Problem { place: Some(place), key: String::new(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration was refused: all that is wrong with it, in the order of the file.
/// Printed as one line per problem, `FILE:LINE:COLUMN: KEY: what`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// At least one.
    pub problems: Vec<Problem>,
    /// The password files that it names: a change of one may mend it.
    pub secret_files: Vec<PathBuf>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let separator = if problem.place.is_some() { ":" } else { ": " };
            write!(f, "{}{separator}{problem}", self.file.display())?;
        }
        Ok(())
    }
}
