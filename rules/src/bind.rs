//! Effects become messages: mute → hold → group, decided once and written before anything is sent.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;
use store::{Claimed, Timestamp, Transaction, from_micros, micros};

use crate::Rules;
use crate::deliver::Delivered;
use crate::error::Result;
use crate::message::{self, Part};

/// A message with its final body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bound {
    /// The `webhook-id`: the id of the first effect in it, on every attempt.
    pub(crate) id: String,
    /// The outbox effect that brought it up this time.
    pub(crate) carrier: String,
    pub(crate) body: String,
    /// Attempts made so far.
    pub(crate) attempts: u32,
    /// Those of them that were made before someone had it sent again: its schedule began anew then.
    pub(crate) attempts_before: u32,
}

/// How a channel's rest is kept while effects become messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) until: Option<Timestamp>,
    /// Messages follow waits of their own, whether the channel rests or not; only new ones wait.
    pub(crate) own_waits: bool,
}

/// What becomes of a claimed effect.
enum Fate {
    /// It is a message already, or brings one up again.
    Bound(Bound),
    /// Nobody needs to hear of it, or it was told already.
    Over,
    /// Its turn comes later.
    Held(Timestamp),
    /// It may share a message with others of this rule and type.
    Free(String, String),
}

impl Rules {
    /// The messages that a channel's claimed effects make, in their order, and how many effects wait.
    /// `rest` holds back what is not under way; `after_outage` groups whatever can be grouped. What failed most
    /// often comes last.
    pub(crate) async fn bind(
        &self,
        channel: &str,
        queue: Vec<Claimed>,
        after_outage: bool,
        rest: Rest,
    ) -> Result<(Vec<Bound>, usize)> {
        let mut tx = self.db.begin().await?;
        let mut bound: Vec<Bound> = Vec::new();
        let mut held = 0;
        let mut free: BTreeMap<(String, String), Vec<Claimed>> = BTreeMap::new();
        for claimed in queue {
            let fate = match rest.until {
                Some(until) if !rest.own_waits => Fate::Held(until),
                Some(until) => match self.fate(&mut tx, channel, &claimed).await? {
                    Fate::Free(..) => Fate::Held(until),
                    fate => fate,
                },
                None => self.fate(&mut tx, channel, &claimed).await?,
            };
            let id = &claimed.effect.id;
            match fate {
                Fate::Bound(message) if bound.iter().any(|b| b.id == message.id) => {
                    // Its turn on the schedule and its hastened turn came together: one attempt serves both.
                    self.outbox.later(&mut tx, id, self.clock.now() + TimeDelta::seconds(5), "").await?;
                }
                Fate::Bound(message) => bound.push(message),
                Fate::Over => self.outbox.done(&mut tx, id).await?,
                Fate::Held(until) => {
                    self.hold(&mut tx, id, until).await?;
                    held += 1;
                }
                Fate::Free(rule, kind) => free.entry((rule, kind)).or_default().push(claimed),
            }
        }
        for group in free.into_values() {
            if message::is_digest(group.len(), after_outage) {
                bound.extend(self.digests(&mut tx, channel, &group).await?);
            } else {
                for one in group {
                    bound.push(self.merge(&mut tx, channel, &[one], None).await?);
                }
            }
        }
        tx.commit().await?;
        bound.sort_by_key(|message| message.attempts);
        Ok((bound, held))
    }

