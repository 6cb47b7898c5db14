//! `{{name}}` in the texts of a rule.

use std::collections::BTreeMap;

use warehouse::Title;
use warehouse::metric::MetricUnit;

use crate::judge::Reading;
use crate::number::{Language, change, format};
use crate::spec::{Annotations, Texts};

/// Placeholders that every rule can use.
pub(crate) const BUILT_IN: [&str; 5] = ["value", "low", "high", "previous", "change"];

/// Longest text that a message carries, in characters.
const SUMMARY: usize = 300;
const LONG: usize = 2000;

/// What the placeholders stand for.
#[derive(Clone, Debug)]
pub(crate) struct Filling<'a> {
    pub reading: &'a Reading,
    pub unit: Option<MetricUnit>,
    pub labels: &'a BTreeMap<String, String>,
    /// Columns of a row, as text.
    pub columns: &'a BTreeMap<String, String>,
}

/// The texts of an alert, filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub summary: Title,
    pub description: Option<Title>,
    pub action: Option<Title>,
}

/// Fills in both languages; a missing one repeats the other, and without any the title stands.
pub(crate) fn fill(annotations: &Annotations, title: &Title, filling: &Filling<'_>) -> Told {
    let (zh, en) = (annotations.zh.as_ref(), annotations.en.as_ref());
    let part = |of: fn(&Texts) -> Option<&String>, longest: usize| -> Option<Title> {
        let zh_text = zh.or(en).and_then(of).or_else(|| en.and_then(of));
        let en_text = en.or(zh).and_then(of).or_else(|| zh.and_then(of));
        Some(Title {
            zh: shorten(&render(zh_text?, filling, Language::Zh), longest),
            en: shorten(&render(en_text?, filling, Language::En), longest),
        })
    };
    Told {
        summary: part(|t| Some(&t.summary), SUMMARY).unwrap_or_else(|| title.clone()),
        description: part(|t| t.description.as_ref(), LONG),
        action: part(|t| t.action.as_ref(), LONG),
    }
}

/// The names between double braces, in order.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Name(name) => Some(name),
        Piece::Text(_) => None,
    })
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut next = None;
    std::iter::from_fn(move || {
        if let Some(name) = next.take() {
            return Some(Piece::Name(name));
        }
        if rest.is_empty() {
            return None;
        }
        let closed = rest.find("{{").and_then(|open| Some((open, open + rest[open..].find("}}")?)));
        let Some((open, close)) = closed else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        let (before, name) = (&rest[..open], rest[open + 2..close].trim());
        rest = &rest[close + 2..];
        next = Some(name);
        Some(Piece::Text(before))
    })
}

fn render(text: &str, filling: &Filling<'_>, language: Language) -> String {
    pieces(text)
        .map(|piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Name(name) => value(name, filling, language),
        })
        .collect()
}

/// Labels and columns win over the built-in names, so that a column called `value` can be shown.
fn value(name: &str, filling: &Filling<'_>, language: Language) -> String {
    if let Some(text) = filling.labels.get(name).or_else(|| filling.columns.get(name)) {
        return text.clone();
    }
    let reading = filling.reading;
    let number = |value: Option<f64>| value.map(|v| format(v, filling.unit, language));
    match name {
        "value" => number(reading.value),
        "low" => number(reading.low),
        "high" => number(reading.high),
        "previous" => number(reading.previous),
        "change" => reading.change().map(change),
        _ => None,
    }
    .unwrap_or_else(|| "—".to_owned())
}

fn shorten(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(zh: Option<&str>, en: Option<&str>) -> Title {
        let texts = |text: &str| Texts { summary: text.into(), description: None, action: None };
        let annotations = Annotations { zh: zh.map(texts), en: en.map(texts) };
        let reading = Reading {
            at: None,
            value: Some(12_345.0),
            low: Some(0.0),
            high: Some(100.0),
            previous: Some(8_230.0),
        };
        let labels = BTreeMap::from([("process".to_owned(), "expense".to_owned())]);
        let columns = BTreeMap::from([("employee".to_owned(), "王芳".to_owned())]);
        let filling =
            Filling { reading: &reading, unit: Some(MetricUnit::Count), labels: &labels, columns: &columns };
        fill(&annotations, &Title::both("Title"), &filling).summary
    }

    #[test]
    fn values_labels_and_columns_are_filled_in_by_language() {
        let told = filled(
            Some("{{process}} 在途 {{value}} 件，预期 {{low}}–{{ high }}，{{employee}}"),
            Some("{{value}} ({{change}} from {{previous}})"),
        );
        assert_eq!(told.zh, "expense 在途 1.23万 件，预期 0–100，王芳");
        assert_eq!(told.en, "12.35K (+50% from 8,230)");
    }

    #[test]
    fn a_missing_language_repeats_the_other_and_without_any_the_title_stands() {
        assert_eq!(filled(None, Some("{{value}}")).zh, "1.23万");
        assert_eq!(filled(None, None), Title::both("Title"));
    }

    #[test]
    fn braces_that_do_not_close_and_unknown_names_do_no_harm() {
        assert_eq!(filled(Some("{{value"), None).zh, "{{value");
        assert_eq!(filled(Some("{{nobody}} }}"), None).zh, "— }}");
        assert_eq!(names("{{a}} {{ b }}x{{").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(filled(Some(&"长".repeat(400)), None).zh.chars().count(), 301);
    }
}
