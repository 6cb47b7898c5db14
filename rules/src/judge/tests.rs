use chrono::TimeDelta;
use store::Span;
use warehouse::Calendar;
use warehouse::metric::{Grain, MetricAnswer, MetricRow};

use super::*;
use crate::series::{Axis, Frame, Values};
use crate::spec::{Corridor, Limit};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Hours (or days) that end with the one that holds `now`; tables always just loaded.
fn frame(grain: Grain, now: &str, values: &[Option<f64>]) -> Frame {
    let calendar = Calendar::built_in(chrono_tz::Asia::Shanghai);
    let now = at(now);
    let last = crate::series::start_of(grain, now, &calendar);
    let step = if grain == Grain::Hour { TimeDelta::hours(1) } else { TimeDelta::days(1) };
    let rows = values.iter().enumerate().map(|(i, value)| MetricRow {
        time: Some(last - step * (values.len() - 1 - i) as i32),
        value: *value,
        ..MetricRow::default()
    });
    let answer = MetricAnswer {
        rows: rows.collect(),
        as_of: Some(now),
        tables: vec![],
        range: warehouse::Range { from: last, to: now },
        previous_range: None,
        incomplete: false,
        titles: Default::default(),
        query_id: String::new(),
    };
    Frame::by_time(answer, grain, now, TimeDelta::zero(), &calendar)
}

fn verdict(when: &Condition, nature: Nature, frame: &Frame) -> Verdict {
    let values = frame.series.values().next().unwrap();
    judge(when, &Series { axis: &frame.axis, values, nature })
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Normal(r) => format!("normal {}", r.value.unwrap()),
        Verdict::Outside(r) => format!("outside {}", r.value.unwrap()),
        Verdict::Unknown(why) => format!("{why:?}"),
    }
}

const ABOVE: Condition = Condition::Above(Limit { value: 100.0 });
const BELOW: Condition = Condition::Below(Limit { value: 10.0 });
const OUTSIDE: Condition = Condition::Outside(Corridor { low: 10.0, high: 100.0 });

#[test]
fn an_open_hour_never_raises_a_false_alarm_but_says_what_is_already_certain() {
    use Nature::{Growing, Level, Whole};
    let half_past = "2026-03-02T02:30:00Z";
    let just_over = "2026-03-02T02:02:00Z"; // 09 may still get rows; 10 has begun
    let n = None;
    let v = Some;
    // condition, nature, now, [… last but one, last] values, expected
    type Case<'a> = (&'a Condition, Nature, &'a str, &'a [Option<f64>], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&ABOVE, Growing, half_past, &[v(50.0), v(101.0)], "outside 101", "a count only grows"),
        (&ABOVE, Growing, half_past, &[v(150.0), v(1.0)], "outside 150", "the whole hour was too high"),
        (&ABOVE, Growing, half_past, &[v(100.0), v(1.0)], "normal 100", "a limit is not above itself"),
        (&ABOVE, Growing, just_over, &[v(50.0), v(150.0), v(0.0)], "outside 150", "no gap as the hour turns"),
        (&BELOW, Growing, half_past, &[v(50.0), v(0.0)], "normal 50", "the open hour has just begun"),
        (&BELOW, Growing, half_past, &[v(5.0), v(0.0)], "outside 5", "a whole hour was too low"),
        (&BELOW, Growing, half_past, &[v(5.0), v(10.0)], "normal 10", "made good already"),
        (&BELOW, Growing, just_over, &[v(50.0), v(3.0), v(0.0)], "normal 50", "rows may be on their way"),
        (&OUTSIDE, Growing, half_past, &[v(50.0), v(5.0)], "normal 50", "not over yet"),
        (&OUTSIDE, Growing, half_past, &[v(150.0), v(50.0)], "outside 150", "the open hour does not acquit"),
        (&ABOVE, Level, half_past, &[v(50.0), v(101.0)], "outside 101", "a stock is what it is now"),
        (&ABOVE, Level, half_past, &[v(150.0), v(20.0)], "normal 20", "a stock that has come down"),
        (&ABOVE, Level, half_past, &[v(150.0), n], "outside 150", "nothing newer is known"),
        (&ABOVE, Level, half_past, &[n, v(20.0)], "normal 20", "only the present is known"),
        (&BELOW, Level, half_past, &[v(50.0), v(2.0)], "normal 50", "half a snapshot looks low"),
        (&BELOW, Level, half_past, &[v(2.0), v(2.0)], "outside 2", "low for a whole hour"),
        (&BELOW, Level, half_past, &[v(2.0), v(50.0)], "normal 50", "filled up again"),
        (&ABOVE, Whole, half_past, &[v(50.0), v(500.0)], "normal 50", "a mean over three rows says nothing"),
        (&BELOW, Whole, half_past, &[v(50.0), v(0.0)], "normal 50", "nor does a low one"),
        (&ABOVE, Whole, half_past, &[n, v(500.0)], "NoValue", "no complete hour has a value"),
        (&ABOVE, Growing, half_past, &[v(7.0)], "NoValue", "there is no complete hour"),
    ];
    for (when, nature, now, values, expected, why) in cases {
        let found = verdict(when, *nature, &frame(Grain::Hour, now, values));
        assert_eq!(word(&found), *expected, "{why}: {when:?} {nature:?} {values:?}");
    }
}

