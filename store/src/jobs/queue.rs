//! The queue's tables and their transitions: queued → running → gone (with a row in `job_runs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, broadcast};

use super::{Finished, Job, Outcome};
use crate::clock::{SharedClock, Timestamp, new_id};
use crate::error::{Doing, Error, Result};
use crate::metadata::{Metadata, Transaction, from_micros, micros};

const STEPS: [&str; 2] = [
    "
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
  state TEXT NOT NULL, due BIGINT NOT NULL, attempt BIGINT NOT NULL,
  queued_at BIGINT NOT NULL, started_at BIGINT);
CREATE UNIQUE INDEX jobs_queued ON jobs (kind, key) WHERE state = 'queued';
CREATE UNIQUE INDEX jobs_running ON jobs (kind, key) WHERE state = 'running';
CREATE INDEX jobs_due ON jobs (state, kind, due);
CREATE TABLE job_runs (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, queued_at BIGINT NOT NULL,
  started_at BIGINT NOT NULL, finished_at BIGINT NOT NULL, attempt BIGINT NOT NULL,
  outcome TEXT NOT NULL, message TEXT);
CREATE INDEX job_runs_finished ON job_runs (finished_at);
",
    "CREATE INDEX job_runs_key ON job_runs (kind, key);",
];

/// How long the record of a run is kept, and how many at most.
const KEEP: Duration = Duration::from_secs(30 * 86_400);
const KEEP_RUNS: i64 = 100_000;
/// Runs between two prunings.
const PRUNE_EVERY: u64 = 500;
/// Longest message kept with a run, in characters.
const MESSAGE: usize = 2000;

/// A handle to the queue; clones share it.
#[derive(Debug, Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Metadata,
    clock: SharedClock,
    pushed: Notify,
    finished: broadcast::Sender<Finished>,
    recovered: OnceCell<()>,
    runs: AtomicU64,
}

/// A job taken from the queue.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) key: String,
    pub(super) payload: String,
    /// Counted from 1 once taken.
    pub(super) attempt: i64,
    pub(super) queued_at: i64,
    pub(super) started_at: i64,
}

