//! What is wrong with the warning itself: rules that cannot be evaluated or are not, channels that take nothing.
//! Pure, so that whoever asks (`/health`, a page, a test) decides what to do with it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use store::Timestamp;

use crate::channels::ChannelState;
use crate::history::RuleState;

/// How much later than it should a rule may be looked at, on a machine that is busy.
const LATE: TimeDelta = TimeDelta::minutes(10);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trouble {
    /// `rule.failing`, `rule.late`, `channel.closed`, `channel.failing` or `channel.dead`.
    pub what: &'static str,
    /// The rule or the channel.
    pub name: String,
    pub since: Option<Timestamp>,
    pub message: String,
}

/// Everything that is wrong at `now`. `due` are the rules of the project with the moment at which each should
/// have been evaluated again, given its last evaluation.
pub fn troubles(
    due: &BTreeMap<String, Option<Timestamp>>,
    states: &BTreeMap<String, RuleState>,
    channels: &[ChannelState],
    now: Timestamp,
) -> Vec<Trouble> {
    let mut found = Vec::new();
    for (rule, due) in due {
        let state = states.get(rule);
        if let Some(error) = state.and_then(|state| state.last_error.as_ref()) {
            found.push(Trouble {
                what: "rule.failing",
                name: rule.clone(),
                since: state.and_then(|state| state.failing_since),
                message: error.clone(),
            });
        } else if let Some(due) = due.filter(|due| now - *due > LATE) {
            found.push(Trouble {
                what: "rule.late",
                name: rule.clone(),
                since: Some(due),
                message: "the rule should have been evaluated and was not".to_owned(),
            });
        }
    }
    for channel in channels {
        let trouble = |what, since, message: &str| Trouble {
            what,
            name: channel.name.clone(),
            since,
            message: message.to_owned(),
        };
        if channel.state == "closed" {
            found.push(trouble("channel.closed", channel.closed_at, &channel.reason));
        } else if channel.waiting > 0 && !channel.last_error.is_empty() {
            found.push(trouble("channel.failing", channel.last_accepted, &channel.last_error));
        }
        if channel.dead > 0 {
            let message = format!("{} messages were given up", channel.dead);
            found.push(trouble("channel.dead", None, &message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_with_its_reason() {
        let now = at("2026-03-02T10:00:00Z");
        let state = |error: Option<&str>| RuleState {
            last_error: error.map(str::to_owned),
            failing_since: error.map(|_| at("2026-03-02T09:00:00Z")),
            ..RuleState::default()
        };
        let states = BTreeMap::from([
            ("broken".to_owned(), state(Some("no table"))),
            ("good".to_owned(), state(None)),
        ]);
        let due = BTreeMap::from([
            ("broken".to_owned(), Some(at("2026-03-02T09:59:00Z"))),
            ("good".to_owned(), Some(at("2026-03-02T09:55:00Z"))),
            ("late".to_owned(), Some(at("2026-03-02T09:40:00Z"))),
            ("never".to_owned(), None),
        ]);
        let channel = |name: &str, state, waiting, dead, error: &str| ChannelState {
            name: name.into(),
            kind: "webhook",
            address: "https://h".into(),
            state,
            reason: "410".into(),
            closed_at: None,
            waiting,
            dead,
            last_accepted: None,
            last_error: error.into(),
        };
        let channels = [
            channel("shut", "closed", 0, 0, ""),
            channel("down", "resting", 3, 0, "503"),
            channel("lost", "open", 0, 2, "400"),
            channel("fine", "open", 1, 0, ""),
        ];
        let found = troubles(&due, &states, &channels, now);
        let words: Vec<String> = found.iter().map(|t| format!("{} {}", t.what, t.name)).collect();
        assert_eq!(
            words,
            [
                "rule.failing broken",
                "rule.late late",
                "channel.closed shut",
                "channel.failing down",
                "channel.dead lost"
            ]
        );
        assert_eq!(found[0].message, "no table");
    }
}
