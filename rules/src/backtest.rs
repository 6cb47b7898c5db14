//! What a rule would have said: it is evaluated over past days at its own cadence, seeing at each moment
//! only what lies before it.
//!
//! What an open bucket held at a past moment is not known any more, so only complete buckets are judged: a
//! rule that looks at open ones would have fired up to one bucket earlier. Rows that arrived late are
//! taken as if they had come in time.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use store::Timestamp;
use warehouse::metric::Grain;
use warehouse::{Error as Trouble, Range};

use crate::Rules;
use crate::episode::{Episode, Patience, Transition, advance};
use crate::error::Result;
use crate::judge::{Reading, Unknown, Verdict};
use crate::names::Labels;
use crate::observe::{Question, absent, answer, judged, labels, question};
use crate::rows::found;
use crate::series::{Axis, Frame, Nature, Series, delta, is_settled};
use crate::spec::{Condition, Rows, RuleSpec};

/// Bounds of one backtest: moments, moments × series, queries, and alerts listed.
const MOST_MOMENTS: usize = 20_000;
const MOST_STEPS: usize = 20_000_000;
const MOST_QUERIES: usize = 300;
const MOST_EPISODES: usize = 2_000;

/// What a rule would have said.
#[derive(Debug, Clone, Serialize)]
pub struct Backtest {
    pub range: Range,
    /// Moments at which the rule would have been evaluated.
    pub evaluations: usize,
    pub series: usize,
    /// Alerts that would have fired, oldest first; at most 2,000.
    pub episodes: Vec<WouldBe>,
    pub truncated: bool,
}

