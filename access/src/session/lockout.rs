//! Failed logins, counted in the database so that a restart forgives nobody. Nobody is locked out: each further
//! failure makes the next attempt wait longer, up to a bound that a person can sit out and a guesser cannot use.
//!
//! Guesses are counted against the user as tried from one address, so that nobody slows another's account
//! from their own; against the address, so that many names cost as much as one; and against the user as tried
//! from anywhere, later and shorter, since whoever has a hundred addresses could keep the right person waiting; not
//! at all where that person signed in before.
//! Names that are no account count alike, so waits tell nothing.
//!
//! An attempt counts against its user from the moment it begins and is taken back when it succeeds:
//! otherwise a hundred guesses sent at once would all be judged before the first is counted.

use std::net::IpAddr;
use std::time::Duration;

use store::{Clock, Metadata, from_micros, micros, new_id};

use super::{LoginError, fingerprint};
use crate::error::{Doing, Result};

/// Failures older than this are forgotten.
pub(super) const WINDOW: Duration = Duration::from_secs(15 * 60);

/// An address is known to a user so long after they signed in from it.
const KNOWN: Duration = Duration::from_secs(90 * 86_400);

/// How failures slow what comes after them: so many are free, the next wait 1, 2, 4 … seconds, at most `longest`.
pub(super) struct Slowing {
    pub(super) free: i64,
    pub(super) longest: u64,
}

/// A user as tried from one address.
pub(super) const HERE: Slowing = Slowing { free: 5, longest: 60 };
/// An address, whatever names it tries.
pub(super) const ADDRESS: Slowing = Slowing { free: 10, longest: 60 };
/// The machine itself: a proxy that was not told of stands for everyone behind it.
pub(super) const LOOPBACK: Slowing = Slowing { free: 20, longest: 15 };
/// A user as tried from anywhere.
pub(super) const ANYWHERE: Slowing = Slowing { free: 50, longest: 15 };

impl Slowing {
    /// The wait after so many failures.
    pub(super) fn wait(&self, failures: i64) -> Duration {
        let doublings = u32::try_from(failures - self.free).unwrap_or(0).min(32);
        match failures < self.free {
            true => Duration::ZERO,
            false => Duration::from_secs((1u64 << doublings).min(self.longest)),
        }
    }
}

/// One attempt, counted against its user.
pub(super) struct Attempt {
    /// The rows that count it: from its address, and from anywhere.
    ids: [String; 2],
    /// The user as tried from this address.
    here: String,
    ip: String,
}

/// Counts an attempt, or refuses it. Names are kept as hashes: people type passwords into the wrong box.
pub(super) async fn begin(
    db: &Metadata,
    clock: &dyn Clock,
    user: &str,
    ip: &str,
) -> Result<Attempt, LoginError> {
    let (address, of_address) = address(ip);
    let anywhere = fingerprint(&format!("user:{user}"));
    let attempt = Attempt {
        ids: [new_id(clock), new_id(clock)],
        // The address comes first: it holds no line break, whatever the name holds.
        here: fingerprint(&format!("from:{address}\n{user}")),
        ip: fingerprint(&format!("ip:{address}")),
    };
    let now = micros(clock.now());
    let mut tx = db.begin().await?;
    sqlx::query("DELETE FROM login_failures WHERE failed_at <= $1")
        .bind(now - WINDOW.as_micros() as i64)
        .execute(&mut *tx)
        .await
        .doing("prune the failed logins")?;
    let slowed = [(&attempt.here, HERE), (&attempt.ip, of_address), (&anywhere, ANYWHERE)];
    // Whoever guesses from everywhere keeps nobody waiting where they signed in before.
    let strangers = if is_known(&mut tx, user, ip, now).await? { &slowed[..2] } else { &slowed[..] };
    for (subject, slowing) in strangers {
        let (failures, newest): (i64, Option<i64>) =
            sqlx::query_as("SELECT COUNT(*), MAX(failed_at) FROM login_failures WHERE subject = $1")
                .bind(*subject)
                .fetch_one(&mut *tx)
                .await
                .doing("count the failed logins")?;
        let until = newest.unwrap_or(i64::MIN / 2) + slowing.wait(failures).as_micros() as i64;
        if until > now {
            return Err(LoginError::Locked { until: from_micros(until) });
        }
    }
    for (id, subject) in attempt.ids.iter().zip([&attempt.here, &anywhere]) {
        insert(&mut tx, id, subject, now).await?;
    }
    tx.commit().await.doing("count a login")?;
    Ok(attempt)
}

/// Whether this user signed in from this very address lately.
async fn is_known(tx: &mut store::Transaction, user: &str, ip: &str, now: i64) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT seq FROM audit WHERE actor = $1 AND action = 'login' AND outcome = 'ok' AND ip = $2 AND at > $3 LIMIT 1",
    )
    .bind(user)
    .bind(ip)
    .bind(now - KNOWN.as_micros() as i64)
    .fetch_optional(&mut **tx)
    .await
    .doing("look for earlier logins")?;
    Ok(found.is_some())
}

impl Attempt {
    /// Wrong: it stays counted against the user, and now against the address too.
    pub(super) async fn failed(self, db: &Metadata, clock: &dyn Clock) -> Result<()> {
        let mut tx = db.begin().await?;
        insert(&mut tx, &new_id(clock), &self.ip, micros(clock.now())).await?;
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

/// What stands for an address, and how its failures slow it: IPv6 by its /64, which one customer owns.
fn address(ip: &str) -> (String, Slowing) {
    match ip.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if ip.is_loopback() => ("loopback".into(), LOOPBACK),
        Ok(IpAddr::V6(v6)) => (format!("{:x?}", &v6.segments()[..4]), ADDRESS),
        Ok(IpAddr::V4(v4)) => (v4.to_string(), ADDRESS),
        Err(_) => (ip.to_owned(), ADDRESS),
    }
}
