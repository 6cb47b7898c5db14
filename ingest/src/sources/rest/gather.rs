//! Records of all pages, on disk, until columns and cursor are known.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Clock;

use crate::error::SourceError;
use crate::formats::columns::TextColumns;
use crate::formats::json::value::Raw;
use crate::formats::json::{Shape, text};
use crate::ledger::Changes;
use crate::source::{Closed, Cursor, Feed, Pull};
use crate::sources::spool::{Spool, failed};
use crate::sources::sql::columns::{Cells, Kind, Table, rejected_rows};
use crate::sources::sql::moment::{back, micros};
use crate::sources::sql::seen::{MOST_SEEN, check_overlap, landed};
use crate::spec::{JsonPath, ModeSpec, StreamSpec};

/// Records on disk per read.
const MOST_BYTES: u64 = 8 << 30;
/// Records of an upsert without a cursor that land together: their keys are kept in memory.
const PART_ROWS: usize = 2_000_000;

/// Characters kept of an entry that is no record, and bytes of all of them.
const ASIDE_TEXT: usize = 64 << 10;
const MOST_ASIDE: usize = 64 << 20;

/// Why sending stopped.
pub(super) enum Halt {
    Closed,
    Failed(SourceError),
}

impl From<Closed> for Halt {
    fn from(_: Closed) -> Self {
        Halt::Closed
    }
}

impl From<SourceError> for Halt {
    fn from(e: SourceError) -> Self {
        Halt::Failed(e)
    }
}

/// The records of one read.
pub(super) struct Gather {
    spool: Spool,
    file: BufWriter<File>,
    bytes: u64,
    shape: Shape,
    edge: Edge,
    /// Records that landed before, to be left out once each (appending only).
    landed: HashMap<u64, u32>,
    /// Where this read starts, whatever the API sends: what is older has landed (appending only).
    floor: Option<Value>,
    /// The last cursor when its rows are too many to be remembered: all of them have landed.
    behind: Option<Value>,
    cursor: Option<String>,
    append: bool,
    /// Records that land together when there is no cursor to lose.
    part_rows: usize,
    whole: bool,
    kept: u64,
    /// Records that cannot be kept: why, and their text.
    aside: (Vec<String>, Vec<String>),
    aside_bytes: usize,
    nulls: u64,
    total: u64,
    warnings: Vec<String>,
}

impl Gather {
    pub(super) fn new(
        stream: &StreamSpec,
        after: Option<&Cursor>,
        base: &Path,
        clock: &dyn Clock,
    ) -> Result<Self, SourceError> {
        let (spool, file) = Spool::create(base, clock)?;
        let append = matches!(stream.mode, Some(ModeSpec::Incremental(_)));
        let whole = after.is_some_and(|c| c.get("whole").is_some()) && append;
        let at = after.and_then(|c| c.get("at")).filter(|at| append && !at.is_null());
        Ok(Gather {
            spool,
            file: BufWriter::new(file),
            bytes: 0,
            shape: Shape::default(),
            edge: Edge::new(after, stream.overlap()),
            landed: if append { landed(after) } else { HashMap::new() },
            floor: at.map(|at| if whole { at.clone() } else { back(at, stream.overlap()) }),
            behind: at.filter(|_| whole).cloned(),
            cursor: stream.cursor().map(str::to_owned),
            append,
            part_rows: if stream.key().is_some() { PART_ROWS } else { usize::MAX },
            whole: stream.cursor().is_none(),
            kept: 0,
            aside: (Vec::new(), Vec::new()),
            aside_bytes: 0,
            nulls: 0,
            total: 0,
            warnings: Vec::new(),
        })
    }

    pub(super) fn warn(&mut self, message: Option<String>) {
        self.warnings.extend(message);
    }

    /// Adds the records of one page.
    pub(super) fn add(&mut self, records: Vec<String>) -> Result<(), SourceError> {
        let most = store::limits().record_bytes;
        for text in records {
            let parsed = Raw::parse(&text);
            let record = match parsed {
                Ok(record) if record.is_object() && text.len() <= most => record,
                Ok(record) if record.is_object() => {
                    let why =
                        format!("a record of {} bytes, above `limits.record_bytes` ({most})", text.len());
                    self.set_aside(why, &text)?;
                    continue;
                }
                _ => {
                    self.set_aside("not a JSON object".into(), &text)?;
                    continue;
                }
            };
            self.total += 1;
            if !self.is_new(record)? {
                continue;
            }
            self.shape.learn(&record)?;
            // Without white space: one line.
            let line = record.landed().unwrap_or_default();
            self.bytes += line.len() as u64 + 1;
            if self.bytes > MOST_BYTES {
                return Err(SourceError::never("the API sent more than 8 GiB; read incrementally"));
            }
            self.file
                .write_all(line.as_bytes())
                .and_then(|()| self.file.write_all(b"\n"))
                .map_err(|e| failed(self.spool.path(), &e))?;
            self.kept += 1;
        }
        Ok(())
    }