/// An alert that would have fired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WouldBe {
    pub labels: Labels,
    pub started_at: Timestamp,
    pub fired_at: Timestamp,
    /// `None`: it would be firing at the end.
    pub resolved_at: Option<Timestamp>,
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Rules {
    /// Plays a rule over `range`. Nothing is written and nobody is told.
    ///
    /// # Errors
    /// `Invalid` when the rule cannot be played (freshness; rows without `at`) or the range is too long for
    /// its cadence, and what the warehouse reports.
    pub async fn backtest(&self, spec: &RuleSpec, range: Range) -> Result<Backtest> {
        let range = Range { to: range.to.min(self.clock.now()), ..range };
        match (&spec.when, spec.ask.as_ref()) {
            (Condition::Stale(_), _) => Err(invalid(
                "how fresh a table was at a past moment is not recorded: `stale` has no backtest",
            )),
            (Condition::Rows(rows), _) => self.backtest_rows(spec, rows, range).await,
            (_, Some(ask)) => match ask.grain {
                Some(grain) => self.backtest_series(spec, grain, range).await,
                None => self.backtest_windows(spec, range).await,
            },
            (_, None) => Err(invalid("the rule asks nothing; run `guanlan check`")),
        }
    }

    /// One query for the whole stretch; then moment by moment as many buckets as were complete.
    async fn backtest_series(&self, spec: &RuleSpec, grain: Grain, range: Range) -> Result<Backtest> {
        let calendar = self.warehouse.calendar();
        let moments = self.moments(spec, range, MOST_MOMENTS)?;
        let (Some(first), Some(mut whole)) =
            (question(spec, range.from, calendar), question(spec, range.to, calendar))
        else {
            return Err(invalid("the rule asks nothing; run `guanlan check`"));
        };
        whole.now.range.from = first.now.range.from;
        let frame = answer(&self.warehouse, &whole).await?;
        if frame.series.len().saturating_mul(moments.len()) > MOST_STEPS {
            return Err(invalid("so many series at so many moments take too long; take a shorter range"));
        }
        let nature = self.nature(spec);
        let by = spec.ask.as_ref().map(|ask| ask.by.as_slice()).unwrap_or_default();
        let names: Vec<Labels> = frame.series.keys().map(|key| labels(by, key)).collect();
        let mut play = Play::new(spec, names);
        let mut axis = Axis::default();
        let mut verdicts = vec![Verdict::Unknown(Unknown::NoValue); frame.series.len()];
        for (count, now) in moments.iter().enumerate() {
            if grow(&mut axis, &frame, grain, delta(spec.delay.0), *now) {
                for (verdict, values) in verdicts.iter_mut().zip(frame.series.values()) {
                    *verdict = crate::judge::judge(&spec.when, &Series { axis: &axis, values, nature });
                }
            }
            play.step(&verdicts, *now);
            if count % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        Ok(play.end(range, moments.len()))
    }

    /// A rule without grain asks for a window that ends at each moment.
    async fn backtest_windows(&self, spec: &RuleSpec, range: Range) -> Result<Backtest> {
        let moments = self.moments(spec, range, MOST_QUERIES)?;
        let definitions = self.warehouse.definitions();
        let mut plays: BTreeMap<Labels, Play> = BTreeMap::new();
        for now in &moments {
            let Some(question): Option<Question> = question(spec, *now, self.warehouse.calendar()) else {
                continue;
            };
            let frame = answer(&self.warehouse, &question).await?;
            let mut seen: BTreeMap<Labels, Verdict> = judged(spec, &frame, &definitions.metrics)
                .into_iter()
                .map(|o| (o.labels, o.verdict))
                .collect();
            for name in seen.keys() {
                plays.entry(name.clone()).or_insert_with(|| Play::new(spec, vec![name.clone()]));
            }
            let gone = absent(spec, &frame, &definitions.metrics);
            for (name, play) in &mut plays {
                // As in a pass: a series that is not there begins no alert, but may end or go on with one.
                let verdict = match seen.remove(name) {
                    Some(verdict) => verdict,
                    None if play.is_open() => gone,
                    None => continue,
                };
                play.step(&[verdict], *now);
            }
        }
        let series = plays.len();
        let parts = plays.into_values().map(|play| play.end(range, moments.len()));
        let mut all =
            Backtest { range, evaluations: moments.len(), series, episodes: vec![], truncated: false };
        for part in parts {
            all.truncated |= part.truncated;
            all.episodes.extend(part.episodes);
        }
        Ok(all.bounded())
    }

    /// Rows say themselves when they happened.
    async fn backtest_rows(&self, spec: &RuleSpec, rows: &Rows, range: Range) -> Result<Backtest> {
        if rows.at.is_none() {
            return Err(invalid("without `at` nobody knows when a row came to be; name its time column"));
        }
        let seen = found(&self.warehouse, rows).await?;
        let series = seen.len();
        let hold = delta(spec.hold.0);
        let would = seen.into_iter().filter_map(|seen| {
            let Verdict::Outside(Reading { at: Some(at), value, low, high, .. }) = seen.verdict else {
                return None;
            };
            let fired_at = at + hold;
            (range.contains(at) && fired_at < range.to).then_some(WouldBe {
                labels: seen.labels,
                started_at: at,
                fired_at,
                resolved_at: None,
                value,
                low,
                high,
            })
        });
        let episodes = would.collect();
        Ok(Backtest { range, evaluations: 1, series, episodes, truncated: false }.bounded())
    }

    fn moments(&self, spec: &RuleSpec, range: Range, most: usize) -> Result<Vec<Timestamp>> {
        let (schedule, zone) = (spec.schedule(), self.warehouse.timezone());
        let calendar = self.warehouse.calendar();
        let mut moments = Vec::new();
        let mut at = range.from;
        let works = |day| calendar.is_workday(day);
        while let Some(next) = schedule.next_on(at, zone, &works).filter(|next| *next < range.to) {
            if moments.len() == most {
                return Err(invalid(&format!(
                    "the rule would have been evaluated more than {most} times (every {schedule}); take a shorter range"
                )));
            }
            moments.push(next);
            at = next;
        }
        Ok(moments)
    }

    fn nature(&self, spec: &RuleSpec) -> Nature {
        let definitions = self.warehouse.definitions();
        spec.metric().and_then(|name| definitions.metrics.get(name)).map_or(Nature::Whole, Nature::of)
    }
}

/// Adds the buckets that were complete at `now`; true when there are new ones.
fn grow(axis: &mut Axis, frame: &Frame, grain: Grain, delay: TimeDelta, now: Timestamp) -> bool {
    let before = axis.settled;
    while let Some(next) = frame.axis.buckets.get(axis.settled)
        && is_settled(grain, next.end, delay, now, None)
    {
        axis.buckets.push(*next);
        axis.settled += 1;
    }
    axis.settled > before
}

/// Episodes of several series as time goes on.
struct Play {
    patience: Patience,
    names: Vec<Labels>,
    open: Vec<Option<(Episode, Reading)>>,
    over: Vec<WouldBe>,
}

impl Play {
    fn new(spec: &RuleSpec, names: Vec<Labels>) -> Self {
        let patience = Patience { hold: spec.hold.0, keep: spec.keep_firing_for.0, ..Patience::default() };
        Self { patience, open: vec![None; names.len()], names, over: Vec::new() }
    }

    fn is_open(&self) -> bool {
        self.open.iter().any(Option::is_some)
    }

    fn step(&mut self, verdicts: &[Verdict], now: Timestamp) {
        for (at, verdict) in verdicts.iter().enumerate() {
            if self.open[at].is_none() && !matches!(verdict, Verdict::Outside(_)) {
                continue;
            }
            let (episode, first) = self.open[at].take().map_or((None, None), |(e, r)| (Some(e), Some(r)));
            let (after, transition) = advance(episode, verdict, self.patience, now, String::new);
            let reading = match transition {
                Some(Transition::Started(reading) | Transition::Fired(reading)) => Some(reading),
                _ => first,
            };
            let (Some(after), Some(reading)) = (after, reading) else { continue };
            match transition {
                Some(Transition::Resolved(..)) => self.close(at, &after, &reading),
                _ => self.open[at] = Some((after, reading)),
            }
        }
    }

    fn close(&mut self, at: usize, episode: &Episode, reading: &Reading) {
        let Some(fired_at) = episode.fired_at else { return };
        self.over.push(WouldBe {
            labels: self.names[at].clone(),
            started_at: episode.started_at,
            fired_at,
            resolved_at: episode.resolved_at,
            value: reading.value,
            low: reading.low,
            high: reading.high,
        });
    }

    fn end(mut self, range: Range, evaluations: usize) -> Backtest {
        for (at, open) in std::mem::take(&mut self.open).into_iter().enumerate() {
            if let Some((episode, reading)) = open {
                self.close(at, &episode, &reading);
            }
        }
        let series = self.names.len();
        Backtest { range, evaluations, series, episodes: self.over, truncated: false }.bounded()
    }
}

impl Backtest {
    fn bounded(mut self) -> Self {
        self.episodes.sort_by(|a, b| a.fired_at.cmp(&b.fired_at).then_with(|| a.labels.cmp(&b.labels)));
        self.truncated |= self.episodes.len() > MOST_EPISODES;
        self.episodes.truncate(MOST_EPISODES);
        self
    }
}

fn invalid(message: &str) -> crate::Error {
    Trouble::Invalid { message: message.to_owned() }.into()
}

#[cfg(test)]
mod tests;
