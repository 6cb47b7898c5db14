//! What a text cell says once white space, full-width letters, null words and codes are dealt with.

use std::collections::{HashMap, HashSet};

use super::spec::{ColumnSpec, Otherwise};

/// Reads the text cells of one column.
#[derive(Clone, Debug)]
pub(crate) struct TextReader {
    trim: bool,
    narrow: bool,
    nulls: Vec<String>,
    codes: Option<Codes>,
}

#[derive(Clone, Debug)]
struct Codes {
    values: HashMap<String, String>,
    meanings: HashSet<String>,
    otherwise: Otherwise,
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    Text(&'a str),
    /// The code map does not know this text.
    Unknown,
}

impl TextReader {
    pub(crate) fn new(spec: &ColumnSpec) -> Self {
        let mut nulls = spec.null_values.clone().unwrap_or_else(|| vec![String::new()]);
        if spec.kind != super::Kind::Text && !nulls.iter().any(String::is_empty) {
            nulls.push(String::new());
        }
        let codes = spec.map.as_ref().map(|map| Codes {
            values: map.values.iter().map(|(code, text)| (code.clone(), text.clone())).collect(),
            meanings: map.values.values().cloned().collect(),
            otherwise: map.otherwise,
        });
        Self { trim: spec.trims(), narrow: spec.narrows(), nulls, codes }
    }

    /// Reads one cell. `scratch` lends its memory to narrowed text.
    pub(crate) fn read<'a>(&'a self, raw: &'a str, scratch: &'a mut String) -> Cell<'a> {
        let mut text = if self.trim { trimmed(raw) } else { raw };
        if self.narrow && !text.is_ascii() {
            text = narrowed(text, scratch);
        }
        if self.nulls.iter().any(|null| null == text) {
            return Cell::Null;
        }
        match &self.codes {
            Some(codes) => codes.read(text),
            None => Cell::Text(text),
        }
    }
}

impl Codes {
    fn read<'a>(&'a self, text: &'a str) -> Cell<'a> {
        match (self.values.get(text), self.otherwise) {
            (Some(meaning), _) => Cell::Text(meaning),
            // A source that already delivers the meaning is not wrong.
            (None, _) if self.meanings.contains(text) => Cell::Text(text),
            (None, Otherwise::Keep) => Cell::Text(text),
            (None, Otherwise::Null) => Cell::Null,
            (None, Otherwise::Reject) => Cell::Unknown,
        }
    }
}

fn trimmed(raw: &str) -> &str {
    let bytes = raw.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(0x21..=0x7e), Some(0x21..=0x7e)) => raw,
        // Byte order marks and zero-width spaces come with copied cells.
        _ => raw.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}')),
    }
}

/// Full-width ASCII, the full-width space and the full-width yen sign as half-width ones.
fn narrowed<'a>(text: &'a str, scratch: &'a mut String) -> &'a str {
    if !text.as_bytes().iter().any(|byte| matches!(byte, 0xE3 | 0xEF)) {
        return text;
    }
    scratch.clear();
    scratch.extend(text.chars().map(|c| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '\u{ffe5}' => '¥',
        other => other,
    }));
    if scratch.starts_with(' ') || scratch.ends_with(' ') { scratch.trim() } else { scratch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::{CodeMap, Kind};

    fn read(spec: &ColumnSpec, raw: &str) -> Option<String> {
        match TextReader::new(spec).read(raw, &mut String::new()) {
            Cell::Null => None,
            Cell::Text(text) => Some(text.to_owned()),
            Cell::Unknown => Some("<unknown>".to_owned()),
        }
    }

    #[test]
    fn text_is_trimmed_and_typed_text_is_narrowed() {
        let text = ColumnSpec::default();
        let int = ColumnSpec { kind: Kind::Int, ..ColumnSpec::default() };
        assert_eq!(read(&text, "　 张三\u{feff} "), Some("张三".into()));
        assert_eq!(read(&text, "ＡＢＣ"), Some("ＡＢＣ".into()));
        assert_eq!(read(&int, " １２，３４５．６７　"), Some("12,345.67".into()));
        assert_eq!(read(&int, "￥１"), Some("¥1".into()));
        let raw = ColumnSpec { trim: Some(false), ..ColumnSpec::default() };
        assert_eq!(read(&raw, " a "), Some(" a ".into()));
    }

    #[test]
    fn an_empty_text_is_no_value_unless_the_null_words_say_otherwise() {
        assert_eq!(read(&ColumnSpec::default(), "  "), None);
        let listed =
            ColumnSpec { null_values: Some(vec!["-".into(), "NULL".into()]), ..ColumnSpec::default() };
        assert_eq!(read(&listed, "-"), None);
        assert_eq!(read(&listed, " NULL "), None);
        assert_eq!(read(&listed, ""), Some(String::new()));
        let int = ColumnSpec { kind: Kind::Int, ..listed };
        assert_eq!(read(&int, ""), None);
    }

    #[test]
    fn codes_become_meanings_and_unknown_codes_follow_otherwise() {
        let with = |otherwise| ColumnSpec {
            map: Some(CodeMap {
                values: [("R".to_owned(), "running".to_owned()), ("完成".to_owned(), "completed".to_owned())]
                    .into(),
                otherwise,
            }),
            ..ColumnSpec::default()
        };
        let reject = with(Otherwise::Reject);
        assert_eq!(read(&reject, " R "), Some("running".into()));
        assert_eq!(read(&reject, "完成"), Some("completed".into()));
        assert_eq!(read(&reject, "running"), Some("running".into()));
        assert_eq!(read(&reject, "X"), Some("<unknown>".into()));
        assert_eq!(read(&reject, ""), None);
        assert_eq!(read(&with(Otherwise::Keep), "X"), Some("X".into()));
        assert_eq!(read(&with(Otherwise::Null), "X"), None);
    }
}
