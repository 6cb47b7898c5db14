//! Failed logins, counted in the database so that a restart forgives nobody.
//!
//! Guesses are counted against the user as tried from one address, so that nobody can lock another's account
//! from their own; against the address; and against the user as tried from anywhere, far later, since
//! whoever has a hundred addresses can. Names that are no account count alike, so locks tell nothing.
//!
//! An attempt counts against its user from the moment it begins and is taken back when it succeeds:
//! otherwise a hundred guesses sent at once would all be judged before the first is counted.

use std::net::IpAddr;
use std::time::Duration;

use store::{Clock, Metadata, from_micros, micros, new_id};

use super::{LoginError, fingerprint};
use crate::error::{Doing, Result};

/// Failures within [`WINDOW`] that lock a user for an address, or an address for every user.
pub(super) const LIMIT: i64 = 10;
/// Failures within [`WINDOW`] that lock a user for every address.
pub(super) const USER_LIMIT: i64 = 100;
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);

/// One attempt, counted against its user.
pub(super) struct Attempt {
    /// The rows that count it: from its address, and from anywhere.
    ids: [String; 2],
    /// The user as tried from this address.
    here: String,
    ip: Option<String>,
}

/// Counts an attempt, or refuses it. Names are kept as hashes: people type passwords into the wrong box.
pub(super) async fn begin(
    db: &Metadata,
    clock: &dyn Clock,
    user: &str,
    ip: &str,
) -> Result<Attempt, LoginError> {
    let address = address(ip);
    let anywhere = fingerprint(&format!("user:{user}"));
    let attempt = Attempt {
        ids: [new_id(clock), new_id(clock)],
        // The address comes first: it holds no line break, whatever the name holds.
        here: fingerprint(&format!("from:{}\n{user}", address.as_deref().unwrap_or("loopback"))),
        ip: address.map(|address| fingerprint(&format!("ip:{address}"))),
    };
    let now = micros(clock.now());
    let mut tx = db.begin().await?;
    sqlx::query("DELETE FROM login_failures WHERE failed_at <= $1")
        .bind(now - WINDOW.as_micros() as i64)
        .execute(&mut *tx)
        .await
        .doing("prune the failed logins")?;
    let limits = [(Some(&attempt.here), LIMIT), (attempt.ip.as_ref(), LIMIT), (Some(&anywhere), USER_LIMIT)];
    for (subject, limit) in limits.into_iter().filter_map(|(subject, limit)| Some((subject?, limit))) {
        // The oldest failure that still locks: when it leaves the window, there is room again.
        let oldest: Option<i64> = sqlx::query_scalar(
            "SELECT failed_at FROM login_failures WHERE subject = $1 ORDER BY failed_at DESC LIMIT 1 OFFSET $2",
        )
        .bind(subject)
        .bind(limit - 1)
        .fetch_optional(&mut *tx)
        .await
        .doing("count the failed logins")?;
        if let Some(oldest) = oldest {
            return Err(LoginError::Locked { until: from_micros(oldest) + WINDOW });
        }
    }
    for (id, subject) in attempt.ids.iter().zip([&attempt.here, &anywhere]) {
        insert(&mut tx, id, subject, now).await?;
    }
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

    /// Right: the user's failures at this address are forgiven. Those of others at other addresses are not,
    /// nor the address's own.
    pub(super) async fn succeeded(self, db: &Metadata) -> Result<()> {
        delete(db, "DELETE FROM login_failures WHERE subject = $1", &self.here).await?;
        self.forgive(db).await
    }

    /// Not judged: as if it never was.
    pub(super) async fn forgive(self, db: &Metadata) -> Result<()> {
        for id in &self.ids {
            delete(db, "DELETE FROM login_failures WHERE id = $1", id).await?;
        }
        Ok(())
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

/// What stands for an address: IPv6 by its /64, which one customer owns. `None` for loopback, which is not
/// counted by itself: it is a proxy in front of everyone, or someone who is already on the machine.
fn address(ip: &str) -> Option<String> {
    match ip.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_loopback() => None,
        Ok(IpAddr::V6(v6)) => Some(format!("{:x?}", &v6.segments()[..4])),
        Ok(IpAddr::V4(v4)) => Some(v4.to_string()),
        Err(_) => Some(ip.to_owned()),
    }
}
