//! Quarantined rows that were corrected: a row of the same key arrived later and fits.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::apply::{Cleaner, FILE, LOADED_AT, Origin, ROW, invalid};
use super::reject::Reject;
use super::spec::CleanSpec;
use crate::{Result, Warehouse};

/// Quarantined rows that are watched at most; of more, none leaves by itself.
pub(super) const WATCHED: usize = 50_000;

/// When a raw row came: time, file, row.
pub(super) type Arrival = (Option<i64>, Option<String>, Option<i64>);

/// A quarantined row that a later one may stand for.
pub(super) type Keyed = (String, Arrival);

pub(super) fn keyed(reject: &Reject) -> Option<Keyed> {
    Some((reject.key.clone()?, (reject.loaded_at, reject.file.clone(), reject.row)))
}

/// Rows of `clean.<name>_rejected` with their keys. Rows from before keys were kept have none.
fn keyed_rows(batch: &RecordBatch) -> Vec<Option<Keyed>> {
    let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
    let number = |name: &str| {
        batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<arrow::datatypes::Int64Type>())
    };
    let loaded = batch
        .column_by_name("loaded_at")
        .and_then(|c| c.as_primitive_opt::<arrow::datatypes::TimestampMicrosecondType>());
    let valid = |array: &dyn arrow::array::Array, row: usize| array.is_valid(row);
    (0..batch.num_rows())
        .map(|row| {
            let key = text("key").filter(|c| valid(*c, row))?.value(row).to_owned();
            Some((
                key,
                (
                    loaded.filter(|c| valid(*c, row)).map(|c| c.value(row)),
                    text("file").filter(|c| valid(*c, row)).map(|c| c.value(row).to_owned()),
                    number("row").filter(|c| valid(*c, row)).map(|c| c.value(row)),
                ),
            ))
        })
        .collect()
}

/// The keyed rows that stand in quarantine now; none when there are too many.
pub(super) async fn standing(warehouse: &Warehouse, rejects: &crate::TableName) -> Result<Vec<Keyed>> {
    let Some(snapshot) = warehouse.snapshot(rejects).await? else { return Ok(Vec::new()) };
    if snapshot.rows().is_none_or(|rows| rows == 0 || rows > WATCHED as u64) {
        return Ok(Vec::new());
    }
    let Some(mut rows) = warehouse.rows(rejects).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    while let Some(batch) = rows.try_next().await? {
        found.extend(keyed_rows(&batch).into_iter().flatten());
    }
    Ok(found)
}

/// Which of the quarantined rows a later row of their key stands for, by the raw rows that were just cleaned.
/// `old`: quarantined before those came. `new`: quarantined among them.
pub(super) async fn corrected(
    warehouse: &Warehouse,
    spec: &CleanSpec,
    raw: std::sync::Arc<dyn datafusion::catalog::TableProvider>,
    old: &[Keyed],
    new: &[Keyed],
) -> Result<HashSet<Keyed>> {
    let watched: HashSet<&str> = old.iter().chain(new).map(|(key, _)| key.as_str()).collect();
    if watched.is_empty() {
        return Ok(HashSet::new());
    }
    // Of the raw rows only their keys matter: reading a few columns again costs little.
    let keys = CleanSpec {
        columns: spec
            .columns
            .iter()
            .filter(|(name, _)| spec.key.iter().any(|key| key == name))
            .map(|(name, column)| (name.to_owned(), column.clone()))
            .collect(),
        ..spec.clone()
    };
    let cleaner = Cleaner::compile(&keys, warehouse.timezone()).map_err(|p| invalid(spec, &p))?;
    let schema = raw.schema();
    let mut names: Vec<&str> = keys.columns.iter().map(|(name, column)| column.source(name)).collect();
    names.extend([LOADED_AT, FILE, ROW]);
    names.sort_unstable();
    names.dedup();
    names.retain(|name| schema.field_with_name(name).is_ok());
    let quoted: Vec<_> = names
        .iter()
        .map(|name| datafusion::prelude::Expr::Column(datafusion::common::Column::from_name(*name)))
        .collect();
    let rows = warehouse.context().read_table(raw)?.select(quoted)?;
    let mut rows = rows.execute_stream().await?;
    let mut came: HashMap<Keyed, i64> = HashMap::new();
    while let Some(batch) = rows.try_next().await? {
        let cleaned = cleaner.apply(&batch)?;
        let batch = match &cleaned.fits {
            Some(fits) => filter_record_batch(&batch, fits)?,
            None => batch,
        };
        let origin = Origin::of(&batch)?;
        for row in 0..batch.num_rows() {
            if let Some(key) = cleaner.key(&cleaned.kept, row).filter(|key| watched.contains(key.as_str())) {
                let arrival = (origin.loaded_at(row), origin.file(row), origin.row(row));
                *came.entry((key, arrival)).or_default() += 1;
            }
        }
    }
    for row in new {
        if let Some(n) = came.get_mut(row) {
            *n -= 1;
        }
    }
    let mut newest: BTreeMap<&str, &Arrival> = BTreeMap::new();
    for ((key, arrival), _) in came.iter().filter(|(_, kept)| **kept > 0) {
        let last = newest.entry(key).or_insert(arrival);
        *last = (*last).max(arrival);
    }
    let behind = |row: &&Keyed| newest.get(row.0.as_str()).is_some_and(|last| row.1 < **last);
    Ok(old.iter().chain(new).filter(behind).cloned().collect())
}

/// Quarantined rows without the corrected ones.
pub(super) fn without(
    rows: BoxStream<'static, Result<RecordBatch>>,
    corrected: HashSet<Keyed>,
) -> BoxStream<'static, Result<RecordBatch>> {
    rows.map(move |batch| {
        let batch = batch?;
        let stays: BooleanArray = keyed_rows(&batch)
            .into_iter()
            .map(|row| Some(!row.is_some_and(|row| corrected.contains(&row))))
            .collect();
        Ok(filter_record_batch(&batch, &stays)?)
    })
    .boxed()
}
