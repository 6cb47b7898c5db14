//! One cell as text.

use calamine::{Data, ExcelDateTime};
use chrono::{Duration, NaiveDateTime, NaiveTime, Timelike};

/// Whole numbers from here on have more digits than a spreadsheet keeps.
const DIGITS_KEPT: f64 = 1e15;
/// Whole numbers up to here are exact in a binary fraction.
const EXACT: f64 = 9_007_199_254_740_992.0;

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
        Data::DateTimeIso(s) => Some(iso_moment(s)),
        Data::DurationIso(s) => Some(iso_duration(s)),
    }
}

/// Whether a cell's value is a number, which a merged region shows once and means once.
pub(super) fn is_number(value: &Data) -> bool {
    matches!(value, Data::Int(_) | Data::Float(_))
}

/// Whether a number is whole and longer than the 15 digits that a spreadsheet keeps.
pub(super) fn is_too_long(value: &Data) -> bool {
    match value {
        Data::Float(x) => x.fract() == 0.0 && x.abs() >= DIGITS_KEPT,
        Data::Int(n) => n.unsigned_abs() >= DIGITS_KEPT as u64,
        _ => false,
    }
}

/// The 15 significant digits that Excel shows: 0.30000000000000004 was never typed by anyone. Whole numbers keep all.
fn number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() <= EXACT {
        return format!("{x}");
    }
    let shown: f64 = format!("{x:.14e}").parse().unwrap_or(x);
    format!("{shown}")
}

