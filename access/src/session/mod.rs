//! Signing in. A session is a random token; the database keeps only its hash.

mod lockout;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Metadata, SharedClock, Span, Timestamp, from_micros, micros};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::audit::{Audit, Event};
use crate::error::{Doing, Error, Result};
use crate::principal::Principal;
use crate::tables;
use crate::users::{self, Users};

/// Sessions one user may have at once; a further login ends the oldest.
const PER_USER: i64 = 20;

/// How long people stay signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// Ends after this much time without a request. Default 8h.
    pub idle: Span,
    /// Ends this long after signing in, whatever happens. Default 7d.
    pub max: Span,
}

impl Default for SessionSettings {
    fn default() -> Self {
        let hours = |h: u64| Span(std::time::Duration::from_secs(h * 3600));
        Self { idle: hours(8), max: hours(7 * 24) }
    }
}

/// Why a login is refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The name or the password is wrong, or the account disabled: never said which.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// Too many failures of this user or from this address: the next attempt is judged from then on.
    #[error("too many failed logins: try again after {until}")]
    Locked { until: Timestamp },
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<store::Error> for LoginError {
    fn from(error: store::Error) -> Self {
        LoginError::Failed(error.into())
    }
}

/// A handle; clones share everything.
#[derive(Debug, Clone)]
pub struct Sessions {
    db: Metadata,
    clock: SharedClock,
    users: Users,
    audit: Audit,
    settings: SessionSettings,
    /// Changes when a session was ended by this process.
    ended: watch::Sender<()>,
}

impl Sessions {
    pub async fn open(
        db: Metadata,
        clock: SharedClock,
        users: Users,
        settings: SessionSettings,
    ) -> Result<Self> {
        db.migrate(tables::ROOM, &tables::STEPS).await?;
        let audit = Audit::open(db.clone(), clock.clone()).await?;
        Ok(Self { db, clock, users, audit, settings, ended: watch::Sender::new(()) })
    }

    /// Signs in: the token for the cookie and who it is. `ip` is the peer's address, `agent` its program.
    /// Every attempt that is looked at is audited.
    pub async fn login(
        &self,
        user: &str,
        password: &str,
        ip: &str,
        agent: &str,
    ) -> Result<(String, Principal), LoginError> {
        let name = users::normal(user);
        let attempt = lockout::begin(&self.db, &*self.clock, &name, ip).await?;
        let found = match self.users.verify(&name, password).await {
            Ok(found) => found,
            Err(error) => {
                // Not judged, so it must not count against the user.
                attempt.forgive(&self.db).await?;
                return Err(error.into());
            }
        };
        let Some(who) = found else {
            attempt.failed(&self.db, &*self.clock).await?;
            // A mistyped name may be a password, so only names of accounts are written down.
            let actor = if self.users.get(&name).await?.is_some() { name.as_str() } else { "(unknown)" };
            self.audit.record(Event::new(actor, "login", "", "wrong").ip(ip).detail(shorten(agent))).await?;
            return Err(LoginError::Wrong);
        };
        attempt.succeeded(&self.db).await?;
        let token = self.create(&who, ip, agent).await?;
        self.audit.record(Event::new(&who.user, "login", "", "ok").ip(ip).detail(shorten(agent))).await?;
        Ok((token, who))
    }

    /// Who a token belongs to; `None` when it is unknown, idle for too long, too old, or its user is
    /// disabled. Roles are those of this moment.
    pub async fn principal(&self, token: &str) -> Result<Option<Principal>> {
        let hash = fingerprint(token);
        let Some((name, seen)) = self.standing(&hash).await? else { return Ok(None) };
        self.touch(&hash, self.clock.now(), seen).await?;
        self.of(&name).await
    }

    /// As [`Self::principal`], without counting as use: a page that is only open is not a person at work.
    pub async fn look(&self, token: &str) -> Result<Option<Principal>> {
        match self.standing(&fingerprint(token)).await? {
            Some((name, _)) => self.of(&name).await,
            None => Ok(None),
        }
    }

    /// Hears when a session was ended here; sessions that other processes end are not told.
    pub fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// The user of a session that still stands, and when it was last used.
    async fn standing(&self, hash: &str) -> Result<Option<(String, Timestamp)>> {
        let row: Option<(String, i64, i64)> =
            sqlx::query_as("SELECT user_name, created_at, seen_at FROM sessions WHERE token_hash = $1")
                .bind(hash)
                .fetch_optional(self.db.pool())
                .await
                .doing("read a session")?;
        let Some((name, created_at, seen_at)) = row else { return Ok(None) };
        if !self.alive(self.clock.now(), from_micros(created_at), from_micros(seen_at)) {
            self.end(hash).await?;
            return Ok(None);
        }
        Ok(Some((name, from_micros(seen_at))))
    }

