//! How fast a channel is spoken to. Pure: a token bucket against storms, and a breaker that leaves a
//! channel alone which does not answer. A message that fails while others are taken is left alone itself.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use store::Timestamp;

use crate::series::delta;

/// Messages that may go at once after silence, and how often one more after that.
const BURST: f64 = 20.0;
const EACH: Duration = Duration::from_secs(1);
/// How long a channel is left alone after its first, second and each further failure in a row.
const REST: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(300)];
/// Failed messages that are remembered; of more, the channel itself is the trouble.
const REMEMBERED: usize = 1_000;

/// The state of one channel, in memory: after a restart it may be spoken to at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pace {
    tokens: f64,
    refilled: Timestamp,
    failures: u32,
    rests_until: Option<Timestamp>,
    /// Until when the receiver itself asked to be left alone.
    wished_until: Option<Timestamp>,
    /// Messages that failed since the channel last took one, and those that failed before it took one: theirs
    /// is the fault.
    failed: HashSet<String>,
    suspects: HashSet<String>,
}

impl Pace {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            tokens: BURST,
            refilled: now,
            failures: 0,
            rests_until: None,
            wished_until: None,
            failed: HashSet::new(),
            suspects: HashSet::new(),
        }
    }

    /// Takes the right to send one message.
    ///
    /// # Errors
    /// When to ask again.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        match self.rests(now) {
            Some(until) => Err(until),
            None => self.take_in_rest(now),
        }
    }

    /// The same for a message whose own schedule says now, whatever the channel's rest; only a wish of the
    /// receiver holds it back.
    pub(crate) fn take_in_rest(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(until) = self.wished_until.filter(|until| now < *until) {
            return Err(until);
        }
        let passed = (now - self.refilled).max(TimeDelta::zero()).as_seconds_f64();
        self.tokens = (self.tokens + passed / EACH.as_secs_f64()).min(BURST);
        self.refilled = now;
        if self.tokens < 1.0 {
            let wait = EACH.mul_f64(1.0 - self.tokens) + Duration::from_millis(1);
            return Err(now + delta(wait));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// Until when the channel is left alone, if it is.
    pub(crate) fn rests(&self, now: Timestamp) -> Option<Timestamp> {
        self.rests_until.max(self.wished_until).filter(|until| now < *until)
    }

    /// Whether the channel's last message failed: what waits for it is then told in one digest.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// The channel did not take `message`. It rests as long as its failures in a row say, at most `longest`;
    /// `wish` is how long it asked to be left alone.
    pub(crate) fn failed(
        &mut self,
        now: Timestamp,
        message: &str,
        wish: Option<Duration>,
        longest: Option<Duration>,
    ) {
        if let Some(wish) = wish {
            self.wished_until = self.wished_until.max(Some(now + delta(wish)));
        }
        if self.suspects.contains(message) {
            return;
        }
        if self.failed.len() < REMEMBERED {
            self.failed.insert(message.to_owned());
        }
        let rest = REST[(self.failures as usize).min(REST.len() - 1)];
        self.failures = self.failures.saturating_add(1);
        self.rests_until = Some(now + delta(longest.map_or(rest, |longest| rest.min(longest))));
    }

    /// The channel answered `message` with something other than a fault of its own. True when it had not
    /// answered the one before.
    pub(crate) fn succeeded(&mut self, message: &str) -> bool {
        (self.rests_until, self.wished_until) = (None, None);
        self.failed.remove(message);
        if self.suspects.len() + self.failed.len() > REMEMBERED {
            self.suspects.clear();
        }
        self.suspects.extend(self.failed.drain());
        self.suspects.remove(message);
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-03-02T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_burst_is_followed_by_one_message_a_second() {
        let mut pace = Pace::new(start());
        let sent = (0..100).take_while(|_| pace.take(start()).is_ok()).count();
        assert_eq!(sent, 20);
        let next = pace.take(start()).unwrap_err();
        assert!(next > start() && next <= start() + TimeDelta::milliseconds(1001));
        assert!(pace.take(next).is_ok());
        assert!(pace.take(next).is_err());
        let later = start() + TimeDelta::hours(1);
        assert_eq!((0..100).take_while(|_| pace.take(later).is_ok()).count(), 20, "silence is not saved up");
    }

    #[test]
    fn a_channel_that_fails_is_left_alone_ever_longer_up_to_five_minutes() {
        let mut pace = Pace::new(start());
        let mut now = start();
        for seconds in [5, 60, 300, 300] {
            assert!(pace.take(now).is_ok());
            pace.failed(now, "m", None, None);
            let until = now + TimeDelta::seconds(seconds);
            assert_eq!(pace.take(now), Err(until));
            now = until;
        }
        assert!(pace.succeeded("m"), "it was failing");
        assert!(!pace.succeeded("m"));
        pace.failed(now, "m", Some(Duration::from_secs(120)), None);
        let until = now + TimeDelta::seconds(120);
        assert_eq!(
            (pace.take(now), pace.take_in_rest(now)),
            (Err(until), Err(until)),
            "its own wish is longer"
        );
    }

    #[test]
    fn a_channel_with_waits_of_its_own_rests_no_longer_than_they_say() {
        let mut pace = Pace::new(start());
        for seconds in [2, 3, 4] {
            pace.failed(start(), "m", None, Some(Duration::from_secs(seconds)));
            assert_eq!(pace.rests(start()), Some(start() + TimeDelta::seconds(seconds.try_into().unwrap())));
        }
        assert!(pace.take_in_rest(start()).is_ok(), "a message whose turn it is goes nevertheless");
    }

    #[test]
    fn a_message_that_fails_while_others_are_taken_holds_nobody_up() {
        let mut pace = Pace::new(start());
        pace.failed(start(), "poison", None, None);
        let later = start() + TimeDelta::seconds(6);
        assert!(pace.take(later).is_ok() && pace.succeeded("healthy"));
        pace.failed(later, "poison", None, None);
        assert!(pace.take(later).is_ok(), "the fault is the message's");
        pace.failed(later, "another", None, None);
        assert!(pace.take(later).is_err(), "a second message that fails is the channel's");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_empty_the_bucket() {
        let mut pace = Pace::new(start());
        assert!(pace.take(start() - TimeDelta::hours(1)).is_ok());
    }
}
