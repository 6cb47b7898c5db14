//! What is usual of a few values: their middle, how far they scatter, and how much wider than that a band must
//! be so that noise leaves it as rarely as its author was promised. Pure.
//!
//! Both figures stand up to almost half of the values being wrong. From few values the scatter is known badly,
//! so that `middle ± 4 · spread` of eight values is left by noise in one case of 150, not of 16,000. [`widen`]
//! is what makes up for it, as the quantiles of Student's t do for the mean.

/// Spread of a normal distribution for one median absolute deviation.
pub(crate) const MAD: f64 = 1.4826;
/// The same for the lower quartile of all distances between two values (Rousseeuw and Croux's Qn), which
/// knows the scatter of few values far better.
const PAIRS: f64 = 2.2219;
/// The same for one mean absolute deviation, which serves where more than half of the values are equal.
pub(crate) const MEAN: f64 = 1.2533;
/// Alike values that are looked at, the newest: more change nothing, and pairs grow with their square.
pub(crate) const MOST: usize = 120;

/// The factors for 2, 3, … values at 3 and at 4 deviations: quantiles of |value − middle| / spread for normal
/// values at the shares 0.27 % and 0.0063 %, over 3 and 4, from two million draws each.
const FACTORS: [(f64, f64); 15] = [
    (30.5, 914.0),
    (93.0, 2664.0),
    (3.50, 16.4),
    (5.45, 25.9),
    (1.79, 4.65),
    (2.39, 5.95),
    (1.37, 2.62),
    (1.72, 3.17),
    (1.23, 1.90),
    (1.46, 2.36),
    (1.16, 1.63),
    (1.33, 1.84),
    (1.12, 1.46),
    (1.26, 1.66),
    (1.09, 1.40),
];

/// Median and robust standard deviation; `values` is not empty and comes back reordered.
pub(crate) fn robust(values: &mut [f64]) -> (f64, f64) {
    let middle = median(values);
    let mut distances: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    // Of ties the pairs see less than the median does, so the larger of both counts.
    let spread = (MAD * median(&mut distances)).max(PAIRS * near_pairs(values));
    if spread > 0.0 {
        return (middle, spread);
    }
    (middle, MEAN * distances.iter().sum::<f64>() / distances.len() as f64)
}

/// How much wider than `deviations` spreads of `n` values a band must be. Beyond 4 deviations the factor of 4
/// stands, so that more deviations are rarer still.
pub(crate) fn widen(n: usize, deviations: f64) -> f64 {
    let (three, four) = match FACTORS.get(n.saturating_sub(2)) {
        Some(factors) if n >= 2 => *factors,
        Some(_) => FACTORS[0],
        None if n.is_multiple_of(2) => (1.0 + 1.0 / n as f64, 1.0 + 4.6 / n as f64),
        None => (1.0 + 3.4 / n as f64, 1.0 + 8.0 / n as f64),
    };
    three + (four - three) * (deviations - 3.0).clamp(0.0, 1.0)
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    let half = values.len() / 2;
    let odd = values.len() % 2 == 1;
    let (below, middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    let middle = *middle;
    if odd {
        return middle;
    }
    let below = below.iter().copied().max_by(f64::total_cmp);
    below.map_or(middle, |below| (below + middle) / 2.0)
}

/// The distance that about a quarter of all pairs do not exceed.
fn near_pairs(values: &[f64]) -> f64 {
    let n = values.len();
    if n < 2 {
        return 0.0;
    }
    let mut pairs = Vec::with_capacity(n * (n - 1) / 2);
    for (at, a) in values.iter().enumerate() {
        pairs.extend(values[..at].iter().map(|b| (a - b).abs()));
    }
    let half = n / 2 + 1;
    let rank = half * (half - 1) / 2 - 1;
    *pairs.select_nth_unstable_by(rank, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_is_the_median_and_its_deviations_untouched_by_outliers() {
        let (middle, spread) = robust(&mut [10.0, 12.0, 11.0, 9.0, 1000.0]);
        assert_eq!((middle, spread), (11.0, PAIRS * 1.0));
        // Ties hide the scatter from pairs sooner than from the median.
        assert_eq!(robust(&mut [1.0, 1.0, 3.0, 3.0]), (2.0, MAD * 1.0));
        // More than half are equal: the mean deviation takes over, or everything else would be an alarm.
        assert_eq!(robust(&mut [5.0, 5.0, 5.0, 5.0, 10.0]), (5.0, MEAN * 1.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(robust(&mut [7.0]), (7.0, 0.0));
    }

    #[test]
    fn fewer_values_and_more_deviations_need_a_wider_band() {
        for deviations in [2.0, 3.0, 4.0, 6.0] {
            for n in (4..300).step_by(2) {
                assert!(widen(n, deviations) >= widen(n + 2, deviations), "{n} at {deviations}");
                assert!(widen(n, deviations) >= 1.0 && widen(n + 1, deviations) >= widen(n, deviations));
            }
        }
        assert!(widen(8, 4.0) > widen(8, 3.5) && widen(8, 3.5) > widen(8, 3.0));
        assert!(widen(120, 4.0) < 1.05);
        assert!(widen(0, 4.0) >= widen(4, 4.0) && widen(1, 4.0) >= widen(4, 4.0));
    }
}
