//! Of several versions of a key, the newest one.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

use super::spec::CleanSpec;
use super::sql::quoted;
use super::wash::ARRIVAL;
use crate::Result;

/// The rows of `washed` (output columns and arrival columns) that are the newest of their key and
/// not older than the row of that key in `present`. Without a key every row stays.
pub(super) async fn newest_versions(
    cx: &SessionContext,
    spec: &CleanSpec,
    washed: Arc<dyn TableProvider>,
    present: Option<Arc<dyn TableProvider>>,
) -> Result<DataFrame> {
    let columns: Vec<String> = spec.columns.names().map(quoted).collect();
    let list = columns.join(", ");
    let rows = cx.read_table(washed)?;
    if spec.key.is_empty() {
        return Ok(rows.select_columns(&spec.columns.names().collect::<Vec<_>>())?);
    }
    // Views, so that the names cannot meet those of a zone.
    cx.register_table(WASHED, rows.into_view())?;
    let keys: Vec<String> = spec.key.iter().map(|key| quoted(key)).collect();
    let order: Vec<String> = spec
        .latest
        .iter()
        .map(String::as_str)
        .chain(ARRIVAL)
        .map(|column| format!("{} DESC NULLS LAST", quoted(column)))
        .collect();
    let newest = format!(
        "SELECT {list} FROM (SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {}) AS \"rank of version\" \
         FROM {WASHED}) WHERE \"rank of version\" = 1",
        keys.join(", "),
        order.join(", "),
    );
    // In the order of the key, as `Warehouse::stage_in_order` wants the whole of a table.
    let sorted = keys.join(", ");
    let (Some(present), Some(latest)) = (present, &spec.latest) else {
        return Ok(cx.sql(&format!("{newest} ORDER BY {sorted}")).await?);
    };
    cx.register_table(PRESENT, cx.read_table(present)?.into_view())?;
    let same: Vec<String> = keys.iter().map(|key| format!("n.{key} = p.{key}")).collect();
    let picked: Vec<String> = columns.iter().map(|column| format!("n.{column}")).collect();
    let latest = quoted(latest);
    Ok(cx
        .sql(&format!(
            "SELECT {} FROM ({newest}) n LEFT JOIN {PRESENT} p ON {} \
             WHERE p.{latest} IS NULL OR n.{latest} >= p.{latest}",
            picked.join(", "),
            same.join(" AND "),
        ))
        .await?)
}

const WASHED: &str = "\"rows just cleaned\"";
const PRESENT: &str = "\"rows cleaned before\"";
