//! Column statistics: from a Parquet footer into the log's JSON, and from there into DataFusion's form.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Number, Value, json};

use super::snapshot::DataFile;

/// Statistics for more columns than this cost more than they prune.
const COLUMNS: usize = 64;

/// The `stats` text of an `add` action. Bounds are always true bounds; where one cannot be written it is left out.
pub(crate) fn from_footer(footer: &ParquetMetaData, schema: &Schema) -> String {
    let descriptor = footer.file_metadata().schema_descr();
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().filter(|f| has_bounds(f.data_type())).take(COLUMNS) {
        let Ok(converter) = StatisticsConverter::try_new(field.name(), schema, descriptor) else { continue };
        let groups = footer.row_groups();
        if let Ok(counts) = converter.row_group_null_counts(groups.iter())
            && counts.null_count() == 0
        {
            let sum: u64 = counts.iter().flatten().sum();
            nulls.insert(field.name().clone(), sum.into());
        }
        let (Ok(mins), Ok(maxs)) =
            (converter.row_group_mins(groups.iter()), converter.row_group_maxes(groups.iter()))
        else {
            continue;
        };
        if let Some(value) = bound(mins.as_ref(), true).and_then(|v| to_json(&v)) {
            least.insert(field.name().clone(), value);
        }
        if let Some(value) = bound(maxs.as_ref(), false).and_then(|v| to_json(&v)) {
            most.insert(field.name().clone(), value);
        }
    }
    let rows = footer.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": least, "maxValues": most, "nullCount": nulls }).to_string()
}

/// Over the row groups. A group without a bound is either all null (then it bounds nothing) or unknown; Parquet
/// does not tell them apart here, so one missing bound drops the column's bound unless all are missing.
fn bound(groups: &dyn Array, least: bool) -> Option<ScalarValue> {
    let mut best: Option<ScalarValue> = None;
    for i in 0..groups.len() {
        let value = ScalarValue::try_from_array(groups, i).ok()?;
        if value.is_null() {
            return None;
        }
        let better = match &best {
            None => true,
            Some(b) => {
                value.partial_cmp(b)?
                    == if least { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater }
            }
        };
        if better {
            best = Some(value);
        }
    }
    best
}

