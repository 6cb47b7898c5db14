//! One JSON document, passed by record by record: only the record at hand is in memory.

use std::fs::File;
use std::io::BufRead;

use crate::error::SourceError;
use crate::formats::encoding::unreadable;
use crate::formats::sink::Stop;
use crate::spec::JsonPath;

/// Fields that a message lists.
const SHOWN: usize = 20;

/// Visits one record: its 1-based number, the line it starts on, its text (brackets and quotes paired, not yet proven
/// to be JSON).
pub(super) type Visit<'v> = &'v mut dyn FnMut(i64, u64, &str) -> Result<(), Stop>;

/// Walks a document to the array of records and visits each; a single object is one record.
///
/// # Errors
/// The document ends in the middle, has nothing at the path, or a record is too large.
pub(super) fn each_record<R: BufRead>(
    input: R,
    path: Option<&JsonPath>,
    visit: Visit<'_>,
) -> Result<(), Stop> {
    let mut walk = Walk { input, line: 1 };
    let steps = path.map(|p| p.0.as_slice()).unwrap_or_default();
    if walk.next()?.is_none() {
        return Err(SourceError::never("the file is empty; ask for the file again").into());
    }
    for (depth, step) in steps.iter().enumerate() {
        walk.descend(step, &steps[..=depth])?;
    }
    match walk.next()? {
        Some(b'[') => walk.array(visit)?,
        Some(b'{') => {
            let line = walk.line;
            let text = walk.capture(1)?;
            visit(1, line, &text)?;
        }
        Some(byte) if !matches!(byte, b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'I' | b'N') => {
            let what = if byte == b'<' { "a web page or XML" } else { "no JSON" };
            return Err(SourceError::never(format!(
                "not JSON: line {} begins with `{}`: it is {what}; ask for the file again",
                walk.line,
                char::from(byte).escape_default()
            ))
            .into());
        }
        Some(_) => {
            return Err(SourceError::never(
                "holds no array of records; point `records` at it, for example `$.data.items`",
            )
            .into());
        }
        None => return Err(walk.ends().into()),
    }
    // What is around the records must be whole too: a document cut behind them was not fully written.
    walk.skip_out(steps.len())?;
    match walk.next()? {
        None => Ok(()),
        Some(_) => Err(SourceError::never(format!(
            "line {}: something follows the document; when every line is a record use `format: {{ ndjson: {{}} }}`",
            walk.line
        ))
        .into()),
    }
}

