//! The only time and randomness of the house. Nothing else may ask the operating system.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::sync::Notify;

/// A moment, UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Time and randomness as one handle, so that a test replays both.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment of this clock.
    fn now(&self) -> Timestamp;
    /// Completes when `d` of this clock's time has passed since the call.
    fn sleep(&self, d: Duration) -> BoxFuture<'_, ()>;
    /// Fills `bytes` with randomness: cryptographic for [`SystemClock`] and [`ScaledClock`], seeded for
    /// [`ManualClock`].
    fn fill(&self, bytes: &mut [u8]);
}

pub type SharedClock = std::sync::Arc<dyn Clock>;

/// Real time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for time")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    fn sleep(&self, d: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(d))
    }

    fn fill(&self, bytes: &mut [u8]) {
        fill_secure(bytes);
    }
}

/// Time that starts at an origin and runs `speed` times as fast as real time (the demo's day in minutes).
#[derive(Debug)]
pub struct ScaledClock {
    origin: Timestamp,
    started: Instant,
    speed: f64,
}

impl ScaledClock {
    /// `speed` is clock seconds per real second; values that are not positive and finite count as 1.
    pub fn new(origin: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        Self { origin, started: Instant::now(), speed }
    }

    /// Clock seconds per real second.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let micros = self.started.elapsed().as_secs_f64() * self.speed * 1e6;
        // Saturates far beyond any date this program meets.
        self.origin
            .checked_add_signed(chrono::Duration::microseconds(micros as i64))
            .unwrap_or(Timestamp::MAX_UTC)
    }

    fn sleep(&self, d: Duration) -> BoxFuture<'_, ()> {
        let real = Duration::try_from_secs_f64(d.as_secs_f64() / self.speed).unwrap_or(Duration::MAX);
        Box::pin(tokio::time::sleep(real))
    }

    fn fill(&self, bytes: &mut [u8]) {
        fill_secure(bytes);
    }
}

/// Time that moves only when a test says so, with randomness from a seed.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<Manual>,
    moved: Notify,
}

#[derive(Debug)]
struct Manual {
    now: Timestamp,
    random: StdRng,
}

impl ManualClock {
    pub fn new(origin: Timestamp, seed: u64) -> Self {
        let state = Manual { now: origin, random: StdRng::seed_from_u64(seed) };
        Self { state: Mutex::new(state), moved: Notify::new() }
    }

    /// Moves time forward and wakes every sleeper whose moment has come.
    pub fn advance(&self, d: Duration) {
        let d = chrono::Duration::from_std(d).unwrap_or(chrono::Duration::MAX);
        {
            let mut state = self.lock();
            state.now = state.now.checked_add_signed(d).unwrap_or(Timestamp::MAX_UTC);
        }
        self.moved.notify_waiters();
    }

    /// Sets time, backwards too (a test of a clock that was corrected).
    pub fn set(&self, t: Timestamp) {
        self.lock().now = t;
        self.moved.notify_waiters();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        // A panic elsewhere cannot leave the two fields inconsistent, so a poisoned lock is still good.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep(&self, d: Duration) -> BoxFuture<'_, ()> {
        let d = chrono::Duration::from_std(d).unwrap_or(chrono::Duration::MAX);
        let until = self.now().checked_add_signed(d).unwrap_or(Timestamp::MAX_UTC);
        Box::pin(async move {
            loop {
                // Enabled before the check: an advance between check and await is not lost.
                let mut moved = std::pin::pin!(self.moved.notified());
                moved.as_mut().enable();
                if self.now() >= until {
                    return;
                }
                moved.await;
            }
        })
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.lock().random.fill_bytes(bytes);
    }
}

/// A new id, UUIDv7-shaped (RFC 9562): 48 bits of milliseconds, 12 bits of the millisecond's fraction,
/// 62 random bits. Sorts by time as text.
pub fn new_id(clock: &dyn Clock) -> String {
    let micros = clock.now().timestamp_micros().max(0) as u64;
    let (millis, rest) = (micros / 1000, micros % 1000);
    let fraction = (rest * 4096 / 1000) as u16;
    let mut b = [0u8; 16];
    clock.fill(&mut b[8..]);
    b[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    b[6..8].copy_from_slice(&(0x7000 | fraction).to_be_bytes());
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex = |bytes: &[u8]| bytes.iter().map(|x| format!("{x:02x}")).collect::<String>();
    format!("{}-{}-{}-{}-{}", hex(&b[..4]), hex(&b[4..6]), hex(&b[6..8]), hex(&b[8..10]), hex(&b[10..]))
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for randomness")]
fn fill_secure(bytes: &mut [u8]) {
    rand::rng().fill_bytes(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn origin() -> Timestamp {
        "2026-03-02T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn ids_sort_by_time_and_look_like_uuid_v7() {
        let clock = ManualClock::new(origin(), 1);
        let mut ids = vec![];
        for _ in 0..50 {
            ids.push(new_id(&clock));
            clock.advance(Duration::from_micros(400));
        }
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(ids, sorted);
        assert_eq!(ids[0].len(), 36);
        assert_eq!(&ids[0][14..15], "7");
        assert!(matches!(&ids[0][19..20], "8" | "9" | "a" | "b"));
    }

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        let (a, b) = (ManualClock::new(origin(), 7), ManualClock::new(origin(), 7));
        assert_eq!(new_id(&a), new_id(&b));
        assert_ne!(new_id(&a), new_id(&SystemClock));
    }

    #[tokio::test]
    async fn a_manual_sleeper_wakes_only_when_its_moment_has_come() {
        let clock = Arc::new(ManualClock::new(origin(), 1));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        tokio::time::timeout(Duration::from_secs(5), sleeper).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_scaled_hour_at_36000_times_takes_a_tenth_of_a_second() {
        let clock = ScaledClock::new(origin(), 36_000.0);
        clock.sleep(Duration::from_secs(3600)).await;
        let passed = clock.now() - origin();
        assert!(passed >= chrono::Duration::minutes(59), "{passed}");
    }
}
