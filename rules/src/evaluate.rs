//! One pass: observe, judge, advance each episode, and write what changed together with what is to be
//! told. The same data seen twice changes nothing the second time.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;
use store::{Schedule, Timestamp, new_id};
use warehouse::Calendar;

use crate::Rules;
use crate::episode::{Ending, Episode, Patience, State, Transition, advance, unseen};
use crate::error::Result;
use crate::failing;
use crate::judge::{Reading, Verdict};
use crate::names::names_of;
use crate::observe::{Evidence, Observation, Question, absent, answer, judged, observe, question};
use crate::record::{End, Open, Write};
use crate::series::delta;
use crate::spec::RuleSpec;
use crate::watch::Watched;

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
    /// fails is recorded and does not stop the others, and its open alerts stay as they are; one that goes on
    /// failing is itself told of.
    pub async fn evaluate_many(&self, rules: &[(&str, &RuleSpec)]) -> Result<Pass> {
        let now = self.clock.now();
        let mut open = self.open_alerts().await?;
        let watched = self.watched().await?;
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
                let open = open.remove(name).unwrap_or_default();
                let look = self.look(name, spec, watched.get(name), now);
                outcomes[at] = self.settle(&look, seen, open).await?;
            }
        }
        let pass = Pass { rules: outcomes };
        self.remember(&pass, now).await?;
        Ok(pass)
    }

    /// Ends the open alerts of rules that are no longer defined, and tells those who heard of them.
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
            let mut told = Vec::new();
            let mut tx = self.db.begin().await?;
            for alert in alerts.into_values() {
                if alert.episode.state == State::Pending {
                    self.forget(&mut tx, &alert.episode.id).await?;
                    continue;
                }
                let id = &alert.episode.id;
                told.push(
                    self.end(
                        &mut tx,
                        id,
                        End { ending: Ending::Removed, reading: &Reading::default(), message: None },
                        now,
                    )
                    .await?,
                );
                ended += 1;
            }
            tx.commit().await?;
            for change in told {
                // Nobody may be watching.
                let _ = self.changes.send(change);
            }
        }
        for (rule, _) in self.watched().await?.into_iter().filter(|(rule, _)| !known.contains(&rule.as_str()))
        {
            let mut tx = self.db.begin().await?;
            self.unwatch(&mut tx, &rule).await?;
            tx.commit().await?;
        }
        Ok(ended)
    }

    fn look<'a>(
        &self,
        name: &'a str,
        spec: &'a RuleSpec,
        watched: Option<&Watched>,
        now: Timestamp,
    ) -> Look<'a> {
        let calendar = self.warehouse.calendar();
        let last = watched.and_then(|w| w.looked_at);
        let pause = last.map(|last| usual_pause(&spec.schedule(), last, calendar)).unwrap_or_default();
        let patience =
            Patience { hold: spec.hold.0, keep: spec.keep_firing_for.0, unseen: unseen(last, pause, now) };
        let failing_since = watched.and_then(|w| w.failing_since);
        Look { name, spec, patience, failing_since, now }
    }

    /// Moves every episode of a rule on and writes what changed.
    async fn settle(
        &self,
        look: &Look<'_>,
        seen: Result<Seen, String>,
        mut open: HashMap<String, Open>,
    ) -> Result<RuleOutcome> {
        let mut outcome = RuleOutcome { rule: look.name.to_owned(), ..RuleOutcome::default() };
        let own = (seen.is_err() || open.contains_key(&failing::series(look.name)))
            .then(|| failing::spec(look.spec));
        let mut steps = Vec::new();
        if let Some(own) = &own {
            steps.extend(self.own_failure(look, own, seen.as_ref().err(), &mut open));
        }
        match seen {
            Ok(seen) => {
                outcome.series = seen.observations.len();
                self.steps(look, seen, open, &mut steps);
            }
            Err(error) => {
                tracing::warn!(rule.name = %look.name, error = %error, "the rule cannot be evaluated");
                outcome.error = Some(error);
            }
        }
        if steps.is_empty() {
            return Ok(outcome);
        }
        let mut tx = self.db.begin().await?;
        let mut told = Vec::new();
        for Moved { spec, before, after, transition, seen } in &steps {
            let write = Write { rule: look.name, spec, series: &seen.series, seen, now: look.now };
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

    /// One step for each series that is seen, and for each that has an alert and is no longer seen.
    fn steps<'a>(
        &self,
        look: &Look<'a>,
        Seen { observations, gone }: Seen,
        mut open: HashMap<String, Open>,
        steps: &mut Vec<Moved<'a>>,
    ) {
        let mut known = HashSet::new();
        for seen in observations {
            if !known.insert(seen.series.clone()) {
                continue;
            }
            let before = open.remove(&seen.series).map(|o| o.episode);
            let (after, transition) =
                advance(before.clone(), &seen.verdict, look.patience, look.now, || new_id(&*self.clock));
            if before.is_some() || after.is_some() {
                steps.push(Moved { spec: look.spec, before, after, transition, seen });
            }
        }
        let mut names: Vec<String> = look.spec.series_names().into_iter().map(str::to_owned).collect();
        names.sort();
        for (series, Open { episode, labels }) in open {
            let (after, transition) = if names_of(&series) == names {
                advance(Some(episode.clone()), &gone, look.patience, look.now, String::new)
            } else {
                replaced(&episode, look.now)
            };
            let evidence = Evidence::default();
            let seen = Observation { series, labels, columns: BTreeMap::new(), verdict: gone, evidence };
            steps.push(Moved { spec: look.spec, before: Some(episode), after, transition, seen });
        }
    }

    /// The step of the alert that tells of the rule itself, if it has one or gets one.
    fn own_failure<'a>(
        &self,
        look: &Look<'_>,
        own: &'a RuleSpec,
        error: Option<&String>,
        open: &mut HashMap<String, Open>,
    ) -> Option<Moved<'a>> {
        let before = open.remove(&failing::series(look.name)).map(|o| o.episode);
        let verdict = match error {
            Some(_) if before.is_some() || failing::is_worth_telling(look.failing_since, look.now) => {
                Verdict::Outside(Reading::default())
            }
            Some(_) => return None,
            None => Verdict::Normal(Reading::default()),
        };
        let (after, transition) =
            advance(before.clone(), &verdict, Patience::default(), look.now, || new_id(&*self.clock));
        let seen = failing::observation(look.name, verdict);
        (before.is_some() || after.is_some()).then_some(Moved { spec: own, before, after, transition, seen })
    }
}

