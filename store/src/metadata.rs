//! The metadata database: what Guanlan knows about its own work. SQLite inside the project folder.
//!
//! Statements are portable to PostgreSQL: `$1` placeholders, TEXT, BIGINT and DOUBLE PRECISION columns,
//! moments as microseconds UTC, JSON as TEXT.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::{Doing, Error, Result};

/// A write transaction. It holds the database's one write lock from its first moment, so keep it short
/// and await nothing but the database inside it.
pub type Transaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// Readers run beside the one writer (WAL); more connections than this only cost memory.
const CONNECTIONS: u32 = 8;
/// How long a writer waits for another before it gives up.
const BUSY: Duration = Duration::from_secs(20);

/// A handle; clones share the pool.
#[derive(Debug, Clone)]
pub struct Metadata {
    pool: SqlitePool,
    /// Set for [`Metadata::memory`]: the folder that goes with the last handle.
    _scratch: Option<Arc<Scratch>>,
}

#[derive(Debug)]
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Metadata {
    /// Opens or creates the database: WAL, `synchronous=FULL`, foreign keys on.
    ///
    /// # Errors
    /// [`Error::Disk`] when the folder cannot be created, [`Error::Database`] otherwise.
    pub async fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| Error::Disk {
                doing: "create the folder of the metadata database",
                path: folder.into(),
                source,
            })?;
        }
        keep_private(path)?;
        let pool = connect(path, SqliteSynchronous::Full).await?;
        Ok(Self { pool, _scratch: None })
    }

    /// A private database for tests that vanishes with its last handle. It is a file in the temporary
    /// folder rather than SQLite's memory mode, so that it has the same locking as the real one.
    pub async fn memory() -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("guanlan-memory-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Disk {
            doing: "create the temporary folder",
            path: folder.clone(),
            source,
        })?;
        let scratch = Some(Arc::new(Scratch(folder.clone())));
        let pool = connect(&folder.join("metadata.db"), SqliteSynchronous::Off).await?;
        Ok(Self { pool, _scratch: scratch })
    }

    /// For reads and single statements.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Begins a write transaction (`BEGIN IMMEDIATE`: it never fails later for want of the write lock).
    pub async fn begin(&self) -> Result<Transaction> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.doing("begin a transaction")
    }

    /// Brings one room's tables to its newest step. Steps are numbered by their position, applied once,
    /// each in a transaction with its record; a step that was released is never changed, only followed.
    /// A step may hold several statements.
    pub async fn migrate(&self, room: &'static str, steps: &[&'static str]) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS migrations (room TEXT NOT NULL, step BIGINT NOT NULL, \
             applied_at BIGINT NOT NULL, PRIMARY KEY (room, step))",
        )
        .execute(&mut *tx)
        .await
        .doing("create the migrations table")?;
        let found: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(step), 0) FROM migrations WHERE room = $1")
            .bind(room)
            .fetch_one(&mut *tx)
            .await
            .doing("read the migrations")?;
        let known = steps.len() as i64;
        if found > known {
            return Err(Error::Newer { room: room.into(), found, known });
        }
        for (i, step) in steps.iter().enumerate().skip(found as usize) {
            sqlx::raw_sql(*step).execute(&mut *tx).await.doing("apply a migration")?;
            sqlx::query("INSERT INTO migrations (room, step, applied_at) VALUES ($1, $2, $3)")
                .bind(room)
                .bind(i as i64 + 1)
                .bind(micros(SystemClock.now()))
                .execute(&mut *tx)
                .await
                .doing("record a migration")?;
            tracing::debug!(room, step = i + 1, "metadata database migrated");
        }
        tx.commit().await.doing("commit the migrations")
    }

    /// Closes every connection, so that the file may be moved or the folder reopened.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The database holds password hashes and sessions: nobody but its owner reads it. SQLite gives its
