//! Where a format puts its rows: adds `_file`, `_row`, `_loaded_at`, collects rejected rows, and
//! holds one batch back so that the last one carries the landing boundary.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use chrono_tz::Tz;

use super::partitions::{Partition, partitions};
use crate::error::SourceError;
use crate::ledger::Changes;
use crate::source::{Closed, Cursor, Feed, FilePart, Pull};
use crate::sources::files::Known;

/// Rows per batch.
pub(crate) const BATCH_ROWS: usize = 64 * 1024;
/// Bytes of text per batch, so that wide rows stay within memory.
pub(crate) const BATCH_BYTES: usize = 24 << 20;
/// What one value costs in its column besides its text: an offset and a bit.
const SLOT_BYTES: usize = 5;
/// Rejected rows and bytes kept before they are sent along.
const REJECTED_ROWS: usize = 8 * 1024;
const REJECTED_BYTES: usize = 4 << 20;
/// Text of one rejected row that is kept.
const REJECTED_TEXT: usize = 64 << 10;

/// Whether so many rows of so many columns fill a batch by their places alone: empty values cost memory too.
pub(crate) fn crowded(rows: usize, columns: usize) -> bool {
    rows.saturating_mul(columns).saturating_mul(SLOT_BYTES) >= store::limits().batch_bytes
}

/// A file has more columns than a table may have.
pub(crate) fn too_wide(columns: usize, remedy: &str) -> SourceError {
    let most = store::limits().columns;
    SourceError::never(format!(
        "{columns} columns, more than the {most} of a table; {remedy}, or raise `limits: columns` of guanlan.yaml"
    ))
}

/// Why a format stopped before the end of its file.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Nobody listens any more.
    Closed,
    /// The file cannot be read.
    Failed(SourceError),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Stop::Closed
    }
}

impl From<SourceError> for Stop {
    fn from(e: SourceError) -> Self {
        Stop::Failed(e)
    }
}

/// The type of `_loaded_at`, and of every other instant that lands.
pub(crate) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The three columns that every raw table has besides the source's own.
pub(crate) fn meta_fields() -> [FieldRef; 3] {
    [
        Arc::new(Field::new("_file", DataType::Utf8, true)),
        Arc::new(Field::new("_row", DataType::Int64, true)),
        Arc::new(Field::new("_loaded_at", instant_type(), true)),
    ]
}

/// Receives the rows of one file.
pub(crate) struct Sink {
    feed: Feed,
    part: FilePart,
    cursor: Cursor,
    constants: Constants,
    /// Columns that the file's folders name (`dt=2026-01-01/`), as far as the file has none of that name.
    partitions: Vec<Partition>,
    /// The site's time zone.
    zone: Tz,
    schema: Option<SchemaRef>,
    held: Option<RecordBatch>,
    rejected: Rejected,
    warnings: Vec<String>,
    changes: Changes,
    found: Vec<(String, String)>,
    /// Columns of the stream's earlier files.
    known: Option<Known>,
    /// Why this file does not belong to its stream; told with its first row.
    foreign: Option<SourceError>,
}

/// `_file` and `_loaded_at` are the same in every row: built once per batch length.
struct Constants {
    file: String,
    loaded_at: i64,
    built: Option<(usize, ArrayRef, ArrayRef)>,
}

impl Constants {
    fn arrays(&mut self, rows: usize) -> (ArrayRef, ArrayRef) {
        match &self.built {
            Some((n, file, at)) if *n == rows => (file.clone(), at.clone()),
            _ => {
                let file: ArrayRef =
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.file, rows)));
                let at: ArrayRef = Arc::new(
                    TimestampMicrosecondArray::from_value(self.loaded_at, rows).with_timezone("UTC"),
                );
                self.built = Some((rows, file.clone(), at.clone()));
                (file, at)
            }
        }
    }
}

impl Sink {
    /// A sink for one file; `loaded_at` in microseconds UTC, `cursor` as it will be once the file has landed.
    pub(crate) fn new(feed: Feed, part: FilePart, cursor: Cursor, loaded_at: i64) -> Self {
        let constants = Constants { file: part.name.clone(), loaded_at, built: None };
        Sink {
            feed,
            part,
            cursor,
            constants,
            partitions: Vec::new(),
            zone: Tz::UTC,
            schema: None,
            held: None,
            rejected: Rejected::default(),
            warnings: Vec::new(),
            changes: Changes::default(),
            found: Vec::new(),
            known: None,
            foreign: None,
        }
    }

    /// The same sink at a site of this time zone.
    pub(crate) fn in_zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// The site's time zone: what times without a zone are read in.
    pub(crate) fn zone(&self) -> Tz {
        self.zone
    }

    /// The same sink for a stream whose earlier files had these columns.
    pub(crate) fn among(self, known: Known) -> Self {
        Sink { known: Some(known), ..self }
    }

    /// Adds to the cursor that lands with this file.
    pub(crate) fn remember(&mut self, key: &str, value: String) {
        if let Some(cursor) = self.cursor.as_object_mut() {
            cursor.insert(key.into(), value.into());
        }
    }

    /// The file as the landed rows name it.
    pub(crate) fn file(&self) -> &str {
        &self.part.name
    }

    /// Columns of the stream's earlier files; `None` when this is the first.
    pub(crate) fn known(&self) -> Option<Vec<String>> {
        self.known.as_ref().and_then(Known::names)
    }

