//! What a text cell says once white space, full-width letters, null words and codes are dealt with.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use regex::Regex;
use store::Problem;

use super::kind::Kind;
use super::spec::{ColumnSpec, Otherwise, Replace, Split};

/// Reads the text cells of one column.
#[derive(Clone, Debug)]
pub(crate) struct TextReader {
    trim: bool,
    narrow: bool,
    /// A leading backquote or apostrophe only says "this is text": no typed value begins with one.
    typed: bool,
    shape: Shape,
    nulls: Vec<String>,
    zeros: Vec<String>,
    swaps_point_and_comma: bool,
    codes: Option<Codes>,
}

/// What is cut out of a text before it is read.
#[derive(Clone, Debug, Default)]
struct Shape {
    strip: Vec<char>,
    replace: Vec<(Found, String)>,
    extract: Option<Regex>,
    split: Option<Split>,
}

#[derive(Clone, Debug)]
enum Found {
    Text(String),
    Pattern(Regex),
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
    /// The pattern of `extract` finds nothing in it.
    Unmatched,
}

impl TextReader {
    /// The problem's path starts at the column.
    pub(crate) fn new(spec: &ColumnSpec) -> Result<Self, Problem> {
        let mut nulls = spec.null_values.clone().unwrap_or_else(|| vec![String::new()]);
        if spec.kind != Kind::Text && !nulls.iter().any(String::is_empty) {
            nulls.push(String::new());
        }
        let codes = spec.map.as_ref().map(|map| Codes {
            values: map.values.iter().map(|(code, text)| (code.clone(), text.clone())).collect(),
            meanings: map.values.values().cloned().collect(),
            otherwise: map.otherwise,
        });
        Ok(Self {
            trim: spec.trims(),
            narrow: spec.narrows(),
            typed: spec.kind != Kind::Text,
            shape: Shape::new(spec)?,
            nulls,
            zeros: spec.zero_values.clone(),
            swaps_point_and_comma: spec.decimal.as_deref() == Some(","),
            codes,
        })
    }

    /// Reads one cell. `scratch` lends its memory to narrowed text.
    pub(crate) fn read<'a>(&'a self, raw: &'a str, scratch: &'a mut String) -> Cell<'a> {
        let mut text = self.trimmed(raw);
        if let Some(inner) = protected(text) {
            text = self.trimmed(inner);
        }
        if self.typed {
            text = text.strip_prefix(['`', '\'']).map_or(text, |text| self.trimmed(text));
        }
        if !self.shape.strip.is_empty() {
            text = self.trimmed(text.trim_matches(self.shape.strip.as_slice()));
        }
        if self.shape.cuts() {
            match self.shape.cut(text) {
                Ok(Some(cut)) => {
                    let cut = self.trimmed(&cut).to_owned();
                    *scratch = cut;
                    return self.meaning(scratch);
                }
                Ok(None) => return Cell::Null,
                Err(Unmatched) if text.is_empty() => return Cell::Null,
                Err(Unmatched) => return Cell::Unmatched,
            }
        }
        if self.narrow && !text.is_ascii() && narrowed(text, scratch) {
            return self.meaning(scratch);
        }
        if self.swaps_point_and_comma && text.contains(['.', ',']) {
            scratch.clear();
            scratch.push_str(text);
            return self.meaning(scratch);
        }
        self.plain(text)
    }

    fn trimmed<'a>(&self, text: &'a str) -> &'a str {
        if self.trim { trimmed(text) } else { text }
    }

    /// The rest of the way for a text of our own.
    fn meaning<'a>(&'a self, scratch: &'a mut String) -> Cell<'a> {
        if self.narrow && !scratch.is_ascii() {
            let text = std::mem::take(scratch);
            if !narrowed(&text, scratch) {
                *scratch = text;
            }
        }
        if self.swaps_point_and_comma {
            let swapped = scratch.chars().map(|c| match c {
                '.' => ',',
                ',' => '.',
                other => other,
            });
            *scratch = swapped.collect();
        }
        let text: &'a str = scratch;
        self.plain(text)
    }

    fn plain<'a>(&'a self, text: &'a str) -> Cell<'a> {
        if self.nulls.iter().any(|null| null == text) {
            return Cell::Null;
        }
        if self.zeros.iter().any(|zero| zero == text) {
            return Cell::Text("0");
        }
        match &self.codes {
            Some(codes) => codes.read(text),
            None => Cell::Text(text),
        }
    }
}