    async fn of(&self, name: &str) -> Result<Option<Principal>> {
        Ok(self.users.get(name).await?.filter(|u| !u.disabled).map(users::principal))
    }

    async fn end(&self, hash: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(hash)
            .execute(self.db.pool())
            .await
            .doing("end a session")?;
        self.ended.send_replace(());
        Ok(())
    }

    /// Ends one session; an unknown token is no error.
    pub async fn logout(&self, token: &str) -> Result<()> {
        self.end(&fingerprint(token)).await
    }

    /// Ends every session of a user.
    pub async fn end_all(&self, user: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE user_name = $1")
            .bind(users::normal(user))
            .execute(self.db.pool())
            .await
            .doing("end the sessions of a user")?;
        self.ended.send_replace(());
        Ok(())
    }

    /// The token that a page of this session must send with everything that changes something. It is
    /// derived from the session's token, so another session's does not fit and nothing is stored.
    pub fn csrf(&self, token: &str) -> String {
        URL_SAFE_NO_PAD.encode(csrf_mac(token).finalize().into_bytes())
    }

    /// Compares in constant time.
    pub fn csrf_matches(&self, token: &str, given: &str) -> bool {
        self.csrf(token).as_bytes().ct_eq(given.as_bytes()).into()
    }

    fn alive(&self, now: Timestamp, created: Timestamp, seen: Timestamp) -> bool {
        // A clock set back gives negative ages: such a session is young.
        let within = |since: Timestamp, span: Span| (now - since).to_std().unwrap_or_default() < span.0;
        within(created, self.settings.max) && within(seen, self.settings.idle)
    }

    /// Notes that the session is in use; rarely, since every request comes through here.
    async fn touch(&self, hash: &str, now: Timestamp, seen: Timestamp) -> Result<()> {
        if (now - seen).to_std().unwrap_or_default() < self.settings.idle.0 / 20 {
            return Ok(());
        }
        sqlx::query("UPDATE sessions SET seen_at = $1 WHERE token_hash = $2")
            .bind(micros(now))
            .bind(hash)
            .execute(self.db.pool())
            .await
            .doing("note the use of a session")?;
        Ok(())
    }

    async fn create(&self, who: &Principal, ip: &str, agent: &str) -> Result<String> {
        let mut bytes = [0u8; 32];
        self.clock.fill(&mut bytes);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, user_name, created_at, seen_at, ip, agent) VALUES ($1, $2, $3, $3, $4, $5)",
        )
        .bind(fingerprint(&token))
        .bind(&who.user)
        .bind(micros(now))
        .bind(ip)
        .bind(shorten(agent))
        .execute(&mut *tx)
        .await
        .doing("begin a session")?;
        sqlx::query(
            "DELETE FROM sessions WHERE user_name = $1 AND token_hash NOT IN (SELECT token_hash FROM sessions \
             WHERE user_name = $1 ORDER BY created_at DESC, token_hash LIMIT $2)",
        )
        .bind(&who.user)
        .bind(PER_USER)
        .execute(&mut *tx)
        .await
        .doing("end the oldest session")?;
        sqlx::query("DELETE FROM sessions WHERE created_at < $1 OR seen_at < $2")
            .bind(micros(now) - span_micros(self.settings.max))
            .bind(micros(now) - span_micros(self.settings.idle))
            .execute(&mut *tx)
            .await
            .doing("prune the sessions")?;
        sqlx::query("UPDATE users SET last_login = $1 WHERE name = $2")
            .bind(micros(now))
            .bind(&who.user)
            .execute(&mut *tx)
            .await
            .doing("note a login")?;
        tx.commit().await.doing("begin a session")?;
        Ok(token)
    }
}

fn csrf_mac(token: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"guanlan csrf");
    mac
}

fn span_micros(span: Span) -> i64 {
    i64::try_from(span.0.as_micros()).unwrap_or(i64::MAX / 2)
}

/// SHA-256 in hex. Looking a token up by it leaks nothing by its timing.
fn fingerprint(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

fn shorten(agent: &str) -> String {
    agent.chars().filter(|c| !c.is_control()).take(200).collect()
}
