//! What is usual of a few values: their middle, and how far from it noise goes as rarely as a number of standard
//! deviations promises. Pure.
//!
//! Up to almost half of the values may be wrong: what lies far from the others is told by robust figures, and
//! the scatter is that of the rest. From few values scatter is known badly, so that `middle ± 4 · spread` of
//! eight values is left by noise in one case of 150, not of 16,000. [`widen`] makes up for it, as the quantiles
//! of Student's t do for the mean. Groups that scatter alike around middles of their own (the Tuesdays beside
//! the Mondays) lend their scatter, so that much less has to be made up for.

/// Spread of a normal distribution for one median absolute deviation.
const MAD: f64 = 1.4826;
/// The same for the lower quartile of all distances between two values (Rousseeuw and Croux's Qn), which
/// knows the scatter of few values far better.
const PAIRS: f64 = 2.2219;
/// The same for one mean absolute deviation, which serves where more than half of the values are equal.
const MEAN: f64 = 1.2533;
/// Values that are looked at, the newest: more change nothing, and pairs grow with their square.
pub(crate) const MOST: usize = 120;
/// From so many values on the scatter is the standard deviation of those within [`FAR`] robust spreads: known
/// better, and of fewer there may be too few left.
const ENOUGH: usize = 10;
const FAR: f64 = 5.0;
/// Values a group must have to lend its scatter: one of three is their middle itself.
const LENDS: usize = 4;

/// The factors for 2, 3, … values at 3 and at 4 deviations: quantiles of |value − middle| / spread for normal
/// values at the shares 0.27 % and 0.0063 %, over 3 and 4, from at least 1.5 million draws each and never growing.
const FACTORS: [(f64, f64); 16] = [
    (30.5, 914.0),
    (30.5, 914.0),
    (3.50, 16.4),
    (3.50, 16.4),
    (1.79, 4.65),
    (1.79, 4.65),
    (1.46, 2.65),
    (1.46, 2.65),
    (1.44, 2.04),
    (1.39, 2.03),
    (1.33, 1.68),
    (1.30, 1.68),
    (1.27, 1.50),
    (1.25, 1.48),
    (1.23, 1.42),
    (1.22, 1.39),
];

/// Median of `own`, and how far from it a value is `deviations` standard deviations away; `others` are values
/// that scatter like `own` around middles of their own. `own` is not empty.
pub(crate) fn usual(own: &mut Vec<f64>, others: &mut [Vec<f64>], deviations: f64) -> (f64, f64) {
    // Pairs know the scatter of an even number far better than that of one more.
    if own.len() > 2 && own.len() < ENOUGH && own.len() % 2 == 1 {
        own.pop();
    }
    let mut rest = Vec::new();
    let middle = leave(own, &mut rest);
    let alone = spread(&rest, 1);
    let mut groups = 1;
    if own.len() >= LENDS {
        for other in others.iter_mut().filter(|o| o.len() >= LENDS) {
            leave(other, &mut rest);
            groups += 1;
        }
    }
    let free = rest.len() - groups;
    let together = if groups == 1 { alone } else { spread(&rest, groups) };
    // Who scatters more than the others is not held to their measure.
    (middle, deviations * (together * widen(free, own.len(), deviations)).max(alone))
}

/// Appends how far each value is from their median, which is returned.
fn leave(values: &mut [f64], rest: &mut Vec<f64>) -> f64 {
    let middle = median(values);
    rest.extend(values.iter().map(|v| v - middle));
    middle
}

/// Standard deviation of values around `groups` middles of their own, which are 0 here.
fn spread(rest: &[f64], groups: usize) -> f64 {
    let mut distances: Vec<f64> = rest.iter().map(|v| v.abs()).collect();
    // Of ties the pairs see less than the median does, so the larger of both counts.
    let robust = (MAD * median(&mut distances)).max(PAIRS * near_pairs(rest));
    if robust == 0.0 {
        return MEAN * distances.iter().sum::<f64>() / distances.len() as f64;
    }
    if rest.len() - groups + 1 < ENOUGH {
        return robust;
    }
    let near = rest.iter().filter(|v| v.abs() <= FAR * robust);
    let (count, squares) = near.fold((0, 0.0), |(n, sum), v| (n + 1, sum + v * v));
    (squares / (count - groups).max(1) as f64).sqrt()
}

