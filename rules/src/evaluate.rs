//! One pass: observe, judge, advance each episode, and write what changed together with what is to be
//! told. The same data seen twice changes nothing the second time.

use std::collections::{BTreeMap, HashMap};

use store::{Timestamp, new_id};
use warehouse::Calendar;

use crate::Rules;
use crate::episode::{Patience, State, advance};
use crate::error::Result;
use crate::judge::{Reading, Verdict};
use crate::observe::{Evidence, Labels, Observation, Question, absent, answer, judged, observe, question};
use crate::record::{Open, Write};
use crate::spec::RuleSpec;

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

/// What a rule sees: its series, and what is to be thought of those that are there no more.
struct Seen {
    observations: Vec<Observation>,
    gone: Verdict,
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
        let mut open = self.open_alerts().await?;
        let mut outcomes: Vec<RuleOutcome> = vec![RuleOutcome::default(); rules.len()];
        let definitions = self.warehouse.definitions();
        // One answer is held at a time, whatever the number of rules.
        for (question, members) in by_question(rules, now, self.warehouse.calendar()) {
            let frame = match &question {
                Some(question) => Some(answer(&self.warehouse, question).await.map_err(|e| e.to_string())),
                None => None,
            };
            for at in members {
                let (name, spec) = rules[at];
                let seen = match &frame {
                    Some(Ok(frame)) => Ok(Seen {
                        observations: judged(spec, frame, &definitions.metrics),
                        gone: absent(spec, frame, &definitions.metrics),
                    }),
                    Some(Err(error)) => Err(error.clone()),
                    // A row that is no longer returned is good again.
                    None => observe(&self.warehouse, spec, now)
                        .await
                        .map(|observations| Seen { observations, gone: Verdict::Normal(Reading::default()) })
                        .map_err(|e| e.to_string()),
                };
                outcomes[at] = match seen {
                    Ok(seen) => {
                        self.settle(name, spec, seen, open.remove(name).unwrap_or_default(), now).await?
                    }
                    Err(error) => {
                        tracing::warn!(rule.name = %name, error = %error, "the rule cannot be evaluated");
                        RuleOutcome { rule: name.to_owned(), error: Some(error), ..RuleOutcome::default() }
                    }
                };
            }
        }
        let pass = Pass { rules: outcomes };
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
        seen: Seen,
        mut open: HashMap<String, Open>,
        now: Timestamp,
    ) -> Result<RuleOutcome> {
        let Seen { observations, gone } = seen;
        let mut outcome =
            RuleOutcome { rule: name.to_owned(), series: observations.len(), ..RuleOutcome::default() };
        let patience = Patience { hold: spec.hold.0, keep: spec.keep_firing_for.0 };
        let mut steps = Vec::new();
        for observation in observations {
            let series = key(&observation.labels);
            let before = open.remove(&series).map(|o| o.episode);
            let held = before.is_some();
            let (after, transition) =
                advance(before.clone(), &observation.verdict, patience, now, || new_id(&*self.clock));
            if held || after.is_some() {
                steps.push((series, before, after, transition, observation));
            }
        }
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
}

/// Rules that ask the same together, in the order of their first.
fn by_question(
    rules: &[(&str, &RuleSpec)],
    now: Timestamp,
    calendar: &Calendar,
) -> Vec<(Option<Question>, Vec<usize>)> {
    let mut groups: Vec<(Option<Question>, Vec<usize>)> = Vec::new();
    let mut places: HashMap<Question, usize> = HashMap::new();
    for (at, (_, spec)) in rules.iter().enumerate() {
        let Some(question) = question(spec, now, calendar) else {
            groups.push((None, vec![at]));
            continue;
        };
        match places.get(&question) {
            Some(place) => groups[*place].1.push(at),
            None => {
                places.insert(question.clone(), groups.len());
                groups.push((Some(question), vec![at]));
            }
        }
    }
    groups
}

/// The same labels always give the same key.
fn key(labels: &Labels) -> String {
    serde_json::to_string(labels).unwrap_or_default()
}

#[cfg(test)]
mod tests;
