//! One cell as text.

use calamine::{Data, ExcelDateTime};

/// The text of a value; `None` for empty cells, blank text and error values.
pub(super) fn text(value: &Data) -> Option<String> {
    match value {
        Data::Empty | Data::Error(_) => None,
        Data::String(s) if s.trim().is_empty() => None,
        Data::String(s) => Some(s.clone()),
        Data::Int(n) => Some(n.to_string()),
        Data::Float(x) => Some(number(*x)),
        Data::Bool(b) => Some(b.to_string()),
        Data::DateTime(t) => Some(moment(t)),
        Data::DateTimeIso(s) | Data::DurationIso(s) => Some(s.clone()),
    }
}

/// Whether a cell says something in words, as headers do.
pub(super) fn is_words(value: &Data) -> bool {
    matches!(value, Data::String(s) if !s.trim().is_empty())
}

/// The 15 significant digits that Excel shows: 0.30000000000000004 was never typed by anyone.
fn number(x: f64) -> String {
    let shown: f64 = format!("{x:.14e}").parse().unwrap_or(x);
    format!("{shown}")
}

/// A date, a date with time, or a time of day or duration, by what the serial number holds.
fn moment(t: &ExcelDateTime) -> String {
    let serial = t.as_f64();
    if t.is_duration() || (0.0..1.0).contains(&serial) {
        let seconds = (serial * 86_400.0).round() as i64;
        let (sign, s) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
        return format!("{sign}{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
    }
    // Serial numbers carry rounding noise below a millisecond: 08:59:59.9996 was typed as 09:00.
    let whole = t.as_datetime().map(|at| {
        let at = at + chrono::Duration::milliseconds(500);
        chrono::Timelike::with_nanosecond(&at, 0).unwrap_or(at)
    });
    match whole {
        Some(at) if serial.fract() == 0.0 || at.time() == chrono::NaiveTime::MIN => {
            at.format("%Y-%m-%d").to_string()
        }
        Some(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => number(serial),
    }
}

/// Column letters as Excel shows them: 0 → A, 27 → AB.
pub(super) fn letters(column: u32) -> String {
    let mut n = column + 1;
    let mut out = Vec::new();
    while n > 0 {
        n -= 1;
        out.push(b'A' + (n % 26) as u8);
        n /= 26;
    }
    out.reverse();
    String::from_utf8_lossy(&out).into_owned()
}