    fn set_aside(&mut self, why: String, text: &str) -> Result<(), SourceError> {
        let kept: String = text.chars().take(ASIDE_TEXT).collect();
        self.aside_bytes += kept.len() + why.len();
        if self.aside_bytes > MOST_ASIDE {
            return Err(SourceError::never(format!(
                "too many entries of the record array are no records (such as {}); correct `records`",
                kept.chars().take(60).collect::<String>()
            )));
        }
        self.aside.0.push(why);
        self.aside.1.push(kept);
        Ok(())
    }

    /// Moves the edge, and tells whether a record has not landed before.
    fn is_new(&mut self, record: Raw<'_>) -> Result<bool, SourceError> {
        let Some(cursor) = &self.cursor else { return Ok(true) };
        let at = record
            .get(cursor)
            .or_else(|| record.find(&JsonPath::parse(cursor).ok()?.0))
            .map_or(Value::Null, value);
        if at.is_null() {
            self.nulls += 1;
        }
        if !self.append {
            self.edge.see(&at, None);
            return Ok(true);
        }
        // An API may know days only, or ignore the parameter. Records without a value are read once, at
        // the start, as databases do.
        if let Some(floor) = &self.floor
            && (at.is_null() || older(&at, floor))
        {
            return Ok(false);
        }
        let mark = fingerprint(record);
        self.edge.see(&at, Some(mark));
        if self.behind.as_ref() == Some(&at) {
            return Ok(false);
        }
        match self.landed.get_mut(&mark) {
            None => Ok(true),
            Some(n) => {
                *n -= 1;
                if *n == 0 {
                    self.landed.remove(&mark);
                }
                Ok(false)
            }
        }
    }

    /// Sends everything as one group.
    pub(super) fn send(mut self, feed: &Feed, loaded_at: i64) -> Result<(), Halt> {
        let warnings = self.warnings()?;
        if self.kept == 0 && !self.whole && self.aside.0.is_empty() && warnings.is_empty() {
            return Ok(());
        }
        let failed_here =
            |e: std::io::Error| SourceError::later(format!("the temporary file cannot be read back: {e}"));
        self.file.flush().map_err(failed_here)?;
        let cursor = if self.whole { json!({"at": null}) } else { self.edge.cursor(self.append) };
        let names: Vec<(String, Kind)> = self.shape.names().into_iter().map(|n| (n, Kind::Text)).collect();
        let part_rows = if self.whole { self.part_rows } else { usize::MAX };
        let table = Table::new(&names, loaded_at);
        let (reasons, texts) = std::mem::take(&mut self.aside);
        let rejected = rejected_rows(reasons, texts, loaded_at)?;
        let changes = Changes::default();
        let mut out =
            Out { table, feed, cursor, held: None, warnings, rejected, changes, part_rows, open_rows: 0 };
        let mut columns = TextColumns::new(self.shape.width());
        let lines = BufReader::new(File::open(self.spool.path()).map_err(failed_here)?).lines();
        for (line, number) in lines.zip(1u64..) {
            let line = line.map_err(failed_here)?;
            let record = Raw::parse(&line)
                .map_err(|e| SourceError::later(format!("the temporary file is damaged: {e}")))?;
            for odd in self.shape.push(&record, 0, &mut columns) {
                out.changes.note(&names[odd.column].0, odd.how, || {
                    format!("record {number}: {}", odd.text.chars().take(60).collect::<String>())
                });
            }
            if columns.is_full() {
                out.rows(&mut columns)?;
            }
        }
        out.rows(&mut columns)?;
        out.finish()
    }

    fn warnings(&mut self) -> Result<Vec<String>, SourceError> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Some(cursor) = self.cursor.as_deref().filter(|_| self.total > 0) {
            if self.nulls == self.total {
                return Err(SourceError::never(format!(
                    "no record has the cursor field `{cursor}`; correct `cursor`"
                )));
            }
            if self.nulls > 0 {
                warnings.push(format!("{} records have no value in the cursor field `{cursor}`", self.nulls));
            }
        }
        if self.append && self.total > 0 {
            let name = self.cursor.as_deref().unwrap_or_default();
            check_overlap(name, self.edge.overlap, Some(&self.edge.last))?;
        }
        Ok(warnings)
    }
}

/// Batches on their way, the last held back for the landing boundary.
struct Out<'f> {
    table: Table,
    feed: &'f Feed,
    cursor: Value,
    held: Option<arrow::record_batch::RecordBatch>,
    warnings: Vec<String>,
    rejected: Option<arrow::record_batch::RecordBatch>,
    changes: Changes,
    part_rows: usize,
    /// Rows since the last landing boundary.
    open_rows: usize,
}

