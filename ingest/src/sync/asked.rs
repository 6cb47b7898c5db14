//! What people asked to have done over: a stream from its start, or some of its files.
//!
//! The wish is kept until a commit has fulfilled it, so that a kill in between loses neither it nor a row.

use std::collections::BTreeSet;

use sqlx::Row;
use store::{Clock, Metadata, micros};

pub(super) const STEP: &str = "CREATE TABLE source_again (
    source TEXT NOT NULL, stream TEXT NOT NULL, files TEXT, asked_at BIGINT NOT NULL, PRIMARY KEY (source, stream))";

/// What is to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everything, in place of the table with its columns.
    All,
    /// These files, each in place of itself.
    Files(BTreeSet<String>),
}

/// Keeps a wish; one for everything stands for those that came before it.
pub(super) async fn ask(
    db: &Metadata,
    clock: &dyn Clock,
    source: &str,
    stream: &str,
    what: &Asked,
) -> Result<(), sqlx::Error> {
    let files = match (what, find(db, source, stream).await?) {
        (Asked::All, _) | (_, Some(Asked::All)) => None,
        (Asked::Files(new), Some(Asked::Files(old))) => Some(new.union(&old).cloned().collect()),
        (Asked::Files(new), None) => Some(new.clone()),
    };
    let files = files.map(|files: BTreeSet<String>| serde_json::json!(files).to_string());
    sqlx::query("INSERT INTO source_again (source, stream, files, asked_at) VALUES ($1, $2, $3, $4) ON CONFLICT (source, stream) DO UPDATE SET files = excluded.files, asked_at = excluded.asked_at")
        .bind(source)
        .bind(stream)
        .bind(files)
        .bind(micros(clock.now()))
        .execute(db.pool())
        .await?;
    Ok(())
}

/// The wish for a stream.
pub(super) async fn find(db: &Metadata, source: &str, stream: &str) -> Result<Option<Asked>, sqlx::Error> {
    let row = sqlx::query("SELECT files FROM source_again WHERE source = $1 AND stream = $2")
        .bind(source)
        .bind(stream)
        .fetch_optional(db.pool())
        .await?;
    let Some(row) = row else { return Ok(None) };
    let files: Option<String> = row.try_get(0)?;
    // Text that is no list can only be read as the larger wish.
    let files = files.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Some(files.map_or(Asked::All, Asked::Files)))
}

/// Forgets a wish that was fulfilled.
pub(super) async fn done(db: &Metadata, source: &str, stream: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM source_again WHERE source = $1 AND stream = $2")
        .bind(source)
        .bind(stream)
        .execute(db.pool())
        .await?;
    Ok(())
}
