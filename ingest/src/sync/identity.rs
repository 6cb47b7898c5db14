//! What decides how a stream is read, so that another definition reads it again.
//!
//! Each option that matters travels in the cursor as a short hash under its name: a later definition is compared
//! option by option, and what changed can be said. Values stay out of the log, some are queries of a page.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::source::Cursor;
use crate::spec::{ModeSpec, SourceSpec, StreamSpec};

/// Options by their path, such as `format.csv.encoding`, with a hash of their value.
pub(super) type Options = BTreeMap<String, String>;

/// The key of the options in a cursor.
pub(super) const KEY: &str = "read";

/// Options that say how a system is reached, how often and for whom: another one reads the same rows.
const REACH: [&str; 17] = [
    "token",
    "access_key",
    "secret_key",
    "session_token",
    "tls",
    "ca",
    "insecure",
    "allow_http",
    "timeout",
    "retries",
    "proxy",
    "clean",
    "accept",
    "overlap",
    "size",
    "size_param",
    "path_style",
];

/// What of a definition decides which rows are read and how they land. An option that says what its absence says
/// (its default, `auto`, no, nothing) is left out, so that writing it down or a new program reads nothing again.
pub(super) fn options(source: &SourceSpec, stream: &StreamSpec) -> Options {
    let mut found = Options::new();
    note(&mut found, "kind", &json!(source.kind.name()));
    add(&mut found, "kind", inner(&json!(source.kind)));
    let mut rest = json!(stream);
    if let Value::Object(parts) = &mut rest {
        for key in ["clean", "accept", "mode", "format", "page"] {
            parts.remove(key);
        }
    }
    add(&mut found, "", &rest);
    match &stream.mode {
        None | Some(ModeSpec::Full(_)) => {}
        Some(mode) => {
            let mode = json!(mode);
            note(&mut found, "mode", &json!(name(&mode)));
            add(&mut found, "mode", inner(&mode));
        }
    }
    if let Some(format) = &stream.format {
        note(&mut found, "format", &json!(format.name()));
        add(&mut found, "format", &unlike_default(&json!(format)));
    }
    if let Some(page) = &stream.page {
        // How many come at once changes nothing; where pages start does.
        let page = json!(page);
        note(&mut found, "page", &json!(name(&page)));
        add(&mut found, "page", inner(&page));
    }
    found
}