/// One evaluation of one rule.
struct Look<'a> {
    name: &'a str,
    spec: &'a RuleSpec,
    patience: Patience,
    /// Since when it cannot be evaluated.
    failing_since: Option<Timestamp>,
    now: Timestamp,
}

/// An episode before and after.
struct Moved<'a> {
    spec: &'a RuleSpec,
    before: Option<Episode>,
    after: Option<Episode>,
    transition: Option<Transition>,
    seen: Observation,
}

/// How long a rule pauses between two evaluations about `t`; of one that runs at set times, the longer of the
/// pauses before and after its next run.
fn usual_pause(schedule: &Schedule, t: Timestamp, calendar: &Calendar) -> TimeDelta {
    if let Schedule::Every(every) = schedule {
        return delta(*every);
    }
    let next = |t| schedule.next_on(t, calendar.timezone(), &|day| calendar.is_workday(day));
    let Some(first) = next(t) else { return TimeDelta::zero() };
    (first - t).max(next(first).map_or(TimeDelta::zero(), |second| second - first))
}

/// The end of an episode whose series the rule no longer knows: it was split by other names before.
fn replaced(episode: &Episode, now: Timestamp) -> (Option<Episode>, Option<Transition>) {
    if episode.state == State::Pending {
        return (None, Some(Transition::Dropped));
    }
    let over = Episode { state: State::Resolved, resolved_at: Some(now), ..episode.clone() };
    (Some(over), Some(Transition::Resolved(Ending::Replaced, Reading::default())))
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

#[cfg(test)]
mod tests;