/// How much wider than `deviations` spreads a band must be when the spread has `free` degrees of freedom and the
/// middle is the median of `own` values. Beyond 4 deviations the factor of 4 stands, so that more deviations
/// are rarer still.
fn widen(free: usize, own: usize, deviations: f64) -> f64 {
    let n = free + 1;
    let (three, four) = match FACTORS.get(n.saturating_sub(2)) {
        Some(factors) if n >= 2 => *factors,
        Some(_) => FACTORS[0],
        None => (1.0 + 3.4 / n as f64, 1.0 + 6.0 / n as f64),
    };
    // The factors know the middle of n values; that of fewer is less certain (π/2 · σ² / own).
    let middle = |n: usize| 1.0 + std::f64::consts::FRAC_PI_2 / n.max(1) as f64;
    let fewer = (middle(own) / middle(n)).sqrt().max(1.0);
    (three + (four - three) * (deviations - 3.0).clamp(0.0, 1.0)) * fewer
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

    fn scatter(values: &[f64]) -> (f64, f64) {
        let (mut own, mut rest) = (values.to_vec(), Vec::new());
        (leave(&mut own, &mut rest), spread(&rest, 1))
    }

    #[test]
    fn usual_is_the_median_and_its_deviations_untouched_by_outliers() {
        assert_eq!(scatter(&[10.0, 12.0, 11.0, 9.0, 1000.0]), (11.0, PAIRS * 1.0));
        // Ties hide the scatter from pairs sooner than from the median.
        assert_eq!(scatter(&[1.0, 1.0, 1.0, 3.0, 3.0, 3.0]), (2.0, MAD * 1.0));
        // More than half are equal: the mean deviation takes over, or everything else would be an alarm.
        assert_eq!(scatter(&[5.0, 5.0, 5.0, 5.0, 10.0]), (5.0, MEAN * 1.0));
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(scatter(&[7.0]), (7.0, 0.0));
        // Of ten values the standard deviation, without the one that is far away.
        let (middle, spread) = scatter(&[9.0, 10.0, 11.0, 9.0, 10.0, 11.0, 9.0, 10.0, 11.0, 10.0, 900.0]);
        assert_eq!((middle, spread), (10.0, (6.0_f64 / 9.0).sqrt()));
    }

    #[test]
    fn alike_groups_lend_their_scatter() {
        let four = [100.0, 102.0, 98.0, 101.0];
        let other: Vec<f64> = four.iter().map(|v| v + 50.0).collect();
        let (middle, alone) = usual(&mut four.to_vec(), &mut [], 4.0);
        let (same, together) = usual(&mut four.to_vec(), &mut vec![other.clone(); 4], 4.0);
        assert_eq!((middle, same), (100.5, 100.5), "their middles stay their own");
        assert!(together < alone / 5.0, "{together} instead of {alone}");
        // Groups of three know nothing; and who scatters more keeps a scatter of its own.
        assert_eq!(usual(&mut four.to_vec(), &mut [other[..3].to_vec()], 4.0).1, alone);
        let mut wild: Vec<f64> = four.iter().map(|v| 10.0 * v).collect();
        assert!(usual(&mut wild, &mut vec![other; 4], 4.0).1 > 4.0 * 10.0 * 1.4);
    }

    #[test]
    fn fewer_values_and_more_deviations_need_a_wider_band() {
        for deviations in [2.0, 3.0, 4.0, 6.0] {
            for free in 1..300 {
                let (now, next) = (widen(free, free + 1, deviations), widen(free + 1, free + 2, deviations));
                assert!(now >= next && next >= 1.0, "{free} at {deviations}");
                assert!(widen(free, 4, deviations) >= now);
            }
        }
        assert!(widen(7, 8, 4.0) > widen(7, 8, 3.5) && widen(7, 8, 3.5) > widen(7, 8, 3.0));
        assert!(widen(119, 120, 4.0) <= 1.05);
        assert!(widen(0, 1, 4.0) >= widen(3, 4, 4.0));
    }
}
