//! What an episode's steps write: its row, its timeline, and what is to be told, in the caller's
//! transaction.

use std::collections::HashMap;

use serde_json::json;
use store::{Effect, Timestamp, Transaction, from_micros, micros, new_id};

use crate::episode::{Ending, Episode, State, Transition};
use crate::error::Result;
use crate::evaluate::Pass;
use crate::history::Message;
use crate::judge::{Reading, Verdict};
use crate::observe::{Labels, Observation};
use crate::spec::RuleSpec;
use crate::template::{Filling, fill};
use crate::{AlertChanged, EFFECT_KIND, Rules};

/// An open alert as the database has it.
pub(crate) struct Open {
    pub(crate) episode: Episode,
    pub(crate) labels: Labels,
}

impl Rules {
    pub(crate) async fn write(
        &self,
        tx: &mut Transaction,
        write: &Write<'_>,
        before: Option<&Episode>,
        after: Option<&Episode>,
        transition: Option<Transition>,
    ) -> Result<Option<AlertChanged>> {
        match (transition, after, before) {
            (Some(Transition::Dropped), _, Some(before)) => {
                for sql in ["DELETE FROM alert_events WHERE alert = $1", "DELETE FROM alerts WHERE id = $1"] {
                    sqlx::query(sql).bind(&before.id).execute(&mut **tx).await?;
                }
                Ok(None)
            }
            (Some(Transition::Started(reading)), Some(episode), _) => {
                self.insert(tx, write, episode, &reading).await?;
                self.event(tx, &episode.id, write.now, "pending", "").await?;
                Ok(None)
            }
            (Some(Transition::Fired(reading)), Some(episode), _) => {
                let said = self.insert(tx, write, episode, &reading).await?;
                self.event(tx, &episode.id, write.now, "firing", "").await?;
                self.tell(tx, write, episode, &said).await?;
                Ok(Some(changed(write, episode, &said)))
            }
            (Some(Transition::Resolved(ending)), Some(episode), _) => {
                let note = match ending {
                    Ending::Recovered => "",
                    Ending::Unknown => "nothing has been known of the series for days",
                };
                let said = self.resolve(tx, episode, write.now, note).await?;
                self.tell(tx, write, episode, &said).await?;
                Ok(Some(changed(write, episode, &said)))
            }
            (_, Some(episode), _) => {
                self.keep(tx, episode, write).await?;
                Ok(None)
            }
            (_, None, _) => Ok(None),
        }
    }

