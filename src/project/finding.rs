//! One finding about a file of the project, and how a terminal shows it.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use store::{Problem, Step, nearest};

use super::excerpt::without_secrets;

/// What is wrong, in which file, at which place, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Path inside the project folder, with `/`.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub severity: Severity,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The part of a dashboard that it is about.
    #[serde(skip)]
    pub(crate) part: Option<Part>,
}

/// A part of a dashboard without which the others can be served; indices count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Tile { row: usize, column: usize },
    Filter(usize),
}

impl Part {
    /// What a path of a problem leads into.
    pub(crate) fn of(path: &[Step]) -> Option<Self> {
        match path {
            [Step::Key(rows), Step::Index(row), Step::Index(column), ..] if rows == "rows" => {
                Some(Part::Tile { row: *row, column: *column })
            }
            [Step::Key(filters), Step::Index(index)] if filters == "filters" => Some(Part::Filter(*index)),
            _ => None,
        }
    }
}

/// Whether the definition can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file's last good version stays in use, or nothing when there is none.
    Error,
    /// The definition works, but probably not as meant.
    Warning,
}

/// A finding inside a text whose file the caller knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: (usize, usize),
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Flaw {
    pub(crate) fn error(at: (usize, usize), message: impl Into<String>) -> Self {
        Self { at, severity: Severity::Error, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn in_file(self, file: &str) -> Finding {
        let (line, column) = self.at;
        let Self { severity, message, hint, .. } = self;
        Finding { file: file.to_owned(), line, column, severity, message, hint, part: None }
    }
}

impl Finding {
    /// A finding about the file as a whole.
    pub(crate) fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 1,
            column: 1,
            severity: Severity::Error,
            message: message.into(),
            hint: None,
            part: None,
        }
    }

    pub(crate) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The line as it may be shown: nothing behind the place where a secret stands, no password of an address.
    fn shown<'l>(&self, line: &'l str) -> Cow<'l, str> {
        if self.message.contains(store::SECRET_HERE) {
            let before: String = line.chars().take(self.column - 1).collect();
            // The place may be that of the key, or of the whole file.
            let before = before.rsplit_once("://").map_or(before.as_str(), |(before, _)| before).to_owned();
            return Cow::Owned(format!("{before}…"));
        }
        let unknown = self.message.starts_with("unknown key").then_some(self.column);
        without_secrets(line, unknown)
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding with the line it is about and a mark under the place:
    ///
    /// ```text
    /// rules/surge.yaml:3:15: error: there is no metric `bakclog`
    ///    3 | ask: {metric: bakclog}
    ///      |               ^
    ///      hint: did you mean `backlog`?
    /// ```
    pub fn render(&self, text: Option<&str>) -> String {
        let mut out = self.to_string();
        if let Some(line) = text.and_then(|t| t.lines().nth(self.line - 1)).filter(|l| !l.trim().is_empty()) {
            let line = line.trim_start_matches('\u{feff}');
            let shown: String = self.shown(line).chars().take(200).collect();
            let pad: String = line.chars().take(self.column - 1).map(blank).collect();
            out.push_str(&format!("\n{:>4} | {shown}\n     | {pad}^", self.line));
        }
        if let Some(hint) = &self.hint {
            out.push_str(&format!("\n     hint: {hint}"));
        }
        out
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error() { "error" } else { "warning" };
        write!(f, "{}:{}:{}: {kind}: {}", self.file, self.line, self.column, self.message)
    }
}

/// White space as wide as `c` on a terminal, so that the mark stands under its place in Chinese text.
fn blank(c: char) -> &'static str {
    match c {
        '\t' => "\t",
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => "  ",
        _ => " ",
    }
}

/// "did you mean", or what there is to choose from.
pub(crate) fn choice<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const SHOWN: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(wrong, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if known.is_empty() {
        return None;
    }
    let mut list = known.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if known.len() > SHOWN {
        list.push_str(", …");
    }
    Some(format!("choose one of {list}"))
}

/// A problem with a hint to the nearest known name.
pub(crate) fn unknown<'a>(message: String, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let problem = Problem::new(message);
    match choice(wrong, known) {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_its_place_in_chinese_text() {
        let finding = Finding {
            file: "metrics/a.yaml".into(),
            line: 2,
            column: 5,
            severity: Severity::Error,
            message: "unknown key `x`".into(),
            hint: Some("remove it".into()),
            part: None,
        };
        let shown = finding.render(Some("title: t\n标题: x: 1\n"));
        let expected = "metrics/a.yaml:2:5: error: unknown key `x`\n   2 | 标题: x: …\n     |       ^\n     hint: remove it";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_place_outside_the_text_shows_no_line() {
        let finding = Finding::whole("guanlan.yaml", "the file is missing").hint("run `guanlan init`");
        assert_eq!(
            finding.render(None),
            "guanlan.yaml:1:1: error: the file is missing\n     hint: run `guanlan init`"
        );
    }

    #[test]
    fn an_excerpt_shows_no_secret() {
        let secret = Finding::whole("a.yaml", format!("{}; write a reference", store::SECRET_HERE));
        for line in
            ["secret: 'TOKEN'", "url: postgres://u:TOKEN@h/d", "kind: { postgres: { url: \"x://TOKEN\" } }"]
        {
            let at = line.find("TOKEN").map_or(1, |at| at + 1);
            for column in [1, line.find(": ").unwrap_or(0) + 3, at] {
                let shown = Finding { column, ..secret.clone() }.render(Some(line));
                assert!(!shown.contains("TOKEN"), "{shown}");
            }
        }
        let other = Finding::whole("a.yaml", "wrong");
        let shown = other.render(Some("url: http://u:TOKEN@host/path"));
        assert!(!shown.contains("TOKEN") && shown.contains("url: http://…@host/path"), "{shown}");
        assert!(other.render(Some("title: A@B http://host/a@b")).contains("title: A@B http://host/a@b"));
    }
}
