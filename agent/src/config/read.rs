//! Reading a tree: each key is asked for by name, each wrong value is noted and passed over, and
//! what nobody asked for is an error that names the nearest known key. So one look at a file
//! finds all that is wrong with it.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use super::problem::{Place, Problem};
use super::tree::{Key, Node, Value};

/// Where problems are gathered.
#[derive(Debug, Default)]
pub(super) struct Sink {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Sink {
    /// All errors and all warnings, in the order of the file.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort();
        problems.dedup();
        warnings.sort();
        (problems, warnings)
    }
}

/// A value, the path of keys to it, and where its problems go.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    node: &'a Node,
    path: String,
    sink: &'a Sink,
}

/// A value that was understood, with the field it came from: for problems that only show when
/// it is held against others.
#[derive(Debug, Clone)]
pub(super) struct Sited<'a, T> {
    pub(super) value: T,
    pub(super) field: Field<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn root(node: &'a Node, sink: &'a Sink) -> Field<'a> {
        Field { node, path: String::new(), sink }
    }

    pub(super) fn line(&self) -> u32 {
        self.node.place.line
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn problem(&self, place: Place, message: String) -> Problem {
        Problem { place: Some(place), key: self.path.clone(), message }
    }

    /// Notes an error.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        let problem = self.problem(self.node.place, message.into());
        self.sink.problems.borrow_mut().push(problem);
    }

    /// Notes a doubt.
    pub(super) fn doubt(&self, message: impl Into<String>) {
        let problem = self.problem(self.node.place, message.into());
        self.sink.warnings.borrow_mut().push(problem);
    }

    /// Notes that something else was expected.
    pub(super) fn expected(&self, what: &str) {
        self.wrong(format!("expected {what}, found {}", self.node.value));
    }

    /// The scalar as written.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            _ => {
                self.expected(expected);
                None
            }
        }
    }

    /// A scalar by its reader, whose error says what was expected.
    pub(super) fn parse<T, E: Display>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match read(self.text(expected)?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(format!("{} is not {expected}: {error}", self.node.value));
                None
            }
        }
    }

    /// A scalar by a reader that has nothing to say beyond no.
    pub(super) fn accept<T>(
        &self,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(self.text(expected)?);
        if value.is_none() {
            self.expected(expected);
        }
        value
    }

    /// A whole number within a range.
    pub(super) fn number(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.accept(&expected, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        self.accept("true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.accept(&words.join(" or "), |text| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
        })
    }

    /// The scalar, where the value is one.
    pub(super) fn scalar(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// How many values a list has; none where it is something else.
    pub(super) fn len(&self) -> usize {
        match &self.node.value {
            Value::List(items) => items.len(),
            _ => 0,
        }
    }

    /// The values of a list; none where it is something else. A key with nothing behind it is an
    /// empty list: its entries may have been commented out.
    pub(super) fn list(&self, expected: &str) -> Vec<Field<'a>> {
        match &self.node.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| Field {
                    node,
                    path: format!("{}[{index}]", self.path),
                    sink: self.sink,
                })
                .collect(),
            Value::Null => Vec::new(),
            _ => {
                self.expected(&format!("a list of {expected}; `[]` for none"));
                Vec::new()
            }
        }
    }

    /// Whether the value is a list, or nothing where one may stand.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_) | Value::Null)
    }

    /// The values of a list; a scalar is a list of itself.
    pub(super) fn one_or_list(&self, expected: &str) -> Vec<Field<'a>> {
        match self.scalar() {
            Some(_) => vec![self.clone()],
            None => self.list(expected),
        }
    }

    /// The values of a list that could be read, each with its place.
    pub(super) fn list_of<T>(
        &self,
        expected: &str,
        mut read: impl FnMut(&Field<'a>) -> Option<T>,
    ) -> Vec<Sited<'a, T>> {
        let items = self.list(expected).into_iter();
        items.filter_map(|field| read(&field).map(|value| Sited { value, field })).collect()
    }

    /// A mapping. `read` asks for its keys; what is left is unknown. Where the value is no
    /// mapping, the error is noted and `read` sees an empty one.
    pub(super) fn section<T>(&self, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                self.expected("a mapping of keys to values");
                &[]
            }
        };
        let mut section = Section { field: self.clone(), entries, known: Vec::new() };
        let value = read(&mut section);
        section.refuse_unknown();
        value
    }
}

/// A mapping that is being read.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// The mapping as a whole.
    pub(super) field: Field<'a>,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// A mapping in which nothing is given; its problems are those of `field`.
    pub(super) fn empty(field: &Field<'a>) -> Section<'a> {
        Section { field: field.clone(), entries: &[], known: Vec::new() }
    }

    /// The value of a key, where it is there.
    pub(super) fn get(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        Some(Field { node, path: join(&self.field.path, name), sink: self.field.sink })
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, name: &'static str, expected: &str) -> Option<Field<'a>> {
        let field = self.get(name);
        if field.is_none() {
            self.field.wrong(format!("`{name}` is missing: expected {expected}"));
        }
        field
    }

    fn refuse_unknown(self) {
        for (key, _) in self.entries {
            if self.known.contains(&key.text.as_str()) {
                continue;
            }
            let path = join(&self.field.path, &key.text);
            let hint = match nearest(&key.text, &self.known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here are {}", self.known.join(", ")),
            };
            let problem = Problem {
                place: Some(key.place),
                key: path,
                message: format!("unknown key: {hint}"),
            };
            self.field.sink.problems.borrow_mut().push(problem);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The known word that was probably meant: at most a third of the letters differ, or two.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let limit = (word.chars().count() / 3).max(2);
    known
        .iter()
        .map(|known| (distance(&word.to_lowercase(), &known.to_lowercase()), *known))
        .filter(|(distance, known)| *distance <= limit && *distance < known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many letters must be put in, taken out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut left: Option<char> = None;
    for (row, letter) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != *other);
            let mut best = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = column > 0 && left == Some(*other) && b[column - 1] == letter;
            if swapped && let Some(cost) = before_last.get(column - 1) {
                best = best.min(cost + 1);
            }
            current.push(best);
        }
        before_last = std::mem::replace(&mut last, current);
        left = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "abc", 3),
            ("podCIDR", "podCIDRs", 1),
            ("prot", "port", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["holdTime", "port", "password", "mesh"];
        assert_eq!(nearest("holdtime", &known), Some("holdTime"));
        assert_eq!(nearest("hold-time", &known), Some("holdTime"));
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("neighbours", &known), None);
        assert_eq!(nearest("zz", &known), None);
    }
}
