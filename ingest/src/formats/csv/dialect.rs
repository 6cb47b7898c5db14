//! How the fields of a file are told apart, and what a definition may say about it.

use crate::spec::CsvSpec;

/// How one file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The byte between two fields.
    pub(super) delimiter: u8,
    /// The byte around a field that holds delimiters or line ends; `None`: quotes are text.
    pub(super) quote: Option<u8>,
    /// The byte that takes the meaning of the next one; `None`: a quote inside quotes is doubled.
    pub(super) escape: Option<u8>,
    /// The last byte of a line: `\n` (a `\r` before it belongs to it), or `\r` of old Macs.
    pub(super) end: u8,
    /// Spaces behind a delimiter belong to it.
    pub(super) padded: bool,
    /// Lines that start with this byte are no rows.
    pub(super) comment: Option<u8>,
}

/// What a definition leaves to be found, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Found from the file.
    Auto,
    /// There is none.
    Nothing,
    /// This byte.
    Byte(u8),
}

impl Choice {
    fn of(text: &str, what: &str, nothing: bool) -> Result<Self, String> {
        let words = if nothing { "auto, none or one ASCII character" } else { "auto or one ASCII character" };
        match text {
            "auto" => Ok(Choice::Auto),
            "none" if nothing => Ok(Choice::Nothing),
            "tab" | "\\t" => Ok(Choice::Byte(b'\t')),
            "space" => Ok(Choice::Byte(b' ')),
            one if one.len() == 1 && one.is_ascii() && !matches!(one, "\r" | "\n" | "\0") => {
                Ok(Choice::Byte(one.as_bytes()[0]))
            }
            other => Err(format!("`{other}` is no {what}: write {words}")),
        }
    }

    /// The byte, when a definition names one.
    pub(super) fn byte(self) -> Option<u8> {
        match self {
            Choice::Byte(byte) => Some(byte),
            Choice::Auto | Choice::Nothing => None,
        }
    }
}

/// The bytes that a definition names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choices {
    pub(super) delimiter: Choice,
    pub(super) quote: Choice,
    pub(super) escape: Choice,
    pub(super) comment: Option<u8>,
}

impl Choices {
    /// # Errors
    /// The key and what is wrong with its value.
    pub(crate) fn of(spec: &CsvSpec) -> Result<Self, (&'static str, String)> {
        let delimiter = Choice::of(&spec.delimiter, "delimiter", false).map_err(|e| ("delimiter", e))?;
        let quote = Choice::of(&spec.quote, "quote", true).map_err(|e| ("quote", e))?;
        let escape = Choice::of(&spec.escape, "escape", true).map_err(|e| ("escape", e))?;
        let comment = match &spec.comment {
            None => None,
            Some(text) => Choice::of(text, "comment", false).map_err(|e| ("comment", e))?.byte(),
        };
        let taken = |byte: Option<u8>, by: Option<u8>| byte.is_some() && byte == by;
        let by = delimiter.byte().or((delimiter == Choice::Auto).then_some(0));
        if by == Some(b'"') && quote == Choice::Auto {
            return Err((
                "delimiter",
                "`\"` is the quote of most files; name another `quote` beside it".into(),
            ));
        }
        for (key, byte) in [("quote", quote.byte()), ("escape", escape.byte()), ("comment", comment)] {
            if taken(byte, by) {
                return Err((key, format!("`{key}` and `delimiter` are the same character")));
            }
        }
        if taken(comment, quote.byte()) {
            return Err(("comment", "`comment` and `quote` are the same character".into()));
        }
        Ok(Choices { delimiter, quote, escape, comment })
    }
}

impl Dialect {
    /// Commas and doubled quotes, as RFC 4180 has it.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Dialect { delimiter: b',', quote: Some(b'"'), escape: None, end: b'\n', padded: false, comment: None }
    }
}

/// A byte as a person would write it in a definition.
pub(super) fn shown(byte: u8) -> String {
    match byte {
        b'\t' => "\"\\t\"".into(),
        b' ' => "space".into(),
        control if control.is_ascii_control() => format!("\"\\x{control:02x}\""),
        other => format!("\"{}\"", char::from(other).to_string().replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