#[test]
fn a_change_is_a_share_of_what_was_before() {
    let change = |against, up, down, min| Condition::Change(Change { against, up, down, min });
    let days = |values: &[f64]| {
        let values: Vec<_> = values.iter().copied().map(Some).chain([Some(0.0)]).collect();
        frame(Grain::Day, "2026-03-12T04:00:00Z", &values)
    };
    let previous = |up, down, min| change(Against::Previous, up, down, min);
    let week: &[f64] = &[100.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 49.0];
    let cases: &[(Condition, &[f64], &str)] = &[
        (previous(Some(0.3), None, 0.0), &[100.0, 131.0], "outside 131"),
        (previous(Some(0.3), None, 0.0), &[100.0, 130.0], "normal 130"),
        (previous(Some(0.3), None, 0.0), &[100.0, 10.0], "normal 10"),
        (previous(None, Some(0.3), 0.0), &[100.0, 69.0], "outside 69"),
        (previous(None, Some(0.3), 20.0), &[19.0, 1.0], "normal 1"),
        (previous(None, Some(0.3), 20.0), &[20.0, 1.0], "outside 1"),
        (previous(Some(0.3), None, 0.0), &[0.0, 500.0], "normal 500"),
        (previous(Some(0.3), None, 0.0), &[-100.0, -60.0], "outside -60"),
        (previous(Some(0.3), None, 0.0), &[5.0], "NoHistory"),
        (change(Against::LastWeek, None, Some(0.5), 0.0), week, "outside 49"),
        (change(Against::LastWeek, None, Some(0.51), 0.0), week, "normal 49"),
        (change(Against::LastWeek, None, Some(0.5), 0.0), &week[1..], "NoHistory"),
    ];
    for (when, values, expected) in cases {
        assert_eq!(word(&verdict(when, Nature::Growing, &days(values))), *expected, "{when:?} {values:?}");
    }
}

#[test]
fn a_sum_with_negative_amounts_may_still_come_down() {
    let now = "2026-03-02T02:30:00Z";
    let with_refunds = frame(Grain::Hour, now, &[Some(-5.0), Some(50.0), Some(150.0)]);
    assert_eq!(word(&verdict(&ABOVE, Nature::Growing, &with_refunds)), "normal 50");
    let below_zero = Condition::Above(Limit { value: -10.0 });
    let losses = frame(Grain::Hour, now, &[Some(-50.0), Some(0.0)]);
    assert_eq!(word(&verdict(&below_zero, Nature::Growing, &losses)), "normal -50");
}

