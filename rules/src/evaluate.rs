//! One pass: observe, judge, advance each episode, and write what changed together with what is to be
//! told. The same data seen twice changes nothing the second time.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use store::{Effect, Timestamp, Transaction, from_micros, micros, new_id};

use crate::episode::{Ending, Episode, Patience, State, Transition, advance};
use crate::error::Result;
use crate::history::Message;
use crate::judge::{Reading, Unknown, Verdict};
use crate::observe::{Answers, Evidence, Labels, Observation, observe};
use crate::spec::{Condition, RuleSpec};
use crate::template::{Filling, fill};
use crate::{AlertChanged, EFFECT_KIND, Rules};

/// What a pass came to.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    pub rules: Vec<RuleOutcome>,
}

/// What one rule came to.
#[derive(Debug, Clone, Default)]
pub struct RuleOutcome {
    pub rule: String,
    pub series: usize,
    pub fired: usize,
    pub resolved: usize,
    pub error: Option<String>,
}

impl Pass {
    pub fn fired(&self) -> usize {
        self.rules.iter().map(|r| r.fired).sum()
    }
}

/// An open alert as the database has it.
struct Open {
    episode: Episode,
    labels: Labels,
}

impl Rules {
    /// Evaluates one rule.
    ///
    /// # Errors
    /// The metadata database cannot be read or written. A rule that cannot be evaluated says so in its outcome.
    pub async fn evaluate(&self, name: &str, spec: &RuleSpec) -> Result<RuleOutcome> {
        let mut pass = self.evaluate_many(&[(name, spec)]).await?;
        Ok(pass.rules.pop().unwrap_or_default())
    }

    /// Evaluates rules that are due together; those over the same series share one query. A rule that
    /// fails is recorded and does not stop the others, and its open alerts stay as they are.
    pub async fn evaluate_many(&self, rules: &[(&str, &RuleSpec)]) -> Result<Pass> {
        let now = self.clock.now();
        let mut answers = Answers::default();
        let mut pass = Pass::default();
        let mut open = self.open_alerts().await?;
        for (name, spec) in rules {
            let outcome = match observe(&self.warehouse, spec, now, &mut answers).await {
                Ok(seen) => self.settle(name, spec, seen, open.remove(*name).unwrap_or_default(), now).await?,
                Err(error) => {
                    tracing::warn!(rule.name = %name, error = %error, "the rule cannot be evaluated");
                    RuleOutcome { rule: (*name).to_owned(), error: Some(error.to_string()), ..RuleOutcome::default() }
                }
            };
            pass.rules.push(outcome);
        }
        self.remember(&pass, now).await?;
        Ok(pass)
    }

    /// Ends the open alerts of rules that are no longer defined, without telling anyone.
    ///
    /// # Errors
    /// The metadata database cannot be read or written.
    pub async fn retire(&self, known: &[&str]) -> Result<usize> {
        let now = self.clock.now();
        let mut ended = 0;
        for (rule, alerts) in self.open_alerts().await? {
            if known.contains(&rule.as_str()) {
                continue;
            }
            let mut tx = self.db.begin().await?;
            for alert in alerts.into_values() {
                self.resolve(&mut tx, &alert.episode, now, "the rule was removed").await?;
                ended += 1;
            }
            tx.commit().await?;
        }
        Ok(ended)
    }

    async fn settle(
        &self,
        name: &str,
        spec: &RuleSpec,
        seen: Vec<Observation>,
        mut open: HashMap<String, Open>,
        now: Timestamp,
    ) -> Result<RuleOutcome> {
        let mut outcome = RuleOutcome { rule: name.to_owned(), series: seen.len(), ..RuleOutcome::default() };
        let patience = Patience { hold: spec.hold.0, keep: spec.keep_firing_for.0 };
        let mut steps = Vec::new();
        for observation in seen {
            let series = key(&observation.labels);
            let before = open.remove(&series).map(|o| o.episode);
            let held = before.is_some();
            let (after, transition) =
                advance(before.clone(), &observation.verdict, patience, now, || new_id(&*self.clock));
            if held || after.is_some() {
                steps.push((series, before, after, transition, observation));
            }
        }
        // A row that is no longer returned is good again; a series that is no longer there says nothing.
        let gone = match spec.when {
            Condition::Rows(_) => Verdict::Normal(Reading::default()),
            _ => Verdict::Unknown(Unknown::NoValue),
        };
        for (series, alert) in open {
            let (after, transition) = advance(Some(alert.episode.clone()), &gone, patience, now, String::new);
            let observation = Observation {
                labels: alert.labels,
                columns: BTreeMap::new(),
                verdict: gone,
                evidence: Evidence::default(),
            };
            steps.push((series, Some(alert.episode), after, transition, observation));
        }
        if steps.is_empty() {
            return Ok(outcome);
        }
        let mut tx = self.db.begin().await?;
        let mut told = Vec::new();
        for (series, before, after, transition, seen) in &steps {
            let write = Write { rule: name, spec, series, seen, now };
            told.extend(self.write(&mut tx, &write, before.as_ref(), after.as_ref(), *transition).await?);
        }
        tx.commit().await?;
        for change in told {
            match change.state {
                State::Firing => outcome.fired += 1,
                State::Resolved => outcome.resolved += 1,
                State::Pending => {}
            }
            // Nobody may be watching.
            let _ = self.changes.send(change);
        }
        Ok(outcome)
    }

