//! Messages for those who look after them: all of them with their attempts, and sending one again.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use store::{Timestamp, from_micros, micros};
use warehouse::Title;

use crate::Rules;
use crate::error::{Error, Result};

/// The largest page.
const MOST: usize = 200;
/// Attempts of one message that are shown.
const TRIES: usize = 50;

/// Which messages. Pages go back in time by `before`, the `next` of the page before.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryFilter {
    /// `waiting`, `accepted`, `dead` (given up) or `muted` (nobody needed to hear of it).
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub channel: Option<String>,
    /// Of this alert.
    #[serde(default)]
    pub alert: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default)]
    pub before: Option<String>,
}

/// `{"deliveries": […], "next": "…"}`: messages, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryPage {
    pub deliveries: Vec<Sent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A message to one channel.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// What `resend` takes, and the receiver sees as `webhook-id`.
    pub id: String,
    pub channel: String,
    /// `alert.firing`, `alert.resolved` or `channel.test`.
    pub kind: String,
    /// `waiting`, `accepted`, `dead` or `muted`.
    pub state: String,
    /// Alerts that it tells of.
    pub alerts: i64,
    /// The first of them; empty for a test.
    pub alert: String,
    pub rule: Option<String>,
    pub title: Option<Title>,
    pub attempts: i64,
    /// When it is tried next; null when it is not.
    pub next_at: Option<Timestamp>,
    /// HTTP status of the last attempt; null without an answer.
    pub status: Option<i64>,
    /// Why it is not accepted; empty when it is.
    pub error: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A message as its alert shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    pub id: String,
    pub channel: String,
    pub kind: String,
    pub state: String,
    pub attempts: i64,
    pub next_at: Option<Timestamp>,
    pub history: Vec<Try>,
}

/// One attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Try {
    pub at: Timestamp,
    pub status: Option<i64>,
    pub ms: i64,
    pub response: String,
    pub error: String,
}

