//! A look before landing: whether a source answers, and how a stream would be read. Nothing is written.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use serde::Serialize;

use super::{Ingest, known};
use crate::error::{Error, SourceError};
use crate::ledger::{Changed, Changes};
use crate::source::Source;
use crate::sources;
use crate::spec::{SourceSpec, StreamSpec};

/// Set-aside rows that a preview shows.
const ASIDE: usize = 20;
/// Characters of a cell that a preview shows.
const CELL: usize = 200;
/// Rows after which a preview stops reading in the middle of a file.
const ENOUGH: u64 = 50_000;

/// So many tables or files are listed at most.
const OFFERS: usize = 1_000;

/// What a source offers, and whether each stream can be read.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// Tables or files there, as `{name, detail}`.
    pub offers: Vec<Offer>,
    /// Per stream of the definition.
    pub streams: Vec<Tested>,
}

/// Something that a source offers to read.
#[derive(Debug, Clone, Serialize)]
pub struct Offer {
    /// Name as `table` (databases) or the file's path (files).
    pub name: String,
    /// One line about it, such as its size.
    pub detail: String,
}

/// Whether a stream can be read.
#[derive(Debug, Clone, Serialize)]
pub struct Tested {
    /// Name in the definition.
    pub stream: String,
    /// Columns as they would land.
    pub columns: Vec<Column>,
    /// Why it cannot be read.
    pub error: Option<String>,
}

/// A column as it would land.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type, such as `Utf8` or `Decimal128(18, 2)`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// The first rows of a stream, as they would land.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// Name in the definition.
    pub stream: String,
    /// The table it would land in.
    pub table: String,
    /// The file that was looked at.
    pub file: Option<String>,
    /// How it was understood, as (what, value): format, encoding, delimiter, header row, sheet.
    pub found: Vec<(String, String)>,
    /// Columns as they would land.
    pub columns: Vec<Column>,
    /// The first rows: a text a cell, `null` for no value, at most 200 characters.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows looked at: kept and set aside.
    pub read: u64,
    /// Of those, rows that would be set aside.
    pub rejected_rows: u64,
    /// The first of them.
    pub set_aside: Vec<Aside>,
    /// Cells that could not be kept as delivered.
    pub changed: Vec<Changed>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// The file, or the stream, was read to its end.
    pub complete: bool,
}

/// A row that would be set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// Row number in the file.
    pub row: Option<i64>,
    /// Why.
    pub reason: String,
    /// The row as it was delivered, at most 200 characters.
    pub text: String,
}

impl Ingest {
    /// Reaches a source and reads the first rows of each stream, landing nothing.
    ///
    /// # Errors
    /// The source cannot be reached.
    pub async fn test(&self, spec: &SourceSpec) -> Result<TestReport, SourceError> {
        let source = sources::open(spec, &self.parts).await?;
        let offers = source.streams().await?;
        let mut offers: Vec<Offer> =
            offers.into_iter().map(|s| Offer { name: s.name, detail: s.detail }).collect();
        if offers.len() >= OFFERS {
            offers.push(Offer { name: "…".into(), detail: format!("only the first {OFFERS} are listed") });
        }
        let mut streams = Vec::new();
        for (name, of) in &spec.streams {
            let looked = look(source.as_ref(), of, 0).await;
            let (columns, error) = match looked {
                Ok(look) => (look.columns, None),
                Err(e) => (Vec::new(), Some(e.to_string())),
            };
            streams.push(Tested { stream: name.clone(), columns, error });
        }
        Ok(TestReport { offers, streams })
    }

    /// Reads the first rows of a stream (of its oldest file) as a sync would, landing nothing: at most `rows` are
    /// shown.
    ///
    /// # Errors
    /// No such stream; `Source` when it cannot be reached or read.
    pub async fn preview(
        &self,
        source: &str,
        spec: &SourceSpec,
        stream: &str,
        rows: usize,
    ) -> Result<Preview, Error> {
        let of = known(source, spec, stream)?;
        let opened = sources::open(spec, &self.parts).await.map_err(Error::Source)?;
        let mut preview = look(opened.as_ref(), of, rows).await.map_err(Error::Source)?;
        stream.clone_into(&mut preview.stream);
        preview.table = SourceSpec::table(source, stream).to_string();
        Ok(preview)
    }
}

