//! From the outbox to the channel: claim → mute → send → record. The record and the outbox's own state
//! change in one transaction; a kill before it sends the same message again under the same id.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use store::{Claimed, Timestamp, micros};

use crate::error::Result;
use crate::spec::ChannelSpec;
use crate::webhook::{self, Attempt, Outcome};
use crate::{EFFECT_KIND, Rules};

/// Channels served at once; one channel takes its messages one after the other, in their order.
const CHANNELS_AT_ONCE: usize = 4;

/// What a pass of delivering came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    pub accepted: usize,
    pub later: usize,
    pub dead: usize,
}

impl Rules {
    /// Delivers what is due, at most `limit` messages. A channel that fails is left alone for the rest of
    /// the pass, so that an outage costs one attempt and not one for every waiting message.
    ///
    /// # Errors
    /// The metadata database cannot be read or written.
    pub async fn deliver(&self, channels: &BTreeMap<String, ChannelSpec>, limit: usize) -> Result<Delivered> {
        let mut queues: BTreeMap<String, Vec<Claimed>> = BTreeMap::new();
        for claimed in self.outbox.claim(EFFECT_KIND, limit).await? {
            let channel = claimed.effect.payload["channel"].as_str().unwrap_or_default().to_owned();
            queues.entry(channel).or_default().push(claimed);
        }
        let passes: Vec<Result<Delivered>> = stream::iter(queues)
            .map(|(channel, queue)| async move { self.serve(channels.get(&channel), &channel, queue).await })
            .buffer_unordered(CHANNELS_AT_ONCE)
            .collect()
            .await;
        let mut all = Delivered::default();
        for pass in passes {
            let pass = pass?;
            all.accepted += pass.accepted;
            all.later += pass.later;
            all.dead += pass.dead;
        }
        Ok(all)
    }

    async fn serve(&self, spec: Option<&ChannelSpec>, name: &str, queue: Vec<Claimed>) -> Result<Delivered> {
        let mut pass = Delivered::default();
        let mut down: Option<(Timestamp, String)> = None;
        let acked = self.acked(&queue).await?;
        for claimed in queue {
            let started = self.clock.now();
            if let Some((until, why)) = &down {
                self.postpone(&claimed, *until, why).await?;
                pass.later += 1;
                continue;
            }
            let attempt = match spec {
                // Someone already looks after it: saying that it fires would only disturb.
                _ if acked.contains(&claimed.effect.id) => Attempt {
                    status: None,
                    response: "not sent: the alert was acknowledged before".into(),
                    outcome: Outcome::Accepted,
                },
                Some(ChannelSpec::Webhook(hook)) => {
                    let message = message(&claimed.effect.payload);
                    webhook::send(hook, &self.base, &self.outbound, &claimed.effect.id, started, &message).await
                }
                None => Attempt {
                    status: None,
                    response: String::new(),
                    outcome: Outcome::Never { error: format!("no channel `{name}` in guanlan.yaml") },
                },
            };
            let next = match &attempt.outcome {
                Outcome::Later { after, .. } => self.next(spec, claimed.attempt, *after),
                Outcome::Accepted | Outcome::Never { .. } => None,
            };
            if let (Outcome::Later { error, .. }, Some(due)) = (&attempt.outcome, next) {
                down = Some((due, error.clone()));
            }
            self.record(&claimed, name, &attempt, started, next).await?;
            match (&attempt.outcome, next) {
                (Outcome::Accepted, _) => pass.accepted += 1,
                (Outcome::Later { .. }, Some(_)) => pass.later += 1,
                _ => pass.dead += 1,
            }
        }
        Ok(pass)
    }

    /// When the next attempt is due: the schedule's delay or the receiver's wish, whichever is later,
    /// with up to a tenth more so that messages do not come back in step. `None`: no more attempts.
    fn next(&self, spec: Option<&ChannelSpec>, attempt: u32, wish: Option<Duration>) -> Option<Timestamp> {
        let ChannelSpec::Webhook(hook) = spec?;
        let delay = webhook::delay(hook, attempt)?.max(wish.unwrap_or_default());
        let mut random = [0u8; 1];
        self.clock.fill(&mut random);
        Some(self.clock.now() + delay.mul_f64(1.0 + f64::from(random[0]) / 2560.0))
    }

    async fn acked(&self, queue: &[Claimed]) -> Result<HashSet<String>> {
        let mut acked = HashSet::new();
        for claimed in queue.iter().filter(|c| c.effect.payload["type"] == "alert.firing") {
            let found: Option<(i64,)> =
                sqlx::query_as("SELECT 1 FROM alerts WHERE id = $1 AND acked_at IS NOT NULL")
                    .bind(claimed.effect.payload["alert"].as_str().unwrap_or_default())
                    .fetch_optional(self.db.pool())
                    .await?;
            if found.is_some() {
                acked.insert(claimed.effect.id.clone());
            }
        }
        Ok(acked)
    }

    /// Puts a message back without an attempt of its own.
    async fn postpone(&self, claimed: &Claimed, until: Timestamp, why: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        self.outbox.later(&mut tx, &claimed.effect.id, until, why).await?;
        sqlx::query("UPDATE deliveries SET next_at = $1, updated_at = $2 WHERE id = $3")
            .bind(micros(until))
            .bind(micros(self.clock.now()))
            .bind(&claimed.effect.id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn record(
        &self,
        claimed: &Claimed,
        channel: &str,
        attempt: &Attempt,
        started: Timestamp,
        next: Option<Timestamp>,
    ) -> Result<()> {
        let id = &claimed.effect.id;
        let now = self.clock.now();
        let (state, error) = match (&attempt.outcome, next) {
            (Outcome::Accepted, _) => ("accepted", ""),
            (Outcome::Later { error, .. }, Some(_)) => ("waiting", error.as_str()),
            (Outcome::Later { error, .. }, None) | (Outcome::Never { error }, _) => ("dead", error.as_str()),
        };
        let mut tx = self.db.begin().await?;
        match (state, next) {
            ("accepted", _) => self.outbox.done(&mut tx, id).await?,
            ("waiting", Some(due)) => self.outbox.later(&mut tx, id, due, error).await?,
            _ => self.outbox.dead(&mut tx, id, error).await?,
        }
        sqlx::query(
            "UPDATE deliveries SET state = $1, attempts = attempts + 1, next_at = $2, updated_at = $3 WHERE id = $4",
        )
        .bind(state)
        .bind(next.filter(|_| state == "waiting").map(micros))
        .bind(micros(now))
        .bind(id)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO delivery_attempts (delivery, attempt, at, status, ms, response, error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery, attempt) DO NOTHING",
        )
        .bind(id)
        .bind(i64::from(claimed.attempt))
        .bind(micros(started))
        .bind(attempt.status.map(i64::from))
        .bind((now - started).num_milliseconds())
        .bind(&attempt.response)
        .bind(error)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if state == "dead" {
            tracing::error!(channel.name = %channel, delivery.id = %id, error = %error, "a message is given up; see system.deliveries");
        }
        Ok(())
    }
}

/// What goes over the wire: our own bookkeeping stays here.
fn message(payload: &Value) -> Value {
    json!({"type": payload["type"], "timestamp": payload["timestamp"], "data": payload["data"]})
}
