//! How the command line speaks: tables, colour on a terminal only, JSON on request.

use std::io::{IsTerminal, Write as _};

use serde::Serialize;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub colour: bool,
    pub terminal: bool,
}

/// A tone of the terminal; nothing where colour is off (`NO_COLOR`, a pipe, `--json`).
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    Strong,
    Quiet,
    Good,
    Warn,
    Bad,
    Accent,
}

impl Output {
    pub fn new(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal && !json && std::env::var_os("NO_COLOR").is_none();
        Self { json, colour, terminal }
    }

    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Accent => "36",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A line for people; silent with `--json`.
    pub fn say(&self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// The result for programs; silent without `--json`.
    pub fn data(&self, value: &impl Serialize) {
        if self.json {
            match serde_json::to_string_pretty(value) {
                Ok(text) => self.write(&text),
                Err(error) => eprintln!("error: the result has no JSON form: {error}"),
            }
        }
    }

    /// An error with its causes, on standard error.
    pub fn error(&self, error: &anyhow::Error) {
        if self.json {
            eprintln!("{}", serde_json::json!({"error": format!("{error:#}")}));
        } else {
            eprintln!("{}: {error:#}", self.paint(Tone::Bad, "error"));
        }
    }

    /// Text whose reader may have gone (`guanlan sql … | head`): a closed pipe is not an error.
    pub fn write(&self, text: &str) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Rows as an aligned table. Chinese text counts two columns a character.
    pub fn table(&self, head: &[&str], rows: &[Vec<String>]) {
        let mut widths: Vec<usize> = head.iter().map(|h| width(h)).collect();
        for row in rows {
            for (n, cell) in row.iter().enumerate() {
                widths[n] = widths[n].max(width(cell));
            }
        }
        let line = |cells: &[String]| {
            let padded: Vec<String> =
                cells.iter().zip(&widths).map(|(c, w)| format!("{c}{}", " ".repeat(w - width(c)))).collect();
            padded.join("  ").trim_end().to_owned()
        };
        let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        self.write(&self.paint(Tone::Quiet, &line(&head)));
        for row in rows {
            self.write(&line(row));
        }
    }
}

/// Columns a text takes on a terminal.
fn width(text: &str) -> usize {
    let mut in_escape = false;
    text.chars()
        .map(|c| match c {
            '\x1b' => {
                in_escape = true;
                0
            }
            'm' if in_escape => {
                in_escape = false;
                0
            }
            _ if in_escape => 0,
            '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}' => 2,
            _ => 1,
        })
        .sum()
}

/// A count with thousands separators.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_count_what_a_terminal_shows() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("观澜"), 4);
        assert_eq!(width("\x1b[32mok\x1b[0m"), 2);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([count(7), count(1234), count(1_000_000)], ["7", "1,234", "1,000,000"]);
    }
}