/// Reads until enough is seen. Dropping the stream of pulls ends its reader.
async fn look(source: &dyn Source, of: &StreamSpec, rows: usize) -> Result<Preview, SourceError> {
    let mut pulls = source.read(of, None).await?;
    let mut seen = Preview {
        stream: String::new(),
        table: String::new(),
        file: None,
        found: Vec::new(),
        columns: Vec::new(),
        rows: Vec::new(),
        read: 0,
        rejected_rows: 0,
        set_aside: Vec::new(),
        changed: Vec::new(),
        warnings: Vec::new(),
        complete: true,
    };
    let mut changes = Changes::default();
    while let Some(pull) = pulls.next().await {
        let pull = pull?;
        if pull.rows.num_rows() == 0 && pull.rejected.is_none() && !pull.commit {
            // It only says something.
            seen.warnings.extend(pull.warnings);
            continue;
        }
        if seen.columns.is_empty() {
            seen.columns = columns(&pull.rows);
            seen.file = pull.file.as_ref().map(|f| f.name.clone());
        }
        seen.found.extend(pull.found);
        seen.warnings.extend(pull.warnings);
        changes.merge(pull.changed);
        seen.read += pull.rows.num_rows() as u64;
        show(&pull.rows, rows, &mut seen.rows);
        if let Some(rejected) = &pull.rejected {
            seen.read += rejected.num_rows() as u64;
            seen.rejected_rows += rejected.num_rows() as u64;
            set_aside(rejected, &mut seen.set_aside);
        }
        if pull.commit || rows == 0 || seen.read >= ENOUGH {
            seen.complete = pull.commit;
            break;
        }
    }
    seen.changed = changes.take();
    Ok(seen)
}

/// Columns of the source; what Guanlan adds is the same everywhere.
fn own(rows: &RecordBatch) -> impl Iterator<Item = usize> {
    let schema = rows.schema();
    (0..rows.num_columns())
        .filter(move |i| !matches!(schema.field(*i).name().as_str(), "_file" | "_row" | "_loaded_at"))
}

fn columns(rows: &RecordBatch) -> Vec<Column> {
    let schema = rows.schema();
    own(rows)
        .map(|i| Column {
            name: schema.field(i).name().clone(),
            kind: schema.field(i).data_type().to_string(),
        })
        .collect()
}

fn show(rows: &RecordBatch, most: usize, to: &mut Vec<Vec<Option<String>>>) {
    let options = FormatOptions::default();
    for row in 0..rows.num_rows().min(most.saturating_sub(to.len())) {
        let cell = |i: usize| {
            let column = rows.column(i);
            if column.is_null(row) {
                return None;
            }
            let text = ArrayFormatter::try_new(column.as_ref(), &options).ok()?.value(row).to_string();
            Some(text.chars().take(CELL).collect())
        };
        to.push(own(rows).map(cell).collect());
    }
}

fn set_aside(rejected: &RecordBatch, to: &mut Vec<Aside>) {
    let text = |name: &str, row: usize| -> String {
        let column = rejected.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        let value = column.filter(|c| c.is_valid(row)).map(|c| c.value(row)).unwrap_or_default();
        value.chars().take(CELL).collect()
    };
    let numbers = rejected.column_by_name("_row").and_then(|c| c.as_primitive_opt::<Int64Type>());
    for row in 0..rejected.num_rows().min(ASIDE.saturating_sub(to.len())) {
        to.push(Aside {
            row: numbers.filter(|n| n.is_valid(row)).map(|n| n.value(row)),
            reason: text("reason", row),
            text: text("text", row),
        });
    }
}
