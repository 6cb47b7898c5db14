//! What rules see that ask no metric: the rows of a query, and how old a table is.

use std::collections::{BTreeMap, HashSet};

use access::Principal;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use serde_json::Value;
use store::Timestamp;
use warehouse::metric::MetricUnit;
use warehouse::{Calendar, Error, Result, TableName, Warehouse, references};

use crate::judge::{Reading, Unknown, Verdict};
use crate::names::{Labels, NOTHING, label, series_of};
use crate::observe::{Evidence, MOST_SERIES, Observation};
use crate::spec::{Rows, Stale};

/// Columns of a row kept as evidence beside those that the rule names, and bytes of each.
const MOST_COLUMNS: usize = 60;
const LONGEST_CELL: usize = 2_000;

pub(crate) async fn freshness(warehouse: &Warehouse, stale: &Stale, now: Timestamp) -> Result<Observation> {
    let table = stale.table.to_string();
    let series = series_of([("table", Some(table.as_str()))]);
    let labels = Labels::from([("table".to_owned(), table)]);
    // A table that does not exist yet has a source that never ran, which is not the same as stopped.
    let since = match (warehouse.snapshot(&stale.table).await?, &stale.at) {
        (None, _) => None,
        (Some(_), Some(column)) => newest(warehouse, &stale.table, column, now).await?,
        (Some(snapshot), None) => Some(snapshot.committed_at),
    };
    let Some(since) = since else {
        let verdict = Verdict::Unknown(Unknown::NoValue);
        let evidence = Evidence::default();
        return Ok(Observation { series, labels, columns: BTreeMap::new(), verdict, evidence });
    };
    let calendar = warehouse.calendar();
    let age = if stale.working_hours {
        calendar.working_time(since, now)
    } else {
        (now - since).to_std().unwrap_or_default()
    };
    let reading = Reading {
        at: Some(since),
        value: Some(minutes(age)),
        high: Some(minutes(stale.longer_than.0)),
        ..Reading::default()
    };
    let since = calendar.local(since).format("%m-%d %H:%M").to_string();
    let row = BTreeMap::from([
        ("since".to_owned(), Value::from(since.clone())),
        ("minutes".to_owned(), Value::from(minutes(age))),
    ]);
    let verdict =
        if age > stale.longer_than.0 { Verdict::Outside(reading) } else { Verdict::Normal(reading) };
    let evidence = Evidence { unit: Some(MetricUnit::Minutes), row, ..Evidence::default() };
    let columns = BTreeMap::from([("since".to_owned(), since)]);
    Ok(Observation { series, labels, columns, verdict, evidence })
}

/// Whole minutes; of less than ten, tenths of them.
fn minutes(duration: std::time::Duration) -> f64 {
    let exact = duration.as_secs_f64() / 60.0;
    if exact < 10.0 { (exact * 10.0).round() / 10.0 } else { exact.floor() }
}

