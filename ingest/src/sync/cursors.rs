//! Long parts of cursors, kept beside the log.
//!
//! A cursor travels in every commit. The list of ten thousand landed files does not belong in each of
//! ten thousand log entries: such a text is written to the metadata database *before* the commit that
//! refers to it by digest. If the database is lost, sources know how to go on without it (files are
//! landed again in place of themselves; rows at the edge of a cursor are read again).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Row;
use store::{Clock, Metadata, micros};

use super::identity::{self, Options};
use crate::source::Cursor;
use crate::spec::{ModeSpec, StreamSpec};

pub(super) const STEP: &str = "CREATE TABLE source_cursors (
    stream TEXT NOT NULL, digest TEXT NOT NULL, part TEXT NOT NULL, kept_at BIGINT NOT NULL, PRIMARY KEY (stream, digest))";

/// Longer text does not go into the log.
const INLINE: usize = 2048;

/// The cursor with what it belongs to: mode, cursor column, overlap in seconds; and the options it was read by.
pub(super) fn marked(spec: &StreamSpec, options: &Options, mut cursor: Cursor) -> Cursor {
    if let Value::Object(parts) = &mut cursor {
        if spec.glob.is_none() {
            parts.insert("of".into(), json!([mode(spec), spec.cursor(), spec.overlap().as_secs()]));
        }
        parts.insert(identity::KEY.into(), json!(options));
    }
    cursor
}

/// Whether a stream can read on from a cursor: the same mode by the same column, with no longer overlap
/// than the rows that the cursor remembers. One from before cursors said so fits when it has a place.
pub(super) fn fits(spec: &StreamSpec, cursor: &Cursor) -> bool {
    let Some(column) = spec.cursor() else { return true };
    let Some(of) = cursor.get("of") else { return cursor.get("at").is_some_and(|at| !at.is_null()) };
    let overlaps = mode(spec) == "upsert" || of[2].as_u64().is_some_and(|s| s >= spec.overlap().as_secs());
    of[0] == mode(spec) && of[1] == column && overlaps
}

fn mode(spec: &StreamSpec) -> &'static str {
    match &spec.mode {
        Some(ModeSpec::Incremental(_)) => "incremental",
        Some(ModeSpec::Upsert(_)) => "upsert",
        Some(ModeSpec::Full(_)) | None => "full",
    }
}

/// The cursor as it goes into the log; its long parts are kept in the database when this returns.
pub(super) async fn pack(
    db: &Metadata,
    clock: &dyn Clock,
    stream: &str,
    cursor: &Cursor,
) -> Result<Cursor, sqlx::Error> {
    let Value::Object(parts) = cursor else { return Ok(cursor.clone()) };
    let mut packed = parts.clone();
    for (key, part) in parts {
        let Some(text) = part.as_str().filter(|t| t.len() > INLINE) else { continue };
        let digest: String = Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        sqlx::query("INSERT INTO source_cursors (stream, digest, part, kept_at) VALUES ($1, $2, $3, $4) ON CONFLICT (stream, digest) DO UPDATE SET kept_at = excluded.kept_at")
            .bind(stream)
            .bind(&digest)
            .bind(text)
            .bind(micros(clock.now()))
            .execute(db.pool())
            .await?;
        packed.insert(key.clone(), json!({"kept": digest}));
    }
    Ok(Value::Object(packed))
}

/// The cursor with its long parts put back; a part that is lost stays a reference.
pub(super) async fn unpack(db: &Metadata, stream: &str, cursor: Cursor) -> Result<Cursor, sqlx::Error> {
    let Value::Object(mut parts) = cursor else { return Ok(cursor) };
    for (_, part) in &mut parts {
        let Some(digest) = part.get("kept").and_then(Value::as_str) else { continue };
        let row = sqlx::query("SELECT part FROM source_cursors WHERE stream = $1 AND digest = $2")
            .bind(stream)
            .bind(digest)
            .fetch_optional(db.pool())
            .await?;
        if let Some(row) = row {
            *part = Value::String(row.try_get(0)?);
        }
    }
    Ok(Value::Object(parts))
}

/// Forgets parts that no committed cursor refers to. `current` is the cursor in the log.
pub(super) async fn forget(db: &Metadata, stream: &str, current: &Cursor) -> Result<(), sqlx::Error> {
    let Value::Object(parts) = current else { return Ok(()) };
    let kept: Vec<&str> = parts.values().filter_map(|p| p.get("kept").and_then(Value::as_str)).collect();
    // At most three parts are ever long: what was seen, its cells, and the names of very many columns.
    let keep = |i: usize| kept.get(i).copied().unwrap_or_default();
    sqlx::query(
        "DELETE FROM source_cursors WHERE stream = $1 AND digest <> $2 AND digest <> $3 AND digest <> $4",
    )
    .bind(stream)
    .bind(keep(0))
    .bind(keep(1))
    .bind(keep(2))
    .execute(db.pool())
    .await?;
    Ok(())
}
