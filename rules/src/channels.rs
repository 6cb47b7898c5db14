//! Channels for those who look after them: how each stands, a test, and opening one again that its receiver
//! closed.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{Problem, Timestamp, from_micros, micros, new_id};

use crate::Rules;
use crate::address::waits_problem;
use crate::error::{Error, Result};
use crate::spec::ChannelSpec;
use crate::webhook::{self, Outcome};

/// How a channel stands.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelState {
    pub name: String,
    /// `webhook`.
    pub kind: &'static str,
    /// Where it leads: the host of its address, or the reference to it.
    pub address: String,
    /// `open`, `resting` (left alone for a while after a failure) or `closed` (its receiver answered 410).
    pub state: &'static str,
    /// Why it is closed; empty when it is not.
    pub reason: String,
    pub closed_at: Option<Timestamp>,
    /// Messages that wait, and messages that were given up.
    pub waiting: i64,
    pub dead: i64,
    /// The last message that it took.
    pub last_accepted: Option<Timestamp>,
    /// What the last attempt failed with; empty when it did not.
    pub last_error: String,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelTest {
    /// The id of the message in the list of deliveries.
    pub id: String,
    pub channel: String,
    pub accepted: bool,
    /// HTTP status; null without an answer.
    pub status: Option<u16>,
    pub ms: i64,
    /// The beginning of the answer.
    pub response: String,
    /// Why it was not accepted; empty when it was.
    pub error: String,
}

/// Mistakes in a channel's definition.
pub fn check_channel(spec: &ChannelSpec) -> Vec<Problem> {
    let ChannelSpec::Webhook(hook) = spec;
    let mut found = Vec::new();
    if let Some(why) = hook.url.problem() {
        let hint = "url: \"https://example.com/hook\", or \"env:NAME\" when it holds a token";
        found.push(Problem::new(why).hint(hint).at_key("webhook").at_key("url"));
    }
    if let Some((at, why)) = hook.retry.as_deref().and_then(waits_problem) {
        let problem = Problem::new(why).hint("retry: [5s, 1m, 10m, 1h]");
        found.push(problem.at_key("webhook").at_key("retry").at_index(at));
    }
    found
}