    async fn hold(&self, tx: &mut Transaction, id: &str, until: Timestamp) -> Result<()> {
        self.outbox.later(tx, id, until, "waits for its turn").await?;
        sqlx::query(
            "UPDATE deliveries SET next_at = $1 WHERE (id = $2 OR message = $2) AND state = 'waiting'",
        )
        .bind(micros(until))
        .bind(id)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn fate(&self, tx: &mut Transaction, channel: &str, claimed: &Claimed) -> Result<Fate> {
        let payload = &claimed.effect.payload;
        let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
        // A message that is sent again names itself; any other effect may have become one.
        let id = payload["message"].as_str().unwrap_or(&claimed.effect.id);
        let message: Option<(String, i64, i64, Option<String>)> = sqlx::query_as(
            "SELECT body, attempts, attempts_before, \
               (SELECT state FROM deliveries WHERE message = m.id LIMIT 1) FROM messages m WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
        if let Some((body, attempts, before, state)) = message {
            if state.as_deref() != Some("waiting") {
                return Ok(Fate::Over);
            }
            let (id, carrier) = (id.to_owned(), claimed.effect.id.clone());
            let (attempts, attempts_before) = (attempts as u32, before as u32);
            return Ok(Fate::Bound(Bound { id, carrier, body, attempts, attempts_before }));
        }
        let state: Option<(String,)> = sqlx::query_as("SELECT state FROM deliveries WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut **tx)
            .await?;
        if state.is_none_or(|(state,)| state != "waiting") {
            return Ok(Fate::Over);
        }
        let kind = text("type");
        if let Some(fate) = self.muted(tx, channel, &claimed.effect.id, &text("alert"), &kind).await? {
            return Ok(fate);
        }
        Ok(Fate::Free(text("rule"), kind))
    }

    /// An alert that someone already looks after is not announced, nor is the end of one that was not
    /// announced. The end of one whose announcement still waits, waits for it.
    async fn muted(
        &self,
        tx: &mut Transaction,
        channel: &str,
        id: &str,
        alert: &str,
        kind: &str,
    ) -> Result<Option<Fate>> {
        let quiet = if kind == "alert.firing" {
            let acked: Option<(i64,)> =
                sqlx::query_as("SELECT 1 FROM alerts WHERE id = $1 AND acked_at IS NOT NULL")
                    .bind(alert)
                    .fetch_optional(&mut **tx)
                    .await?;
            acked.map(|_| "the alert was acknowledged before")
        } else {
            let announced: Option<(String, Option<i64>)> = sqlx::query_as(
                "SELECT state, next_at FROM deliveries WHERE alert = $1 AND channel = $2 AND kind = 'alert.firing'",
            )
            .bind(alert)
            .bind(channel)
            .fetch_optional(&mut **tx)
            .await?;
            match announced {
                Some((state, next)) if state == "waiting" => {
                    let soon = self.clock.now() + TimeDelta::seconds(1);
                    let after = next.map(|next| from_micros(next) + TimeDelta::seconds(1));
                    return Ok(Some(Fate::Held(after.map_or(soon, |after| after.max(soon)))));
                }
                Some((state, _)) if state != "muted" => None,
                _ => Some("the alert was never announced here"),
            }
        };
        let Some(why) = quiet else { return Ok(None) };
        sqlx::query("UPDATE deliveries SET state = 'muted', next_at = NULL, updated_at = $1, error = $2 WHERE id = $3")
            .bind(micros(self.clock.now()))
            .bind(why)
            .bind(id)
            .execute(&mut **tx)
            .await?;
        Ok(Some(Fate::Over))
    }

    /// Messages that together list every effect of a group.
    async fn digests(&self, tx: &mut Transaction, channel: &str, group: &[Claimed]) -> Result<Vec<Bound>> {
        let payloads: Vec<&Value> = group.iter().map(|c| &c.effect.payload).collect();
        let counts = message::parts(&payloads);
        let mut rest = group;
        let mut bound = Vec::with_capacity(counts.len());
        for (at, count) in counts.iter().enumerate() {
            let (now, later) = rest.split_at((*count).min(rest.len()));
            rest = later;
            let part = Part { part: at + 1, parts: counts.len(), total: group.len() };
            bound.push(self.merge(tx, channel, now, Some(part)).await?);
        }
        Ok(bound)
    }

    /// Makes one message of effects of one rule and type, at least one. The first carries it in the outbox; the
    /// others have done their part.
    async fn merge(
        &self,
        tx: &mut Transaction,
        channel: &str,
        group: &[Claimed],
        part: Option<Part>,
    ) -> Result<Bound> {
        let payloads: Vec<&Value> = group.iter().map(|c| &c.effect.payload).collect();
        let (id, body) = (group[0].effect.id.clone(), message::body(&payloads, part));
        self.put_message(tx, channel, &id, &body).await?;
        for (at, claimed) in group.iter().enumerate() {
            sqlx::query("UPDATE deliveries SET message = $1 WHERE id = $2")
                .bind(&id)
                .bind(&claimed.effect.id)
                .execute(&mut **tx)
                .await?;
            if at > 0 {
                self.outbox.done(tx, &claimed.effect.id).await?;
            }
        }
        Ok(Bound { carrier: id.clone(), id, body, attempts: 0, attempts_before: 0 })
    }

    /// Writes the body of a message, before it is ever sent.
    pub(crate) async fn put_message(
        &self,
        tx: &mut Transaction,
        channel: &str,
        id: &str,
        body: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO messages (id, channel, body, attempts, created_at) VALUES ($1, $2, $3, 0, $4) \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body",
        )
        .bind(id)
        .bind(channel)
        .bind(body)
        .bind(micros(self.clock.now()))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Takes a digest apart that its receiver refuses: one alert that it does not take must not keep the others
    /// from it. A few alerts go on their own, more in halves. False for a message of one alert, which is itself
    /// what is refused.
    pub(crate) async fn split(&self, tx: &mut Transaction, channel: &str, message: &str) -> Result<bool> {
        let members: Vec<(String,)> =
            sqlx::query_as("SELECT id FROM deliveries WHERE message = $1 ORDER BY id <> $1, created_at, id")
                .bind(message)
                .fetch_all(&mut **tx)
                .await?;
        if members.len() < 2 {
            return Ok(false);
        }
        let now = self.clock.now();
        let each = if members.len() <= message::SINGLES { 1 } else { members.len().div_ceil(2) };
        for part in members.chunks(each) {
            let mut payloads = Vec::with_capacity(part.len());
            for (id,) in part {
                payloads.extend(self.outbox.payload(tx, id).await?);
            }
            let Some((id,)) = part.first() else { continue };
            let body = message::body(&payloads.iter().collect::<Vec<_>>(), None);
            self.put_message(tx, channel, id, &body).await?;
            for (member,) in part {
                sqlx::query("UPDATE deliveries SET message = $1, next_at = $2 WHERE id = $3")
                    .bind(id)
                    .bind(micros(now))
                    .bind(member)
                    .execute(&mut **tx)
                    .await?;
            }
            self.outbox.revive(tx, id, now).await?;
        }
        // The first part goes on under the old id, with the waits of a new message.
        sqlx::query("UPDATE messages SET attempts_before = attempts WHERE id = $1")
            .bind(message)
            .execute(&mut **tx)
            .await?;
        Ok(true)
    }

    /// Nothing of this can ever be sent: said in the log and kept for people to see.
    pub(crate) async fn give_up(&self, queue: &[Claimed], channel: &str, why: &str) -> Result<Delivered> {
        let mut tx = self.db.begin().await?;
        for claimed in queue {
            let id = claimed.effect.payload["message"].as_str().unwrap_or(&claimed.effect.id);
            self.outbox.dead(&mut tx, &claimed.effect.id, why).await?;
            sqlx::query(
                "UPDATE deliveries SET state = 'dead', next_at = NULL, updated_at = $1, error = $2 \
                 WHERE (id = $3 OR message = $3) AND state = 'waiting'",
            )
            .bind(micros(self.clock.now()))
            .bind(why)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        tracing::error!(channel.name = %channel, messages = queue.len(), error = %why, "messages are given up; see system.deliveries");
        Ok(Delivered { dead: queue.len(), ..Delivered::default() })
    }
}
