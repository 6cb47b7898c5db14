//! Dates and times without a stated format.

use super::civil::{self, DAY_MICROS, Scan};
use super::moment::Moment;

/// Reads year, month, day in this order (`2026-01-02`, `2026/1/2`, `2026年1月2日`, `20260102`),
/// then optionally a time (`T` or space, `3:04`, `03:04:05.678`, `3时4分`) and an offset.
/// Orders such as day/month/year are ambiguous and need a format.
pub(super) fn read(text: &str) -> Option<Moment> {
    let mut scan = Scan::new(text);
    if scan.digit_run() >= 8 {
        return compact(scan);
    }
    let year = scan.digits(4, 4)?;
    let separator = scan.any(&['-', '/', '.', '年'])?;
    let month = scan.digits(1, 2)?;
    scan.any(&[if separator == '年' { '月' } else { separator }])?;
    let day = scan.digits(1, 2)?;
    if separator == '年' {
        scan.any(&['日', '号'])?;
    }
    let days = civil::days(year, month, day)?;
    let date = days * DAY_MICROS;
    if scan.any(&['T', 't']).is_none() {
        scan.spaces();
        weekday(&mut scan, days)?;
    }
    if scan.is_done() {
        return Some(Moment { micros: date, offset: None });
    }
    time(scan, date)
}

/// `星期五`, `周五` or `礼拜五`, which must be the day's own; or nothing.
fn weekday(scan: &mut Scan, days: i64) -> Option<()> {
    if ["星期", "礼拜", "周"].iter().all(|word| scan.literal(word).is_none()) {
        return Some(());
    }
    let name = scan.any(&['一', '二', '三', '四', '五', '六', '日', '天'])?;
    let number = match name {
        '一' => 0,
        '二' => 1,
        '三' => 2,
        '四' => 3,
        '五' => 4,
        '六' => 5,
        _ => 6,
    };
    // 1 January 1970 was a Thursday.
    ((days + 3).rem_euclid(7) == number).then(|| scan.spaces())
}

/// Half of the day that a word before the time names, and where it leads on the clock of 24 hours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Noon,
    Afternoon,
    Evening,
}

const HALVES: [(&str, Half); 8] = [
    ("上午", Half::Morning),
    ("早上", Half::Morning),
    ("凌晨", Half::Morning),
    ("中午", Half::Noon),
    ("下午", Half::Afternoon),
    ("晚上", Half::Evening),
    ("AM", Half::Morning),
    ("PM", Half::Afternoon),
];

impl Half {
    fn read(scan: &mut Scan) -> Option<Self> {
        let upper = scan.rest().get(..2).map(str::to_ascii_uppercase);
        for (word, half) in HALVES {
            if scan.literal(word).is_some() {
                return Some(half);
            }
            if word.is_ascii() && upper.as_deref() == Some(word) {
                scan.skip(2);
                return Some(half);
            }
        }
        None
    }

    /// The hour of 24; None when the word does not fit the hour, such as 上午 15 点 or 晚上 12 点 (of which day?).
    fn hour(self, hour: i64) -> Option<i64> {
        match (self, hour) {
            (Half::Morning, 12) => Some(0),
            (Half::Morning, 0..=11) => Some(hour),
            (Half::Noon, 11 | 12) => Some(hour),
            (Half::Noon, 1 | 2) => Some(hour + 12),
            (Half::Afternoon, 12) => Some(12),
            (Half::Afternoon | Half::Evening, 1..=11) => Some(hour + 12),
            (Half::Afternoon | Half::Evening, 13..=23) => Some(hour),
            _ => None,
        }
    }
}