    /// An episode that goes on: what is known of it now.
    async fn keep(&self, tx: &mut Transaction, episode: &Episode, write: &Write<'_>) -> Result<()> {
        sqlx::query("UPDATE alerts SET held_at = $1, known_at = $2 WHERE id = $3")
            .bind(micros(episode.last_held))
            .bind(micros(episode.last_known))
            .bind(&episode.id)
            .execute(&mut **tx)
            .await?;
        if let Verdict::Outside(reading) = write.seen.verdict {
            sqlx::query("UPDATE alerts SET value = $1, low = $2, high = $3 WHERE id = $4")
                .bind(reading.value)
                .bind(reading.low)
                .bind(reading.high)
                .bind(&episode.id)
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }

    async fn insert(
        &self,
        tx: &mut Transaction,
        write: &Write<'_>,
        episode: &Episode,
        reading: &Reading,
    ) -> Result<Said> {
        let labels = write.labels();
        let (spec, seen) = (write.spec, write.seen);
        let filling = Filling { reading, unit: seen.evidence.unit, labels: &labels, columns: &seen.columns };
        let message = Message::from(fill(&spec.annotations, &spec.title, &filling));
        sqlx::query(
            "INSERT INTO alerts (id, rule, series, state, severity, title, labels, message, evidence, value, low, high, \
               started_at, fired_at, held_at, known_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message, \
               evidence = excluded.evidence, value = excluded.value, low = excluded.low, high = excluded.high, \
               fired_at = excluded.fired_at, held_at = excluded.held_at, known_at = excluded.known_at",
        )
        .bind(&episode.id)
        .bind(write.rule)
        .bind(write.series)
        .bind(episode.state.as_str())
        .bind(spec.severity.as_str())
        .bind(json!(spec.title).to_string())
        .bind(json!(labels).to_string())
        .bind(json!(message).to_string())
        .bind(json!(seen.evidence).to_string())
        .bind(reading.value)
        .bind(reading.low)
        .bind(reading.high)
        .bind(micros(episode.started_at))
        .bind(episode.fired_at.map(micros))
        .bind(micros(episode.last_held))
        .bind(micros(episode.last_known))
        .execute(&mut **tx)
        .await?;
        Ok(Said { message, value: reading.value, low: reading.low, high: reading.high })
    }

    pub(crate) async fn resolve(
        &self,
        tx: &mut Transaction,
        episode: &Episode,
        now: Timestamp,
        note: &str,
    ) -> Result<Said> {
        type Row = (String, Option<f64>, Option<f64>, Option<f64>);
        let (message, value, low, high): Row = sqlx::query_as(
            "UPDATE alerts SET state = $1, resolved_at = $2 WHERE id = $3 RETURNING message, value, low, high",
        )
        .bind(State::Resolved.as_str())
        .bind(micros(now))
        .bind(&episode.id)
        .fetch_one(&mut **tx)
        .await?;
        self.event(tx, &episode.id, now, State::Resolved.as_str(), note).await?;
        Ok(Said { message: serde_json::from_str(&message).unwrap_or_default(), value, low, high })
    }

    pub(crate) async fn event(
        &self,
        tx: &mut Transaction,
        alert: &str,
        at: Timestamp,
        state: &str,
        note: &str,
    ) -> Result<()> {
        sqlx::query("INSERT INTO alert_events (id, alert, at, state, note) VALUES ($1, $2, $3, $4, $5)")
            .bind(new_id(&*self.clock))
            .bind(alert)
            .bind(micros(at))
            .bind(state)
            .bind(note)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Records one effect a channel, under an id that this step of this episode always has. No dot in it:
    /// the signature of a webhook separates its parts by dots.
    async fn tell(
        &self,
        tx: &mut Transaction,
        write: &Write<'_>,
        episode: &Episode,
        said: &Said,
    ) -> Result<()> {
        let (now, state) = (write.now, episode.state.as_str());
        for channel in &write.spec.notify {
            let id = format!("{}-{state}-{channel}", episode.id);
            let payload = json!({
                "channel": channel, "alert": episode.id, "rule": write.rule,
                "type": format!("alert.{state}"), "timestamp": now,
                "data": {
                    "id": episode.id, "rule": write.rule, "title": write.spec.title, "state": state,
                    "severity": write.spec.severity, "labels": write.labels(),
                    "value": said.value, "low": said.low, "high": said.high, "unit": write.seen.evidence.unit,
                    "summary": said.message.summary, "description": said.message.description,
                    "action": said.message.action, "started_at": episode.started_at,
                    "fired_at": episode.fired_at, "resolved_at": episode.resolved_at,
                },
            });
            sqlx::query(
                "INSERT INTO deliveries (id, alert, channel, kind, state, attempts, next_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $5, $5) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&id)
            .bind(&episode.id)
            .bind(channel)
            .bind(format!("alert.{state}"))
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
            let effect = Effect { id, kind: EFFECT_KIND.to_owned(), payload, due: now };
            self.outbox.put(tx, &effect).await?;
        }
        Ok(())
    }

    /// Pending and firing alerts by rule and series.
    pub(crate) async fn open_alerts(&self) -> Result<HashMap<String, HashMap<String, Open>>> {
        type Row = (String, String, String, String, String, i64, Option<i64>, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, rule, series, state, labels, started_at, fired_at, held_at, known_at FROM alerts \
             WHERE state IN ('pending', 'firing')",
        )
        .fetch_all(self.db.pool())
        .await?;
        let mut open: HashMap<String, HashMap<String, Open>> = HashMap::new();
        for (id, rule, series, state, labels, started, fired, held, known) in rows {
            let episode = Episode {
                id,
                state: if state == State::Firing.as_str() { State::Firing } else { State::Pending },
                started_at: from_micros(started),
                fired_at: fired.map(from_micros),
                resolved_at: None,
                last_held: from_micros(held),
                last_known: from_micros(known),
            };
            let labels =
                serde_json::from_str(&series).or_else(|_| serde_json::from_str(&labels)).unwrap_or_default();
            open.entry(rule).or_default().insert(series, Open { episode, labels });
        }
        Ok(open)
    }

    pub(crate) async fn remember(&self, pass: &Pass, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for rule in &pass.rules {
            sqlx::query(
                "INSERT INTO rule_states (rule, evaluated_at, error) VALUES ($1, $2, $3) \
                 ON CONFLICT (rule) DO UPDATE SET evaluated_at = excluded.evaluated_at, error = excluded.error",
            )
            .bind(&rule.rule)
            .bind(micros(now))
            .bind(&rule.error)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// What one step of one series stands on.
pub(crate) struct Write<'a> {
    pub(crate) rule: &'a str,
    pub(crate) spec: &'a RuleSpec,
    pub(crate) series: &'a str,
    pub(crate) seen: &'a Observation,
    pub(crate) now: Timestamp,
}

/// What an alert says, as it is kept.
pub(crate) struct Said {
    message: Message,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

impl Write<'_> {
    /// Those of the series and those of the rule.
    fn labels(&self) -> Labels {
        let mut labels = self.seen.labels.clone();
        labels.extend(self.spec.labels.clone());
        labels
    }
}

fn changed(write: &Write<'_>, episode: &Episode, said: &Said) -> AlertChanged {
    AlertChanged {
        id: episode.id.clone(),
        rule: write.rule.to_owned(),
        state: episode.state,
        severity: write.spec.severity,
        summary: said.message.summary.clone(),
    }
}
