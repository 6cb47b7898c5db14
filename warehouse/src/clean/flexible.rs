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
    let date = civil::days(year, month, day)? * DAY_MICROS;
    if scan.is_done() {
        return Some(Moment { micros: date, offset: None });
    }
    if scan.any(&['T', 't']).is_none() {
        scan.spaces();
    }
    time(scan, date)
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
