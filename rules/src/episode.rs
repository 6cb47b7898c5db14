//! One problem from its beginning to its end: pending → firing → resolved. Pure.

use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;
use store::Timestamp;

use crate::judge::{Reading, Verdict};
use crate::series::delta;

/// How long an alert stays although nothing is known of its series any more. Longer than a weekend, since
/// some series have values only on workdays.
const UNKNOWN: TimeDelta = TimeDelta::hours(72);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The condition holds, but not yet for long enough.
    Pending,
    Firing,
    Resolved,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
            State::Resolved => "resolved",
        }
    }
}

/// One problem of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Stable from the first moment to the last.
    pub id: String,
    pub state: State,
    pub started_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    /// When the condition was last seen to hold.
    pub last_held: Timestamp,
    /// When anything was last known of the series.
    pub last_known: Timestamp,
}

/// What changed; each happens once in an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transition {
    /// The condition began to hold.
    Started(Reading),
    /// The alert fires.
    Fired(Reading),
    /// The alert is over.
    Resolved(Ending),
    /// It ended before it fired: nobody needs to know.
    Dropped,
}

/// Why an alert is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The condition holds no more.
    Recovered,
    /// Nothing has been known of the series for days.
    Unknown,
}

/// The two durations of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// `for`
    pub hold: Duration,
    /// `keep_firing_for`
    pub keep: Duration,
}

/// Moves an episode on. `None` in: the series is well so far; `None` out: it is well. The same verdict at
/// the same moment again changes nothing. A clock that was set back makes nothing happen early.
pub fn advance(
    episode: Option<Episode>,
    verdict: &Verdict,
    patience: Patience,
    now: Timestamp,
    new_id: impl FnOnce() -> String,
) -> (Option<Episode>, Option<Transition>) {
    let active = episode.filter(|e| e.state != State::Resolved);
    match (active, verdict) {
        (None, Verdict::Outside(reading)) => started(*reading, patience, now, new_id()),
        (None, _) => (None, None),
        (Some(mut episode), Verdict::Outside(reading)) => {
            episode.last_held = now;
            episode.last_known = now;
            match episode.state {
                State::Pending if now - episode.started_at >= delta(patience.hold) => {
                    fire(&mut episode, now);
                    (Some(episode), Some(Transition::Fired(*reading)))
                }
                _ => (Some(episode), None),
            }
        }
        (Some(episode), _) if episode.state == State::Pending => (None, Some(Transition::Dropped)),
        (Some(mut episode), Verdict::Normal(_)) => {
            episode.last_known = now;
            if now - episode.last_held >= delta(patience.keep) {
                return resolved(episode, Ending::Recovered, now);
            }
            (Some(episode), None)
        }
        (Some(episode), Verdict::Unknown(_)) => {
            if now - episode.last_known >= UNKNOWN.max(delta(patience.keep)) {
                return resolved(episode, Ending::Unknown, now);
            }
            (Some(episode), None)
        }
    }
}

fn started(
    reading: Reading,
    patience: Patience,
    now: Timestamp,
    id: String,
) -> (Option<Episode>, Option<Transition>) {
    let mut episode = Episode {
        id,
        state: State::Pending,
        started_at: now,
        fired_at: None,
        resolved_at: None,
        last_held: now,
        last_known: now,
    };
    if patience.hold.is_zero() {
        fire(&mut episode, now);
        return (Some(episode), Some(Transition::Fired(reading)));
    }
    (Some(episode), Some(Transition::Started(reading)))
}

fn fire(episode: &mut Episode, now: Timestamp) {
    episode.state = State::Firing;
    episode.fired_at = Some(now);
}

fn resolved(mut episode: Episode, ending: Ending, now: Timestamp) -> (Option<Episode>, Option<Transition>) {
    episode.state = State::Resolved;
    episode.resolved_at = Some(now);
    (Some(episode), Some(Transition::Resolved(ending)))
}

#[cfg(test)]
mod tests;
