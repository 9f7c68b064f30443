//! From text to a tree in which every key and value knows its line.
//!
//! Built on the events of granit-parser, because a reader that reports every error at once needs
//! the place of keys as well as values, and scalars as they were written: `64512:100` or `1.10`
//! must not turn into a number on the way. Aliases are followed, within a bound; tags are not
//! understood.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{Place, Problem};

/// Values in one file, aliases unfolded: what a cluster of 5,000 nodes needs, ten times over.
const MAX_NODES: usize = 500_000;
/// How deep values may lie within each other.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// As written.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("nothing"),
            Value::Scalar(text) if text.chars().count() > 60 => {
                write!(f, "`{}...`", text.chars().take(57).collect::<String>())
            }
            Value::Scalar(text) => write!(f, "`{text}`"),
            Value::List(_) => f.write_str("a list"),
            Value::Map(_) => f.write_str("a mapping"),
        }
    }
}

/// Reads one document; an empty file is an empty mapping.
///
/// # Errors
/// Where the text is no YAML, and for keys given twice: these are all returned at once.
pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        nodes: 0,
        duplicates: Vec::new(),
    };
    let root = builder.document().map_err(|problem| vec![problem])?;
    if builder.duplicates.is_empty() { Ok(root) } else { Err(builder.duplicates) }
}

struct Builder<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    duplicates: Vec<Problem>,
}

type Step<'a> = Result<(Event<'a>, Place), Problem>;

impl<'a> Builder<'a> {
    fn next(&mut self) -> Step<'a> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, place(&span))),
            Some(Err(error)) => {
                let marker = error.marker();
                Err(Problem::at(Place::new(marker.line(), marker.col()), error.info()))
            }
            None => Ok((Event::StreamEnd, Place::START)),
        }
    }

    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    return Err(Problem::at(
                        place,
                        "a second YAML document begins here: expected one document",
                    ));
                }
                event => root = Some(self.node(event, place)?),
            }
        }
        Ok(root.unwrap_or(Node { place: Place::START, value: Value::Null }))
    }

    fn node(&mut self, event: Event<'a>, place: Place) -> Result<Node, Problem> {
        self.count(1, place)?;
        if event.tag().is_some() {
            return Err(Problem::at(place, "tags such as `!!str` are not understood: remove it"));
        }
        let anchor = event.anchor_id();
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            Event::Scalar(text, ..) => Value::Scalar(text.into_owned()),
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            Event::Alias(id) => {
                // An anchor within itself is not known yet when its alias comes.
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(Problem::at(place, "this alias refers to a value it is part of"));
                };
                self.count(size(&node), place)?;
                node.value
            }
            other => {
                return Err(Problem::at(place, format!("expected a value, found {other:?}")));
            }
        };
        let node = Node { place, value };
        if let Some(id) = anchor {
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node(event, place)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Problem> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, u32> = HashMap::new();
        loop {
            let (event, place) = self.next()?;
            let text = match event {
                Event::MappingEnd => return Ok(Value::Map(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Problem::at(place, "expected a key, which is a plain word")),
            };
            let (event, value_place) = self.next()?;
            let node = self.node(event, value_place)?;
            if let Some(line) = lines.get(&text) {
                self.duplicates.push(Problem::at(
                    place,
                    format!("`{text}` is given twice: the first is on line {line}; keep one"),
                ));
                continue;
            }
            lines.insert(text.clone(), place.line);
            entries.push((Key { text, place }, node));
        }
    }

    fn count(&mut self, more: usize, place: Place) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(Problem::at(
                place,
                format!("more than {MAX_NODES} values, aliases unfolded: use fewer aliases"),
            ));
        }
        Ok(())
    }
}

fn place(span: &Span) -> Place {
    Place::new(span.start.line(), span.start.col())
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar(_) => 1,
        Value::List(items) => items.iter().map(size).fold(1, usize::saturating_add),
        Value::Map(entries) => {
            entries.iter().map(|(_, node)| size(node)).fold(1, usize::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let problems = parse(text).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn scalars_stay_as_written() {
        let root = parse("a: [64512:100, 1.10, '007', fd00::1, ~]").unwrap();
        let Value::Map(entries) = root.value else { panic!("a mapping") };
        let Value::List(items) = &entries[0].1.value else { panic!("a list") };
        let texts: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
        assert_eq!(texts, ["`64512:100`", "`1.10`", "`007`", "`fd00::1`", "nothing"]);
        assert_eq!(items[1].place, Place { line: 1, column: 16 });
    }

    #[test]
    fn aliases_are_followed_within_a_bound() {
        let root = parse("a: &x [1, 2]\nb: *x\n").unwrap();
        let Value::Map(entries) = root.value else { panic!("a mapping") };
        assert!(matches!(&entries[1].1.value, Value::List(items) if items.len() == 2));

        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "));
        }
        assert!(refused(&bomb).contains("use fewer aliases"), "{}", refused(&bomb));
    }

    #[test]
    fn what_is_no_single_document_is_refused_with_its_place() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: `a` is given twice: the first is on line 1; keep one"),
            ("a: 1\n---\nb: 2\n", "3:1: a second YAML document begins here"),
            ("a: !!str 1\n", "1:10: tags such as `!!str` are not understood"),
            ("a: [1, 2\n", "1:4: unclosed bracket"),
            ("a: *x\n", "1:4: "),
            ("? [a, b]\n: 1\n", "1:3: expected a key"),
        ] {
            let found = refused(text);
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
        let deep = "[".repeat(100);
        assert!(!refused(&deep).is_empty());
    }
}
