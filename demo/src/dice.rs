//! Randomness that depends only on what it is about.
//!
//! A stream is keyed by (seed, subject, two numbers such as employee and day), never by how many
//! numbers were drawn before. That is why a killed and resumed world, or one that advances in other
//! steps, tells exactly the same story.

/// What a stream of random numbers is about. The numbers are part of the key: never renumber.
#[derive(Clone, Copy)]
pub(crate) enum About {
    Staff = 1,
    Leave = 2,
    Approvals = 3,
    Instance = 4,
    Attendance = 5,
    Access = 6,
    Orders = 7,
    OrderMess = 8,
    Ledger = 9,
    LedgerDay = 10,
    Budget = 11,
    Tickets = 12,
    Planted = 13,
    Vendors = 14,
}

/// One stream of random numbers (SplitMix64).
pub(crate) struct Dice(u64);

fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Dice {
    pub(crate) fn new(seed: u64, about: About, a: i64, b: i64) -> Self {
        let mut key = scramble(seed ^ 0x9e37_79b9_7f4a_7c15);
        key = scramble(key ^ (about as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        key = scramble(key.wrapping_add(a as u64).wrapping_mul(0xa076_1d64_78bd_642f));
        Self(scramble(key ^ (b as u64).wrapping_mul(0xe703_7ed1_a0b4_28db)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in 0..n; 0 for an empty range.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Uniform in low..=high.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.unit() * (high - low + 1) as f64) as i64
    }

    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Standard normal (Box–Muller), cut at ±2.2 so that ordinary life has no wild outliers:
    /// whatever lies beyond is planted.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.unit()).cos()).clamp(-2.2, 2.2)
    }

    pub(crate) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    /// A count around `mean`: Poisson below 30, its normal approximation above.
    pub(crate) fn count(&mut self, mean: f64) -> usize {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as usize;
        }
        let limit = (-mean).exp();
        let mut product = self.unit();
        let mut n = 0;
        while product > limit && n < 200 {
            product *= self.unit();
            n += 1;
        }
        n
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Index drawn in proportion to `weights`.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}
