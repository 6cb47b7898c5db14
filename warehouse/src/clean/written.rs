//! Single values as people write them, for doors that take one value at a time: filters of metric questions.

use chrono_tz::Tz;

use super::civil::{DAY_MICROS, LocalClock};
use super::flexible;
use super::number::Number;

/// A plain number times 10^`scale` as a whole number, and whether nothing was cut off.
pub(crate) fn scaled(text: &str, scale: i8) -> Option<(i128, bool)> {
    Number::plain(text)?.scaled((1, 1), scale)
}

/// A day (`2026/1/5`, `2026年1月5日`, `20260105`) as `2026-01-05`; None for anything that is not one whole day.
pub(crate) fn day(text: &str) -> Option<String> {
    let moment = flexible::read(text)?;
    if moment.offset.is_some() || moment.micros.rem_euclid(DAY_MICROS) != 0 {
        return None;
    }
    chrono::DateTime::from_timestamp_micros(moment.micros).map(|t| t.format("%Y-%m-%d").to_string())
}

/// A time in microseconds. Without an offset it is one of `zone`, where the column holds instants (`zoned`).
pub(crate) fn instant(text: &str, zone: Tz, zoned: bool) -> Option<i64> {
    let moment = flexible::read(text)?;
    match moment.offset {
        Some(offset) => moment.micros.checked_sub(i64::from(offset) * 1_000_000),
        None if zoned => LocalClock::new(zone).utc(moment.micros),
        None => Some(moment.micros),
    }
}