impl Rules {
    /// Every channel of the site, by name.
    ///
    /// # Errors
    /// The metadata database cannot be read.
    pub async fn channels(&self, channels: &BTreeMap<String, ChannelSpec>) -> Result<Vec<ChannelState>> {
        let now = self.clock.now();
        let closed: Vec<(String, String, i64, String)> =
            sqlx::query_as("SELECT channel, target, closed_at, reason FROM closed_channels")
                .fetch_all(self.db.pool())
                .await?;
        let counts: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT channel, state, COUNT(*) FROM deliveries \
             WHERE state IN ('waiting', 'dead') AND (message IS NULL OR message = id) GROUP BY channel, state",
        )
        .fetch_all(self.db.pool())
        .await?;
        let count = |name: &str, state: &str| {
            counts.iter().find(|(c, s, _)| c == name && s == state).map_or(0, |(.., n)| *n)
        };
        let mut all = Vec::with_capacity(channels.len());
        for (name, ChannelSpec::Webhook(hook)) in channels {
            let target = hook.url.resolve(&self.base).map(|url| target(&url)).unwrap_or_default();
            let shut = closed.iter().find(|(channel, at, ..)| channel == name && *at == target);
            let last_accepted: Option<i64> = sqlx::query_scalar(
                "SELECT updated_at FROM deliveries WHERE channel = $1 AND state = 'accepted' \
                 ORDER BY updated_at DESC LIMIT 1",
            )
            .bind(name)
            .fetch_optional(self.db.pool())
            .await?;
            let last: Option<(String,)> = sqlx::query_as(
                "SELECT COALESCE(error, '') FROM deliveries WHERE channel = $1 AND attempts > 0 AND state <> 'muted' \
                 ORDER BY updated_at DESC LIMIT 1",
            )
            .bind(name)
            .fetch_optional(self.db.pool())
            .await?;
            let state = match shut {
                Some(_) => "closed",
                None if self.rests(name, now) => "resting",
                None => "open",
            };
            all.push(ChannelState {
                name: name.clone(),
                kind: "webhook",
                address: hook.url.to_string(),
                state,
                reason: shut.map(|(.., reason)| reason.clone()).unwrap_or_default(),
                closed_at: shut.map(|(_, _, at, _)| from_micros(*at)),
                waiting: count(name, "waiting"),
                dead: count(name, "dead"),
                last_accepted: last_accepted.map(from_micros),
                last_error: last.map(|(error,)| error).unwrap_or_default(),
            });
        }
        Ok(all)
    }

    /// Sends a message of the type `channel.test` now, once, whatever the channel's state, and records it among
    /// the deliveries.
    ///
    /// # Errors
    /// `NoChannel` when the site has none of this name. What the receiver answers is no error but the outcome.
    pub async fn test_channel(
        &self,
        channels: &BTreeMap<String, ChannelSpec>,
        name: &str,
    ) -> Result<ChannelTest> {
        let Some(ChannelSpec::Webhook(hook)) = channels.get(name) else {
            return Err(no_channel(channels, name));
        };
        let started = self.clock.now();
        let id = format!("{}-test-{name}", new_id(&*self.clock));
        let body = json!({
            "type": "channel.test", "timestamp": started,
            "data": {"channel": name, "summary": {
                "zh": "观澜的测试消息：能看到它，说明此通道可用", "en": "A test message of Guanlan: this channel works"}},
        })
        .to_string();
        let measured = Instant::now();
        let attempt = webhook::send(hook, &self.base, &self.outbound, &id, started, &body).await;
        let ms = i64::try_from(measured.elapsed().as_millis()).unwrap_or(i64::MAX);
        let (accepted, error) = match attempt.outcome {
            Outcome::Accepted => (true, String::new()),
            Outcome::Later { error, .. }
            | Outcome::NotNow { error }
            | Outcome::Refused { error }
            | Outcome::Gone { error } => (false, error),
        };
        let state = if accepted { "accepted" } else { "dead" };
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO deliveries (id, alert, channel, kind, state, attempts, next_at, created_at, updated_at, message, error) \
             VALUES ($1, '', $2, 'channel.test', $3, 1, NULL, $4, $5, $1, $6)",
        )
        .bind(&id)
        .bind(name)
        .bind(state)
        .bind(micros(started))
        .bind(micros(self.clock.now()))
        .bind(&error)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO delivery_attempts (delivery, attempt, at, status, ms, response, error) \
             VALUES ($1, 1, $2, $3, $4, $5, $6)",
        )
        .bind(&id)
        .bind(micros(started))
        .bind(attempt.status.map(i64::from))
        .bind(ms)
        .bind(&attempt.response)
        .bind(&error)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(ChannelTest {
            id,
            channel: name.to_owned(),
            accepted,
            status: attempt.status,
            ms,
            response: attempt.response,
            error,
        })
    }

    /// Opens a channel that its receiver closed. What was given up meanwhile stays so until it is sent again.
    /// False when it was open.
    ///
    /// # Errors
    /// `NoChannel` when the site has none of this name.
    pub async fn reopen_channel(&self, channels: &BTreeMap<String, ChannelSpec>, name: &str) -> Result<bool> {
        if !channels.contains_key(name) {
            return Err(no_channel(channels, name));
        }
        let mut tx = self.db.begin().await?;
        let gone = sqlx::query("DELETE FROM closed_channels WHERE channel = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        self.wake_channel(name);
        Ok(gone.rows_affected() > 0)
    }
}

fn no_channel(channels: &BTreeMap<String, ChannelSpec>, name: &str) -> Error {
    let near = store::nearest(name, channels.keys().map(String::as_str)).map(str::to_owned);
    Error::NoChannel { name: name.to_owned(), near }
}

/// An address as it is remembered: it may hold a token.
pub(crate) fn target(url: &str) -> String {
    Sha256::digest(url.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}