/// The newest time of a column that is not in the future: one row with a mistyped year would keep a table
/// fresh for ever.
async fn newest(
    warehouse: &Warehouse,
    table: &TableName,
    column: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>> {
    let session = warehouse.session(&Principal::system());
    let calendar = warehouse.calendar();
    let (column, from) = (quoted(column), format!("{}.{}", quoted(table.zone.as_str()), quoted(&table.name)));
    let schema = session.check(&format!("select {column} from {from}")).await?;
    let wall = calendar.local(now).naive_local();
    let until = match schema.field(0).data_type() {
        DataType::Timestamp(_, Some(_)) => {
            format!("arrow_cast('{}', 'Timestamp(Microsecond, Some(\"UTC\"))')", now.to_rfc3339())
        }
        DataType::Timestamp(_, None) => format!("timestamp '{}'", wall.format("%Y-%m-%d %H:%M:%S")),
        DataType::Date32 | DataType::Date64 => format!("date '{}'", wall.date()),
        other => {
            return Err(Error::Invalid {
                message: format!(
                    "`at` of the rule names {column} of {table}, which holds {other}; name a timestamp or date column, \
                     such as one of the clean table"
                ),
            });
        }
    };
    let sql = format!("select max({column}) as at from {from} where {column} <= {until}");
    let (batches, _) = session.sql(&sql).await?.collect(1).await?;
    let Some(batch) = batches.first() else { return Ok(None) };
    let text = objects(batch)?.pop().and_then(|mut row| row.remove("at"));
    Ok(text.as_ref().and_then(Value::as_str).and_then(|text| moment(text, calendar)))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The rows of a rule's query, each one out of bounds by being there.
pub(crate) async fn found(warehouse: &Warehouse, rows: &Rows) -> Result<Vec<Observation>> {
    let answer = warehouse.session(&Principal::system()).sql(&rows.sql).await?;
    for name in rows.key.iter().chain(&rows.value).chain(&rows.at) {
        if answer.schema.field_with_name(name).is_err() {
            let known: Vec<&str> = answer.schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::Invalid {
                message: format!("the rule's query has no column `{name}`; it has {}", known.join(", ")),
            });
        }
    }
    let (batches, truncated) = answer.collect(MOST_SERIES).await?;
    // Which rows come first may differ from pass to pass: judging some of them would make alerts come and go.
    if truncated {
        return Err(Error::Invalid {
            message: format!(
                "the rule's query returns more than {MOST_SERIES} rows or 32 MiB; make it say which ones matter"
            ),
        });
    }
    let tables = references(&rows.sql).ok();
    let mut all = Vec::new();
    let mut known = HashSet::new();
    for batch in &batches {
        for (row, key) in objects(batch)?.into_iter().zip(keys(batch, rows)?) {
            let mut seen = of_row(rows, row, &key, warehouse.calendar());
            if known.insert(seen.series.clone()) {
                seen.evidence.tables.clone_from(&tables);
                all.push(seen);
            }
        }
    }
    Ok(all)
}

/// The values of the key columns, row by row, whole and exact: digits that JSON would lose tell rows apart too.
fn keys(batch: &RecordBatch, rows: &Rows) -> Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::new();
    let mut columns = Vec::with_capacity(rows.key.len());
    for name in &rows.key {
        let Some(array) = batch.column_by_name(name) else { continue };
        columns.push((array, ArrayFormatter::try_new(array.as_ref(), &options)?));
    }
    let cell = |(array, text): &(&arrow::array::ArrayRef, ArrayFormatter<'_>), at: usize| {
        (!array.is_null(at)).then(|| text.value(at).to_string())
    };
    Ok((0..batch.num_rows()).map(|at| columns.iter().map(|column| cell(column, at)).collect()).collect())
}

fn of_row(
    rows: &Rows,
    row: BTreeMap<String, Value>,
    key: &[Option<String>],
    calendar: &Calendar,
) -> Observation {
    let named = |name: &String| {
        rows.key.contains(name) || rows.value.as_ref() == Some(name) || rows.at.as_ref() == Some(name)
    };
    let (named, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        row.into_iter().partition(|(name, _)| named(name));
    let row: BTreeMap<String, Value> = named
        .into_iter()
        .chain(others.into_iter().take(MOST_COLUMNS))
        .map(|(name, value)| (name, bounded(value)))
        .collect();
    let text = |value: &Value| match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let columns: BTreeMap<String, String> =
        row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let labels =
        rows.key.iter().zip(key).map(|(name, value)| (name.clone(), label(value.as_deref()))).collect();
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let column = |name: &Option<String>| name.as_ref().and_then(|name| row.get(name));
    let reading = Reading {
        value: column(&rows.value).and_then(number),
        at: column(&rows.at).and_then(|value| moment(value.as_str()?, calendar)),
        ..Reading::default()
    };
    Observation {
        series: series_of(rows.key.iter().zip(key.iter().map(Option::as_deref))),
        labels,
        columns,
        verdict: Verdict::Outside(reading),
        evidence: Evidence { row, ..Evidence::default() },
    }
}

/// A moment, or without a zone a wall-clock time or day of the site.
fn moment(text: &str, calendar: &Calendar) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(calendar.midnight(day));
    }
    let wall = text.parse::<NaiveDateTime>().ok()?;
    calendar.timezone().from_local_datetime(&wall).earliest().map(|t| t.to_utc())
}

/// A cell as evidence keeps it.
fn bounded(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > LONGEST_CELL => {
            text.chars().take(LONGEST_CELL / 4).collect::<String>().into()
        }
        Value::Array(_) | Value::Object(_) => {
            value.to_string().chars().take(LONGEST_CELL / 4).collect::<String>().into()
        }
        other => other,
    }
}

/// The rows of a batch as JSON objects.
fn objects(batch: &RecordBatch) -> Result<Vec<BTreeMap<String, Value>>> {
    let mut writer = arrow::json::ArrayWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let invalid = |e: serde_json::Error| Error::Invalid {
        message: format!(
            "a row of the rule's query has no JSON form: {e}; cast its columns to text or numbers"
        ),
    };
    let bytes = writer.into_inner();
    if bytes.is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(&bytes).map_err(invalid) }
}
