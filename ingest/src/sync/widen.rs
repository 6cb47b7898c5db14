//! A column that became wider at the source: the raw table follows where every value it holds has a place there.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use warehouse::{Landing, TableName};

use super::intake::{Intake, of_warehouse};
use crate::error::SourceError;
use crate::spec::ModeSpec;

impl Intake<'_> {
    /// Writes the table again in the wider types of the rows that are about to join it.
    pub(super) async fn widen(
        &mut self,
        rows: Option<&RecordBatch>,
        how: &Landing,
    ) -> Result<(), SourceError> {
        let joins = matches!(how, Landing::Append | Landing::Upsert { .. } | Landing::ReplaceFile { .. });
        let Some(delivered) = rows.filter(|_| joins).map(RecordBatch::schema) else {
            return Ok(());
        };
        let snapshot = self.warehouse.snapshot(&self.table).await.map_err(|e| of_warehouse(&e))?;
        let Some(snapshot) = snapshot else { return Ok(()) };
        let wider = wider(&snapshot.schema, &delivered);
        if wider.is_empty() {
            return Ok(());
        }
        let failed = |e: String| {
            SourceError::never(format!(
                "{}: the column `{}` is wider at the source, and the rows that are there do not fit its new type: {e}",
                self.table, wider[0].0
            ))
        };
        let sql = rewritten(&self.table, &snapshot.schema, &wider);
        let frame = self.warehouse.context().sql(&sql).await.map_err(|e| failed(e.to_string()))?;
        let stream = frame.execute_stream().await.map_err(|e| failed(e.to_string()))?;
        let stream = stream.map(|batch| batch.map_err(|e| warehouse::Error::invalid(e.to_string()))).boxed();
        let staged = self
            .warehouse
            .stage_for(&self.table, stream, &Landing::Replace)
            .await
            .map_err(|e| failed(e.to_string()))?;
        self.publish(staged, Landing::Replace, self.cursor.clone()).await?;
        let columns: Vec<String> = wider.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!(
            "{} became wider at the source; {} was written again with the new type",
            columns.join(", "),
            self.table
        );
        self.warn(vec![message]);
        Ok(())
    }

    /// After everything was read and landed by key without a cursor: rows that are gone at the source stay, which
    /// the table's size tells.
    pub(super) async fn say_what_is_gone(&mut self) {
        let whole = matches!(&self.spec.mode, Some(ModeSpec::Upsert(u)) if u.cursor.is_none());
        if !whole || !self.failures.is_empty() {
            return;
        }
        let Ok(Some(snapshot)) = self.warehouse.snapshot(&self.table).await else { return };
        let gone = snapshot.rows().map_or(0, |rows| {
            rows.saturating_sub(self.report.rows).saturating_sub(self.report.rejected_rows)
        });
        if gone > 0 {
            self.warn(vec![format!(
                "{gone} rows of {} are no longer at the source and stay, because upsert never deletes; `mode: {{ full: {{}} }}` follows deletions",
                self.table
            )]);
        }
    }
}

/// The columns whose delivered type has a place for every value of the table's, with that type.
fn wider(there: &Schema, delivered: &Schema) -> Vec<(String, DataType)> {
    use DataType as T;
    let mut found = Vec::new();
    for field in delivered.fields() {
        let Ok(present) = there.field_with_name(field.name()) else { continue };
        let kind = match (present.data_type(), field.data_type()) {
            // 19 digits of a whole number, and those behind the point.
            (T::Int8 | T::Int16 | T::Int32 | T::Int64, T::Decimal128(_, scale))
                if (0..=19).contains(scale) =>
            {
                T::Decimal128(38, *scale)
            }
            (T::Decimal128(_, s), T::Decimal128(_, t)) if s < t => T::Decimal128(38, *t),
            (T::Float32, T::Float64) => T::Float64,
            (T::Int8 | T::Int16 | T::Int32, T::Float64) => T::Float64,
            (T::Int8 | T::Int16 | T::Int32, T::Int64) => T::Int64,
            (T::Date32, T::Timestamp(TimeUnit::Microsecond, None)) => field.data_type().clone(),
            _ => continue,
        };
        found.push((field.name().clone(), kind));
    }
    found
}

fn rewritten(table: &TableName, schema: &Schema, wider: &[(String, DataType)]) -> String {
    let list: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let name = format!("\"{}\"", field.name().replace('"', "\"\""));
            match wider.iter().find(|(n, _)| n == field.name()) {
                Some((_, kind)) => format!("arrow_cast({name}, '{}') AS {name}", written(kind)),
                None => name,
            }
        })
        .collect();
    format!("SELECT {} FROM {}.\"{}\"", list.join(", "), table.zone.as_str(), table.name)
}

fn written(kind: &DataType) -> String {
    match kind {
        DataType::Timestamp(..) => "Timestamp(Microsecond, None)".into(),
        other => other.to_string(),
    }
}

/// A column whose type changed in a way that rows of both types cannot share.
pub(super) fn changed_type(
    table: &TableName,
    column: &str,
    was: &str,
    now: &str,
    stream: &str,
) -> SourceError {
    SourceError::never(format!(
        "{table}: column `{column}` was {} and is {} at the source now. To keep the old type, read with `query: select …, cast({column} as {}) as {column}, … from …`; to take the new one, read everything anew with `guanlan sync --reset {stream}`, or let it land in a stream of another name",
        plain(was),
        plain(now),
        cast(was)
    ))
}

/// A type in the words of people.
fn plain(kind: &str) -> String {
    let words = match kind {
        "Int8" | "Int16" | "Int32" | "Int64" => "a whole number",
        "Float32" | "Float64" => "a binary fraction",
        "Utf8" => "text",
        "Boolean" => "true or false",
        "Date32" => "a date",
        "Binary" => "bytes",
        k if k.starts_with("Decimal") => "a decimal",
        k if k.starts_with("Timestamp") && k.contains("UTC") => "an instant",
        k if k.starts_with("Timestamp") => "a time without zone",
        _ => return kind.to_owned(),
    };
    format!("{words} ({kind})")
}

fn cast(kind: &str) -> &'static str {
    match kind {
        "Int8" | "Int16" | "Int32" | "Int64" => "bigint",
        "Float32" | "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" => "date",
        k if k.starts_with("Decimal") => "decimal(38, 2)",
        k if k.starts_with("Timestamp") => "timestamp",
        _ => "text",
    }
}
