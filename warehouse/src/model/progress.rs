//! How far an incremental model has come, and what its table becomes.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::common::{Column, NullEquality, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{JoinType, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, ident, lit};
use serde_json::{Value, json};

use super::spec::Incremental;
use crate::{Error, LoadMark, Result, Staged, Start, TableName, Warehouse};

/// What a build stands on: the definition, and the version of every table it reads.
pub(super) fn cursor(definition: &str, inputs: &BTreeMap<String, i64>) -> Value {
    json!({ "definition": definition, "inputs": inputs })
}

/// The version up to which a build has read a table.
pub(super) fn input(mark: &LoadMark, table: &str) -> Option<i64> {
    mark.cursor.get("inputs")?.get(table)?.as_i64()
}

/// True when the table was written by this very definition.
pub(super) fn wrote(mark: &LoadMark, definition: &str) -> bool {
    mark.cursor.get("definition").and_then(Value::as_str) == Some(definition)
}

/// `$since`: the newest value of the `since` column that is not in the future, less the lookback. A row with a far
/// date (a slip of the pen) must not end the model's life. None for a table without such a value.
pub(super) async fn since_value(
    warehouse: &Warehouse,
    table: &TableName,
    how: &Incremental,
) -> Result<Option<ScalarValue>> {
    let Some(snapshot) = warehouse.snapshot(table).await? else {
        return Ok(None);
    };
    let Ok(field) = snapshot.schema.field_with_name(&how.since) else {
        return Ok(None);
    };
    let now = present(field.data_type(), warehouse)?;
    let rows = warehouse.context().read_table(warehouse.provider(snapshot.clone()))?;
    let newest = rows
        .filter(ident(how.since.as_str()).lt_eq(lit(now)))?
        .aggregate(vec![], vec![max(ident(how.since.as_str()))])?
        .collect()
        .await?;
    let Some(batch) = newest.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(None);
    };
    let newest = ScalarValue::try_from_array(batch.column(0), 0)?;
    if newest.is_null() {
        return Ok(None);
    }
    let micros = i64::try_from(how.lookback.0.as_micros()).unwrap_or(i64::MAX);
    earlier(newest, micros).map(Some)
}

/// Now as a value of a `since` column: today and times without a zone are the site's.
fn present(kind: &DataType, warehouse: &Warehouse) -> Result<ScalarValue> {
    let now = warehouse.clock().now();
    let local = warehouse.calendar().local(now).naive_local();
    match kind {
        DataType::Date32 => {
            let days = (local.date() - chrono::NaiveDate::default()).num_days();
            Ok(ScalarValue::Date32(i32::try_from(days).ok()))
        }
        DataType::Timestamp(_, None) => {
            Ok(ScalarValue::TimestampMicrosecond(Some(local.and_utc().timestamp_micros()), None))
        }
        DataType::Timestamp(_, zone) => {
            Ok(ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), zone.clone()))
        }
        other => Err(no_time(other)),
    }
}

/// `$since` as a landing takes it.
pub(super) fn start(since: &ScalarValue) -> Result<Start> {
    match since {
        ScalarValue::Date32(Some(day)) => Ok(Start::Day(*day)),
        ScalarValue::TimestampMicrosecond(Some(at), _) => Ok(Start::Micros(*at)),
        other => Err(no_time(&other.data_type())),
    }
}

fn earlier(newest: ScalarValue, micros: i64) -> Result<ScalarValue> {
    const DAY: i64 = 86_400_000_000;
    match newest {
        ScalarValue::TimestampMicrosecond(Some(at), zone) => {
            Ok(ScalarValue::TimestampMicrosecond(Some(at.saturating_sub(micros)), zone))
        }
        // A part of a day looks back a whole day: too much is computed again, never too little.
        ScalarValue::Date32(Some(day)) => {
            let days = i32::try_from(micros / DAY + i64::from(micros % DAY > 0)).unwrap_or(i32::MAX);
            Ok(ScalarValue::Date32(Some(day.saturating_sub(days))))
        }
        other => Err(no_time(&other.data_type())),
    }
}

fn no_time(kind: &DataType) -> Error {
    let kind = kind.to_string().to_lowercase();
    Error::invalid(format!("`since` must be a date or timestamp column, it is {kind}"))
}

/// The staged rows and those present rows that lie before `since` and whose key is not staged.
pub(super) async fn merged(
    warehouse: &Warehouse,
    cx: &SessionContext,
    table: &TableName,
    staged: &Staged,
    how: &Incremental,
    since: &ScalarValue,
) -> Result<DataFrame> {
    let fresh = cx.read_table(staged.provider())?;
    let Some(snapshot) = warehouse.snapshot(table).await? else {
        return Ok(fresh);
    };
    let names: Vec<&str> = staged.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let moment = ident(how.since.as_str());
    let before = moment.clone().lt(lit(since.clone())).or(moment.is_null());
    let present = cx.read_table(warehouse.provider(snapshot))?.filter(before)?;
    let present = present.select_columns(&names)?.alias("present")?;
    let keys = cx.read_table(staged.provider())?.alias("fresh")?;
    let on = |side: &str| -> Vec<Column> {
        how.key.iter().map(|name| Column::new(Some(side.to_owned()), name.as_str())).collect()
    };
    let (state, present) = present.into_parts();
    let stays = LogicalPlanBuilder::from(present)
        .join_detailed(
            keys.into_parts().1,
            JoinType::LeftAnti,
            (on("present"), on("fresh")),
            None,
            NullEquality::NullEqualsNull,
        )?
        .build()?;
    Ok(fresh.union(DataFrame::new(state, stays).select_columns(&names)?)?)
}