/// journal the mode of the database.
fn keep_private(path: &Path) -> Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let failed = |source| Error::Disk { doing: "create the metadata database", path: path.into(), source };
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    // One that can only be read is the database's own business to refuse.
    let Ok(file) = file else { return Ok(()) };
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

async fn connect(path: &Path, synchronous: SqliteSynchronous) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        .busy_timeout(BUSY);
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(BUSY + Duration::from_secs(10))
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|source| match &source {
            // SQLITE_CANTOPEN and SQLITE_READONLY say too little; name the file and the remedy.
            sqlx::Error::Database(e) if matches!(e.code().as_deref(), Some("14" | "8" | "1032" | "1544")) => {
                Error::Invalid(format!(
                    "cannot open the metadata database {}: {e}. Give the user that runs guanlan write access to \
                     the file and its folder, or set another metadata.path in guanlan.yaml.",
                    path.display()
                ))
            }
            _ => Error::Database { doing: "open", source },
        })
}

/// A moment as the database keeps it: microseconds since 1970, UTC.
pub fn micros(t: Timestamp) -> i64 {
    t.timestamp_micros()
}

/// A moment from the database's microseconds; out of range values saturate.
pub fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN_UTC
    } else {
        Timestamp::MAX_UTC
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [&str; 2] = [
        "CREATE TABLE a (id TEXT PRIMARY KEY); CREATE INDEX a_id ON a (id)",
        "ALTER TABLE a ADD COLUMN at BIGINT",
    ];

    #[tokio::test]
    async fn migrations_are_applied_once_and_later_steps_follow() {
        let db = Metadata::memory().await.unwrap();
        db.migrate("room", &STEPS[..1]).await.unwrap();
        db.migrate("room", &STEPS[..1]).await.unwrap();
        sqlx::query("INSERT INTO a (id) VALUES ('x')").execute(db.pool()).await.unwrap();
        db.migrate("room", &STEPS).await.unwrap();
        db.migrate("room", &STEPS).await.unwrap();
        let n: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM a WHERE at IS NULL").fetch_one(db.pool()).await.unwrap();
        assert_eq!(n, 1);
        let n: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM migrations").fetch_one(db.pool()).await.unwrap();
        assert_eq!(n, 2);
    }

    #[tokio::test]
    async fn a_failed_step_leaves_nothing_behind() {
        let db = Metadata::memory().await.unwrap();
        assert!(db.migrate("room", &[STEPS[0], "ALTER TABLE nowhere ADD COLUMN x TEXT"]).await.is_err());
        let n: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = 'a'")
            .fetch_one(db.pool())
            .await
            .unwrap();
        assert_eq!(n, 0);
    }

    #[tokio::test]
    async fn a_database_from_a_newer_program_is_left_alone() {
        let db = Metadata::memory().await.unwrap();
        db.migrate("room", &STEPS).await.unwrap();
        let error = db.migrate("room", &STEPS[..1]).await.unwrap_err();
        assert!(matches!(error, Error::Newer { found: 2, known: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_reopening() {
        let dir = std::env::temp_dir().join(format!("guanlan-meta-{}", std::process::id()));
        let path = dir.join("deep/metadata.db");
        let db = Metadata::open(&path).await.unwrap();
        db.migrate("room", &STEPS).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        sqlx::query("INSERT INTO a (id) VALUES ('kept')").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        sqlx::query("INSERT INTO a (id) VALUES ('dropped')").execute(&mut *tx).await.unwrap();
        drop(tx);
        db.close().await;
        let db = Metadata::open(&path).await.unwrap();
        let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM a").fetch_all(db.pool()).await.unwrap();
        assert_eq!(ids, ["kept"]);
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(db.pool()).await.unwrap();
        let sync: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(db.pool()).await.unwrap();
        assert_eq!((mode.as_str(), sync), ("wal", 2));
        db.close().await;
        std::fs::remove_dir_all(dir).unwrap();
    }
}
