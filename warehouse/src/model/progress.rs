//! How far an incremental model has come, and what its table becomes.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::common::{Column, NullEquality, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{JoinType, LogicalPlanBuilder};
use datafusion::prelude::SessionContext;
use serde_json::{Value, json};

use super::spec::Incremental;
use crate::clean::quoted;
use crate::{Error, LoadMark, Result, Staged, TableName, Warehouse};

/// What a build stands on: the definition, and the version of every table it reads.
pub(super) fn cursor(definition: &str, inputs: &BTreeMap<String, i64>) -> Value {
    json!({ "definition": definition, "inputs": inputs })
}

/// True when the table was made by this definition from exactly these versions.
pub(super) fn stands(mark: &LoadMark, definition: &str, inputs: &BTreeMap<String, i64>) -> bool {
    mark.cursor == cursor(definition, inputs)
}

/// True when the table was written by this very definition.
pub(super) fn wrote(mark: &LoadMark, definition: &str) -> bool {
    mark.cursor.get("definition").and_then(Value::as_str) == Some(definition)
}

/// `$since`: the newest value of the `since` column less the lookback. None for an empty table.
pub(super) async fn since_value(
    warehouse: &Warehouse,
    table: &TableName,
    how: &Incremental,
) -> Result<Option<ScalarValue>> {
    let Some(snapshot) = warehouse.snapshot(table).await? else {
        return Ok(None);
    };
    let cx = warehouse.context();
    cx.register_table("this", warehouse.provider(snapshot))?;
    let newest = cx.sql(&format!("SELECT max({}) FROM this", quoted(&how.since))).await?.collect().await?;
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
        other => Err(Error::invalid(format!(
            "`since` must be a date or timestamp column, it is {}",
            type_name(&other.data_type())
        ))),
    }
}

fn type_name(kind: &DataType) -> String {
    kind.to_string().to_lowercase()
}

/// The staged rows and those present rows whose key is not staged.
pub(super) async fn merged(
    warehouse: &Warehouse,
    cx: &SessionContext,
    table: &TableName,
    staged: &Staged,
    key: &[String],
) -> Result<DataFrame> {
    let fresh = cx.read_table(staged.provider())?;
    let Some(snapshot) = warehouse.snapshot(table).await? else {
        return Ok(fresh);
    };
    let names: Vec<&str> = staged.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let present = cx.read_table(warehouse.provider(snapshot))?.select_columns(&names)?.alias("present")?;
    let keys = cx.read_table(staged.provider())?.alias("fresh")?;
    let on = |side: &str| -> Vec<Column> {
        key.iter().map(|name| Column::new(Some(side.to_owned()), name.as_str())).collect()
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

/// True when no two staged rows share a key.
pub(super) async fn is_unique(warehouse: &Warehouse, staged: &Staged, key: &[String]) -> Result<bool> {
    let cx = warehouse.context();
    cx.register_table("this", staged.provider())?;
    let keys: Vec<String> = key.iter().map(|name| quoted(name)).collect();
    let keys = keys.join(", ");
    let twice = format!("SELECT 1 FROM this GROUP BY {keys} HAVING count(*) > 1 LIMIT 1");
    let found = cx.sql(&twice).await?.collect().await?;
    Ok(found.iter().all(|batch| batch.num_rows() == 0))
}