/// The names of the options that differ, as the definition writes them; none when the cursor does not know.
pub(super) fn differing(cursor: &Cursor, now: &Options) -> Vec<String> {
    let Some(Value::Object(before)) = cursor.get(KEY) else { return Vec::new() };
    let was = |key: &String| before.get(key).and_then(Value::as_str);
    let new = now.iter().filter(|(key, hash)| was(key) != Some(hash.as_str())).map(|(key, _)| key);
    let gone = before.keys().filter(|key| !now.contains_key(*key));
    let names: BTreeSet<&str> = new.chain(gone).map(|key| key.rsplit('.').next().unwrap_or(key)).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Whether one of the options that differ is about the system itself, not about the stream.
pub(super) fn elsewhere(cursor: &Cursor, now: &Options) -> bool {
    let Some(Value::Object(before)) = cursor.get(KEY) else { return false };
    let of_kind = |key: &&String| key.starts_with("kind");
    let was: BTreeMap<&String, &str> =
        before.iter().filter(|(key, _)| of_kind(key)).filter_map(|(k, v)| Some((k, v.as_str()?))).collect();
    let is: BTreeMap<&String, &str> =
        now.iter().filter(|(key, _)| of_kind(key)).map(|(k, v)| (k, v.as_str())).collect();
    was != is
}

/// The variant of an externally tagged choice.
fn name(choice: &Value) -> &str {
    match choice {
        Value::Object(one) => one.keys().next().map_or("", String::as_str),
        other => other.as_str().unwrap_or_default(),
    }
}

fn inner(choice: &Value) -> &Value {
    match choice {
        Value::Object(one) => one.values().next().unwrap_or(&Value::Null),
        _ => &Value::Null,
    }
}

/// A format without the options that it has anyway.
fn unlike_default(format: &Value) -> Value {
    let plain = json!({ name(format): {} });
    let plain =
        serde_json::from_value::<crate::spec::FormatSpec>(plain).map(|f| json!(f)).unwrap_or_default();
    let mut own = inner(format).clone();
    if let (Value::Object(own), Value::Object(plain)) = (&mut own, inner(&plain)) {
        own.retain(|key, value| plain.get(key) != Some(value));
    }
    own
}

/// Flattens the options below a path.
fn add(found: &mut Options, path: &str, value: &Value) {
    match value {
        Value::Object(parts) => {
            for (key, part) in parts.iter().filter(|(key, _)| !REACH.contains(&key.as_str())) {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                add(found, &below, part);
            }
        }
        other => note(found, path, other),
    }
}

fn note(found: &mut Options, path: &str, value: &Value) {
    // What a format has anyway was left out before: there a `false` was written against a `true`.
    let own = path.starts_with("format.");
    let nothing = match value {
        Value::Null => true,
        Value::Bool(false) => !own,
        Value::String(text) => !own && (text.is_empty() || text == "auto"),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if !nothing {
        let hash = Sha256::digest(value.to_string()).iter().take(6).map(|b| format!("{b:02x}")).collect();
        found.insert(path.to_owned(), hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: Value) -> Options {
        let spec: SourceSpec = serde_json::from_value(source).unwrap();
        options(&spec, &spec.streams["s"])
    }

    fn change(before: Value, after: Value) -> Vec<String> {
        differing(&json!({ KEY: read(before) }), &read(after))
    }

    fn files(stream: Value) -> Value {
        json!({"kind": {"files": {"path": "drops"}}, "streams": {"s": stream}})
    }

    #[test]
    fn what_decides_how_rows_are_read_is_told_by_name() {
        let plain = || files(json!({"glob": "*.csv", "format": {"csv": {}}}));
        for (stream, expected) in [
            (json!({"glob": "*.csv", "format": {"csv": {"encoding": "big5"}}}), "encoding"),
            (json!({"glob": "*.csv", "format": {"csv": {"delimiter": ";"}}}), "delimiter"),
            (json!({"glob": "*.csv", "format": {"csv": {"skip": 1}}}), "skip"),
            (json!({"glob": "*.csv", "format": {"csv": {"header": false}}}), "header"),
            (json!({"glob": "a*.csv", "format": {"csv": {}}}), "glob"),
        ] {
            assert_eq!(change(plain(), files(stream.clone())), [expected], "{stream}");
            assert_eq!(change(files(stream), plain()), [expected], "and back");
        }
        assert_eq!(change(plain(), files(json!({"glob": "*.csv", "format": {"ndjson": {}}}))), ["format"]);
        let sheet = |options: Value| files(json!({"glob": "*.xlsx", "format": {"xlsx": options}}));
        assert_eq!(change(sheet(json!({})), sheet(json!({"header_row": 3}))), ["header_row"]);
        assert_eq!(change(sheet(json!({})), sheet(json!({"sheet": "b", "header_row": "auto"}))), ["sheet"]);
        assert_eq!(change(sheet(json!({})), sheet(json!({"fill_merged": false}))), ["fill_merged"]);
        let table = |stream: Value| json!({"kind": {"sqlite": {"path": "a.db"}}, "streams": {"s": stream}});
        assert_eq!(change(table(json!({"table": "a"})), table(json!({"table": "b"}))), ["table"]);
        assert_eq!(
            change(table(json!({"table": "a"})), table(json!({"query": "select 1 as a"}))),
            ["query", "table"]
        );
        let mode = |mode: Value| table(json!({"table": "a", "mode": mode}));
        assert_eq!(
            change(mode(json!({"full": {}})), mode(json!({"incremental": {"cursor": "at"}}))),
            ["cursor", "mode"]
        );
        assert_eq!(
            change(mode(json!({"upsert": {"key": ["id"]}})), mode(json!({"upsert": {"key": ["id", "b"]}}))),
            ["key"]
        );
    }

    #[test]
    fn what_does_not_decide_it_redoes_nothing() {
        let stream = json!({"glob": "*.csv", "format": {"csv": {}}});
        let before = || files(stream.clone());
        let mut after =
            files(json!({"glob": "*.csv", "format": {"csv": {"encoding": "auto", "null_padding": false}},
            "clean": "c", "accept": {"set_aside": "1%"}}));
        after["title"] = json!("T");
        after["every"] = json!("5m");
        assert_eq!(change(before(), after), Vec::<String>::new());
        let table = |mode: Value| json!({"kind": {"postgres": {"url": "env:A"}}, "streams": {"s": {"table": "a", "mode": mode}}});
        let by = |overlap: &str| table(json!({"incremental": {"cursor": "at", "overlap": overlap}}));
        assert_eq!(change(by("1m"), by("5m")), Vec::<String>::new(), "the cursor itself knows overlaps");
        assert_eq!(change(table(json!(null)), table(json!({"full": {}}))), Vec::<String>::new());
    }

    #[test]
    fn a_cursor_that_does_not_know_is_believed() {
        assert_eq!(differing(&json!({"at": 1}), &read(files(json!({"glob": "*"})))), Vec::<String>::new());
    }

    #[test]
    fn another_folder_is_elsewhere() {
        let at = |path: &str| json!({"kind": {"files": {"path": path}}, "streams": {"s": {"glob": "*"}}});
        let before = json!({ KEY: read(at("a")) });
        assert!(elsewhere(&before, &read(at("b"))) && !elsewhere(&before, &read(at("a"))));
        assert_eq!(differing(&before, &read(at("b"))), ["path"]);
    }
}