fn has_bounds(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Utf8
            | DataType::Date32
            | DataType::Boolean
            | DataType::Decimal128(_, _)
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

fn to_json(value: &ScalarValue) -> Option<Value> {
    Some(match value {
        ScalarValue::Int8(Some(v)) => (*v).into(),
        ScalarValue::Int16(Some(v)) => (*v).into(),
        ScalarValue::Int32(Some(v)) => (*v).into(),
        ScalarValue::Int64(Some(v)) => (*v).into(),
        ScalarValue::Float32(Some(v)) => Value::Number(Number::from_f64(f64::from(*v))?),
        ScalarValue::Float64(Some(v)) => Value::Number(Number::from_f64(*v)?),
        ScalarValue::Utf8(Some(v)) => v.as_str().into(),
        ScalarValue::Date32(Some(days)) => date_text(*days)?.into(),
        ScalarValue::TimestampMicrosecond(Some(t), zone) => {
            let moment = DateTime::from_timestamp_micros(*t)?;
            // Microseconds in full: an engine that truncates reads a smaller bound, which we widen on reading.
            let pattern = if zone.is_some() { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
            moment.format(pattern).to_string().into()
        }
        // Beyond 15 digits a JSON number is no exact bound any more.
        ScalarValue::Decimal128(Some(v), _, scale) if v.unsigned_abs() < 1_000_000_000_000_000 => {
            Value::Number(Number::from_f64(*v as f64 / 10f64.powi(i32::from(*scale)))?)
        }
        _ => return None,
    })
}

fn date_text(days: i32) -> Option<String> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    let day = epoch.checked_add_signed(chrono::TimeDelta::days(days.into()))?;
    Some(day.format("%Y-%m-%d").to_string())
}

/// DataFusion's statistics for the columns of `schema`, from the log's text.
pub(crate) fn to_statistics(stats: Option<&str>, size: u64, schema: &SchemaRef) -> Statistics {
    let unknown = || Statistics {
        total_byte_size: Precision::Inexact(size as usize),
        ..Statistics::new_unknown(schema)
    };
    let Some(parsed) = stats.and_then(|s| serde_json::from_str::<Value>(s).ok()) else { return unknown() };
    let Some(rows) = parsed.get("numRecords").and_then(Value::as_u64) else { return unknown() };
    let part = |key: &str, name: &str| parsed.get(key).and_then(|m| m.get(name)).cloned();
    let columns = schema.fields().iter().map(|field| {
        let name = field.name();
        let nulls = part("nullCount", name).and_then(|v| v.as_u64()).map(|n| n as usize);
        let least = part("minValues", name).and_then(|v| from_json(&v, field, false));
        let most = part("maxValues", name).and_then(|v| from_json(&v, field, true));
        ColumnStatistics {
            null_count: nulls.map_or(Precision::Absent, Precision::Exact),
            min_value: precise(least, field),
            max_value: precise(most, field),
            ..ColumnStatistics::new_unknown()
        }
    });
    Statistics {
        num_rows: Precision::Exact(rows as usize),
        total_byte_size: Precision::Inexact(size as usize),
        column_statistics: columns.collect(),
    }
}

/// Whole numbers and dates are written exactly by every engine, so min() and max() may be answered from them.
/// Texts may be cut, moments may be rounded, floats may hide NaN: those only prune.
fn precise(value: Option<ScalarValue>, field: &Field) -> Precision<ScalarValue> {
    let exact = matches!(
        field.data_type(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32
    );
    match value {
        None => Precision::Absent,
        Some(v) if exact => Precision::Exact(v),
        Some(v) => Precision::Inexact(v),
    }
}

fn from_json(value: &Value, field: &Field, most: bool) -> Option<ScalarValue> {
    Some(match field.data_type() {
        DataType::Int8 => ScalarValue::Int8(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int16 => ScalarValue::Int16(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int32 => ScalarValue::Int32(Some(value.as_i64()?.try_into().ok()?)),
        DataType::Int64 => ScalarValue::Int64(Some(value.as_i64()?)),
        DataType::Float32 => ScalarValue::Float32(Some(value.as_f64()? as f32)),
        DataType::Float64 => ScalarValue::Float64(Some(value.as_f64()?)),
        DataType::Utf8 => ScalarValue::Utf8(Some(value.as_str()?.to_owned())),
        DataType::Date32 => {
            let day: NaiveDate = value.as_str()?.parse().ok()?;
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
            ScalarValue::Date32(Some((day - epoch).num_days().try_into().ok()?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = moment(value.as_str()?)?;
            // Other engines cut to milliseconds: a maximum may be up to 999 µs too small.
            let micros = if most && micros % 1000 == 0 { micros.checked_add(999)? } else { micros };
            ScalarValue::TimestampMicrosecond(Some(micros), zone.clone())
        }
        DataType::Decimal128(precision, scale) => {
            let scaled = value.as_f64()? * 10f64.powi(i32::from(*scale));
            if scaled.abs() >= 1e15 {
                return None;
            }
            ScalarValue::Decimal128(Some(scaled.round() as i128), *precision, *scale)
        }
        _ => return None,
    })
}

fn moment(text: &str) -> Option<i64> {
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|p| NaiveDateTime::parse_from_str(text, p).ok())
        .map(|t| t.and_utc().timestamp_micros())
}

/// The statistics of an older file under a schema that has grown: the new columns are all null in it.
pub(crate) fn aligned(file: &DataFile, schema: &SchemaRef) -> Arc<Statistics> {
    let mut statistics = to_statistics(file.stats.as_deref(), file.size, schema);
    let (before, rows) = (file.statistics.column_statistics.len(), statistics.num_rows);
    for column in statistics.column_statistics.iter_mut().skip(before) {
        column.null_count = rows;
    }
    Arc::new(statistics)
}