    /// Sets the columns of the file. Must come before the first row.
    pub(crate) fn columns(&mut self, fields: impl IntoIterator<Item = FieldRef>) {
        let mut fields: Vec<FieldRef> = fields.into_iter().collect();
        if let Some(known) = self.known.take().filter(|_| !fields.is_empty()) {
            match known.fit(&self.part.name, &mut fields) {
                Ok(fitted) => {
                    fitted.warnings.into_iter().for_each(|w| self.warn(w));
                    fitted.new.into_iter().for_each(|new| self.remember("columns", new));
                }
                Err(e) => self.foreign = Some(e),
            }
            self.known = Some(known);
        }
        self.partitions = partitions(&self.part.name, &fields);
        let named =
            self.partitions.iter().map(|p| Arc::new(Field::new(&p.name, DataType::Utf8, true)) as FieldRef);
        fields.extend(named);
        fields.extend(meta_fields());
        self.schema = Some(Arc::new(Schema::new(fields)));
    }

    /// Sets text columns.
    pub(crate) fn text_columns(&mut self, names: &[String]) {
        self.columns(names.iter().map(|n| Arc::new(Field::new(n, DataType::Utf8, true)) as FieldRef));
    }

    /// Adds rows, one array per column of [`Sink::columns`], with their 1-based row numbers in the file.
    pub(crate) fn rows(&mut self, mut columns: Vec<ArrayRef>, numbers: Int64Array) -> Result<(), Stop> {
        self.belongs()?;
        let count = numbers.len();
        if columns.len() > store::limits().columns {
            return Err(too_wide(columns.len(), "split the file").into());
        }
        columns.extend(self.partitions.iter().map(|p| p.column(count)));
        let (file, at) = self.constants.arrays(count);
        columns.extend([file, Arc::new(numbers) as ArrayRef, at]);
        let schema = self
            .schema
            .clone()
            .ok_or_else(|| SourceError::never("a reader sent rows before their columns"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|e| SourceError::never(format!("its rows do not fit its columns: {e}")))?;
        match self.held.replace(batch) {
            Some(earlier) => self.send(earlier, false),
            None => Ok(()),
        }
    }

    /// Sets a row aside that cannot be parsed.
    pub(crate) fn reject(&mut self, row: i64, reason: String, text: &str) -> Result<(), Stop> {
        self.belongs()?;
        self.rejected.push(row, reason, text);
        if !self.rejected.is_full() {
            return Ok(());
        }
        match self.held.take() {
            Some(batch) => self.send(batch, false),
            None => {
                let empty = self.empty()?;
                self.send(empty, false)
            }
        }
    }

    /// Notes something that a person should know.
    pub(crate) fn warn(&mut self, message: String) {
        if self.warnings.len() < 20 {
            self.warnings.push(message);
        }
    }

    /// Notes a cell that could not be kept as delivered; `first` says where it stands.
    pub(crate) fn changed(&mut self, column: &str, how: &str, first: impl FnOnce() -> String) {
        self.changes.note(column, how, first);
    }

    /// Notes how the file is understood, such as its `encoding` or `header row`, for a preview.
    pub(crate) fn found(&mut self, what: &str, value: impl Into<String>) {
        self.found.push((what.to_owned(), value.into()));
    }

    /// Ends the file: everything up to here may be committed.
    pub(crate) fn finish(mut self) -> Result<(), Stop> {
        self.belongs()?;
        let last = match self.held.take() {
            Some(batch) => batch,
            None => self.empty()?,
        };
        self.send(last, true)
    }

    fn belongs(&mut self) -> Result<(), Stop> {
        self.foreign.take().map_or(Ok(()), |e| Err(e.into()))
    }

    fn empty(&mut self) -> Result<RecordBatch, Stop> {
        if self.schema.is_none() {
            self.columns([]);
        }
        let schema = self.schema.clone().ok_or_else(|| SourceError::never("a file without columns"))?;
        Ok(RecordBatch::new_empty(schema))
    }

    fn send(&mut self, rows: RecordBatch, commit: bool) -> Result<(), Stop> {
        let pull = Pull {
            rows,
            rejected: self.rejected.take(&self.constants.file, self.constants.loaded_at)?,
            cursor: self.cursor.clone(),
            commit,
            file: Some(self.part.clone()),
            warnings: std::mem::take(&mut self.warnings),
            changed: self.changes.take(),
            found: std::mem::take(&mut self.found),
        };
        Ok(self.feed.put(Ok(pull))?)
    }
}

/// Rows that could not be parsed, waiting to be sent.
#[derive(Default)]
struct Rejected {
    rows: Vec<i64>,
    reasons: Vec<String>,
    texts: Vec<String>,
    bytes: usize,
}

impl Rejected {
    fn push(&mut self, row: i64, reason: String, text: &str) {
        let mut end = text.len().min(REJECTED_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes += end + reason.len();
        self.rows.push(row);
        self.reasons.push(reason);
        self.texts.push(text[..end].to_owned());
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= REJECTED_ROWS || self.bytes >= REJECTED_BYTES
    }

    fn take(&mut self, file: &str, loaded_at: i64) -> Result<Option<RecordBatch>, SourceError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let all = std::mem::take(self);
        let count = all.rows.len();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(file, count))),
            Arc::new(Int64Array::from(all.rows)),
            Arc::new(StringArray::from(all.reasons)),
            Arc::new(StringArray::from(all.texts)),
            Arc::new(TimestampMicrosecondArray::from_value(loaded_at, count).with_timezone("UTC")),
        ];
        RecordBatch::try_new(rejected_schema(), columns)
            .map(Some)
            .map_err(|e| SourceError::never(format!("rejected rows do not fit their columns: {e}")))
    }
}

/// Columns of `raw.<table>_rejected`.
pub(crate) fn rejected_schema() -> SchemaRef {
    let [file, row, at] = meta_fields();
    let reason = Arc::new(Field::new("reason", DataType::Utf8, true));
    let text = Arc::new(Field::new("text", DataType::Utf8, true));
    Arc::new(Schema::new(vec![file, row, reason, text, at]))
}
