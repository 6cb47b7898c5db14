//! From the outbox to the channel: claim → mute → hold → group → send → record.
//!
//! An effect is one step of one alert for one channel. Effects become messages before anything is sent:
//! the binding, the body and the id are written first, so that whatever happens to the process, the same
//! message goes out again under the same id. The record and the outbox's own state change in one
//! transaction.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use serde_json::json;
use store::{Claimed, Effect, Timestamp, Transaction, micros};

use crate::bind::{Bound, Rest};
use crate::channels::target;
use crate::error::Result;
use crate::pace::Pace;
use crate::spec::ChannelSpec;
use crate::webhook::{self, Attempt, Outcome};
use crate::{EFFECT_KIND, Rules};

/// Channels served at once; one channel takes its messages one after the other, in their order.
const CHANNELS_AT_ONCE: usize = 4;
/// Effects of one pass: enough that what waited for an hour is grouped.
const MOST: usize = 1_024;
/// Messages whose turn comes at once when a channel answers again.
const HASTENED: i64 = 100;

/// What a pass of delivering came to, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    pub accepted: usize,
    pub later: usize,
    pub dead: usize,
}

impl Rules {
    /// Delivers what is due, claiming `limit` effects at a time. A channel that fails is left alone for a
    /// while, so that an outage costs one attempt and not one for every waiting message.
    ///
    /// # Errors
    /// The metadata database cannot be read or written.
    pub async fn deliver(&self, channels: &BTreeMap<String, ChannelSpec>, limit: usize) -> Result<Delivered> {
        let mut queues: BTreeMap<String, Vec<Claimed>> = BTreeMap::new();
        let (mut total, limit) = (0, limit.max(1));
        while total < MOST {
            let claimed = self.outbox.claim(EFFECT_KIND, limit).await?;
            let count = claimed.len();
            total += count;
            for claimed in claimed {
                let channel = claimed.effect.payload["channel"].as_str().unwrap_or_default().to_owned();
                queues.entry(channel).or_default().push(claimed);
            }
            if count < limit {
                break;
            }
        }
        let passes: Vec<Result<Delivered>> = stream::iter(queues)
            .map(|(name, queue)| async move { self.serve(channels.get(&name), &name, queue).await })
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
        let Some(ChannelSpec::Webhook(hook)) = spec else {
            let why = format!("there is no channel `{name}` in guanlan.yaml");
            return self.give_up(&queue, name, &why).await;
        };
        // Which address it was: one that cannot be read now closes nothing.
        let target = hook.url.resolve(&self.base).map(|url| target(&url)).unwrap_or_default();
        if let Some(why) = self.closed(name, &target).await? {
            return self.give_up(&queue, name, &why).await;
        }
        let mut pass = Delivered::default();
        // While a channel rests, nothing is bound: what comes in the meantime shares a message later.
        let own_waits = hook.retry.is_some();
        let until = self.paced(name, |pace, now| pace.rests(now));
        let after_outage = self.paced(name, |pace, _| pace.is_failing());
        let (bound, held) = self.bind(name, queue, after_outage, Rest { until, own_waits }).await?;
        pass.later += held;
        let mut closed = false;
        for message in bound {
            if closed {
                // The next pass finds the channel closed and gives the rest up, with the reason.
                self.postpone(&message, self.clock.now()).await?;
                pass.later += 1;
                continue;
            }
            let its_turn = own_waits && message.attempts > 0;
            if let Err(until) =
                self.paced(name, |pace, now| if its_turn { pace.take_in_rest(now) } else { pace.take(now) })
            {
                self.postpone(&message, until).await?;
                pass.later += 1;
                continue;
            }
            let started = self.clock.now();
            let measured = Instant::now();
            let attempt =
                webhook::send(hook, &self.base, &self.outbound, &message.id, started, &message.body).await;
            // Counted from the moment at which someone had it sent again.
            let nth = (message.attempts + 1).saturating_sub(message.attempts_before);
            let wait = webhook::delay(hook, nth);
            let later = |wish| wait.map(|wait| self.due(wait, wish, own_waits));
            let (next, recovered) = match &attempt.outcome {
                Outcome::Later { after, .. } => {
                    let longest = wait.filter(|_| own_waits);
                    self.paced(name, |pace, now| pace.failed(now, &message.id, *after, longest));
                    (later(*after), false)
                }
                // The channel answers: whatever ails this message, others need not wait.
                Outcome::NotNow { .. } => (later(None), self.paced(name, |p, _| p.succeeded(&message.id))),
                Outcome::Accepted | Outcome::Refused { .. } => {
                    (None, self.paced(name, |pace, _| pace.succeeded(&message.id)))
                }
                Outcome::Gone { .. } => (None, false),
            };
            let took = measured.elapsed();
            let done = Done { took, name, attempt: &attempt, started, next, recovered, target: &target };
            match self.record(&message, &done).await? {
                State::Accepted => pass.accepted += 1,
                State::Waiting => pass.later += 1,
                State::Dead => pass.dead += 1,
            }
            if matches!(attempt.outcome, Outcome::Gone { .. }) {
                tracing::error!(channel.name = %name, "the channel is closed: its receiver answered 410");
                closed = true;
            }
        }
        Ok(pass)
    }

