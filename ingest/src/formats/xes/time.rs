//! Times of event logs as people and programs write them.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// A moment that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Microseconds UTC.
    pub(super) micros: i64,
    /// It had no zone and was read in the site's.
    pub(super) local: bool,
    /// Why it is not exactly what was written.
    pub(super) changed: Option<&'static str>,
}

/// Reads a time. One without a zone is the site's; a day without a time is its midnight. `None` when it is no time.
pub(super) fn read(text: &str, zone: Tz) -> Option<Moment> {
    let text = text.trim();
    let cut = finer(text).then_some("cut to the microsecond");
    if let Some(at) = with_zone(text) {
        return Some(Moment { micros: at, local: false, changed: cut });
    }
    let wall = wall(text)?;
    let (at, changed) = match zone.from_local_datetime(&wall) {
        LocalResult::Single(at) => (at, cut),
        LocalResult::Ambiguous(first, _) => {
            (first, Some("the first of two moments was taken: clocks went back over this time"))
        }
        LocalResult::None => return None,
    };
    Some(Moment { micros: at.timestamp_micros(), local: true, changed })
}

/// Whether a fraction of a second has more than six digits that count.
fn finer(text: &str) -> bool {
    let fraction = text.rsplit_once([':', 'T', ' ']).map_or("", |(_, tail)| tail);
    let Some((_, digits)) = fraction.split_once(['.', ',']) else { return false };
    digits.chars().take_while(char::is_ascii_digit).skip(6).any(|c| c != '0')
}

fn with_zone(text: &str) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_micros());
    }
    // ISO 8601 also allows +0100 and +01, and leaves seconds out; people write a space and slashes.
    let text = text.replacen(' ', "T", 1).replace(',', ".").replace(' ', "");
    let (wall_text, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(rest) => (rest, 0),
        None => {
            let from = text.find('T')?;
            let sign = from + text[from..].rfind(['+', '-'])?;
            let digits: String = text[sign + 1..].chars().filter(|c| *c != ':').collect();
            if !matches!(digits.len(), 2 | 4) || !digits.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            let hours: i64 = digits[..2].parse().ok()?;
            let minutes: i64 = digits.get(2..).filter(|m| !m.is_empty()).map_or(Ok(0), str::parse).ok()?;
            if hours > 18 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            (&text[..sign], if text.as_bytes()[sign] == b'-' { -offset } else { offset })
        }
    };
    let at = wall(wall_text)?.checked_sub_signed(chrono::Duration::seconds(offset))?;
    Some(at.and_utc().timestamp_micros())
}

/// A date and time without a zone.
fn wall(text: &str) -> Option<NaiveDateTime> {
    let text = text.replacen(' ', "T", 1).replace(',', ".").replace('/', "-");
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d")
        .or_else(|_| NaiveDate::parse_from_str(day, "%Y%m%d"))
        .ok()?;
    let time = match time {
        "" => NaiveTime::MIN,
        time => {
            ["%H:%M:%S%.f", "%H:%M", "%H%M%S"].iter().find_map(|f| NaiveTime::parse_from_str(time, f).ok())?
        }
    };
    Some(day.and_time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Option<(String, bool)> {
        let read = read(text, chrono_tz::Asia::Shanghai)?;
        Some((
            DateTime::from_timestamp_micros(read.micros)?.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            read.local,
        ))
    }

    #[test]
    fn times_are_read_as_written_and_in_the_sites_zone() {
        let cases = [
            ("2026-11-27 08:00:00", "2026-11-27T00:00:00", true),
            ("2026/11/27T08:00:00", "2026-11-27T00:00:00", true),
            ("2026-11-27T08:00", "2026-11-27T00:00:00", true),
            ("2026-11-27", "2026-11-26T16:00:00", true),
            ("2026-11-27T08:00:00.5", "2026-11-27T00:00:00.500", true),
            ("2026-11-27T08:00:00+0800", "2026-11-27T00:00:00", false),
            ("2026-11-27T08:00:00+08", "2026-11-27T00:00:00", false),
            ("2026-11-27 08:00:00+08:00", "2026-11-27T00:00:00", false),
            ("2026-11-27T08:00-02:30", "2026-11-27T10:30:00", false),
            ("2026-11-27T08:00:00.123456Z", "2026-11-27T08:00:00.123456", false),
            ("2026-11-27 08:00:00 Z", "2026-11-27T08:00:00", false),
        ];
        for (text, wanted, local) in cases {
            assert_eq!(utc(text), Some((wanted.to_owned(), local)), "{text}");
        }
        for text in
            ["UNKNOWN", "", "2026-13-01", "27.11.2026", "2026-11-27T25:00", "2026-11-27T08:00:00+99:00"]
        {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_exactly_kept_is_marked() {
        let changed = |text: &str, zone| read(text, zone).and_then(|m| m.changed);
        assert!(changed("2026-11-27T08:00:00.123456789Z", Tz::UTC).is_some());
        assert!(changed("2026-11-27T08:00:00.123456000+08:00", Tz::UTC).is_none());
        assert!(changed("2026-10-25 02:30:00", chrono_tz::Europe::Berlin).is_some());
        assert_eq!(read("2026-03-29 02:30:00", chrono_tz::Europe::Berlin), None);
    }
}
