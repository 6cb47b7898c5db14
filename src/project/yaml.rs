//! YAML → definition, with a finding that says where, what and how to fix it.

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Location};

use super::finding::{Flaw, choice};

/// Reads a definition. `offset` lines stand above the text in its file.
pub(crate) fn read<T: DeserializeOwned>(text: &str, offset: usize) -> Result<T, Flaw> {
    if is_blank(text) {
        let flaw = Flaw::error((offset + 1, 1), "the file is empty");
        return Err(flaw.hint("write the definition, or delete the file"));
    }
    if let Some(flaw) = tab(text, offset) {
        return Err(flaw);
    }
    serde_saphyr::from_str(text).map_err(|error| flaw(error.without_snippet(), text, offset))
}

/// Nothing but comments.
fn is_blank(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'))
}

/// YAML forbids tabs as indentation; the parser's own message does not name them.
fn tab(text: &str, offset: usize) -> Option<Flaw> {
    let mut block: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if line.trim().is_empty() {
            continue;
        }
        // Lines of a `|` text may hold tabs behind their indentation.
        if block.is_some_and(|outer| indent > outer) {
            continue;
        }
        block = ends_with_block(line).then_some(indent);
        if let Some(column) = line[..indent].find('\t') {
            let flaw = Flaw::error((index + 1 + offset, column + 1), "a tab indents this line");
            return Some(flaw.hint("YAML is indented with spaces: replace the tab by two spaces"));
        }
    }
    None
}

fn ends_with_block(line: &str) -> bool {
    let end = line.trim_end().trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    end.ends_with(": |") || end.ends_with(": >") || end.ends_with("- |") || end.ends_with("- >")
}

fn flaw(error: &Error, text: &str, offset: usize) -> Flaw {
    let at = within(text, error.location().map_or((1, 1), place));
    let (message, hint) = explain(error);
    let hint = if is_structural(error) { slip(text, at).or(hint) } else { hint };
    let flaw = Flaw::error((at.0 + offset, at.1), message);
    match hint {
        Some(hint) => flaw.hint(hint),
        None => flaw,
    }
}

fn place(location: Location) -> (usize, usize) {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
    (number(location.line()), number(location.column()))
}

/// A place behind the last line is shown at the end of what was written.
fn within(text: &str, at: (usize, usize)) -> (usize, usize) {
    if at.0 <= text.lines().count() {
        return at;
    }
    let last = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).last();
    last.map_or((1, 1), |(index, line)| (index + 1, line.trim_end().chars().count() + 1))
}

fn is_structural(error: &Error) -> bool {
    matches!(error, Error::Unexpected { .. } | Error::ExternalMessage { .. } | Error::SerdeInvalidType { .. })
}

/// The usual reasons why a line is not what its author meant.
fn slip(text: &str, (line, column): (usize, usize)) -> Option<String> {
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let rest: String = shown.chars().skip(column.saturating_sub(1)).collect();
    let plain = !shown.contains(['"', '\'']);
    let hint = if plain && rest.starts_with("{{") {
        "a text that starts with `{{` needs quotes: \"{{value}}\""
    } else if rest.starts_with(['@', '`', '%', '*', '&']) {
        "a text that starts with this sign needs quotes"
    } else if plain && !shown.contains(": ") && shown.contains('：') {
        "this line has a full-width `：`: write `: ` between key and value"
    } else {
        return None;
    };
    Some(hint.into())
}

/// What is wrong in the words of a project's author, and what to do.
fn explain(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let hint = if expected.is_empty() {
                Some("nothing can be set here; write {}".into())
            } else {
                choice(field, expected.iter().copied())
            };
            (format!("unknown key `{field}`"), hint)
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown word `{variant}`"), choice(variant, expected.iter().copied()))
        }
        Error::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing"), Some(format!("add `{field}: …` here")))
        }
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            // A text may be a secret in the wrong place.
            let found = if unexpected.starts_with("string ") { "a text" } else { unexpected };
            (format!("expected {expected}, found {found}"), type_hint(expected))
        }
        Error::SerdeInvalidLength { len, expected, .. } => {
            (format!("expected {expected}, found {len} elements"), None)
        }
        Error::InvalidScalar { ty, .. } => (format!("expected {}", plain(ty)), type_hint(ty)),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            (format!("the key `{key}` stands here twice"), Some("keep one of them".into()))
        }
        Error::NullIntoString { .. } => {
            ("a text is missing".into(), Some("write a value, or remove the key".into()))
        }
        Error::Unexpected { expected, .. } => (format!("expected {}", plain(expected)), type_hint(expected)),
        Error::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. }
        | Error::ExpectedMappingEndAfterEnumVariantValue { .. } => (
            "expected one choice with its settings".into(),
            Some("write one key and its settings, such as `kpi: {metric: orders}`".into()),
        ),
        Error::MultipleDocuments { .. } => (
            "a second document starts here".into(),
            Some("a file holds one definition: remove `---` and move the rest to its own file".into()),
        ),
        Error::UnknownAnchor { .. } => (
            "this alias has no anchor".into(),
            Some("a text that starts with `*` or `&` needs quotes".into()),
        ),
        Error::Eof { .. } => ("the text ends too early".into(), Some("close what is still open".into())),
        Error::AliasError { error, .. } => explain(error),
        Error::ExternalMessage { msg, .. } => (format!("no valid YAML: {msg}"), Some(syntax_hint(msg))),
        // Types of ours write what is wrong, then what to do.
        Error::Message { msg, .. } | Error::SerdeVariantId { msg, .. } => match msg.split_once("; ") {
            Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
            None => (msg.clone(), None),
        },
        other => (without_place(&other.to_string()), None),
    }
}

/// Rust's words for types, in words for people.
fn plain(expected: &str) -> String {
    match expected {
        "bool" | "boolean" => "true or false".into(),
        "string" | "str" | "string scalar" => "a text".into(),
        "u8" => "a whole number from 0 to 255".into(),
        "u16" | "u32" | "u64" | "usize" => "a whole number, zero or more".into(),
        "i64" | "i32" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "mapping start" | "mapping" => "keys and values".into(),
        "sequence start" | "sequence" => "a list".into(),
        other => other.to_owned(),
    }
}

fn type_hint(expected: &str) -> Option<String> {
    let hint = match expected {
        e if e.contains("sequence") => "write a list: [a, b]",
        e if e.contains("bool") => "write true or false, without quotes",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" | "i32" | "f64" | "f32" => {
            "write a number, without quotes"
        }
        e if e.contains("string") => "write a text; put it in quotes when it could be read as something else",
        e if e.contains("map") || e.starts_with("struct") => "write keys and values: {key: value}",
        _ => return None,
    };
    Some(hint.into())
}

/// What to look at when a text is no YAML.
fn syntax_hint(message: &str) -> String {
    if message.contains("mapping values are not allowed") {
        "put quotes around a text that contains `: `, and check the indentation".into()
    } else {
        "check the indentation, and that every bracket and quote is closed".into()
    }
}

/// The place is shown by the finding; the message need not repeat it.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