    /// The schedule's delay or the receiver's wish, whichever is longer. The specification's delays get up to a
    /// tenth more, so that messages do not come back in step; waits of the site's own are followed as written.
    fn due(&self, delay: Duration, wish: Option<Duration>, as_written: bool) -> Timestamp {
        let mut random = [0u8; 1];
        if !as_written {
            self.clock.fill(&mut random);
        }
        let delay = delay.max(wish.unwrap_or_default());
        self.clock.now() + delay.mul_f64(1.0 + f64::from(random[0]) / 2560.0)
    }

    fn paced<T>(&self, channel: &str, work: impl FnOnce(&mut Pace, Timestamp) -> T) -> T {
        let now = self.clock.now();
        // Every step leaves a pace consistent, so one that a panic interrupted elsewhere is still good.
        let mut paces = self.paces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        work(paces.entry(channel.to_owned()).or_insert_with(|| Pace::new(now)), now)
    }

    /// Whether a channel is left alone at the moment.
    pub(crate) fn rests(&self, channel: &str, now: Timestamp) -> bool {
        let paces = self.paces.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        paces.get(channel).is_some_and(|pace| pace.rests(now).is_some())
    }

    /// Someone says that a channel takes messages again.
    pub(crate) fn wake_channel(&self, channel: &str) {
        self.paces.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(channel);
    }

    /// Why a channel takes nothing any more; another address opens it again.
    async fn closed(&self, channel: &str, target: &str) -> Result<Option<String>> {
        let found: Option<(String,)> =
            sqlx::query_as("SELECT reason FROM closed_channels WHERE channel = $1 AND target = $2")
                .bind(channel)
                .bind(target)
                .fetch_optional(self.db.pool())
                .await?;
        Ok(found.map(|(reason,)| reason))
    }

