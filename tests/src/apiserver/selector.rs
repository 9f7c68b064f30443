//! Label and field selectors.

use serde_json::Value;

use super::status::Refusal;

/// Conditions that must all hold. Empty: everything is selected.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    /// Of labels: the key below `metadata.labels`. Of fields: names from the top down.
    path: Vec<String>,
    wants: Wants,
}

#[derive(Debug, Clone)]
enum Wants {
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Present,
    Absent,
}

/// What the real server selects by, of the resources that are here.
const FIELDS: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "spec.unschedulable",
    "spec.nodeName",
    "type",
    "reason",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
];

impl Selector {
    /// `a=b,c!=d,e in (f,g),h notin (i),j,!k`
    pub(super) fn labels(text: &str) -> Result<Selector, Refusal> {
        let mut conditions = Vec::new();
        for term in terms(text) {
            let (key, wants) = label_term(term).ok_or_else(|| {
                Refusal::bad_request(format!("unable to parse requirement {term:?}"))
            })?;
            let path = vec!["metadata".to_owned(), "labels".to_owned(), key];
            conditions.push(Condition { path, wants });
        }
        Ok(Selector { conditions })
    }

    /// `metadata.name=a,type!=b`
    pub(super) fn fields(text: &str) -> Result<Selector, Refusal> {
        let mut conditions = Vec::new();
        for term in terms(text) {
            let (key, wants) = equation(term)
                .ok_or_else(|| Refusal::bad_request(format!("invalid selector: {term:?}")))?;
            if !FIELDS.contains(&key.as_str()) {
                return Err(Refusal::bad_request(format!("field label not supported: {key}")));
            }
            let path = key.split('.').map(str::to_owned).collect();
            conditions.push(Condition { path, wants });
        }
        Ok(Selector { conditions })
    }

    /// The one name that is asked for, where it is.
    pub(super) fn name(&self) -> Option<&str> {
        self.conditions.iter().find_map(|condition| match &condition.wants {
            Wants::OneOf(list) if condition.path == ["metadata", "name"] => {
                list.first().map(String::as_str)
            }
            _ => None,
        })
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        self.conditions.iter().all(|condition| {
            let mut found = object;
            for name in &condition.path {
                found = &found[name.as_str()];
            }
            let text = match found {
                Value::Bool(yes) => Some(yes.to_string()),
                other => other.as_str().map(str::to_owned),
            };
            match (&condition.wants, text) {
                (Wants::OneOf(list), Some(text)) => list.contains(&text),
                (Wants::OneOf(list), None) => {
                    list.iter().any(String::is_empty) && fieldlike(condition)
                }
                (Wants::NoneOf(list), Some(text)) => !list.contains(&text),
                (Wants::Absent | Wants::NoneOf(_), None) | (Wants::Present, Some(_)) => true,
                (Wants::Absent, Some(_)) | (Wants::Present, None) => false,
            }
        })
    }
}

/// A field that is not set is an empty one; a label that is not set is none.
fn fieldlike(condition: &Condition) -> bool {
    condition.path.get(1).is_none_or(|name| name != "labels")
}

/// Splits at commas outside of parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn equation(term: &str) -> Option<(String, Wants)> {
    let (key, value, equal) = if let Some((key, value)) = term.split_once("!=") {
        (key, value, false)
    } else {
        let (key, value) = term.split_once('=')?;
        (key, value.strip_prefix('=').unwrap_or(value), true)
    };
    let values = vec![value.trim().to_owned()];
    let wants = if equal { Wants::OneOf(values) } else { Wants::NoneOf(values) };
    Some((key.trim().to_owned(), wants))
}

fn label_term(term: &str) -> Option<(String, Wants)> {
    if let Some((head, list)) = term.split_once('(') {
        let list = list.strip_suffix(')')?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let key = words.next()?.to_owned();
        return match (words.next()?, words.next()) {
            ("in", None) => Some((key, Wants::OneOf(values))),
            ("notin", None) => Some((key, Wants::NoneOf(values))),
            _ => None,
        };
    }
    if term.contains('=') {
        return equation(term);
    }
    let (key, wants) = match term.strip_prefix('!') {
        Some(key) => (key, Wants::Absent),
        None => (term, Wants::Present),
    };
    (!key.trim().contains(char::is_whitespace)).then(|| (key.trim().to_owned(), wants))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selector;

    #[test]
    fn labels_select_as_kubectl_writes_them() {
        let object = json!({"metadata": {"labels": {"a": "b", "zone": "x"}}});
        let cases = [
            ("", true),
            ("a=b", true),
            ("a==b,zone", true),
            ("a!=b", false),
            ("other!=b", true),
            ("zone in (x, y),a=b", true),
            ("zone in (y,z)", false),
            ("zone notin (y,z)", true),
            ("other notin (y,z)", true),
            ("!other", true),
            ("!a", false),
            ("other=", false),
        ];
        for (text, expected) in cases {
            let selector = Selector::labels(text).unwrap();
            assert_eq!(selector.selects(&object), expected, "{text}");
        }
        for bad in ["a b", "a within (b)", "a in (b"] {
            assert_eq!(Selector::labels(bad).unwrap_err().code, 400, "{bad}");
        }
    }

    #[test]
    fn fields_are_those_that_the_real_server_knows() {
        let object = json!({"metadata": {"name": "a"}, "spec": {"unschedulable": true}});
        for (text, expected) in [
            ("metadata.name=a", true),
            ("metadata.name!=a", false),
            ("metadata.name=a,spec.unschedulable=true", true),
            ("spec.nodeName=", true),
        ] {
            assert_eq!(Selector::fields(text).unwrap().selects(&object), expected, "{text}");
        }
        assert_eq!(Selector::fields("spec.podCIDR=a").unwrap_err().code, 400);
    }
}
