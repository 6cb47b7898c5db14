//! A batch of raw rows into kept rows and rejected rows. Pure: no clock, no storage.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use chrono_tz::Tz;
use store::{Problem, Step};

use super::column::{Column, Failure};
use super::ledger::{Adjusted, key_of, place};
use super::reject::{Reason, Reject, shown};
use super::skip::Skips;
use super::spec::CleanSpec;
use crate::{Error, Result};

/// Source file of a raw row.
pub(crate) const FILE: &str = "_file";
/// Row number in that file.
pub(crate) const ROW: &str = "_row";
/// When the raw row was landed.
pub(crate) const LOADED_AT: &str = "_loaded_at";

/// Rows that fit and rows that do not; together they are the rows read.
#[derive(Clone, Debug)]
pub struct Cleaned {
    /// The output columns in the order of the definition.
    pub kept: RecordBatch,
    /// One entry for each row that does not fit.
    pub rejected: Vec<Reject>,
    /// Which rows fit; None when all do.
    pub(crate) fits: Option<BooleanArray>,
    /// Cells of kept rows that were rounded to the digits of their column.
    pub(crate) rounded: Vec<Adjusted>,
}

/// Cleans one batch. Key columns are required: a row without a key cannot be told from others.
///
/// # Errors
/// `Invalid` when the definition is wrong or a source column does not exist in the batch.
pub fn apply(spec: &CleanSpec, rows: &RecordBatch, zone: Tz) -> Result<Cleaned> {
    let cleaner = Cleaner::compile(spec, zone).map_err(|problems| invalid(spec, &problems))?;
    match cleaner.data(rows)? {
        Some(data) => cleaner.apply(&data),
        None => cleaner.apply(rows),
    }
}

pub(crate) fn invalid(spec: &CleanSpec, problems: &[Problem]) -> Error {
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    Error::Invalid { message: format!("the cleaning of {} is wrong: {first}", spec.from) }
}

/// A compiled `CleanSpec`.
#[derive(Clone, Debug)]
pub(crate) struct Cleaner {
    from: String,
    columns: Vec<Column>,
    skips: Skips,
    /// Places of the key columns.
    key: Vec<usize>,
    schema: SchemaRef,
}

impl Cleaner {
    pub(crate) fn compile(spec: &CleanSpec, zone: Tz) -> Result<Self, Vec<Problem>> {
        let mut columns = Vec::with_capacity(spec.columns.len());
        let mut problems = Vec::new();
        for (name, column) in spec.columns.iter() {
            match Column::compile(name, column, zone) {
                Ok(column) => columns.push(column),
                Err(problem) => problems
                    .push(problem.within(Step::Key(name.to_owned())).within(Step::Key("columns".to_owned()))),
            }
        }
        for column in &mut columns {
            if spec.key.contains(&column.name) {
                column.require();
            }
        }
        let skips = Skips::compile(spec).unwrap_or_else(|problem| {
            problems.push(problem);
            Skips::default()
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let fields: Vec<Field> =
            columns.iter().map(|column| Field::new(&column.name, column.kind.arrow(), true)).collect();
        let key = spec.key.iter().filter_map(|key| columns.iter().position(|c| c.name == *key)).collect();
        Ok(Self { from: spec.from.to_string(), columns, skips, key, schema: Arc::new(Schema::new(fields)) })
    }

    /// Schema of kept rows. Every column is nullable: what must hold is said by `required`.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows that are data; None when all are.
    pub(crate) fn data(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>> {
        self.skips.data(rows)
    }

    pub(crate) fn apply(&self, rows: &RecordBatch) -> Result<Cleaned> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut failures: Vec<(usize, usize, Reason)> = Vec::new();
        let mut rounded: Vec<(usize, Vec<usize>)> = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let (array, failed, inexact) = column.run(self.source(column, rows)?);
            if !inexact.is_empty() {
                rounded.push((index, inexact));
            }
            failures.extend(failed.into_iter().map(|(row, reason): Failure| (row, index, reason)));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        let all = RecordBatch::try_new_with_options(self.schema(), arrays, &options)?;
        if failures.is_empty() {
            let rounded = self.rounded(rows, &all, rounded, None)?;
            return Ok(Cleaned { kept: all, rejected: Vec::new(), fits: None, rounded });
        }
        failures.sort_by_key(|(row, column, _)| (*row, *column));
        let mut fits = vec![true; rows.num_rows()];
        for (row, ..) in &failures {
            fits[*row] = false;
        }
        let fits = BooleanArray::from(fits);
        let kept = filter_record_batch(&all, &fits)?;
        let rounded = self.rounded(rows, &all, rounded, Some(&fits))?;
        Ok(Cleaned { kept, rejected: self.rejects(rows, &all, &failures)?, fits: Some(fits), rounded })
    }

    /// The key of a row of clean columns, where every part of it has a value.
    pub(crate) fn key(&self, clean: &RecordBatch, row: usize) -> Option<String> {
        key_of(self.key.iter().map(|column| clean.column(*column)), row)
    }

    /// Rounded cells of kept rows, counted by column.
    fn rounded(
        &self,
        rows: &RecordBatch,
        all: &RecordBatch,
        rounded: Vec<(usize, Vec<usize>)>,
        fits: Option<&BooleanArray>,
    ) -> Result<Vec<Adjusted>> {
        let mut found = Vec::new();
        for (index, inexact) in rounded {
            let column = &self.columns[index];
            let mut kept = inexact.into_iter().filter(|row| fits.is_none_or(|fits| fits.value(*row)));
            let Some(first) = kept.next() else { continue };
            let origin = Origin::of(&rows.slice(first, 1))?;
            let value = shown(self.source(column, rows)?, first).unwrap_or_default();
            found.push(Adjusted {
                column: column.name.clone(),
                how: format!("rounded to {:?}", column.kind.arrow()),
                count: 1 + kept.count() as u64,
                first: format!(
                    "{}: {value}",
                    place(origin.file(0).as_deref(), origin.row(0), self.key(all, first).as_deref())
                ),
            });
        }
        Ok(found)
    }

    fn source<'a>(&self, column: &Column, rows: &'a RecordBatch) -> Result<&'a ArrayRef> {
        rows.column_by_name(&column.source).ok_or_else(|| {
            let schema = rows.schema();
            let known = schema.fields().iter().map(|field| field.name().as_str());
            let hint = store::nearest(&column.source, known)
                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            Error::Invalid {
                message: format!(
                    "column `{}` reads `{}`, which {} does not have{hint}",
                    column.name, column.source, self.from
                ),
            }
        })
    }

