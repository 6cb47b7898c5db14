//! Cursor values that are times: written as text, or as a number that counts since 1970 or spells a date.
//!
//! What is moved back keeps the form in which it came, because the source compares it with values of that
//! form: `2026-01-01T07:50` is no earlier than `2026-01-01 08:00` where both are text.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::{Value, json};

const CLOCK_FORMATS: [&str; 10] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M",
    "%Y年%m月%d日 %H:%M:%S",
    "%Y%m%dT%H%M%S",
];
const DAY_FORMATS: [&str; 4] = ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y年%m月%d日"];
const SECOND: i64 = 1_000_000;

/// How a value tells a time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// A clock time in this format; what follows it (`Z`, `+08:00`) has this length.
    Clock(&'static str, usize),
    /// A whole day.
    Day(&'static str),
    /// A count since 1970 of so many microseconds each; below one, so many of them a microsecond.
    Epoch(f64),
}

/// A cursor value moved back in time; what is no time stays.
pub(crate) fn back(at: &Value, overlap: Duration) -> Value {
    if overlap.is_zero() {
        return at.clone();
    }
    let Some(text) = written(at) else { return at.clone() };
    let by = chrono::Duration::from_std(overlap).unwrap_or_default();
    let moved = match form(&text, at.is_string()) {
        Some(Form::Clock(format, tail)) => {
            let (clock, zone) = text.split_at(text.len() - tail);
            NaiveDateTime::parse_from_str(clock, format)
                .ok()
                .and_then(|t| t.checked_sub_signed(by))
                .map(|t| format!("{}{zone}", t.format(format)))
        }
        // Any part of a day behind means the whole day.
        Some(Form::Day(format)) => {
            let days = by.num_days() + i64::from(by > chrono::Duration::days(by.num_days()));
            NaiveDate::parse_from_str(&text, format)
                .ok()
                .and_then(|d| d.checked_sub_signed(chrono::Duration::days(days)))
                .map(|d| d.format(format).to_string())
        }
        Some(Form::Epoch(unit)) => {
            let steps = (overlap.as_micros() as f64 / unit).ceil();
            match text.parse::<i64>() {
                Ok(whole) => Some((whole as i128 - steps as i128).to_string()),
                Err(_) => text.parse::<f64>().ok().map(|n| (n - steps).to_string()),
            }
        }
        None => None,
    };
    let Some(moved) = moved else { return at.clone() };
    match at {
        Value::String(_) => json!(moved),
        _ => serde_json::from_str(&moved).unwrap_or_else(|_| at.clone()),
    }
}

/// Microseconds of a time, for distances; `None` when the value tells no time.
pub(crate) fn micros(value: &Value) -> Option<i64> {
    let text = written(value)?;
    match form(&text, value.is_string())? {
        Form::Clock(format, tail) => {
            let (clock, zone) = text.split_at(text.len() - tail);
            let clock = NaiveDateTime::parse_from_str(clock, format).ok()?.and_utc().timestamp_micros();
            clock.checked_sub(zone_seconds(zone)?.checked_mul(SECOND)?)
        }
        Form::Day(format) => {
            let day = NaiveDate::parse_from_str(&text, format).ok()?;
            Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
        }
        Form::Epoch(unit) => match (text.parse::<i128>(), unit >= 1.0) {
            (Ok(whole), true) => i64::try_from(whole.checked_mul(unit as i128)?).ok(),
            (Ok(whole), false) => i64::try_from(whole / (1.0 / unit).round() as i128).ok(),
            (Err(_), _) => Some((text.parse::<f64>().ok()? * unit) as i64),
        },
    }
}

fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.trim().to_owned()).filter(|t| !t.is_empty() && t.len() <= 64),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

fn form(text: &str, is_text: bool) -> Option<Form> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if digits && let Some(spelled) = spelled(text) {
        return Some(spelled);
    }
    if text.parse::<f64>().is_ok() {
        return epoch(text);
    }
    if !is_text {
        return None;
    }
    let tail = text.len() - zone_start(text);
    let clock = &text[..text.len() - tail];
    if let Some(format) = CLOCK_FORMATS.iter().find(|f| NaiveDateTime::parse_from_str(clock, f).is_ok()) {
        return Some(Form::Clock(format, tail));
    }
    DAY_FORMATS.iter().find(|f| NaiveDate::parse_from_str(text, f).is_ok()).map(|f| Form::Day(f))
}

