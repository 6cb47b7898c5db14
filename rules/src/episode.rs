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
/// How much later than usual an evaluation may come without leaving a gap.
const SLACK: TimeDelta = TimeDelta::seconds(5);

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
    /// Since when the condition has been seen to hold: the beginning, later by the time in which nobody looked.
    pub held_since: Timestamp,
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
    /// The alert is over; what was seen then, which is nothing where nothing is known.
    Resolved(Ending, Reading),
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
    /// The rule watches other series now.
    Replaced,
    /// The rule is gone.
    Removed,
}

impl Ending {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Recovered => "recovered",
            Ending::Unknown => "unknown",
            Ending::Replaced => "rule_changed",
            Ending::Removed => "rule_removed",
        }
    }

    /// What is told of it; nothing of a plain recovery.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Ending::Recovered => "",
            Ending::Unknown => "nothing has been known of the series for days",
            Ending::Replaced => "the rule was changed and watches other series now",
            Ending::Removed => "the rule was removed",
        }
    }
}

/// The two durations of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// `for`
    pub hold: Duration,
    /// `keep_firing_for`
    pub keep: Duration,
    /// How long nobody looked before this verdict, beyond the rule's usual pause: that time counts neither as
    /// held nor as well.
    pub unseen: Duration,
}

/// How long nobody looked between two evaluations: what lies beyond two usual pauses and a little for a busy
/// machine.
pub(crate) fn unseen(last: Option<Timestamp>, pause: TimeDelta, now: Timestamp) -> Duration {
    let Some(last) = last else { return Duration::ZERO };
    let usual = pause.checked_mul(2).and_then(|p| p.checked_add(&SLACK)).unwrap_or(TimeDelta::MAX);
    (now - last).checked_sub(&usual).and_then(|late| late.to_std().ok()).unwrap_or_default()
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
    let active = episode.filter(|e| e.state != State::Resolved).map(|e| without_gap(e, patience, now));
    match (active, verdict) {
        (None, Verdict::Outside(reading)) => started(*reading, patience, now, new_id()),
        (None, _) => (None, None),
        (Some(mut episode), Verdict::Outside(reading)) => {
            episode.last_held = now;
            episode.last_known = now;
            match episode.state {
                State::Pending if now - episode.held_since >= delta(patience.hold) => {
                    fire(&mut episode, now);
                    (Some(episode), Some(Transition::Fired(*reading)))
                }
                _ => (Some(episode), None),
            }
        }
        (Some(episode), _) if episode.state == State::Pending => (None, Some(Transition::Dropped)),
        (Some(mut episode), Verdict::Normal(reading)) => {
            episode.last_known = now;
            if now - episode.last_held >= delta(patience.keep) {
                return resolved(episode, Ending::Recovered, *reading, now);
            }
            (Some(episode), None)
        }
        (Some(episode), Verdict::Unknown(_)) => {
            if now - episode.last_known >= UNKNOWN.max(delta(patience.keep)) {
                return resolved(episode, Ending::Unknown, Reading::default(), now);
            }
            (Some(episode), None)
        }
    }
}

/// Takes the time in which nobody looked out of what the episode counts. What counted stays: no moment moves
/// behind now.
fn without_gap(mut episode: Episode, patience: Patience, now: Timestamp) -> Episode {
    let gap = delta(patience.unseen);
    if gap > TimeDelta::zero() {
        let later = |t: Timestamp| t.checked_add_signed(gap).map_or(now, |moved| moved.min(now.max(t)));
        episode.held_since = later(episode.held_since);
        episode.last_held = later(episode.last_held);
        episode.last_known = later(episode.last_known);
    }
    episode
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
        held_since: now,
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

fn resolved(
    mut episode: Episode,
    ending: Ending,
    reading: Reading,
    now: Timestamp,
) -> (Option<Episode>, Option<Transition>) {
    episode.state = State::Resolved;
    episode.resolved_at = Some(now);
    (Some(episode), Some(Transition::Resolved(ending, reading)))
}

#[cfg(test)]
mod tests;