/// `YYYYMMDD`, optionally with `hhmmss`.
fn compact(mut scan: Scan) -> Option<Moment> {
    let run = scan.digit_run();
    let (year, month, day) = (scan.digits(4, 4)?, scan.digits(2, 2)?, scan.digits(2, 2)?);
    let date = civil::days(year, month, day)? * DAY_MICROS;
    match run {
        8 if scan.is_done() => return Some(Moment { micros: date, offset: None }),
        8 => {
            if scan.any(&['T', 't']).is_none() {
                scan.spaces();
            }
            if scan.digit_run() < 4 {
                return time(scan, date);
            }
        }
        14 => {}
        _ => return None,
    }
    let (hour, minute) = (scan.digits(2, 2)?, scan.digits(2, 2)?);
    let second = if scan.digit_run() == 2 { scan.digits(2, 2)? } else { 0 };
    let micros = date + civil::time_micros(hour, minute, second)?;
    let offset = offset(&mut scan)?;
    scan.is_done().then_some(Moment { micros, offset })
}

fn time(mut scan: Scan, date: i64) -> Option<Moment> {
    let half = Half::read(&mut scan);
    scan.spaces();
    let hour = scan.digits(1, 2)?;
    let chinese = scan.any(&[':', '时', '點', '点'])? != ':';
    let minute = match (chinese, scan.digit_run()) {
        (true, 0) => 0,
        _ => scan.digits(1, 2)?,
    };
    let mut second = 0;
    let mut fraction = 0;
    if chinese {
        scan.any(&['分']);
        if scan.digit_run() > 0 {
            second = scan.digits(1, 2)?;
            scan.any(&['秒'])?;
        }
    } else if scan.any(&[':']).is_some() {
        second = scan.digits(1, 2)?;
        if scan.rest().starts_with(['.', ',']) {
            fraction = scan.fraction()?;
        }
    }
    scan.spaces();
    let half = half.or_else(|| Half::read(&mut scan));
    let hour = match half {
        Some(half) => half.hour(hour)?,
        None => hour,
    };
    let micros = date + civil::time_micros(hour, minute, second)? + fraction;
    let offset = offset(&mut scan)?;
    scan.is_done().then_some(Moment { micros, offset })
}

/// `Z`, `+08`, `+0800`, `+08:00` or nothing. The outer None means that it is none of these.
fn offset(scan: &mut Scan) -> Option<Option<i32>> {
    scan.spaces();
    if scan.is_done() {
        return Some(None);
    }
    if scan.any(&['Z', 'z']).is_some() {
        return Some(Some(0));
    }
    let sign = if scan.any(&['+', '-'])? == '+' { 1 } else { -1 };
    let hours = scan.digits(2, 2)?;
    let minutes = match scan.any(&[':']) {
        Some(_) => scan.digits(2, 2)?,
        None if scan.is_done() => 0,
        None => scan.digits(2, 2)?,
    };
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    (hours <= 18 && minutes < 60).then_some(Some(sign * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let moment = read(text)?;
        chrono::DateTime::from_timestamp_micros(moment.micros).map(|t| t.format("%F %T").to_string())
    }

    #[test]
    fn halves_of_the_day_and_weekdays_are_read() {
        for (text, expected) in [
            ("2026/11/27 上午8:05:00", "2026-11-27 08:05:00"),
            ("2026/11/27 下午 3:05:12", "2026-11-27 15:05:12"),
            ("2026年11月27日下午3点05分", "2026-11-27 15:05:00"),
            ("2026-11-27 上午12:30", "2026-11-27 00:30:00"),
            ("2026-11-27 下午12:30", "2026-11-27 12:30:00"),
            ("2026-11-27 中午12:30", "2026-11-27 12:30:00"),
            ("2026-11-27 晚上9点", "2026-11-27 21:00:00"),
            ("2026-11-27 下午15:30", "2026-11-27 15:30:00"),
            ("2026-11-27 8:05:00 PM", "2026-11-27 20:05:00"),
            ("2026-11-27 12:05 am", "2026-11-27 00:05:00"),
            ("2026年11月27日 星期五", "2026-11-27 00:00:00"),
            ("2026年11月27日星期五 15:04", "2026-11-27 15:04:00"),
            ("2026-11-27", "2026-11-27 00:00:00"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "2026年11月27日 星期四",
            "2026-11-27 上午15:00",
            "2026-11-27 晚上12:00",
            "2026-11-27 上午",
            "2026-11-27 上午8:05 PM",
            "2026-11-27 08:05 XM",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