    async fn write(
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
                let told = self.insert(tx, write, episode, &reading).await?;
                self.event(tx, &episode.id, write.now, "firing", "").await?;
                self.tell(tx, write, episode, &told).await?;
                Ok(Some(changed(write, episode, &told)))
            }
            (Some(Transition::Resolved(ending)), Some(episode), _) => {
                let note = match ending {
                    Ending::Recovered => "",
                    Ending::Unknown => "nothing has been known of the series for days",
                };
                let told = self.resolve(tx, episode, write.now, note).await?;
                self.tell(tx, write, episode, &told).await?;
                Ok(Some(changed(write, episode, &told)))
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
    ) -> Result<Message> {
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
        Ok(message)
    }

    async fn resolve(&self, tx: &mut Transaction, episode: &Episode, now: Timestamp, note: &str) -> Result<Message> {
        let message: (String,) =
            sqlx::query_as("UPDATE alerts SET state = $1, resolved_at = $2 WHERE id = $3 RETURNING message")
                .bind(State::Resolved.as_str())
                .bind(micros(now))
                .bind(&episode.id)
                .fetch_one(&mut **tx)
                .await?;
        self.event(tx, &episode.id, now, State::Resolved.as_str(), note).await?;
        Ok(serde_json::from_str(&message.0).unwrap_or_default())
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

    /// Records one effect a channel, under an id that this step of this episode always has.
    async fn tell(&self, tx: &mut Transaction, write: &Write<'_>, episode: &Episode, message: &Message) -> Result<()> {
        let (now, state) = (write.now, episode.state.as_str());
        for channel in &write.spec.notify {
            let id = format!("{}.{state}.{channel}", episode.id);
            let payload = json!({
                "channel": channel, "alert": episode.id, "type": format!("alert.{state}"), "timestamp": now,
                "data": {
                    "id": episode.id, "rule": write.rule, "title": write.spec.title, "state": state,
                    "severity": write.spec.severity, "labels": write.labels(), "summary": message.summary,
                    "description": message.description, "action": message.action,
                    "started_at": episode.started_at, "fired_at": episode.fired_at,
                    "resolved_at": episode.resolved_at,
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
    async fn open_alerts(&self) -> Result<HashMap<String, HashMap<String, Open>>> {
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
            let labels = serde_json::from_str(&series).or_else(|_| serde_json::from_str(&labels)).unwrap_or_default();
            open.entry(rule).or_default().insert(series, Open { episode, labels });
        }
        Ok(open)
    }

    async fn remember(&self, pass: &Pass, now: Timestamp) -> Result<()> {
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
struct Write<'a> {
    rule: &'a str,
    spec: &'a RuleSpec,
    series: &'a str,
    seen: &'a Observation,
    now: Timestamp,
}

impl Write<'_> {
    /// Those of the series and those of the rule.
    fn labels(&self) -> Labels {
        let mut labels = self.seen.labels.clone();
        labels.extend(self.spec.labels.clone());
        labels
    }
}

/// The same labels always give the same key.
fn key(labels: &Labels) -> String {
    serde_json::to_string(labels).unwrap_or_default()
}

fn changed(write: &Write<'_>, episode: &Episode, message: &Message) -> AlertChanged {
    AlertChanged {
        id: episode.id.clone(),
        rule: write.rule.to_owned(),
        state: episode.state,
        severity: write.spec.severity,
        summary: message.summary.clone(),
    }
}