/// Digits that spell a date, such as 20261127 or 20261127103000. Counts since 1970 of our age have 10, 13, 16
/// or 19 digits.
fn spelled(digits: &str) -> Option<Form> {
    if !digits.starts_with("19") && !digits.starts_with("20") {
        return None;
    }
    let fits = |format: &str| NaiveDateTime::parse_from_str(digits, format).is_ok();
    match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").is_ok().then_some(Form::Day("%Y%m%d")),
        12 => fits("%Y%m%d%H%M").then_some(Form::Clock("%Y%m%d%H%M", 0)),
        14 => fits("%Y%m%d%H%M%S").then_some(Form::Clock("%Y%m%d%H%M%S", 0)),
        _ => None,
    }
}

/// A count since 1970, its unit told by its magnitude: seconds up to the year 5138, milliseconds from 1973.
fn epoch(text: &str) -> Option<Form> {
    let size = text.parse::<f64>().ok()?.abs();
    match size {
        s if !(1e8..1e19).contains(&s) => None,
        s if s < 1e11 => Some(Form::Epoch(1e6)),
        s if s < 1e14 => Some(Form::Epoch(1e3)),
        s if s < 1e17 => Some(Form::Epoch(1.0)),
        _ => Some(Form::Epoch(1e-3)),
    }
}

/// Where the zone of a time begins; the text's end when it has none.
fn zone_start(text: &str) -> usize {
    if text.ends_with(['Z', 'z']) {
        return text.len() - 1;
    }
    // Not before the clock: the dashes of a date are no sign.
    let clock = text.find(':').unwrap_or(text.len());
    text[clock..].rfind(['+', '-']).map_or(text.len(), |at| clock + at)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let zone = zone.trim();
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes: i64 = if minutes.is_empty() { 0 } else { minutes.parse().ok()? };
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(at: Value, overlap: u64) -> Value {
        back(&at, Duration::from_secs(overlap))
    }

    #[test]
    fn times_move_back_in_the_form_in_which_they_came() {
        for (at, to) in [
            (json!("2026-01-01 08:00:00"), json!("2026-01-01 07:50:00")),
            (json!("2026-01-01T08:00:00Z"), json!("2026-01-01T07:50:00Z")),
            (json!("2026-01-01 08:00:00+08:00"), json!("2026-01-01 07:50:00+08:00")),
            (json!("2026-01-01 00:05:00-0300"), json!("2025-12-31 23:55:00-0300")),
            (json!("2026/01/01 08:00"), json!("2026/01/01 07:50")),
            (json!("20260101080000"), json!("20260101075000")),
            (json!(20260101080000i64), json!(20260101075000i64)),
            (json!("2026-01-01"), json!("2025-12-31")),
            (json!(20260101), json!(20251231)),
            (json!(1764230700), json!(1764230100)),
            (json!("1764230700"), json!("1764230100")),
            (json!(1764230700.5), json!(1764230100.5)),
            (json!(1764230700123i64), json!(1764230100123i64)),
            (json!(1764230700123456i64), json!(1764230100123456i64)),
            (json!(1764230700123456789i64), json!(1764230100123456789i64)),
        ] {
            assert_eq!(moved(at.clone(), 600), to, "{at}");
        }
    }

    #[test]
    fn what_is_no_time_stays_and_says_so() {
        for at in [json!(5), json!(12345), json!("v10"), json!(""), json!(null), json!(99999999)] {
            assert_eq!(moved(at.clone(), 600), at);
            assert_eq!(micros(&at), None, "{at}");
        }
    }

    #[test]
    fn distances_are_in_microseconds_whatever_the_form() {
        let noon = 1_767_268_800_000_000;
        for at in [
            json!("2026-01-01T12:00:00Z"),
            json!("2026-01-01T20:00:00+08:00"),
            json!("2026-01-01 12:00:00"),
            json!(1_767_268_800i64),
            json!("1767268800000"),
            json!(noon),
            json!(noon * 1000),
            json!(20260101120000i64),
        ] {
            assert_eq!(micros(&at), Some(noon), "{at}");
        }
    }
}
