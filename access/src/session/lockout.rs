//! Failed logins, counted in the database so that a restart forgives nobody.
//!
//! An attempt counts against its user from the moment it begins and is taken back when it succeeds:
//! otherwise a hundred guesses sent at once would all be judged before the first is counted.

use std::net::IpAddr;
use std::time::Duration;

use store::{Clock, Metadata, from_micros, micros, new_id};

use super::{LoginError, fingerprint};
use crate::error::{Doing, Result};

/// Failures within [`WINDOW`] that lock a user or an address.
pub(super) const LIMIT: i64 = 10;
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);

/// One attempt, counted against its user.
pub(super) struct Attempt {
    id: String,
    user: String,
    ip: Option<String>,
}

/// Counts an attempt, or refuses it. Names are kept as hashes: people type passwords into the wrong box.
pub(super) async fn begin(
    db: &Metadata,
    clock: &dyn Clock,
    user: &str,
    ip: &str,
) -> Result<Attempt, LoginError> {
    let attempt = Attempt { id: new_id(clock), user: fingerprint(&format!("user:{user}")), ip: subject(ip) };
    let now = micros(clock.now());
    let mut tx = db.begin().await?;
    sqlx::query("DELETE FROM login_failures WHERE failed_at <= $1")
        .bind(now - WINDOW.as_micros() as i64)
        .execute(&mut *tx)
        .await
        .doing("prune the failed logins")?;
    for subject in [Some(&attempt.user), attempt.ip.as_ref()].into_iter().flatten() {
        // The tenth newest failure: when it leaves the window, there is room again.
        let tenth: Option<i64> = sqlx::query_scalar(
            "SELECT failed_at FROM login_failures WHERE subject = $1 ORDER BY failed_at DESC LIMIT 1 OFFSET $2",
        )
        .bind(subject)
        .bind(LIMIT - 1)
        .fetch_optional(&mut *tx)
        .await
        .doing("count the failed logins")?;
        if let Some(tenth) = tenth {
            return Err(LoginError::Locked { until: from_micros(tenth) + WINDOW });
        }
    }
    insert(&mut tx, &attempt.id, &attempt.user, now).await?;
    tx.commit().await.doing("count a login")?;
    Ok(attempt)
}

impl Attempt {
    /// Wrong: it stays counted against the user, and now against the address too.
    pub(super) async fn failed(self, db: &Metadata, clock: &dyn Clock) -> Result<()> {
        let Some(ip) = self.ip else { return Ok(()) };
        let mut tx = db.begin().await?;
        insert(&mut tx, &new_id(clock), &ip, micros(clock.now())).await?;
        tx.commit().await.doing("count a failed login")
    }

    /// Right: the user's failures are forgiven, the address's are not.
    pub(super) async fn succeeded(self, db: &Metadata) -> Result<()> {
        delete(db, "DELETE FROM login_failures WHERE subject = $1", &self.user).await
    }

    /// Not judged: as if it never was.
    pub(super) async fn forgive(self, db: &Metadata) -> Result<()> {
        delete(db, "DELETE FROM login_failures WHERE id = $1", &self.id).await
    }
}

async fn insert(tx: &mut store::Transaction, id: &str, subject: &str, at: i64) -> Result<()> {
    sqlx::query("INSERT INTO login_failures (id, subject, failed_at) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(subject)
        .bind(at)
        .execute(&mut **tx)
        .await
        .doing("count a failed login")?;
    Ok(())
}

async fn delete(db: &Metadata, sql: &'static str, value: &str) -> Result<()> {
    sqlx::query(sql).bind(value).execute(db.pool()).await.doing("forgive failed logins")?;
    Ok(())
}

/// What stands for an address: IPv6 by its /64, which one customer owns. Loopback is not counted: it is a
/// proxy in front of everyone, or someone who is already on the machine.
fn subject(ip: &str) -> Option<String> {
    let text = match ip.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_loopback() => return None,
        Ok(IpAddr::V6(v6)) => format!("{:x?}", &v6.segments()[..4]),
        Ok(IpAddr::V4(v4)) => v4.to_string(),
        Err(_) => ip.to_owned(),
    };
    Some(fingerprint(&format!("ip:{text}")))
}
