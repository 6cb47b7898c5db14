use super::*;
use chrono_tz::America::New_York;
use chrono_tz::Asia::Shanghai;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next `n` moments after `t` as local text.
fn runs(schedule: &str, tz: Tz, t: &str, n: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule).unwrap();
    let mut t = at(t);
    (0..n)
        .map(|_| {
            t = schedule.next_after(t, tz).unwrap();
            tz.from_utc_datetime(&t.naive_utc()).format("%m-%d %H:%M %Z").to_string()
        })
        .collect()
}

#[test]
fn durations_read_as_people_write_them() {
    for (text, seconds) in
        [("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400), ("2w", 1_209_600), ("1h30m", 5400), ("0s", 0)]
    {
        assert_eq!(parse_duration(text).unwrap(), Duration::from_secs(seconds), "{text}");
    }
    for text in ["", "5", "m", "5 m", "-5m", "5x", "1.5h", "99999999999999999999s", "9999999999w"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert_eq!(Span(Duration::from_secs(90)).to_string(), "90s");
    assert_eq!(Span(Duration::from_secs(7200)).to_string(), "2h");
    assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    assert_eq!(Span(Duration::from_millis(1500)).to_string(), "1500ms");
}

#[test]
fn intervals_lie_on_a_grid_and_days_start_at_local_midnight() {
    assert_eq!(runs("5m", Shanghai, "2026-03-02T01:02:03Z", 2), ["03-02 09:05 CST", "03-02 09:10 CST"]);
    assert_eq!(runs("5m", Shanghai, "2026-03-02T01:05:00Z", 1), ["03-02 09:10 CST"]);
    assert_eq!(runs("1d", Shanghai, "2026-03-02T01:02:03Z", 2), ["03-03 00:00 CST", "03-04 00:00 CST"]);
    assert_eq!(
        runs("1d", New_York, "2026-03-07T12:00:00Z", 3),
        ["03-08 00:00 EST", "03-09 00:00 EDT", "03-10 00:00 EDT"]
    );
}

#[test]
fn crontab_fields_mean_what_crontab_says() {
    let start = "2026-03-02T00:00:00Z"; // Monday 08:00 in Shanghai
    for (cron, next) in [
        ("*/5 8-20 * * mon-fri", "03-02 08:05 CST"),
        ("30 9 * * 0", "03-08 09:30 CST"),
        ("30 9 * * 7", "03-08 09:30 CST"),
        ("30 9 * * SUN", "03-08 09:30 CST"),
        ("30 9 * * 1", "03-09 09:30 CST"),
        ("0 9 * * sat-sun", "03-07 09:00 CST"),
        ("0 0 1 * *", "04-01 00:00 CST"),
        ("0 0 1 apr,jul *", "04-01 00:00 CST"),
        ("15,45 * * * *", "03-02 08:15 CST"),
        ("10/20 * * * *", "03-02 08:10 CST"),
        ("0 9 29 2 *", "02-29 09:00 CST"),
        ("@daily", "03-03 00:00 CST"),
        ("@weekly", "03-08 00:00 CST"),
        ("@hourly", "03-02 09:00 CST"),
    ] {
        let t = if cron.contains("9 * * 1") { "2026-03-02T02:00:00Z" } else { start };
        assert_eq!(runs(cron, Shanghai, t, 1), [next], "{cron}");
    }
}

#[test]
fn day_of_month_and_day_of_week_join_with_or_as_in_crontab() {
    let runs = runs("0 9 13 * fri", Shanghai, "2026-03-02T00:00:00Z", 4);
    assert_eq!(runs, ["03-06 09:00 CST", "03-13 09:00 CST", "03-20 09:00 CST", "03-27 09:00 CST"]);
    let runs = super::tests::runs("0 9 15 * fri", Shanghai, "2026-03-10T00:00:00Z", 3);
    assert_eq!(runs, ["03-13 09:00 CST", "03-15 09:00 CST", "03-20 09:00 CST"]);
}

#[test]
fn a_fixed_time_in_the_spring_gap_runs_once_when_the_gap_ends() {
    // New York, 8 March 2026: 02:00 EST becomes 03:00 EDT.
    let runs = runs("30 2 * * *", New_York, "2026-03-07T00:00:00Z", 3);
    assert_eq!(runs, ["03-07 02:30 EST", "03-08 03:00 EDT", "03-09 02:30 EDT"]);
}

#[test]
fn a_fixed_time_in_the_repeated_autumn_hour_runs_once() {
    // New York, 1 November 2026: 02:00 EDT becomes 01:00 EST.
    let runs = runs("30 1 * * *", New_York, "2026-10-31T00:00:00Z", 3);
    assert_eq!(runs, ["10-31 01:30 EDT", "11-01 01:30 EDT", "11-02 01:30 EST"]);
}

#[test]
fn every_half_hour_passes_both_changes_in_steps_of_half_an_hour() {
    for start in ["2026-03-08T05:10:00Z", "2026-11-01T04:10:00Z"] {
        let schedule = Schedule::parse("*/30 * * * *").unwrap();
        let mut t = schedule.next_after(at(start), New_York).unwrap();
        for _ in 0..12 {
            let next = schedule.next_after(t, New_York).unwrap();
            assert_eq!(next - t, chrono::Duration::minutes(30), "after {t}");
            t = next;
        }
    }
}

#[test]
fn every_minute_of_a_year_moves_forward_in_both_zones() {
    for tz in [New_York, Shanghai] {
        for cron in ["0 */2 * * *", "30 1,2,3 * * *", "0 0 * * *"] {
            let schedule = Schedule::parse(cron).unwrap();
            let mut t = at("2026-01-01T00:00:00Z");
            let mut days = std::collections::BTreeMap::<NaiveDate, usize>::new();
            while t < at("2027-01-01T00:00:00Z") {
                let next = schedule.next_after(t, tz).unwrap();
                assert!(next > t, "{cron} after {t}");
                *days.entry(tz.from_utc_datetime(&next.naive_utc()).date_naive()).or_default() += 1;
                t = next;
            }
            // No day without its runs: the gap's run moves, it does not vanish, unless it meets another.
            let usual = days.values().copied().max().unwrap();
            assert!(days.values().filter(|n| **n < usual).count() <= 3, "{cron} {tz}");
            assert!(days.len() >= 365, "{cron} {tz}");
        }
    }
}

#[test]
fn a_date_that_never_comes_gives_none() {
    assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next_after(at("2026-01-01T00:00:00Z"), Shanghai), None);
}

#[test]
fn the_last_day_of_a_month_is_a_word() {
    assert_eq!(
        runs("30 8 L * *", Shanghai, "2028-01-30T00:00:00Z", 4),
        ["01-31 08:30 CST", "02-29 08:30 CST", "03-31 08:30 CST", "04-30 08:30 CST"]
    );
    assert_eq!(
        runs("0 9 15,L feb *", Shanghai, "2026-01-30T00:00:00Z", 3),
        ["02-15 09:00 CST", "02-28 09:00 CST", "02-15 09:00 CST"]
    );
    // Sunday 31 May 2026: the last workday is the Friday before.
    assert_eq!(
        runs("0 9 LW * *", Shanghai, "2026-05-02T00:00:00Z", 2),
        ["05-29 09:00 CST", "06-30 09:00 CST"]
    );
}

#[test]
fn workdays_are_those_of_the_calendar() {
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    let (worked, free) = (day("2026-02-14"), day("2026-02-16"));
    let works = |d: NaiveDate| d == worked || (d != free && cron::monday_to_friday(d));
    let next = |schedule: &str, n: usize| {
        let schedule = Schedule::parse(schedule).unwrap();
        let mut t = at("2026-02-13T02:00:00Z"); // Friday, ten in Shanghai
        (0..n)
            .map(|_| {
                t = schedule.next_on(t, Shanghai, &works).unwrap();
                Shanghai.from_utc_datetime(&t.naive_utc()).format("%a %m-%d %H:%M").to_string()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(next("0 9 * * workday", 3), ["Sat 02-14 09:00", "Tue 02-17 09:00", "Wed 02-18 09:00"]);
    assert_eq!(next("0 9 * * freeday", 3), ["Sun 02-15 09:00", "Mon 02-16 09:00", "Sat 02-21 09:00"]);
    assert_eq!(next("0 9,17 * * workday", 3), ["Fri 02-13 17:00", "Sat 02-14 09:00", "Sat 02-14 17:00"]);
    let never = |_: NaiveDate| false;
    let schedule = Schedule::parse("* * * * workday").unwrap();
    assert_eq!(schedule.next_on(at("2026-02-13T02:00:00Z"), Shanghai, &never), None, "and it ends");
}

#[test]
fn what_never_runs_is_known() {
    for (text, never) in [
        ("0 0 31 2 *", true),
        ("0 0 30 2 *", true),
        ("0 0 31 4,6 *", true),
        ("0 0 29 2 *", false),
        ("5m", false),
    ] {
        assert_eq!(Schedule::parse(text).unwrap().is_never(), never, "{text}");
    }
    assert!(!Schedule::parse("0 0 31 2 mon").unwrap().is_never(), "either day counts");
}

#[test]
fn wrong_expressions_say_which_field_and_what_to_write() {
    for (text, part) in [
        ("0 */5 8 * * *", "no seconds"),
        ("* * *", "write five"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * * foo *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * fri-mon", "runs backwards"),
        ("*/0 * * * *", "minute"),
        ("@reboot", "@daily"),
        ("0s", "zero"),
        ("soon", "not a duration"),
        ("* * L2 * *", "day of month"),
        ("* * LW-3 * *", "L for the last day"),
        ("* * * * workdays", "workday or freeday"),
    ] {
        let error = Schedule::parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}