#[test]
fn a_rise_of_the_open_day_is_measured_only_against_a_complete_one() {
    let when = Condition::Change(Change { against: Against::Previous, up: Some(0.5), down: None, min: 0.0 });
    let values = [Some(100.0), Some(5.0), Some(20.0)];
    // Five past midnight: yesterday (5 so far) may still get rows.
    let early = frame(Grain::Day, "2026-03-11T16:05:00Z", &values);
    assert_eq!(word(&verdict(&when, Nature::Growing, &early)), "NoHistory");
    let later = frame(Grain::Day, "2026-03-12T04:00:00Z", &values);
    assert_eq!(word(&verdict(&when, Nature::Growing, &later)), "outside 20");
}

#[test]
fn a_year_before_comes_with_the_answer() {
    let when = Condition::Change(Change { against: Against::LastYear, up: None, down: Some(0.2), min: 0.0 });
    let mut year = frame(Grain::Day, "2026-03-12T04:00:00Z", &[Some(1.0), Some(70.0), Some(0.0)]);
    for values in year.series.values_mut() {
        values.base = vec![Some(1.0), Some(100.0), Some(100.0)];
    }
    assert_eq!(word(&verdict(&when, Nature::Growing, &year)), "outside 70");
}

fn seasonal(season: Season, side: Side, floor: f64) -> Condition {
    let history = Some(Span(std::time::Duration::from_secs(60 * 86_400)));
    Condition::Seasonal(Seasonal { season, deviations: 4.0, side, history, min_points: 4, floor })
}

/// 56 days until yesterday: about 100 on workdays and 10 on free days of the calendar, then today.
fn company(now: &str, yesterday: f64) -> Frame {
    let mut frame = frame(Grain::Day, now, &[Some(0.0); 57]);
    let axis = frame.axis.clone();
    for values in frame.series.values_mut() {
        for (i, bucket) in axis.buckets.iter().enumerate() {
            let noise = [0.0, 2.0, -1.0, 1.0, -2.0][i % 5];
            values.current[i] = Some(if bucket.works { 100.0 } else { 10.0 } + noise);
        }
        values.current[55] = Some(yesterday);
        values.current[56] = Some(0.0);
    }
    frame
}

#[test]
fn what_is_usual_depends_on_the_calendar() {
    let (week, workweek) = (Season::Week, Season::Workweek);
    let noon = |day: &str| format!("{day}T04:00:00Z");
    let cases = [
        (workweek, "2026-04-01", 100.0, "normal 100", "a Tuesday"),
        (workweek, "2026-04-01", 10.0, "outside 10", "a Tuesday like a Sunday"),
        (workweek, "2026-04-01", 130.0, "outside 130", "a Tuesday with a surge"),
        (week, "2026-04-01", 10.0, "outside 10", "a Tuesday like a Sunday"),
        (week, "2026-03-30", 10.0, "normal 10", "a Sunday"),
        (week, "2026-03-30", 100.0, "outside 100", "a Sunday like a Monday"),
        // 6 April 2026 is a Monday and a public holiday (Qingming).
        (week, "2026-04-07", 10.0, "normal 10", "a free Monday is like other free days"),
        (week, "2026-04-07", 100.0, "outside 100", "a free Monday like a workday"),
        // 9 May 2026 is a Saturday on which people work.
        (week, "2026-05-10", 100.0, "normal 100", "a make-up Saturday is like other workdays"),
        (workweek, "2026-05-10", 10.0, "outside 10", "a make-up Saturday like a weekend"),
    ];
    for (season, day, value, expected, why) in cases {
        let when = seasonal(season, Side::Both, 5.0);
        let found = verdict(&when, Nature::Growing, &company(&noon(day), value));
        assert_eq!(word(&found), expected, "{why} ({season:?})");
    }
}