    /// One reject for each row named in `failures`, which is sorted by row and column.
    fn rejects(
        &self,
        rows: &RecordBatch,
        all: &RecordBatch,
        failures: &[(usize, usize, Reason)],
    ) -> Result<Vec<Reject>> {
        let groups: Vec<_> = failures.chunk_by(|a, b| a.0 == b.0).collect();
        let indices: UInt32Array = groups.iter().map(|group| u32::try_from(group[0].0).ok()).collect();
        let bad = take_record_batch(rows, &indices)?;
        let origin = Origin::of(&bad)?;
        let records = records(&bad)?;
        groups
            .iter()
            .zip(records)
            .enumerate()
            .map(|(at, (group, record))| {
                let (row, first, reason) = group[0];
                let also: Vec<String> = group[1..]
                    .iter()
                    .map(|(_, column, reason)| format!("{}: {reason}", self.columns[*column].name))
                    .collect();
                let column = &self.columns[first];
                Ok(Reject {
                    row: origin.row(at),
                    file: origin.file(at),
                    loaded_at: origin.loaded_at(at),
                    column: column.name.clone(),
                    reason,
                    value: shown(self.source(column, &bad)?, at),
                    also: (!also.is_empty()).then(|| also.join("; ")),
                    record,
                    key: self.key(all, row),
                })
            })
            .collect()
    }
}

/// Where the rows of a batch come from, as far as the raw table says.
pub(super) struct Origin {
    file: Option<ArrayRef>,
    row: Option<ArrayRef>,
    loaded_at: Option<ArrayRef>,
}

impl Origin {
    pub(super) fn of(rows: &RecordBatch) -> Result<Self, ArrowError> {
        let column = |name: &str, to: DataType| rows.column_by_name(name).map(|c| cast(c, &to)).transpose();
        Ok(Self {
            file: column(FILE, DataType::Utf8)?,
            row: column(ROW, DataType::Int64)?,
            loaded_at: column(LOADED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?,
        })
    }

    pub(super) fn file(&self, at: usize) -> Option<String> {
        let array = self.file.as_ref()?;
        array.is_valid(at).then(|| array.as_string::<i32>().value(at).to_owned())
    }

    pub(super) fn row(&self, at: usize) -> Option<i64> {
        let array = self.row.as_ref()?;
        array.is_valid(at).then(|| array.as_primitive::<Int64Type>().value(at))
    }

    pub(super) fn loaded_at(&self, at: usize) -> Option<i64> {
        let array = self.loaded_at.as_ref()?;
        array.is_valid(at).then(|| array.as_primitive::<TimestampMicrosecondType>().value(at))
    }
}

/// Each row as a JSON object.
fn records(rows: &RecordBatch) -> Result<Vec<String>> {
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner())
        .map_err(|_| Error::Invalid { message: "a rejected row is not UTF-8".to_owned() })?;
    Ok(text.lines().map(str::to_owned).collect())
}