    /// Puts a bound message back without an attempt.
    async fn postpone(&self, message: &Bound, until: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        self.outbox.later(&mut tx, &message.carrier, until, "the channel is left alone for a while").await?;
        sqlx::query("UPDATE deliveries SET next_at = $1, updated_at = $2 WHERE message = $3")
            .bind(micros(until))
            .bind(micros(self.clock.now()))
            .bind(&message.id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    async fn record(&self, message: &Bound, done: &Done<'_>) -> Result<State> {
        let now = self.clock.now();
        let (mut state, error) = match (&done.attempt.outcome, done.next) {
            (Outcome::Accepted, _) => (State::Accepted, ""),
            (Outcome::Later { error, .. } | Outcome::NotNow { error }, Some(_)) => {
                (State::Waiting, error.as_str())
            }
            (
                Outcome::Later { error, .. }
                | Outcome::NotNow { error }
                | Outcome::Refused { error }
                | Outcome::Gone { error },
                _,
            ) => (State::Dead, error.as_str()),
        };
        let attempt = message.attempts + 1;
        let mut tx = self.db.begin().await?;
        sqlx::query("UPDATE messages SET attempts = $1 WHERE id = $2")
            .bind(i64::from(attempt))
            .bind(&message.id)
            .execute(&mut *tx)
            .await?;
        let mut next = done.next;
        let refused = matches!(done.attempt.outcome, Outcome::Refused { .. });
        if refused && self.split(&mut tx, done.name, &message.id).await? {
            (state, next) = (State::Waiting, Some(now));
        }
        self.close_effects(&mut tx, message, state, next, error).await?;
        sqlx::query(
            "UPDATE deliveries SET state = $1, attempts = $2, next_at = $3, updated_at = $4, error = $5 \
             WHERE message = $6",
        )
        .bind(state.as_str())
        .bind(i64::from(attempt))
        .bind(next.map(micros))
        .bind(micros(now))
        .bind(error)
        .bind(&message.id)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO delivery_attempts (delivery, attempt, at, status, ms, response, error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery, attempt) DO NOTHING",
        )
        .bind(&message.id)
        .bind(i64::from(attempt))
        .bind(micros(done.started))
        .bind(done.attempt.status.map(i64::from))
        .bind(i64::try_from(done.took.as_millis()).unwrap_or(i64::MAX))
        .bind(&done.attempt.response)
        .bind(error)
        .execute(&mut *tx)
        .await?;
        if state == State::Accepted {
            self.release_ends(&mut tx, &message.id).await?;
        }
        if matches!(done.attempt.outcome, Outcome::Gone { .. }) {
            self.close(&mut tx, done, error).await?;
        }
        if done.recovered {
            self.hasten(&mut tx, done.name, &message.id).await?;
        }
        tx.commit().await?;
        if state == State::Dead {
            tracing::error!(channel.name = %done.name, delivery.id = %message.id, error = %error,
                "a message is given up; see `guanlan delivery list --state dead`");
        }
        Ok(state)
    }

    /// The outbox's side of an attempt. A message that was hastened is carried by an effect of its own.
    async fn close_effects(
        &self,
        tx: &mut Transaction,
        message: &Bound,
        state: State,
        next: Option<Timestamp>,
        error: &str,
    ) -> Result<()> {
        let hastened = message.carrier != message.id;
        match (state, next) {
            (State::Waiting, Some(due)) if !hastened => {
                self.outbox.later(tx, &message.id, due, error).await?
            }
            // Its own turn on the schedule still stands.
            (State::Waiting, _) => self.outbox.done(tx, &message.carrier).await?,
            (State::Accepted, _) => {
                self.outbox.done(tx, &message.id).await?;
                if hastened {
                    self.outbox.done(tx, &message.carrier).await?;
                }
            }
            (State::Dead, _) => {
                self.outbox.dead(tx, &message.id, error).await?;
                if hastened {
                    self.outbox.done(tx, &message.carrier).await?;
                }
            }
        }
        Ok(())
    }

    /// The beginning of these alerts is told: what waited for that, their ends, need not wait longer.
    async fn release_ends(&self, tx: &mut Transaction, message: &str) -> Result<()> {
        let ends: Vec<(String,)> = sqlx::query_as(
            "SELECT e.id FROM deliveries e JOIN deliveries b ON b.alert = e.alert AND b.channel = e.channel \
             WHERE b.message = $1 AND e.state = 'waiting' AND e.message IS NULL",
        )
        .bind(message)
        .fetch_all(&mut **tx)
        .await?;
        for (id,) in ends {
            self.outbox.advance(tx, &id, self.clock.now()).await?;
        }
        Ok(())
    }

    async fn close(&self, tx: &mut Transaction, done: &Done<'_>, reason: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO closed_channels (channel, target, closed_at, reason) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (channel) DO UPDATE SET target = excluded.target, closed_at = excluded.closed_at, \
               reason = excluded.reason",
        )
        .bind(done.name)
        .bind(done.target)
        .bind(micros(self.clock.now()))
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// A channel answers again: what waits for a late turn on the schedule is sent now.
    async fn hasten(&self, tx: &mut Transaction, channel: &str, except: &str) -> Result<()> {
        let now = self.clock.now();
        let waiting: Vec<(String, i64)> = sqlx::query_as(
            "SELECT m.id, m.attempts FROM messages m WHERE m.channel = $1 AND m.id <> $2 AND EXISTS \
               (SELECT 1 FROM deliveries d WHERE d.message = m.id AND d.state = 'waiting') \
             ORDER BY m.created_at, m.id LIMIT $3",
        )
        .bind(channel)
        .bind(except)
        .bind(HASTENED)
        .fetch_all(&mut **tx)
        .await?;
        for (message, attempts) in waiting {
            let id = format!("{message}-again{attempts}");
            let payload = json!({"channel": channel, "message": message});
            self.outbox.put(tx, &Effect { id, kind: EFFECT_KIND.to_owned(), payload, due: now }).await?;
        }
        Ok(())
    }
}

/// One attempt and what follows from it.
struct Done<'a> {
    /// Real time, also where the clock runs fast: it tells of the receiver.
    took: Duration,
    name: &'a str,
    attempt: &'a Attempt,
    started: Timestamp,
    next: Option<Timestamp>,
    recovered: bool,
    target: &'a str,
}

/// What an attempt makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Accepted,
    Waiting,
    Dead,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::Waiting => "waiting",
            State::Dead => "dead",
        }
    }
}

#[cfg(test)]
mod tests;
