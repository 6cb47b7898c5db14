//! Where streams stand: the log is the truth, the metadata database a cache that saves reading far back.

use serde_json::Value;
use sqlx::Row;
use store::Metadata;

use crate::error::Result;
use crate::land::LoadMark;
use crate::log::{Snapshot, read_commit, versions_of};
use crate::table::TableName;
use crate::warehouse::Warehouse;

/// Keeps the mark of a commit. A failure costs only a longer look-up later.
pub(crate) async fn remember(db: &Metadata, table: &TableName, mark: &LoadMark, rows: u64, version: i64) {
    let kept = sqlx::query(
        "INSERT INTO warehouse_marks (table_name, stream, seq, cursor, operation, landed, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (table_name, stream) DO UPDATE SET seq = excluded.seq, cursor = excluded.cursor,
           operation = excluded.operation, landed = excluded.landed, version = excluded.version",
    )
    .bind(table.to_string())
    .bind(&mark.stream)
    .bind(mark.seq)
    .bind(mark.cursor.to_string())
    .bind(&mark.operation)
    .bind(rows as i64)
    .bind(version)
    .execute(db.pool())
    .await;
    if let Err(e) = kept {
        tracing::warn!(table.name = %table, error.message = %e, "a load mark was not cached; the log has it");
    }
}

/// The mark that was committed with `seq`, and how many rows came with it.
pub(crate) async fn find(
    warehouse: &Warehouse,
    snapshot: &Snapshot,
    stream: &str,
    seq: i64,
) -> Result<(LoadMark, u64)> {
    let mark = |cursor, operation| LoadMark { stream: stream.to_owned(), seq, cursor, operation };
    let cached = sqlx::query(
        "SELECT cursor, operation, landed FROM warehouse_marks WHERE table_name = $1 AND stream = $2 AND seq = $3",
    )
    .bind(snapshot.table.to_string())
    .bind(stream)
    .bind(seq)
    .fetch_optional(warehouse.db().pool())
    .await;
    if let Ok(Some(row)) = cached
        && let Ok(cursor) = serde_json::from_str::<Value>(row.get("cursor"))
    {
        return Ok((mark(cursor, row.get("operation")), row.get::<i64, _>("landed").max(0) as u64));
    }
    let store = &warehouse.place().store;
    // Upkeep leaves gaps: it keeps the commits that hold a position, however old.
    let known = versions_of(store, &snapshot.table).await?;
    for version in known.into_iter().rev().filter(|version| *version <= snapshot.version) {
        let Some(lines) = read_commit(store, &snapshot.table, version).await? else { continue };
        let own = lines.into_iter().find_map(|l| l.commit_info?.guanlan);
        if let Some(own) = own.filter(|o| o.stream.as_deref() == Some(stream) && o.seq == Some(seq)) {
            let found = mark(own.cursor, own.operation.unwrap_or_default());
            remember(warehouse.db(), &snapshot.table, &found, own.rows, version).await;
            return Ok((found, own.rows));
        }
    }
    // The position is certain (it is in the checkpoint); what came with it is lost with the old log.
    Ok((mark(Value::Null, String::new()), 0))
}

/// The oldest version that a stream's newest mark lies in: upkeep keeps these commits.
pub(crate) async fn versions(db: &Metadata, table: &TableName) -> Result<Vec<i64>> {
    let found = sqlx::query_scalar("SELECT version FROM warehouse_marks WHERE table_name = $1")
        .bind(table.to_string())
        .fetch_all(db.pool())
        .await;
    found.map_err(|e| crate::error::Error::Store {
        table: Some(table.clone()),
        message: format!("cannot read the load marks: {e}"),
    })
}

/// Forgets a table that was dropped.
pub(crate) async fn forget(db: &Metadata, table: &TableName) {
    let gone = sqlx::query("DELETE FROM warehouse_marks WHERE table_name = $1")
        .bind(table.to_string())
        .execute(db.pool());
    if let Err(e) = gone.await {
        tracing::warn!(table.name = %table, error.message = %e, "load marks of a dropped table stay");
    }
}