#[test]
fn only_the_side_that_was_asked_for_warns() {
    let now = "2026-04-01T04:00:00Z";
    let found = |side, value| {
        word(&verdict(&seasonal(Season::Workweek, side, 5.0), Nature::Growing, &company(now, value)))
    };
    assert_eq!(found(Side::Above, 10.0), "normal 10");
    assert_eq!(found(Side::Below, 10.0), "outside 10");
    assert_eq!(found(Side::Below, 400.0), "normal 400");
    assert_eq!(found(Side::Above, 400.0), "outside 400");
}

#[test]
fn too_little_history_judges_nothing() {
    let when = seasonal(Season::Week, Side::Both, 0.0);
    let found = verdict(&when, Nature::Growing, &frame(Grain::Day, "2026-04-01T04:00:00Z", &[Some(1.0); 20]));
    assert_eq!(found, Verdict::Unknown(Unknown::NoHistory));
}

#[test]
fn a_floor_keeps_small_numbers_quiet() {
    let values: Vec<_> = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 5.0, 0.0].map(Some).into();
    let series = frame(Grain::Hour, "2026-03-02T02:30:00Z", &values);
    let day = |floor| {
        Condition::Seasonal(Seasonal {
            season: Season::Workweek,
            deviations: 3.0,
            side: Side::Both,
            history: None,
            min_points: 4,
            floor,
        })
    };
    // Only one value an hour of the day: judged against nothing; so all values share one slot here.
    let mut flat = series;
    for bucket in &mut flat.axis.buckets {
        bucket.hour = 9;
        bucket.works = true;
    }
    assert_eq!(word(&verdict(&day(0.0), Nature::Growing, &flat)), "outside 5");
    assert_eq!(word(&verdict(&day(3.0), Nature::Growing, &flat)), "normal 5");
}

#[test]
fn a_partial_value_above_usual_is_already_above() {
    let now = "2026-04-01T04:00:00Z";
    let mut frame = company(now, 100.0);
    for values in frame.series.values_mut() {
        values.current[56] = Some(180.0);
    }
    let when = seasonal(Season::Workweek, Side::Both, 5.0);
    assert_eq!(word(&verdict(&when, Nature::Growing, &frame)), "outside 180");
    assert_eq!(word(&verdict(&when, Nature::Level, &frame)), "normal 100", "a level may still come down");
}

#[test]
fn the_evidence_shows_the_band_at_every_value_and_is_bounded() {
    let frame = company("2026-04-01T04:00:00Z", 10.0);
    let values = frame.series.values().next().unwrap();
    let series = Series { axis: &frame.axis, values, nature: Nature::Growing };
    let points = evidence(&seasonal(Season::Workweek, Side::Both, 5.0), &series, 30);
    assert_eq!(points.len(), 30);
    let outside: Vec<_> = points.iter().filter(|p| p.outside).collect();
    assert_eq!(outside.len(), 1);
    assert_eq!(outside[0].reading.value, Some(10.0));
    assert!(points[29].partial && !points[29].outside, "today is not over");
    assert!(points.iter().all(|p| p.reading.low < p.reading.high));
}

#[test]
fn a_series_without_buckets_is_unknown() {
    let (axis, values) = (Axis::default(), Values::default());
    let series = Series { axis: &axis, values: &values, nature: Nature::Whole };
    assert_eq!(judge(&ABOVE, &series), Verdict::Unknown(Unknown::NoValue));
}

