//! One finding about a definition file. Rooms report where in the document; `src` turns that into a line.

use std::fmt;

use serde::Serialize;

/// What is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From the document's root to the value, outermost first; empty means the whole document.
    pub path: Vec<Step>,
    pub message: String,
    pub hint: Option<String>,
    /// 1-based line and column inside an embedded text such as SQL, when known.
    pub at: Option<(usize, usize)>,
}

/// One step into a YAML document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Key(String),
    Index(usize),
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: vec![], message: message.into(), hint: None, at: None }
    }

    /// Descends one key: the path is built outermost first.
    pub fn at_key(mut self, key: impl Into<String>) -> Self {
        self.path.push(Step::Key(key.into()));
        self
    }

    /// Descends one list element, 0-based.
    pub fn at_index(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }

    /// Puts a step in front: for a caller that knows where the part it asked about sits.
    pub fn within(mut self, outer: Step) -> Self {
        self.path.insert(0, outer);
        self
    }

    /// Position inside an embedded text, 1-based.
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.at = Some((line, column));
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.path.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        let gap = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{gap}{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// The known word closest to a wrong one, when it is close enough to be what was meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A name this long was no slip, and comparing takes time and memory that grow with its length.
    if wrong.len() > 256 {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let bound = (wrong.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(&wrong, &word.to_lowercase()), word))
        .filter(|(d, _)| *d <= bound)
        .min_by_key(|(d, _)| *d)
        .map(|(_, word)| word)
}

/// Edits between two words: insert, delete, replace, swap of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_slip_finds_the_word_that_was_meant() {
        let known = ["timezone", "locale", "week_start"];
        assert_eq!(nearest("timezon", known), Some("timezone"));
        assert_eq!(nearest("tiemzone", known), Some("timezone"));
        assert_eq!(nearest("Locale", known), Some("locale"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn a_problem_reads_as_path_message_hint() {
        let p = Problem::new("unknown metric \"bakclog\"").at_key("rows").at_index(0).at_key("metric");
        let p = p.hint("did you mean backlog?").within(Step::Key("cockpit".into()));
        assert_eq!(
            p.to_string(),
            "cockpit.rows[0].metric: unknown metric \"bakclog\" (did you mean backlog?)"
        );
    }
}