impl Out<'_> {
    fn rows(&mut self, columns: &mut TextColumns) -> Result<(), Halt> {
        let (arrays, numbers) = columns.take();
        if numbers.is_empty() {
            return Ok(());
        }
        for (cells, array) in self.table.cells.iter_mut().zip(&arrays) {
            if let (Cells::Text(builder), Some(texts)) =
                (cells, arrow::array::AsArray::as_string_opt::<i32>(array.as_ref()))
            {
                texts.iter().for_each(|t| builder.append_option(t));
            }
        }
        self.table.rows = numbers.len();
        let batch = self.table.take()?;
        match self.held.replace(batch) {
            Some(earlier) => {
                let full = self.open_rows + earlier.num_rows() >= self.part_rows;
                self.put(earlier, full)
            }
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Halt> {
        let last = match self.held.take() {
            Some(batch) => batch,
            None => self.table.take()?,
        };
        self.put(last, true)
    }

    fn put(&mut self, rows: arrow::record_batch::RecordBatch, commit: bool) -> Result<(), Halt> {
        self.open_rows = if commit { 0 } else { self.open_rows + rows.num_rows() };
        let pull = Pull {
            rows,
            rejected: self.rejected.take(),
            cursor: self.cursor.clone(),
            commit,
            file: None,
            warnings: std::mem::take(&mut self.warnings),
            changed: self.changes.take(),
            found: Vec::new(),
        };
        Ok(self.feed.put(Ok(pull))?)
    }
}

/// A cursor value; a number that JSON readers cannot hold stays as its digits.
fn value(raw: Raw<'_>) -> Value {
    match raw.text.as_bytes().first() {
        Some(b'"') => json!(raw.landed()),
        Some(b'n') | None => Value::Null,
        _ => serde_json::from_str::<Value>(raw.text)
            .ok()
            .filter(|v| *v.to_string() == *raw.text)
            .unwrap_or_else(|| json!(raw.text)),
    }
}

/// A record whatever the order of its fields.
fn fingerprint(record: Raw<'_>) -> u64 {
    let mut fields: Vec<(String, String)> = Vec::new();
    record.fields(&mut |key, value| {
        let text = match value.text.as_bytes().first() {
            Some(b'"') => json!(value.landed()).to_string(),
            _ => value.landed().unwrap_or_default().into_owned(),
        };
        if value.text != "null" {
            fields.push((key.into_owned(), text));
        }
    });
    fields.sort();
    let mut hash = Sha256::new();
    for (key, text) in fields {
        hash.update(key.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    u64::from_be_bytes([
        digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
    ])
}

/// The newest cursor value and the records at it, in any order of arrival.
struct Edge {
    overlap: Duration,
    last: Value,
    rows: Vec<(Value, u64)>,
    crowded: bool,
}

impl Edge {
    fn new(after: Option<&Cursor>, overlap: Duration) -> Self {
        let last = after.and_then(|c| c.get("at")).cloned().unwrap_or(Value::Null);
        let crowded = after.is_some_and(|c| c.get("whole").is_some());
        Edge { overlap, last, rows: Vec::new(), crowded }
    }

    fn see(&mut self, at: &Value, mark: Option<u64>) {
        if at.is_null() {
            return;
        }
        if self.last.is_null() || newer(at, &self.last) {
            self.last = at.clone();
            self.crowded = false;
            let floor = back(&self.last, self.overlap);
            self.rows.retain(|(value, _)| value == at || !newer(&floor, value));
        }
        let floor = back(&self.last, self.overlap);
        if let Some(mark) = mark.filter(|_| !self.crowded && !newer(&floor, at)) {
            self.rows.push((at.clone(), mark));
            if self.rows.len() > MOST_SEEN {
                self.crowded = true;
                self.rows.clear();
            }
        }
    }

    fn cursor(&self, append: bool) -> Value {
        if self.crowded {
            return json!({"at": self.last, "whole": true});
        }
        let seen: String = self.rows.iter().map(|(_, mark)| format!("{mark:016x}")).collect();
        if append { json!({"at": self.last, "seen": seen}) } else { json!({"at": self.last}) }
    }
}

/// How two cursor values follow each other: as whole numbers, as numbers (also where an API writes them
/// as text: 10 comes behind 9), as moments; `None` when only their texts can tell.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| text(v)?.trim().parse::<i128>().ok();
    let number = |v: &Value| text(v)?.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return Some(a.cmp(&b));
    }
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return a.partial_cmp(&b);
    }
    Some(micros(a)?.cmp(&micros(b)?))
}

/// Whether one cursor value comes behind another.
fn newer(a: &Value, b: &Value) -> bool {
    order(a, b).map_or_else(|| text(a) > text(b), Ordering::is_gt)
}

/// Whether one cursor value surely comes before another: texts of different length, such as `v9` and
/// `v10`, are better landed twice than lost.
fn older(a: &Value, b: &Value) -> bool {
    let by_text = |(a, b): (String, String)| a.len() == b.len() && a < b;
    order(a, b).map_or_else(|| text(a).zip(text(b)).is_some_and(by_text), Ordering::is_lt)
}
