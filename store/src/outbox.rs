//! Effects on the outside world, recorded in the transaction of the state that caused them, so that
//! neither exists without the other. Delivery is at least once, always under the same id.
//!
//! waiting → claimed → done | dead, or back to waiting. A claim is a lease in the clock's time: a
//! deliverer that vanished loses it, and the effect is handed out again with the same id.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, OnceCell};

use crate::clock::{SharedClock, Timestamp};
use crate::error::{Doing, Error, Result};
use crate::metadata::{Metadata, Transaction, from_micros, micros};

const STEPS: [&str; 1] = ["
CREATE TABLE outbox (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL,
  due BIGINT NOT NULL, attempt BIGINT NOT NULL, claimed_until BIGINT, error TEXT,
  created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
CREATE INDEX outbox_due ON outbox (kind, state, due);
CREATE INDEX outbox_updated ON outbox (state, updated_at);
"];

/// How long a claim holds: far longer than any delivery, since a demo's clock may run fast.
const CLAIM: Duration = Duration::from_secs(15 * 60);
/// How long finished effects are remembered, so that putting one again stays without effect.
const KEEP: Duration = Duration::from_secs(90 * 86_400);
/// Longest error text kept, in characters.
const ERROR: usize = 2000;

/// Something to be done once outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Stable idempotency key: putting the same id twice is one effect.
    pub id: String,
    /// Who delivers it.
    pub kind: String,
    pub payload: serde_json::Value,
    pub due: Timestamp,
}

/// An effect in the hands of one deliverer.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    pub effect: Effect,
    /// Counted from 1; a claim that was lost counts too.
    pub attempt: u32,
}

/// A handle; clones share it.
#[derive(Debug, Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Metadata,
    clock: SharedClock,
    put: Notify,
    recovered: OnceCell<()>,
}