/// A date, a date with time, or a time of day or duration, by what the serial number holds.
fn moment(t: &ExcelDateTime) -> String {
    let serial = t.as_f64();
    if t.is_duration() || (0.0..1.0).contains(&serial) {
        return clock((serial * 86_400.0).round() as i64);
    }
    match t.as_datetime().map(rounded) {
        Some(at) if serial.fract() == 0.0 || at.time() == NaiveTime::MIN => at.format("%Y-%m-%d").to_string(),
        Some(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => number(serial),
    }
}

/// Serial numbers carry rounding noise below a millisecond: 08:59:59.9996 was typed as 09:00.
fn rounded(at: NaiveDateTime) -> NaiveDateTime {
    let at = at + Duration::milliseconds(500);
    at.with_nanosecond(0).unwrap_or(at)
}

fn clock(seconds: i64) -> String {
    let (sign, s) = (if seconds < 0 { "-" } else { "" }, seconds.abs());
    format!("{sign}{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// OpenDocument and ISO cells write `2021-01-01T10:10:10`: the same form as any other sheet's.
fn iso_moment(text: &str) -> String {
    let plain = text.trim().trim_end_matches('Z');
    match NaiveDateTime::parse_from_str(plain, "%Y-%m-%dT%H:%M:%S%.f") {
        Ok(at) => {
            let at = rounded(at);
            // A date without time has none in an OpenDocument sheet; midnight in one of Excel is a date.
            let form = if at.time() == NaiveTime::MIN { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M:%S" };
            at.format(form).to_string()
        }
        Err(_) => text.to_owned(),
    }
}

/// `PT10H10M10S` → `10:10:10`.
fn iso_duration(text: &str) -> String {
    let parsed = || {
        let plain = text.trim();
        let (sign, rest) = plain.strip_prefix('-').map_or((1.0, plain), |rest| (-1.0, rest));
        let rest = rest.strip_prefix('P')?;
        let (days, rest) = rest.split_once('T')?;
        let mut seconds = match days.strip_suffix('D') {
            Some(days) => days.parse::<f64>().ok()? * 86_400.0,
            None if days.is_empty() => 0.0,
            None => return None,
        };
        let mut digits = String::new();
        for c in rest.chars() {
            let unit = match c {
                'H' => 3600.0,
                'M' => 60.0,
                'S' => 1.0,
                c => {
                    digits.push(if c == ',' { '.' } else { c });
                    continue;
                }
            };
            seconds += std::mem::take(&mut digits).parse::<f64>().ok()? * unit;
        }
        digits.is_empty().then(|| clock((sign * seconds).round() as i64))
    };
    parsed().unwrap_or_else(|| text.to_owned())
}

/// A number format that shows leading zeros, such as `000000` or `000-0000`: numbers under it are codes.
pub(super) struct Mask(Vec<Result<char, ()>>);

impl Mask {
    /// Reads a format code; `None` for formats that show amounts.
    pub(super) fn parse(code: &str) -> Option<Mask> {
        let mut parts = Vec::new();
        let mut chars = code.chars();
        while let Some(c) = chars.next() {
            match c {
                '0' => parts.push(Err(())),
                ';' => break,
                '\\' => parts.push(Ok(chars.next()?)),
                '"' => parts.extend(chars.by_ref().take_while(|c| *c != '"').map(Ok)),
                '-' | '/' | ' ' | '(' | ')' | ':' => parts.push(Ok(c)),
                _ => return None,
            }
        }
        let zeros = parts.iter().filter(|p| p.is_err()).count();
        (zeros > 1).then_some(Mask(parts))
    }

    /// The code as the sheet shows it; `None` for what is no whole number.
    pub(super) fn show(&self, x: f64) -> Option<String> {
        if x.fract() != 0.0 || !(0.0..=EXACT).contains(&x) {
            return None;
        }
        let digits: Vec<char> = format!("{x}").chars().collect();
        let zeros = self.0.iter().filter(|p| p.is_err()).count();
        let mut missing = zeros.saturating_sub(digits.len());
        let mut next = digits.iter();
        let mut extra = digits.len().saturating_sub(zeros);
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Ok(c) => out.push(*c),
                Err(()) if missing > 0 => {
                    missing -= 1;
                    out.push('0');
                }
                Err(()) => out.extend(next.by_ref().take(1 + std::mem::take(&mut extra))),
            }
        }
        Some(out)
    }
}

/// Column letters as Excel shows them: 0 → A, 27 → AB.
pub(super) fn letters(column: u32) -> String {
    let mut n = u64::from(column) + 1;
    let mut out = Vec::new();
    while n > 0 {
        n -= 1;
        out.push(b'A' + (n % 26) as u8);
        n /= 26;
    }
    out.reverse();
    String::from_utf8_lossy(&out).into_owned()
}

/// A cell as Excel names it, such as `C4`.
pub(super) fn place(row: u32, column: u32) -> String {
    format!("{}{}", letters(column), u64::from(row) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_dates_and_durations_have_one_form() {
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(1_234_567_890_123_456.0), "1234567890123456");
        assert_eq!(number(1.10101199003070e17), "110101199003070000");
        assert_eq!(iso_moment("2021-01-01T10:10:10"), "2021-01-01 10:10:10");
        assert_eq!(iso_moment("2021-01-01"), "2021-01-01");
        assert_eq!(iso_moment("2021-01-01T00:00:00.000"), "2021-01-01");
        assert_eq!(iso_moment("2021-01-01T08:59:59.9996"), "2021-01-01 09:00:00");
        assert_eq!(iso_duration("PT10H10M10S"), "10:10:10");
        assert_eq!(iso_duration("-PT26H"), "-26:00:00");
        assert_eq!(iso_duration("P1DT1M1.6S"), "24:01:02");
        assert_eq!(iso_duration("P1M"), "P1M");
    }

    #[test]
    fn formats_of_codes_keep_their_zeros() {
        let shown = |code: &str, x: f64| Mask::parse(code).and_then(|m| m.show(x));
        assert_eq!(shown("000000", 7.0).as_deref(), Some("000007"));
        assert_eq!(shown("000000", 12_345_678.0).as_deref(), Some("12345678"));
        assert_eq!(shown("000-0000", 5_551_234.0).as_deref(), Some("555-1234"));
        assert_eq!(shown("\"E\"000;@", 7.0).as_deref(), Some("E007"));
        for code in ["0", "0.00", "#,##0", "General", "0%", "00.0", "0.00E+00", "yyyy-mm-dd", "[h]:mm"] {
            assert_eq!(shown(code, 7.0), None, "{code}");
        }
        assert_eq!((shown("000", 1.5), shown("000", -1.0)), (None, None));
    }
}
