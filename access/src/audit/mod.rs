//! Who did what, in a chain: each record's hash covers the one before, so a record that was changed or
//! removed later shows. Nothing is ever deleted here.

#[cfg(test)]
mod tests;

use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{Metadata, SharedClock, Timestamp, from_micros, micros};

use crate::error::{Doing, Result};
use crate::tables;

/// Records read at once while verifying.
const PAGE: i64 = 1000;
/// Longest text of one field, in characters.
const LONGEST: usize = 2000;
/// What the first record follows.
const GENESIS: &str = "guanlan audit";

/// Something that happened, about to be recorded. Never put a secret or row values in here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// A user's name, or one in parentheses for what is no person.
    pub actor: String,
    /// A verb with its noun, for example `login`, `user.add`, `alert.ack`.
    pub action: String,
    /// What it was done to; may be empty.
    pub object: String,
    /// `ok`, or why not.
    pub outcome: String,
    pub detail: String,
    /// Where it came from; empty for the command line and jobs.
    pub ip: String,
}

impl Event {
    pub fn new(actor: &str, action: &str, object: &str, outcome: &str) -> Self {
        Self {
            actor: actor.into(),
            action: action.into(),
            object: object.into(),
            outcome: outcome.into(),
            ..Self::default()
        }
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub fn ip(mut self, ip: impl Into<String>) -> Self {
        self.ip = ip.into();
        self
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRow {
    /// From 1, without gaps.
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub object: String,
    pub outcome: String,
    pub detail: String,
    pub ip: String,
    #[serde(skip)]
    hash: String,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Records that fit the chain.
    pub good: i64,
    /// The first record that does not fit, if any: it or one before it was changed or removed.
    pub broken_at: Option<i64>,
    /// Hash of the last good record. Keep it elsewhere to notice later if the end is cut off.
    pub head: String,
}

/// A handle; clones share the database.
#[derive(Debug, Clone)]
pub struct Audit {
    db: Metadata,
    clock: SharedClock,
}

type Record = (i64, i64, String, String, String, String, String, String, String);

impl Audit {
    pub async fn open(db: Metadata, clock: SharedClock) -> Result<Self> {
        db.migrate(tables::ROOM, &tables::STEPS).await?;
        Ok(Self { db, clock })
    }

    /// Appends a record. Once this returns, it survives a power cut.
    pub async fn record(&self, event: Event) -> Result<()> {
        // The transaction holds the write lock from its start, so two records cannot follow the same one.
        let mut tx = self.db.begin().await?;
        let last: Option<(i64, String)> =
            sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
                .fetch_optional(&mut *tx)
                .await
                .doing("read the audit")?;
        let (seq, previous) = last.unwrap_or((0, GENESIS.into()));
        let cut = |text: String| text.chars().take(LONGEST).collect::<String>();
        let mut row = AuditRow {
            seq: seq + 1,
            at: from_micros(micros(self.clock.now())),
            actor: cut(event.actor),
            action: cut(event.action),
            object: cut(event.object),
            outcome: cut(event.outcome),
            detail: cut(event.detail),
            ip: cut(event.ip),
            hash: String::new(),
        };
        row.hash = chain(&previous, &row);
        sqlx::query(
            "INSERT INTO audit (seq, at, actor, action, object, outcome, detail, ip, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(row.seq)
        .bind(micros(row.at))
        .bind(&row.actor)
        .bind(&row.action)
        .bind(&row.object)
        .bind(&row.outcome)
        .bind(&row.detail)
        .bind(&row.ip)
        .bind(&row.hash)
        .execute(&mut *tx)
        .await
        .doing("write the audit")?;
        tx.commit().await.doing("write the audit")
    }

    /// Up to `limit` records before sequence number `before` (the newest for `None`), newest first.
    pub async fn page(&self, before: Option<i64>, limit: usize) -> Result<Vec<AuditRow>> {
        let rows: Vec<Record> = sqlx::query_as(
            "SELECT seq, at, actor, action, object, outcome, detail, ip, hash FROM audit WHERE seq < $1 \
             ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit.min(PAGE as usize) as i64)
        .fetch_all(self.db.pool())
        .await
        .doing("read the audit")?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// Walks the whole chain.
    pub async fn verify(&self) -> Result<Verified> {
        let mut found = Verified { good: 0, broken_at: None, head: GENESIS.into() };
        loop {
            let rows: Vec<Record> = sqlx::query_as(
                "SELECT seq, at, actor, action, object, outcome, detail, ip, hash FROM audit WHERE seq > $1 \
                 ORDER BY seq LIMIT $2",
            )
            .bind(found.good)
            .bind(PAGE)
            .fetch_all(self.db.pool())
            .await
            .doing("read the audit")?;
            if rows.is_empty() {
                return Ok(found);
            }
            for row in rows.into_iter().map(read) {
                if row.seq != found.good + 1 || row.hash != chain(&found.head, &row) {
                    found.broken_at = Some(row.seq);
                    return Ok(found);
                }
                found.good = row.seq;
                found.head = row.hash;
            }
        }
    }
}

fn read((seq, at, actor, action, object, outcome, detail, ip, hash): Record) -> AuditRow {
    AuditRow { seq, at: from_micros(at), actor, action, object, outcome, detail, ip, hash }
}

/// SHA-256 over the hash before and every field with its length, so that no two records read the same.
fn chain(previous: &str, row: &AuditRow) -> String {
    let mut hash = Sha256::new();
    let (seq, at) = (row.seq.to_string(), micros(row.at).to_string());
    for field in
        [previous, &seq, &at, &row.actor, &row.action, &row.object, &row.outcome, &row.detail, &row.ip]
    {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
