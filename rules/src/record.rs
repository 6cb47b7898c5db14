//! What an episode's steps write: its row, its timeline, and what is to be told, in the caller's
//! transaction.

use std::collections::HashMap;

use serde_json::json;
use store::{Timestamp, Transaction, from_micros, micros, new_id};
use warehouse::Title;

use crate::episode::{Ending, Episode, State, Transition};
use crate::error::Result;
use crate::history::Message;
use crate::judge::{Reading, Verdict};
use crate::names::Labels;
use crate::observe::{Evidence, Observation};
use crate::reason::reason;
use crate::spec::RuleSpec;
use crate::tell::Telling;
use crate::template::{Filling, fill};
use crate::{AlertChanged, Rules};

/// An open alert as the database has it.
pub(crate) struct Open {
    pub(crate) episode: Episode,
    pub(crate) labels: Labels,
}

/// How an alert ends: why, with which value, and the rule's own words for it.
pub(crate) struct End<'r> {
    pub ending: Ending,
    pub reading: &'r Reading,
    pub message: Option<Message>,
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
                self.forget(tx, &before.id).await?;
                Ok(None)
            }
            (Some(Transition::Started(reading)), Some(episode), _) => {
                self.insert(tx, write, episode, &reading).await?;
                self.event(tx, &episode.id, write.now, "pending", "").await?;
                Ok(None)
            }
            (Some(Transition::Fired(reading)), Some(episode), _) => {
                let message = self.insert(tx, write, episode, &reading).await?;
                self.event(tx, &episode.id, write.now, "firing", "").await?;
                let telling = Telling::fired(write, episode, &reading, message);
                self.tell(tx, &telling, &write.spec.notify).await?;
                Ok(Some(telling.changed()))
            }
            (Some(Transition::Resolved(ending, reading)), Some(episode), _) => {
                // Without a value there is nothing to say anew: what was said when it fired stands.
                let message = reading.value.map(|_| write.message(&reading));
                self.end(tx, &episode.id, End { ending, reading: &reading, message }, write.now)
                    .await
                    .map(Some)
            }
            (_, Some(episode), _) => {
                self.keep(tx, episode, write).await?;
                Ok(None)
            }
            (_, None, _) => Ok(None),
        }
    }

    /// Ends an alert: its row, its timeline, and a message to every channel that heard of it.
    pub(crate) async fn end(
        &self,
        tx: &mut Transaction,
        id: &str,
        end: End<'_>,
        now: Timestamp,
    ) -> Result<AlertChanged> {
        let (reading, why) = (end.reading, end.ending.note());
        sqlx::query("UPDATE alerts SET state = $1, resolved_at = $2, resolved_value = $3 WHERE id = $4")
            .bind(State::Resolved.as_str())
            .bind(micros(now))
            .bind(reading.value)
            .bind(id)
            .execute(&mut **tx)
            .await?;
        self.event(tx, id, now, State::Resolved.as_str(), why).await?;
        let telling = self.ended(tx, id, end, now).await?;
        let channels = self.told(tx, id).await?;
        self.tell(tx, &telling, &channels).await?;
        Ok(telling.changed())
    }

    /// Removes an alert that never fired.
    pub(crate) async fn forget(&self, tx: &mut Transaction, id: &str) -> Result<()> {
        for sql in ["DELETE FROM alert_events WHERE alert = $1", "DELETE FROM alerts WHERE id = $1"] {
            sqlx::query(sql).bind(id).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// An episode that goes on: what is known of it now, in the words of now. The evidence stays that of the
    /// moment when it fired.
    async fn keep(&self, tx: &mut Transaction, episode: &Episode, write: &Write<'_>) -> Result<()> {
        sqlx::query("UPDATE alerts SET held_at = $1, known_at = $2, held_since = $3 WHERE id = $4")
            .bind(micros(episode.last_held))
            .bind(micros(episode.last_known))
            .bind(micros(episode.held_since))
            .bind(&episode.id)
            .execute(&mut **tx)
            .await?;
        if let Verdict::Outside(reading) = &write.seen.verdict {
            let summary = write.message(reading).summary;
            sqlx::query(
                "UPDATE alerts SET value = $1, low = $2, high = $3, value_at = $4, summary_now = $5 WHERE id = $6",
            )
            .bind(reading.value)
            .bind(reading.low)
            .bind(reading.high)
            .bind(micros(write.now))
            .bind(json!(summary).to_string())
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
    ) -> Result<Message> {
        let (spec, seen) = (write.spec, write.seen);
        let message = write.message(reading);
        sqlx::query(
            "INSERT INTO alerts (id, rule, series, state, severity, title, labels, message, evidence, value, low, high, \
               started_at, fired_at, held_at, known_at, held_since, fired_value, value_at, evidence_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $10, $18, $18) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message, \
               evidence = excluded.evidence, value = excluded.value, low = excluded.low, high = excluded.high, \
               fired_at = excluded.fired_at, held_at = excluded.held_at, known_at = excluded.known_at, \
               held_since = excluded.held_since, fired_value = excluded.fired_value, value_at = excluded.value_at, \
               evidence_at = excluded.evidence_at, summary_now = NULL",
        )
        .bind(&episode.id)
        .bind(write.rule)
        .bind(write.series)
        .bind(episode.state.as_str())
        .bind(spec.severity.as_str())
        .bind(json!(spec.title).to_string())
        .bind(json!(write.labels()).to_string())
        .bind(json!(message).to_string())
        .bind(json!(seen.evidence).to_string())
        .bind(reading.value)
        .bind(reading.low)
        .bind(reading.high)
        .bind(micros(episode.started_at))
        .bind(episode.fired_at.map(micros))
        .bind(micros(episode.last_held))
        .bind(micros(episode.last_known))
        .bind(micros(episode.held_since))
        .bind(micros(write.now))
        .execute(&mut **tx)
        .await?;
        Ok(message)
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

    /// Pending and firing alerts by rule and series.
    pub(crate) async fn open_alerts(&self) -> Result<HashMap<String, HashMap<String, Open>>> {
        type Row = (String, String, String, String, String, i64, Option<i64>, i64, i64, Option<i64>);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, rule, series, state, labels, started_at, fired_at, held_at, known_at, held_since FROM alerts \
             WHERE state IN ('pending', 'firing')",
        )
        .fetch_all(self.db.pool())
        .await?;
        let mut open: HashMap<String, HashMap<String, Open>> = HashMap::new();
        for (id, rule, series, state, labels, started, fired, held, known, since) in rows {
            let episode = Episode {
                id,
                state: if state == State::Firing.as_str() { State::Firing } else { State::Pending },
                started_at: from_micros(started),
                held_since: from_micros(since.unwrap_or(started)),
                fired_at: fired.map(from_micros),
                resolved_at: None,
                last_held: from_micros(held),
                last_known: from_micros(known),
            };
            let labels = serde_json::from_str(&labels).unwrap_or_default();
            open.entry(rule).or_default().insert(series, Open { episode, labels });
        }
        Ok(open)
    }

    async fn ended(&self, tx: &mut Transaction, id: &str, end: End<'_>, now: Timestamp) -> Result<Telling> {
        let End { ending, reading, message } = end;
        type Row = (
            String,
            String,
            String,
            String,
            String,
            String,
            Option<f64>,
            Option<f64>,
            Option<f64>,
            i64,
            Option<i64>,
        );
        let row: Row = sqlx::query_as(
            "SELECT rule, severity, title, labels, message, evidence, fired_value, low, high, started_at, fired_at \
             FROM alerts WHERE id = $1",
        )
        .bind(id)
        .fetch_one(&mut **tx)
        .await?;
        let (rule, severity, title, labels, said, evidence, fired_value, low, high, started, fired) = row;
        let evidence: Evidence = serde_json::from_str(&evidence).unwrap_or_default();
        let said: Message = serde_json::from_str(&said).unwrap_or_default();
        Ok(Telling {
            id: id.to_owned(),
            rule,
            title: serde_json::from_str(&title).unwrap_or_else(|_| Title::both(&title)),
            state: State::Resolved,
            severity: serde_json::from_value(severity.into()).unwrap_or(crate::Severity::Warning),
            labels: serde_json::from_str(&labels).unwrap_or_default(),
            unit: evidence.unit,
            tables: evidence.tables,
            value: reading.value,
            value_at: reading.at.or(Some(now)),
            fired_value,
            low: reading.low.or(low),
            high: reading.high.or(high),
            message: Message { reason: None, ..message.unwrap_or(said) },
            started_at: from_micros(started),
            fired_at: fired.map(from_micros),
            resolved_at: Some(now),
            ending: Some(ending),
            now,
        })
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

impl Write<'_> {
    /// Those of the series and those of the rule.
    pub(crate) fn labels(&self) -> Labels {
        let mut labels = self.seen.labels.clone();
        labels.extend(self.spec.labels.clone());
        labels
    }

    /// The rule's texts for a reading, and why it is one to tell of.
    fn message(&self, reading: &Reading) -> Message {
        let labels = self.labels();
        let unit = self.seen.evidence.unit;
        let filling = Filling { reading, unit, labels: &labels, columns: &self.seen.columns };
        let told = fill(&self.spec.annotations, &self.spec.title, &filling);
        Message { reason: reason(&self.spec.when, reading, unit), ..Message::from(told) }
    }
}
