//! Fields of a JSON object, each read with its path, so that an error names the key, what was
//! expected and what stands there. Unknown keys pass, as the specification wants it.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::error::{Code, Error};

/// An object at a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    place: Place<'a>,
    map: &'a Map<String, Value>,
}

/// Where a value stands; written out only for an error.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The configuration itself.
    Root,
    /// Under a key.
    Key(&'a Place<'a>, &'a str),
    /// In a list.
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(place, key) => write!(f, "{place}.{key}"),
            Self::Item(place, number) => write!(f, "{place}[{number}]"),
        }
    }
}

/// An error about a value at a place.
pub(crate) fn wrong(place: Place<'_>, expected: &str, found: &Value) -> Error {
    Error::new(
        Code::NetworkConfig,
        format!("network configuration: {place}: expected {expected}, found {found}"),
    )
}

/// A value that must be an object.
pub(crate) fn object<'a>(place: Place<'a>, value: &'a Value) -> Result<Fields<'a>, Error> {
    let map = value.as_object().ok_or_else(|| wrong(place, "an object", value))?;
    Ok(Fields { place, map })
}

/// A value that must be a list.
pub(crate) fn list<'a>(place: Place<'_>, value: &'a Value) -> Result<&'a [Value], Error> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(place, "a list", value))
}

/// A value that must be a string of this form.
pub(crate) fn parsed<T: FromStr>(
    place: Place<'_>,
    expected: &str,
    value: &Value,
) -> Result<T, Error> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong(place, expected, value))
}

/// An address, with or without a prefix length, which does not count.
pub(crate) fn address(place: Place<'_>, value: &Value) -> Result<IpAddr, Error> {
    let text = value.as_str().map(|text| text.split_once('/').map_or(text, |(ip, _)| ip));
    text.and_then(|text| text.parse().ok()).ok_or_else(|| wrong(place, "an IP address", value))
}

impl<'a> Fields<'a> {
    /// The place of a key.
    pub(crate) fn place<'b>(&'b self, key: &'b str) -> Place<'b> {
        Place::Key(&self.place, key)
    }

    /// A value; null is as good as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// An error about the value of a key.
    pub(crate) fn wrong(&self, key: &str, expected: &str) -> Error {
        wrong(self.place(key), expected, self.get(key).unwrap_or(&Value::Null))
    }

    /// An error about a key that is understood but not built.
    pub(crate) fn unsupported(&self, key: &str, remedy: &str) -> Error {
        let value = self.get(key).unwrap_or(&Value::Null);
        Error::new(
            Code::UnsupportedField,
            format!(
                "network configuration: {}: {value} is not supported: {remedy}",
                self.place(key)
            ),
        )
    }

    /// A string.
    pub(crate) fn string(&self, key: &str) -> Result<Option<&'a str>, Error> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(key, "a string")))
            .transpose()
    }

    /// A string of a form; an empty one is as good as absent.
    pub(crate) fn parse<T: FromStr>(&self, key: &str, expected: &str) -> Result<Option<T>, Error> {
        match self.string(key)? {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| self.wrong(key, expected)),
        }
    }

    /// True or false.
    pub(crate) fn boolean(&self, key: &str, default: bool) -> Result<bool, Error> {
        self.get(key).map_or(Ok(default), |value| {
            value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))
        })
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        key: &str,
        bounds: RangeInclusive<u32>,
    ) -> Result<Option<u32>, Error> {
        let within = |value: &Value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| bounds.contains(number)).ok_or_else(|| {
                let (least, most) = (bounds.start(), bounds.end());
                self.wrong(key, &format!("a whole number from {least} to {most}"))
            })
        };
        self.get(key).map(within).transpose()
    }

    /// Each item of a list.
    pub(crate) fn each<T>(
        &self,
        key: &str,
        mut read: impl FnMut(Place<'_>, &'a Value) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let place = self.place(key);
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let items = list(place, value)?.iter().enumerate();
        items.map(|(number, item)| read(Place::Item(&place, number), item)).collect()
    }

    /// An object under a key.
    pub(crate) fn with<T: Default>(
        &self,
        key: &str,
        read: impl FnOnce(Fields<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(value) = self.get(key) else { return Ok(T::default()) };
        read(object(self.place(key), value)?)
    }
}