impl Queue {
    /// Opens the queue of a database. Jobs that a killed process left running are queued again when the
    /// first [`super::Runner`] of this queue starts: only the process that runs jobs may decide that
    /// nobody else does (a command line that merely reads must not).
    pub async fn open(db: Metadata, clock: SharedClock) -> Result<Self> {
        db.migrate("jobs", &STEPS).await?;
        let inner = Inner {
            db,
            clock,
            pushed: Notify::new(),
            finished: broadcast::channel(256).0,
            recovered: OnceCell::new(),
            runs: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Queues a job for `due`. One of the same kind and key that is already queued takes the newer
    /// payload, the earlier due time and all its attempts again.
    pub async fn push<J: Job>(&self, job: &J, due: Timestamp) -> Result<()> {
        let mut tx = self.inner.db.begin().await?;
        self.push_in(&mut tx, job, due).await?;
        tx.commit().await.doing("commit a job")?;
        self.inner.pushed.notify_one();
        Ok(())
    }

    /// Queues the job unless it is queued or runs already: for `first` when it never ran, else for `next`.
    /// Called again and again it keeps a schedule alive that a failure at the wrong moment would end.
    pub async fn ensure<J: Job>(&self, job: &J, first: Timestamp, next: Timestamp) -> Result<()> {
        let mut tx = self.inner.db.begin().await?;
        let (present, ran): (bool, bool) = sqlx::query_as(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE kind = $1 AND key = $2), \
             EXISTS (SELECT 1 FROM job_runs WHERE kind = $1 AND key = $2)",
        )
        .bind(J::KIND)
        .bind(job.key())
        .fetch_one(&mut *tx)
        .await
        .doing("look for a job")?;
        if !present {
            self.push_in(&mut tx, job, if ran { next } else { first }).await?;
            tx.commit().await.doing("commit a job")?;
        }
        Ok(())
    }

    /// Queues a job in the caller's transaction. The runner that this wakes asks for the database's
    /// write lock first, so it sees the job once the caller has committed.
    pub async fn push_in<J: Job>(&self, tx: &mut Transaction, job: &J, due: Timestamp) -> Result<()> {
        let payload = serde_json::to_string(job)
            .map_err(|e| Error::Invalid(format!("a job of kind {} does not serialize: {e}", J::KIND)))?;
        sqlx::query(
            "INSERT INTO jobs (id, kind, key, payload, state, due, attempt, queued_at) \
             VALUES ($1, $2, $3, $4, 'queued', $5, 0, $6) \
             ON CONFLICT (kind, key) WHERE state = 'queued' DO UPDATE SET payload = excluded.payload, attempt = 0, \
             due = CASE WHEN excluded.due < jobs.due THEN excluded.due ELSE jobs.due END",
        )
        .bind(new_id(&*self.inner.clock))
        .bind(J::KIND)
        .bind(job.key())
        .bind(payload)
        .bind(micros(due))
        .bind(micros(self.inner.clock.now()))
        .execute(&mut **tx)
        .await
        .doing("queue a job")?;
        self.inner.pushed.notify_one();
        Ok(())
    }

    /// When the next queued job is due; `None` when nothing is queued.
    pub async fn next_due(&self) -> Result<Option<Timestamp>> {
        let due: Option<i64> = sqlx::query_scalar("SELECT MIN(due) FROM jobs WHERE state = 'queued'")
            .fetch_one(self.inner.db.pool())
            .await
            .doing("read the queue")?;
        Ok(due.map(from_micros))
    }

    /// Every run that ends from now on. A subscriber that falls 256 behind misses the oldest.
    pub fn finished(&self) -> broadcast::Receiver<Finished> {
        self.inner.finished.subscribe()
    }

    pub(super) async fn pushed(&self) {
        self.inner.pushed.notified().await;
    }

    /// Queues again what a killed process left running; once per queue.
    pub(super) async fn recover(&self) -> Result<()> {
        self.inner.recovered.get_or_try_init(|| self.requeue_running()).await.copied()
    }

    async fn requeue_running(&self) -> Result<()> {
        let mut tx = self.inner.db.begin().await?;
        // Where the same job was queued again meanwhile, that one does the work.
        sqlx::query(
            "DELETE FROM jobs WHERE state = 'running' AND EXISTS (SELECT 1 FROM jobs q \
             WHERE q.state = 'queued' AND q.kind = jobs.kind AND q.key = jobs.key)",
        )
        .execute(&mut *tx)
        .await
        .doing("recover the queue")?;
        let again =
            sqlx::query("UPDATE jobs SET state = 'queued', started_at = NULL WHERE state = 'running'")
                .execute(&mut *tx)
                .await
                .doing("recover the queue")?;
        tx.commit().await.doing("recover the queue")?;
        if again.rows_affected() > 0 {
            tracing::warn!(jobs.count = again.rows_affected(), "jobs of an ended process are queued again");
        }
        Ok(())
    }

    /// When the next job of these kinds that is not held up by a running one of its key is due.
    pub(super) async fn next_runnable(&self, kinds: &[&'static str]) -> Result<Option<Timestamp>> {
        let mut earliest: Option<i64> = None;
        for kind in kinds {
            let due: Option<i64> = sqlx::query_scalar(
                "SELECT MIN(due) FROM jobs WHERE state = 'queued' AND kind = $1 AND NOT EXISTS (SELECT 1 \
                 FROM jobs r WHERE r.state = 'running' AND r.kind = jobs.kind AND r.key = jobs.key)",
            )
            .bind(kind)
            .fetch_one(self.inner.db.pool())
            .await
            .doing("read the queue")?;
            earliest = [earliest, due].into_iter().flatten().min();
        }
        Ok(earliest.map(from_micros))
    }

    /// Takes up to `limit` due jobs of a kind and marks them running.
    pub(super) async fn take(&self, kind: &'static str, limit: usize) -> Result<Vec<Taken>> {
        let now = micros(self.inner.clock.now());
        let mut tx = self.inner.db.begin().await?;
        let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
            "SELECT id, key, payload, attempt, queued_at FROM jobs \
             WHERE state = 'queued' AND kind = $1 AND due <= $2 AND NOT EXISTS (SELECT 1 FROM jobs r \
             WHERE r.state = 'running' AND r.kind = jobs.kind AND r.key = jobs.key) ORDER BY due, id LIMIT $3",
        )
        .bind(kind)
        .bind(now)
        .bind(limit as i64)
        .fetch_all(&mut *tx)
        .await
        .doing("take a job")?;
        let mut taken = Vec::with_capacity(rows.len());
        for (id, key, payload, attempt, queued_at) in rows {
            let attempt = attempt + 1;
            sqlx::query("UPDATE jobs SET state = 'running', attempt = $1, started_at = $2 WHERE id = $3")
                .bind(attempt)
                .bind(now)
                .bind(&id)
                .execute(&mut *tx)
                .await
                .doing("take a job")?;
            taken.push(Taken { id, kind, key, payload, attempt, queued_at, started_at: now });
        }
        tx.commit().await.doing("take a job")?;
        Ok(taken)
    }

    /// Records how a run ended; with `again` the job goes back to the queue for that moment.
    pub(super) async fn finish(
        &self,
        job: &Taken,
        outcome: Outcome,
        message: Option<String>,
        again: Option<Timestamp>,
    ) -> Result<()> {
        let message = message.map(|m| m.chars().take(MESSAGE).collect::<String>());
        let mut tx = self.inner.db.begin().await?;
        if let Some(due) = again {
            requeue(&mut tx, job, micros(due)).await?;
        } else {
            remove(&mut tx, &job.id).await?;
        }
        let now = micros(self.inner.clock.now());
        sqlx::query(
            "INSERT INTO job_runs (id, kind, key, queued_at, started_at, finished_at, attempt, outcome, message) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(new_id(&*self.inner.clock))
        .bind(job.kind)
        .bind(&job.key)
        .bind(job.queued_at)
        .bind(job.started_at)
        .bind(now)
        .bind(job.attempt)
        .bind(outcome.as_str())
        .bind(&message)
        .execute(&mut *tx)
        .await
        .doing("record a job")?;
        if self.inner.runs.fetch_add(1, Ordering::Relaxed).is_multiple_of(PRUNE_EVERY) {
            prune(&mut tx, now).await?;
        }
        tx.commit().await.doing("record a job")?;
        let finished = Finished { kind: job.kind.into(), key: job.key.clone(), outcome, message };
        // Nobody listening is fine.
        let _ = self.inner.finished.send(finished);
        Ok(())
    }
}

async fn requeue(tx: &mut Transaction, job: &Taken, due: i64) -> Result<()> {
    // Pushed again while it ran: that one carries on, at the earlier of the two moments.
    let newer = sqlx::query(
        "UPDATE jobs SET due = CASE WHEN $1 < due THEN $1 ELSE due END \
         WHERE state = 'queued' AND kind = $2 AND key = $3",
    )
    .bind(due)
    .bind(job.kind)
    .bind(&job.key)
    .execute(&mut **tx)
    .await
    .doing("queue a job again")?;
    if newer.rows_affected() > 0 {
        return remove(tx, &job.id).await;
    }
    sqlx::query("UPDATE jobs SET state = 'queued', started_at = NULL, due = $1 WHERE id = $2")
        .bind(due)
        .bind(&job.id)
        .execute(&mut **tx)
        .await
        .doing("queue a job again")?;
    Ok(())
}

async fn remove(tx: &mut Transaction, id: &str) -> Result<()> {
    sqlx::query("DELETE FROM jobs WHERE id = $1").bind(id).execute(&mut **tx).await.doing("remove a job")?;
    Ok(())
}

async fn prune(tx: &mut Transaction, now: i64) -> Result<()> {
    sqlx::query("DELETE FROM job_runs WHERE finished_at < $1")
        .bind(now - KEEP.as_micros() as i64)
        .execute(&mut **tx)
        .await
        .doing("prune the job records")?;
    sqlx::query(
        "DELETE FROM job_runs WHERE finished_at < (SELECT finished_at FROM job_runs ORDER BY finished_at DESC \
         LIMIT 1 OFFSET $1)",
    )
    .bind(KEEP_RUNS)
    .execute(&mut **tx)
    .await
    .doing("prune the job records")?;
    Ok(())
}
