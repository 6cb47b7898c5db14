//! Which series is which. Two are the same when their values are, not when their texts are: a group without a
//! value is not the group whose value is a dash. Pure.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// What people read of a series: name → text.
pub(crate) type Labels = BTreeMap<String, String>;

/// A dimension or column without a value.
pub(crate) const NOTHING: &str = "—";
/// Longer texts are shown up to here; the series still is the one of the whole text.
const LONGEST_LABEL: usize = 300;
/// Longer values are told apart by their digest, so that a key stays small.
const LONGEST_KEY: usize = 256;

/// The key of a series: its values by name as JSON, null where there is none. The same values always give the
/// same key, whatever the order.
pub(crate) fn series_of<'a, N: AsRef<str> + 'a>(
    values: impl IntoIterator<Item = (N, Option<&'a str>)>,
) -> String {
    let values: BTreeMap<String, Option<String>> =
        values.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.map(compact))).collect();
    serde_json::to_string(&values).unwrap_or_default()
}

/// The names in a key of [`series_of`].
pub(crate) fn names_of(series: &str) -> Vec<String> {
    let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(series).unwrap_or_default();
    values.into_keys().collect()
}

/// A value as people read it.
pub(crate) fn label(value: Option<&str>) -> String {
    let Some(text) = value else { return NOTHING.to_owned() };
    match text.char_indices().nth(LONGEST_LABEL) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn compact(text: &str) -> String {
    if text.len() <= LONGEST_KEY {
        return text.to_owned();
    }
    let start: String = text.chars().take(40).collect();
    let digest: String = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
    format!("{start}…{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_its_values_and_not_their_texts() {
        let key = |value: Option<&str>| series_of([("branch", value)]);
        assert_ne!(key(None), key(Some("—")));
        assert_ne!(key(None), key(Some("null")));
        assert_ne!(key(Some("")), key(None));
        assert_eq!((label(None), label(Some("—"))), ("—".to_owned(), "—".to_owned()));
        let long = "长".repeat(400);
        assert_ne!(key(Some(&format!("{long}a"))), key(Some(&format!("{long}b"))));
        assert!(key(Some(&long.repeat(100))).len() < 300);
        assert_eq!(label(Some(&long)).chars().count(), 301);
        assert_eq!(names_of(&series_of([("b", None), ("a", Some("x"))])), ["a", "b"]);
    }
}