impl Rules {
    /// A page of messages over all alerts, newest first. Effects that wait to become one are listed too.
    ///
    /// # Errors
    /// `Invalid` when `before` is no `next` of another page; the metadata database cannot be read.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<DeliveryPage> {
        let limit = filter.limit.unwrap_or(50).clamp(1, MOST);
        let (at, id) = match filter.before.as_deref().map(|b| b.split_once('.')) {
            None => (i64::MAX, String::new()),
            Some(Some((at, id))) if at.parse::<i64>().is_ok() => {
                (at.parse().unwrap_or(i64::MAX), id.to_owned())
            }
            Some(_) => return Err(Error::Invalid("`before` is the `next` of the page before".to_owned())),
        };
        let rows = sqlx::query(
            "SELECT d.id, d.channel, d.kind, d.state, d.alert, d.attempts, d.next_at, d.error, d.created_at, d.updated_at, \
               (SELECT COUNT(*) FROM deliveries m WHERE m.message = d.id) AS members, a.rule, a.title, \
               (SELECT t.status FROM delivery_attempts t WHERE t.delivery = d.id ORDER BY t.attempt DESC LIMIT 1) AS status \
             FROM deliveries d LEFT JOIN alerts a ON a.id = d.alert \
             WHERE (d.message IS NULL OR d.message = d.id) AND ($1 IS NULL OR d.state = $1) \
               AND ($2 IS NULL OR d.channel = $2) \
               AND ($3 IS NULL OR d.alert = $3 OR d.id IN (SELECT message FROM deliveries WHERE alert = $3)) \
               AND (d.created_at < $4 OR (d.created_at = $4 AND d.id < $5)) \
             ORDER BY d.created_at DESC, d.id DESC LIMIT $6",
        )
        .bind(&filter.state)
        .bind(&filter.channel)
        .bind(&filter.alert)
        .bind(at)
        .bind(&id)
        .bind(limit as i64)
        .fetch_all(self.db.pool())
        .await?;
        let deliveries = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        let next = (deliveries.len() == limit)
            .then(|| deliveries.last().map(|d| format!("{}.{}", micros(d.created_at), d.id)))
            .flatten();
        Ok(DeliveryPage { deliveries, next })
    }

    /// Sends a message again now, under its id and with new waits, whatever became of it. `id` is that of the
    /// message or of one of its parts.
    ///
    /// # Errors
    /// `NoDelivery` when there is none; `Invalid` when it cannot go out: its channel is closed, or it was never
    /// to be told.
    pub async fn resend(&self, id: &str) -> Result<Sent> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let found: Option<(String, String, String)> = sqlx::query_as(
            "SELECT COALESCE(message, id), channel, state FROM deliveries WHERE id = $1 OR message = $1 \
             ORDER BY id <> $1 LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((message, channel, state)) = found else { return Err(Error::NoDelivery(id.to_owned())) };
        if state == "muted" {
            return Err(Error::Invalid(format!(
                "{message} was not to be told: its alert was acknowledged before, or never announced there"
            )));
        }
        let closed: Option<(String,)> =
            sqlx::query_as("SELECT reason FROM closed_channels WHERE channel = $1")
                .bind(&channel)
                .fetch_optional(&mut *tx)
                .await?;
        if let Some((reason,)) = closed {
            return Err(Error::Invalid(format!(
                "the channel {channel} is closed ({reason}); open it first: guanlan channel reopen {channel}"
            )));
        }
        if !self.outbox.revive(&mut tx, &message, now).await? {
            return Err(Error::Invalid(format!("{message} is too old: what it said is no longer kept")));
        }
        sqlx::query("UPDATE messages SET attempts_before = attempts WHERE id = $1")
            .bind(&message)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "UPDATE deliveries SET state = 'waiting', next_at = $1, updated_at = $1, error = NULL \
             WHERE id = $2 OR message = $2",
        )
        .bind(micros(now))
        .bind(&message)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        self.sent(&message).await?.ok_or(Error::NoDelivery(message))
    }

    pub(crate) async fn sent(&self, id: &str) -> Result<Option<Sent>> {
        let row = sqlx::query(
            "SELECT d.id, d.channel, d.kind, d.state, d.alert, d.attempts, d.next_at, d.error, d.created_at, d.updated_at, \
               (SELECT COUNT(*) FROM deliveries m WHERE m.message = d.id) AS members, a.rule, a.title, \
               (SELECT t.status FROM delivery_attempts t WHERE t.delivery = d.id ORDER BY t.attempt DESC LIMIT 1) AS status \
             FROM deliveries d LEFT JOIN alerts a ON a.id = d.alert WHERE d.id = $1",
        )
        .bind(id)
        .fetch_optional(self.db.pool())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The messages of one alert with their attempts.
    pub(crate) async fn deliveries_of(&self, alert: &str) -> Result<Vec<Delivery>> {
        type Head = (String, String, String, String, i64, Option<i64>);
        let heads: Vec<Head> = sqlx::query_as(
            "SELECT COALESCE(message, id), channel, kind, state, attempts, next_at FROM deliveries WHERE alert = $1 \
             ORDER BY created_at, id LIMIT 100",
        )
        .bind(alert)
        .fetch_all(self.db.pool())
        .await?;
        let mut all = Vec::with_capacity(heads.len());
        for (id, channel, kind, state, attempts, next_at) in heads {
            let history = self.tries(&id).await?;
            let next_at = next_at.map(from_micros);
            all.push(Delivery { id, channel, kind, state, attempts, next_at, history });
        }
        Ok(all)
    }

    /// The attempts of one message, oldest first.
    pub async fn tries(&self, message: &str) -> Result<Vec<Try>> {
        type Row = (i64, Option<i64>, i64, String, String);
        let tries: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT at, status, ms, response, error FROM delivery_attempts WHERE delivery = $1 ORDER BY attempt LIMIT {TRIES}"
        )))
        .bind(message)
        .fetch_all(self.db.pool())
        .await?;
        let tried =
            |(at, status, ms, response, error)| Try { at: from_micros(at), status, ms, response, error };
        Ok(tries.into_iter().map(tried).collect())
    }
}

fn read(row: &SqliteRow) -> Result<Sent> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let title: Option<String> = row.try_get("title")?;
    Ok(Sent {
        id: text("id")?,
        channel: text("channel")?,
        kind: text("kind")?,
        state: text("state")?,
        alerts: match text("alert")?.is_empty() {
            true => 0,
            false => row.try_get::<i64, _>("members")?.max(1),
        },
        alert: text("alert")?,
        rule: row.try_get("rule")?,
        title: title.map(|text| serde_json::from_str(&text).unwrap_or_else(|_| Title::both(&text))),
        attempts: row.try_get("attempts")?,
        next_at: row.try_get::<Option<i64>, _>("next_at")?.map(from_micros),
        status: row.try_get("status")?,
        error: row.try_get::<Option<String>, _>("error")?.unwrap_or_default(),
        created_at: from_micros(row.try_get("created_at")?),
        updated_at: from_micros(row.try_get("updated_at")?),
    })
}