/// The pattern finds nothing.
struct Unmatched;

impl Shape {
    fn new(spec: &ColumnSpec) -> Result<Self, Problem> {
        let pattern = |text: &str| Regex::new(text).map_err(|error| wrong_pattern(text, &error));
        let mut replace = Vec::with_capacity(spec.replace.len());
        for (index, one) in spec.replace.iter().enumerate() {
            let at = |problem: Problem| {
                problem.within(store::Step::Index(index)).within(store::Step::Key("replace".into()))
            };
            let found = match one {
                Replace { text: Some(text), pattern: None, .. } if !text.is_empty() => {
                    Found::Text(text.clone())
                }
                Replace { text: None, pattern: Some(text), .. } => {
                    Found::Pattern(pattern(text).map_err(|problem| at(problem.at_key("pattern")))?)
                }
                _ => {
                    let problem = Problem::new("a replacement needs either `text` or `pattern`");
                    return Err(at(problem.hint("write for example `{text: \"元/件\", with: \"\"}`")));
                }
            };
            replace.push((found, one.with.clone()));
        }
        if let Some(split) = &spec.split
            && (split.by.is_empty() || split.part == 0)
        {
            let problem =
                Problem::new("a split needs a text between the parts, and a part from 1 (or from -1)");
            return Err(problem.at_key("split").hint("write for example `{by: \"/\", part: 1}`"));
        }
        let extract = spec.extract.as_deref().map(pattern).transpose();
        Ok(Self {
            strip: spec.strip.as_deref().unwrap_or_default().chars().collect(),
            replace,
            extract: extract.map_err(|problem| problem.at_key("extract"))?,
            split: spec.split.clone(),
        })
    }

    fn cuts(&self) -> bool {
        !self.replace.is_empty() || self.extract.is_some() || self.split.is_some()
    }

    fn cut<'a>(&self, text: &'a str) -> Result<Option<Cow<'a, str>>, Unmatched> {
        let mut text = Cow::Borrowed(text);
        for (found, with) in &self.replace {
            match found {
                Found::Text(from) if text.contains(from.as_str()) => text = text.replace(from, with).into(),
                Found::Text(_) => {}
                Found::Pattern(pattern) => {
                    if let Cow::Owned(changed) = pattern.replace_all(&text, with) {
                        text = changed.into();
                    }
                }
            }
        }
        if let Some(pattern) = &self.extract {
            let found = pattern.captures(&text).ok_or(Unmatched)?;
            // A group that took no part in the match says that there is no value.
            let kept = if found.len() > 1 { found.get(1) } else { found.get(0) };
            match kept {
                Some(kept) => text = kept.as_str().to_owned().into(),
                None => return Ok(None),
            }
        }
        let Some(split) = &self.split else { return Ok(Some(text)) };
        let nth = usize::try_from(split.part.unsigned_abs()).unwrap_or(usize::MAX) - 1;
        let part = match split.part > 0 {
            true => text.split(split.by.as_str()).nth(nth),
            false => text.rsplit(split.by.as_str()).nth(nth),
        };
        Ok(part.map(|part| part.to_owned().into()))
    }
}

/// A regular expression that cannot be read, in a few words.
pub(crate) fn wrong_pattern(text: &str, error: &regex::Error) -> Problem {
    let message = error.to_string();
    let last = message.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
    Problem::new(format!("`{text}` is not a regular expression: {last}"))
        .hint("write a backslash before signs that are meant as they stand: . ( ) [ ] + * ? | ^ $")
}