/// Reads bytes and knows the line.
struct Walk<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> Walk<R> {
    /// The next byte that is no white space, not taken.
    fn next(&mut self) -> Result<Option<u8>, SourceError> {
        loop {
            let Some(byte) = self.peek()? else { return Ok(None) };
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(Some(byte));
            }
            self.take(byte);
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, SourceError> {
        Ok(self.input.fill_buf().map_err(unreadable)?.first().copied())
    }

    fn take(&mut self, byte: u8) {
        self.line += u64::from(byte == b'\n');
        self.input.consume(1);
    }

    fn ends(&self) -> SourceError {
        SourceError::never(format!(
            "not JSON: the file ends in the middle, in line {}; ask for the file again",
            self.line
        ))
    }

    fn wrong(&self, what: &str) -> SourceError {
        SourceError::never(format!("line {}: not JSON: {what}; ask for the file again", self.line))
    }

    /// Goes to the value of a field of the object at hand.
    fn descend(&mut self, step: &str, path: &[String]) -> Result<(), SourceError> {
        let nothing =
            |has: String| SourceError::never(format!("has nothing at {}; {has}", JsonPath(path.to_vec())));
        match self.next()? {
            Some(b'{') => self.take(b'{'),
            Some(b'[') => {
                return Err(nothing("an array stands there: leave the rest of `records` out".into()));
            }
            Some(_) => return Err(nothing("a single value stands there".into())),
            None => return Err(self.ends()),
        }
        let mut seen: Vec<String> = Vec::new();
        loop {
            match self.next()? {
                Some(b'"') => {}
                Some(b',') => {
                    self.take(b',');
                    continue;
                }
                Some(b'}') => return Err(nothing(format!("its fields are {}", seen.join(", ")))),
                Some(_) => return Err(self.wrong("expected a field name in double quotes")),
                None => return Err(self.ends()),
            }
            let quoted = self.capture(0)?;
            let name: String = serde_json::from_str(&quoted).map_err(|e| self.wrong(&e.to_string()))?;
            match self.next()? {
                Some(b':') => self.take(b':'),
                Some(_) => return Err(self.wrong("expected : behind a field name")),
                None => return Err(self.ends()),
            }
            if name == step {
                return Ok(());
            }
            if seen.len() < SHOWN {
                seen.push(name.chars().take(60).collect());
            }
            self.next()?;
            self.pass(None)?;
        }
    }

    fn array(&mut self, visit: Visit<'_>) -> Result<(), Stop> {
        self.take(b'[');
        let mut number = 0;
        loop {
            match self.next()? {
                Some(b']') => {
                    self.take(b']');
                    return Ok(());
                }
                None => return Err(self.ends().into()),
                Some(_) => {}
            }
            number += 1;
            let line = self.line;
            let text = self.capture(number)?;
            visit(number, line, &text)?;
            match self.next()? {
                Some(b',') => self.take(b','),
                Some(b']') => {}
                Some(_) => return Err(self.wrong("expected , or ] behind a record").into()),
                None => return Err(self.ends().into()),
            }
        }
    }

    /// The text of the value at hand, bounded as every record.
    fn capture(&mut self, number: i64) -> Result<String, SourceError> {
        let (line, most) = (self.line, store::limits().record_bytes);
        let mut text = Vec::new();
        if !self.pass(Some((&mut text, most)))? {
            return Err(SourceError::never(format!(
                "line {line}: {} is larger than {} MiB; point `records` at the array of records, or raise `limits: record_bytes` of guanlan.yaml",
                if number > 0 { format!("record {number}") } else { "a field name".to_owned() },
                most >> 20
            )));
        }
        // The input is UTF-8 already, and values end at ASCII.
        String::from_utf8(text).map_err(|_| self.wrong("its text is not UTF-8"))
    }

    /// Passes one value by its brackets and quotes, keeping its text when asked. False when it is larger than that may be.
    fn pass(&mut self, mut keep: Option<(&mut Vec<u8>, usize)>) -> Result<bool, SourceError> {
        let mut depth = 0usize;
        let mut text = false;
        let mut escaped = false;
        let mut started = false;
        loop {
            let buffer = self.input.fill_buf().map_err(unreadable)?;
            if buffer.is_empty() {
                // A bare number may end the file; what is open may not.
                return if started && depth == 0 && !text { Ok(true) } else { Err(self.ends()) };
            }
            let mut used = 0;
            let mut lines = 0;
            let mut done = false;
            for &byte in buffer {
                if text {
                    used += 1;
                    lines += u64::from(byte == b'\n');
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => {
                            text = false;
                            done = depth == 0;
                        }
                        _ => {}
                    }
                } else {
                    match byte {
                        b'"' => text = true,
                        b'{' | b'[' => depth += 1,
                        // A bare value ends before what closes its surroundings.
                        b'}' | b']' | b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => {
                            // A stray comma or bracket is taken, so that reading goes on behind it.
                            if !started && !byte.is_ascii_whitespace() {
                                used += 1;
                            }
                            done = true;
                            break;
                        }
                        b'}' | b']' => {
                            depth -= 1;
                            done = depth == 0;
                        }
                        _ => {}
                    }
                    used += 1;
                    lines += u64::from(byte == b'\n');
                }
                started = true;
                if done {
                    break;
                }
            }
            if let Some((kept, most)) = &mut keep {
                if kept.len() + used > *most {
                    return Ok(false);
                }
                kept.extend_from_slice(&buffer[..used]);
            }
            self.line += lines;
            self.input.consume(used);
            if done {
                return Ok(true);
            }
        }
    }

    /// Leaves the objects around the records.
    fn skip_out(&mut self, depth: usize) -> Result<(), SourceError> {
        for _ in 0..depth {
            loop {
                match self.next()? {
                    Some(b'}') => {
                        self.take(b'}');
                        break;
                    }
                    Some(byte @ (b',' | b':')) => self.take(byte),
                    Some(b']') => return Err(self.wrong("expected , or }")),
                    Some(_) => {
                        self.pass(None)?;
                    }
                    None => return Err(self.ends()),
                }
            }
        }
        Ok(())
    }
}

/// A text file as UTF-8.
pub(super) fn utf8(mut file: File) -> Result<super::Utf8, SourceError> {
    let found = crate::formats::encoding::detect(&mut file, "auto")?;
    Ok(std::io::BufReader::with_capacity(1 << 20, crate::formats::encoding::Utf8Reader::new(file, found)))
}