/// Numbers of a normal distribution, always the same.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[test]
fn noise_leaves_the_band_as_rarely_as_its_deviations_promise() {
    use Season::{Day, Week, Workweek};
    // Season, grain, days of history: what a default gives, and the little that a rule may say.
    let forms = [
        (Week, Grain::Day, 84),
        (Week, Grain::Day, 56),
        (Week, Grain::Day, 28),
        (Workweek, Grain::Day, 42),
        (Workweek, Grain::Day, 28),
        (Day, Grain::Hour, 28),
        (Day, Grain::Hour, 8),
        (Week, Grain::Hour, 84),
        (Week, Grain::Hour, 28),
        (Workweek, Grain::Hour, 42),
        (Workweek, Grain::Hour, 28),
    ];
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for deviations in [3.0, 4.0] {
        for (season, grain, days) in forms {
            let when = Condition::Seasonal(Seasonal {
                season,
                deviations,
                side: Side::Both,
                history: None,
                min_points: 4,
                floor: 0.0,
            });
            let per_day = if grain == Grain::Hour { 24 } else { 1 };
            let (mut judged, mut fired) = (0, 0);
            // A workday and a free day: 2 April and 5 April 2026, at noon.
            for now in ["2026-04-03T04:30:00Z", "2026-04-06T04:30:00Z"] {
                let mut shape = frame(grain, now, &vec![Some(0.0); days * per_day + 3]);
                let axis = shape.axis.clone();
                let Some(values) = shape.series.values_mut().next() else { continue };
                for _ in 0..400 {
                    for value in &mut values.current {
                        *value = Some(1000.0 + 100.0 * noise.normal());
                    }
                    let series = Series { axis: &axis, values, nature: Nature::Whole };
                    match judge(&when, &series) {
                        Verdict::Outside(_) => (judged, fired) = (judged + 1, fired + 1),
                        Verdict::Normal(_) => judged += 1,
                        Verdict::Unknown(why) => panic!("{season:?} {grain:?} {days}: {why:?}"),
                    }
                }
            }
            assert_eq!(judged, 800);
            // 4 deviations promise 0.05 of 800, 3 promise 2.2; more than 2 and 8 are nearly impossible.
            let most = if deviations == 4.0 { 2 } else { 8 };
            assert!(fired <= most, "{fired} of {judged}: {season:?} {grain:?} {days} days, {deviations}");
        }
    }
}

#[test]
fn what_is_really_unusual_is_still_found() {
    // Ten alike days of 1000 ± 60: what is 600 away is seen, though ten days tell little of their scatter.
    let mut noise = Noise(7);
    let mut shape = frame(Grain::Day, "2026-04-03T04:30:00Z", &[Some(0.0); 85]);
    let axis = shape.axis.clone();
    let when = Condition::Seasonal(Seasonal {
        season: Season::Week,
        deviations: 4.0,
        side: Side::Both,
        history: None,
        min_points: 4,
        floor: 0.0,
    });
    let values = shape.series.values_mut().next().unwrap();
    let mut found = 0;
    for n in 0..200 {
        for value in &mut values.current {
            *value = Some(1000.0 + 60.0 * noise.normal());
        }
        values.current[83] = Some(if n % 2 == 0 { 400.0 } else { 1600.0 });
        let series = Series { axis: &axis, values, nature: Nature::Whole };
        found += usize::from(matches!(judge(&when, &series), Verdict::Outside(_)));
    }
    assert!(found >= 180, "{found} of 200");
}

#[test]
fn the_same_date_of_the_month_before_is_compared_if_there_is_one() {
    let when = Condition::Change(Change { against: Against::LastMonth, up: Some(0.5), down: None, min: 0.0 });
    let judged = |now: &str, there: f64| {
        let mut days = vec![Some(1.0); 40];
        days[38] = Some(there);
        days[39] = Some(0.0);
        frame(Grain::Day, now, &days)
    };
    // 15 April against 15 March, 31 days before.
    let mut april = judged("2026-04-16T04:00:00Z", 200.0);
    for values in april.series.values_mut() {
        values.current[38 - 31] = Some(100.0);
    }
    assert_eq!(word(&verdict(&when, Nature::Growing, &april)), "outside 200");
    // 31 March has no date in February.
    assert_eq!(word(&verdict(&when, Nature::Growing, &judged("2026-04-01T04:00:00Z", 200.0))), "NoHistory");
}