/// What a spreadsheet program protects as text: `="000123"`.
fn protected(text: &str) -> Option<&str> {
    text.strip_prefix("=\"")?.strip_suffix('"').filter(|inner| !inner.contains('"'))
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

/// Writes full-width ASCII, the full-width space and the full-width yen sign as half-width ones into `scratch`;
/// false when there is nothing of the kind.
fn narrowed(text: &str, scratch: &mut String) -> bool {
    if !text.as_bytes().iter().any(|byte| matches!(byte, 0xE3 | 0xEF)) {
        return false;
    }
    scratch.clear();
    scratch.extend(text.chars().map(|c| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        '\u{ffe5}' => '¥',
        other => other,
    }));
    if scratch.starts_with(' ') || scratch.ends_with(' ') {
        *scratch = scratch.trim().to_owned();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::{CodeMap, Kind};

    fn read(spec: &ColumnSpec, raw: &str) -> Option<String> {
        match TextReader::new(spec).expect("a reader").read(raw, &mut String::new()) {
            Cell::Null => None,
            Cell::Text(text) => Some(text.to_owned()),
            Cell::Unknown => Some("<unknown>".to_owned()),
            Cell::Unmatched => Some("<unmatched>".to_owned()),
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

    #[test]
    fn what_programs_put_around_a_text_is_taken_off() {
        let text = ColumnSpec::default();
        assert_eq!(read(&text, "=\"000123\""), Some("000123".into()));
        assert_eq!(read(&text, "=\"\""), None);
        assert_eq!(read(&text, "=1+1"), Some("=1+1".into()));
        assert_eq!(read(&text, "`wx"), Some("`wx".into()), "a text may begin with a backquote");
        let bill = ColumnSpec { strip: Some("`".into()), ..ColumnSpec::default() };
        assert_eq!(read(&bill, "`4200 "), Some("4200".into()));
        let int = ColumnSpec { kind: Kind::Int, ..ColumnSpec::default() };
        assert_eq!(read(&int, "`1.50"), Some("1.50".into()));
        assert_eq!(read(&int, "'007"), Some("007".into()));
    }

    #[test]
    fn texts_are_replaced_cut_and_split() {
        let replaced = ColumnSpec {
            replace: vec![
                Replace { text: Some("元/件".into()), ..Replace::default() },
                Replace { pattern: Some(r"^约\s*".into()), ..Replace::default() },
                Replace { pattern: Some(r"(\d+)-(\d+)".into()), with: "$2".into(), ..Replace::default() },
            ],
            ..ColumnSpec::default()
        };
        assert_eq!(read(&replaced, "约 100元/件"), Some("100".into()));
        assert_eq!(read(&replaced, "3-5"), Some("5".into()));
        let cut = ColumnSpec { extract: Some(r"\[(\d+)\]".into()), kind: Kind::Int, ..ColumnSpec::default() };
        assert_eq!(read(&cut, "张三[1001]"), Some("1001".into()));
        assert_eq!(read(&cut, "张三"), Some("<unmatched>".into()));
        assert_eq!(read(&cut, " "), None);
        let part = |part| ColumnSpec { split: Some(Split { by: "/".into(), part }), ..ColumnSpec::default() };
        assert_eq!(read(&part(1), "华东/上海 / 浦东"), Some("华东".into()));
        assert_eq!(read(&part(-1), "华东/上海 / 浦东"), Some("浦东".into()));
        assert_eq!(read(&part(4), "华东/上海 / 浦东"), None);
        let comma = ColumnSpec { decimal: Some(",".into()), kind: Kind::Float, ..ColumnSpec::default() };
        assert_eq!(read(&comma, "1.234,56"), Some("1,234.56".into()));
        let zero = ColumnSpec { zero_values: vec!["—".into()], kind: Kind::Int, ..ColumnSpec::default() };
        assert_eq!(read(&zero, "—"), Some("0".into()));
        for wrong in [
            ColumnSpec { extract: Some("(".into()), ..ColumnSpec::default() },
            ColumnSpec { replace: vec![Replace::default()], ..ColumnSpec::default() },
            ColumnSpec { split: Some(Split { by: "/".into(), part: 0 }), ..ColumnSpec::default() },
        ] {
            assert!(TextReader::new(&wrong).is_err(), "{wrong:?}");
        }
    }
}