impl Outbox {
    pub async fn open(db: Metadata, clock: SharedClock) -> Result<Self> {
        db.migrate("outbox", &STEPS).await?;
        let inner = Inner { db, clock, put: Notify::new(), recovered: OnceCell::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Records an effect with the caller's transaction. An id that is already there stays as it is.
    pub async fn put(&self, tx: &mut Transaction, effect: &Effect) -> Result<()> {
        let now = micros(self.inner.clock.now());
        sqlx::query(
            "INSERT INTO outbox (id, kind, payload, state, due, attempt, created_at, updated_at) \
             VALUES ($1, $2, $3, 'waiting', $4, 0, $5, $5) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&effect.id)
        .bind(&effect.kind)
        .bind(effect.payload.to_string())
        .bind(micros(effect.due))
        .bind(now)
        .execute(&mut **tx)
        .await
        .doing("record an effect")?;
        // The claim that this wakes asks for the write lock, so it waits for the caller's commit.
        self.wake();
        Ok(())
    }

    /// Takes up to `limit` due effects of a kind, oldest first, for fifteen minutes. The first call of a
    /// process also takes over what an ended process had claimed: only the owner of the folder delivers.
    pub async fn claim(&self, kind: &str, limit: usize) -> Result<Vec<Claimed>> {
        self.inner.recovered.get_or_try_init(|| self.release_all()).await?;
        let now = micros(self.inner.clock.now());
        let mut tx = self.inner.db.begin().await?;
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
            "SELECT id, payload, due, attempt FROM outbox WHERE kind = $1 AND due <= $2 \
             AND (state = 'waiting' OR (state = 'claimed' AND claimed_until <= $2)) ORDER BY due, id LIMIT $3",
        )
        .bind(kind)
        .bind(now)
        .bind(limit as i64)
        .fetch_all(&mut *tx)
        .await
        .doing("claim effects")?;
        for (id, ..) in &rows {
            sqlx::query(
                "UPDATE outbox SET state = 'claimed', claimed_until = $1, attempt = attempt + 1, updated_at = $2 \
                 WHERE id = $3",
            )
            .bind(now + CLAIM.as_micros() as i64)
            .bind(now)
            .bind(id)
            .execute(&mut *tx)
            .await
            .doing("claim effects")?;
        }
        tx.commit().await.doing("claim effects")?;
        rows.into_iter().map(|row| claimed(kind, row)).collect()
    }

    /// The effect happened.
    pub async fn done(&self, tx: &mut Transaction, id: &str) -> Result<()> {
        self.end(tx, id, "done", None).await?;
        let before = micros(self.inner.clock.now()) - KEEP.as_micros() as i64;
        sqlx::query("DELETE FROM outbox WHERE state IN ('done', 'dead') AND updated_at < $1")
            .bind(before)
            .execute(&mut **tx)
            .await
            .doing("prune the outbox")?;
        Ok(())
    }

    /// The effect did not happen yet: try again at `due`.
    pub async fn later(&self, tx: &mut Transaction, id: &str, due: Timestamp, error: &str) -> Result<()> {
        sqlx::query(
            "UPDATE outbox SET state = 'waiting', due = $1, error = $2, claimed_until = NULL, updated_at = $3 \
             WHERE id = $4 AND state = 'claimed'",
        )
        .bind(micros(due))
        .bind(shorten(error))
        .bind(micros(self.inner.clock.now()))
        .bind(id)
        .execute(&mut **tx)
        .await
        .doing("postpone an effect")?;
        self.wake();
        Ok(())
    }

    /// An effect that waits for later is due already at `due`.
    pub async fn advance(&self, tx: &mut Transaction, id: &str, due: Timestamp) -> Result<()> {
        sqlx::query("UPDATE outbox SET due = $1 WHERE id = $2 AND state = 'waiting' AND due > $1")
            .bind(micros(due))
            .bind(id)
            .execute(&mut **tx)
            .await
            .doing("advance an effect")?;
        self.wake();
        Ok(())
    }

    /// An effect that was done or given up is to happen again at `due`, under its id. False when it is no
    /// longer remembered.
    pub async fn revive(&self, tx: &mut Transaction, id: &str, due: Timestamp) -> Result<bool> {
        let changed = sqlx::query(
            "UPDATE outbox SET state = 'waiting', due = $1, error = NULL, claimed_until = NULL, updated_at = $2 \
             WHERE id = $3 AND state IN ('done', 'dead', 'waiting')",
        )
        .bind(micros(due))
        .bind(micros(self.inner.clock.now()))
        .bind(id)
        .execute(&mut **tx)
        .await
        .doing("revive an effect")?;
        self.wake();
        Ok(changed.rows_affected() > 0)
    }

    /// What an effect was to do; `None` when it is no longer remembered.
    pub async fn payload(&self, tx: &mut Transaction, id: &str) -> Result<Option<serde_json::Value>> {
        let found: Option<String> = sqlx::query_scalar("SELECT payload FROM outbox WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await
            .doing("read an effect")?;
        let Some(text) = found else { return Ok(None) };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| Error::Damaged { what: format!("effect {id}"), why: e.to_string() })
    }

    /// The effect will never happen: kept with its error for people to see.
    pub async fn dead(&self, tx: &mut Transaction, id: &str, error: &str) -> Result<()> {
        self.end(tx, id, "dead", Some(error)).await
    }

    /// When the next effect of a kind can be claimed; `None` when there is none.
    pub async fn next_due(&self, kind: &str) -> Result<Option<Timestamp>> {
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT MIN(CASE WHEN state = 'claimed' AND claimed_until > due THEN claimed_until ELSE due END) \
             FROM outbox WHERE kind = $1 AND state IN ('waiting', 'claimed')",
        )
        .bind(kind)
        .fetch_one(self.inner.db.pool())
        .await
        .doing("read the outbox")?;
        Ok(due.map(from_micros))
    }

    /// Completes when an effect was put or postponed since the last wait. For one deliverer; a second
    /// one must also look at [`Outbox::next_due`].
    pub async fn wait(&self) {
        self.inner.put.notified().await;
    }

    fn wake(&self) {
        self.inner.put.notify_waiters();
        // With nobody waiting this moment, the next wait returns at once.
        self.inner.put.notify_one();
    }

    async fn end(&self, tx: &mut Transaction, id: &str, state: &str, error: Option<&str>) -> Result<()> {
        sqlx::query(
            "UPDATE outbox SET state = $1, error = $2, claimed_until = NULL, updated_at = $3 WHERE id = $4",
        )
        .bind(state)
        .bind(error.map(shorten))
        .bind(micros(self.inner.clock.now()))
        .bind(id)
        .execute(&mut **tx)
        .await
        .doing("finish an effect")?;
        Ok(())
    }

    async fn release_all(&self) -> Result<()> {
        sqlx::query("UPDATE outbox SET state = 'waiting', claimed_until = NULL WHERE state = 'claimed'")
            .execute(self.inner.db.pool())
            .await
            .doing("recover the outbox")?;
        Ok(())
    }
}

fn claimed(kind: &str, (id, payload, due, attempt): (String, String, i64, i64)) -> Result<Claimed> {
    let payload = serde_json::from_str(&payload)
        .map_err(|e| Error::Damaged { what: format!("effect {id}"), why: e.to_string() })?;
    let effect = Effect { id, kind: kind.into(), payload, due: from_micros(due) };
    Ok(Claimed { effect, attempt: u32::try_from(attempt + 1).unwrap_or(u32::MAX) })
}

fn shorten(text: &str) -> String {
    text.chars().take(ERROR).collect()
}

#[cfg(test)]
mod tests;
