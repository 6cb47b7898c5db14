//! Patterns of times as other databases write them: `YYYY-MM-DD HH24:MI` (PostgreSQL, Oracle) and `%Y-%m-%d %H:%i`
//! (MySQL). A pattern with `%` in it is the other kind.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// One piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    ShortYear,
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
    Millis,
    Micros,
    Half {
        upper: bool,
    },
    MonthName {
        case: Case,
        short: bool,
    },
    DayName {
        case: Case,
        short: bool,
    },
    DayOfYear,
    /// Sunday is `first`.
    DayOfWeek {
        first: u32,
    },
    IsoDayOfWeek,
    WeekOfYear,
    IsoWeek,
    IsoYear,
    Quarter,
    Century,
    SecondOfDay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    Title,
}

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// With `false`: without the zeros and blanks that fill a piece up.
    pieces: Vec<(Piece, bool)>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The words of PostgreSQL and Oracle, longer ones first.
fn words() -> Vec<(&'static str, Piece)> {
    use Case::{Lower, Title, Upper};
    vec![
        ("MONTH", Piece::MonthName { case: Upper, short: false }),
        ("Month", Piece::MonthName { case: Title, short: false }),
        ("month", Piece::MonthName { case: Lower, short: false }),
        ("MON", Piece::MonthName { case: Upper, short: true }),
        ("Mon", Piece::MonthName { case: Title, short: true }),
        ("mon", Piece::MonthName { case: Lower, short: true }),
        ("DAY", Piece::DayName { case: Upper, short: false }),
        ("Day", Piece::DayName { case: Title, short: false }),
        ("day", Piece::DayName { case: Lower, short: false }),
        ("DY", Piece::DayName { case: Upper, short: true }),
        ("Dy", Piece::DayName { case: Title, short: true }),
        ("dy", Piece::DayName { case: Lower, short: true }),
        ("SSSSS", Piece::SecondOfDay),
        ("SSSS", Piece::SecondOfDay),
        ("YYYY", Piece::Year),
        ("RRRR", Piece::Year),
        ("IYYY", Piece::IsoYear),
        ("HH24", Piece::Hour),
        ("HH12", Piece::Hour12),
        ("DDD", Piece::DayOfYear),
        ("FF3", Piece::Millis),
        ("FF6", Piece::Micros),
        ("YY", Piece::ShortYear),
        ("RR", Piece::ShortYear),
        ("MM", Piece::Month),
        ("DD", Piece::Day),
        ("HH", Piece::Hour12),
        ("MI", Piece::Minute),
        ("SS", Piece::Second),
        ("MS", Piece::Millis),
        ("US", Piece::Micros),
        ("FF", Piece::Micros),
        ("AM", Piece::Half { upper: true }),
        ("PM", Piece::Half { upper: true }),
        ("WW", Piece::WeekOfYear),
        ("IW", Piece::IsoWeek),
        ("ID", Piece::IsoDayOfWeek),
        ("CC", Piece::Century),
        ("D", Piece::DayOfWeek { first: 1 }),
        ("Q", Piece::Quarter),
    ]
}

impl Pattern {
    /// Reads a pattern of either kind.
    ///
    /// # Errors
    /// Names the piece that is not known.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.contains('%') { Self::percent(text) } else { Ok(Self::template(text)) }
    }

    /// Reads one of PostgreSQL's kind: what is no piece stands for itself.
    pub(super) fn template(text: &str) -> Self {
        let words = words();
        let mut pieces: Vec<(Piece, bool)> = vec![];
        let mut rest = text;
        let mut filled = true;
        while let Some(next) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                literal(&mut pieces, &quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or("");
                continue;
            }
            if let Some(after) = rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
                (filled, rest) = (false, after);
                continue;
            }
            // Names are written as their pattern is; of numbers the case says nothing.
            let found = words.iter().find(|(word, piece)| match piece {
                Piece::MonthName { .. } | Piece::DayName { .. } => rest.starts_with(word),
                _ => rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)),
            });
            match found {
                Some((word, piece)) => {
                    let piece = match piece {
                        Piece::Half { .. } => Piece::Half { upper: next.is_uppercase() },
                        other => other.clone(),
                    };
                    pieces.push((piece, filled));
                    filled = true;
                    rest = &rest[word.len()..];
                }
                None => {
                    literal(&mut pieces, &rest[..next.len_utf8()]);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        Self { pieces }
    }

    fn percent(text: &str) -> Result<Self, String> {
        use Case::Title;
        let mut pieces = vec![];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal(&mut pieces, c.encode_utf8(&mut [0; 4]));
                continue;
            }
            let mut push = |piece: Piece| pieces.push((piece, true));
            match chars.next() {
                Some('Y') => push(Piece::Year),
                Some('y') => push(Piece::ShortYear),
                Some('m') => push(Piece::Month),
                Some('c') => pieces.push((Piece::Month, false)),
                Some('d') => push(Piece::Day),
                Some('e') => pieces.push((Piece::Day, false)),
                Some('H') => push(Piece::Hour),
                Some('k') => pieces.push((Piece::Hour, false)),
                Some('h' | 'I') => push(Piece::Hour12),
                Some('l') => pieces.push((Piece::Hour12, false)),
                Some('i') => push(Piece::Minute),
                Some('s' | 'S') => push(Piece::Second),
                Some('f') => push(Piece::Micros),
                Some('p') => push(Piece::Half { upper: true }),
                Some('M') => pieces.push((Piece::MonthName { case: Title, short: false }, false)),
                Some('b') => push(Piece::MonthName { case: Title, short: true }),
                Some('W') => pieces.push((Piece::DayName { case: Title, short: false }, false)),
                Some('a') => push(Piece::DayName { case: Title, short: true }),
                Some('j') => push(Piece::DayOfYear),
                Some('w') => push(Piece::DayOfWeek { first: 0 }),
                Some('v' | 'V') => push(Piece::IsoWeek),
                Some('x' | 'G') => push(Piece::IsoYear),
                Some('T') => pieces.extend(Self::percent("%H:%i:%s")?.pieces),
                Some('r') => pieces.extend(Self::percent("%h:%i:%s %p")?.pieces),
                Some('%') => literal(&mut pieces, "%"),
                Some(other) => return Err(format!("`%{other}` is not a piece of a MySQL date pattern")),
                None => return Err("the pattern ends in `%`".to_owned()),
            }
        }
        Ok(Self { pieces })
    }

    /// Whether it names an hour, a minute or a second.
    pub(super) fn has_time(&self) -> bool {
        self.pieces.iter().any(|(piece, _)| {
            matches!(
                piece,
                Piece::Hour
                    | Piece::Hour12
                    | Piece::Minute
                    | Piece::Second
                    | Piece::Millis
                    | Piece::Micros
                    | Piece::Half { .. }
                    | Piece::SecondOfDay
            )
        })
    }

    /// Appends `at` as the pattern says.
    pub(super) fn write(&self, at: NaiveDateTime, out: &mut String) {
        for (piece, filled) in &self.pieces {
            let number = |out: &mut String, value: i64, width: usize| {
                // Writing into a text cannot fail.
                let _ = if *filled { write!(out, "{value:0width$}") } else { write!(out, "{value}") };
            };
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Year => number(out, at.year().into(), 4),
                Piece::ShortYear => number(out, at.year().rem_euclid(100).into(), 2),
                Piece::Month => number(out, at.month().into(), 2),
                Piece::Day => number(out, at.day().into(), 2),
                Piece::Hour => number(out, at.hour().into(), 2),
                Piece::Hour12 => number(out, at.hour12().1.into(), 2),
                Piece::Minute => number(out, at.minute().into(), 2),
                Piece::Second => number(out, at.second().into(), 2),
                Piece::Millis => number(out, (at.nanosecond() / 1_000_000).into(), 3),
                Piece::Micros => number(out, (at.nanosecond() / 1_000).into(), 6),
                Piece::Half { upper } => out.push_str(match (at.hour() >= 12, upper) {
                    (false, true) => "AM",
                    (true, true) => "PM",
                    (false, false) => "am",
                    (true, false) => "pm",
                }),
                Piece::MonthName { case, short } => {
                    name(out, MONTHS[at.month0() as usize], *case, *short, *filled)
                }
                Piece::DayName { case, short } => {
                    name(out, DAYS[at.weekday().num_days_from_monday() as usize], *case, *short, *filled);
                }
                Piece::DayOfYear => number(out, at.ordinal().into(), 3),
                Piece::DayOfWeek { first } => {
                    number(out, i64::from(at.weekday().num_days_from_sunday() + first), 1);
                }
                Piece::IsoDayOfWeek => number(out, at.weekday().number_from_monday().into(), 1),
                Piece::WeekOfYear => number(out, i64::from(at.ordinal0() / 7 + 1), 2),
                Piece::IsoWeek => number(out, at.iso_week().week().into(), 2),
                Piece::IsoYear => number(out, at.iso_week().year().into(), 4),
                Piece::Quarter => number(out, i64::from(at.month0() / 3 + 1), 1),
                Piece::Century => number(out, i64::from((at.year() - 1).div_euclid(100) + 1), 2),
                Piece::SecondOfDay => number(out, at.num_seconds_from_midnight().into(), 5),
            }
        }
    }

    /// The moment that `text` means. Err says what does not fit.
    pub(super) fn parse(&self, text: &str) -> Result<NaiveDateTime, String> {
        let mut rest = text.trim();
        let wrong = |what: &str| format!("`{text}` does not fit the pattern: {what}");
        let (mut year, mut month, mut day) = (None, 1, 1);
        let (mut hour, mut minute, mut second, mut nanos) = (0, 0, 0, 0u32);
        let (mut half, mut ordinal) = (None, None);
        for (piece, _) in &self.pieces {
            let mut digits = |most: usize| -> Result<u32, String> {
                rest = rest.trim_start();
                let len = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                let (number, after) = rest.split_at(len);
                rest = after;
                number.parse().map_err(|_| wrong("a number is missing"))
            };
            match piece {
                Piece::Text(literal) => {
                    for c in literal.chars() {
                        // Like other databases: a separator stands for any separator.
                        let next = rest.chars().next();
                        match next {
                            Some(n) if n == c || (!n.is_alphanumeric() && !c.is_alphanumeric()) => {
                                rest = &rest[n.len_utf8()..];
                            }
                            None if c.is_whitespace() => {}
                            _ if c.is_whitespace() => {}
                            _ => return Err(wrong(&format!("`{c}` is missing"))),
                        }
                    }
                }
                Piece::Year | Piece::IsoYear => year = Some(digits(4)? as i32),
                Piece::ShortYear => {
                    let short = digits(2)? as i32;
                    year = Some(if short < 70 { 2000 + short } else { 1900 + short });
                }
                Piece::Month => month = digits(2)?,
                Piece::Day => day = digits(2)?,
                Piece::Hour | Piece::Hour12 => hour = digits(2)?,
                Piece::Minute => minute = digits(2)?,
                Piece::Second => second = digits(2)?,
                Piece::Millis => nanos = digits(3)? * 1_000_000,
                Piece::Micros => {
                    // `.5` is half a second.
                    rest = rest.trim_start();
                    let len = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
                    let value: u32 = rest[..len].parse().map_err(|_| wrong("a number is missing"))?;
                    nanos = value * 10u32.pow(9 - len as u32);
                    rest = &rest[len..];
                }
                Piece::DayOfYear => ordinal = Some(digits(3)?),
                Piece::Half { .. } => {
                    let lower = rest.get(..2).unwrap_or("").to_ascii_lowercase();
                    half = match lower.as_str() {
                        "am" => Some(false),
                        "pm" => Some(true),
                        _ => return Err(wrong("AM or PM is missing")),
                    };
                    rest = &rest[2..];
                }
                Piece::MonthName { short, .. } => {
                    let known = MONTHS.iter().position(|name| {
                        let name = if *short { &name[..3] } else { name };
                        rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                    });
                    let at = known.ok_or_else(|| wrong("the name of a month is missing"))?;
                    month = at as u32 + 1;
                    rest = &rest[if *short { 3 } else { MONTHS[at].len() }..];
                }
                Piece::DayName { .. } => rest = rest.trim_start_matches(char::is_alphabetic),
                other => return Err(format!("{other:?} in a pattern can be written, not read")),
            }
        }
        if !rest.trim().is_empty() {
            return Err(wrong(&format!("`{}` is left over", rest.trim())));
        }
        let hour = match half {
            Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
            None => hour,
        };
        let year = year.ok_or_else(|| wrong("it has no year"))?;
        let date = match ordinal {
            Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal),
            None => NaiveDate::from_ymd_opt(year, month, day),
        };
        let time = NaiveTime::from_hms_nano_opt(hour, minute, second, nanos);
        date.zip(time)
            .map(|(date, time)| date.and_time(time))
            .ok_or_else(|| wrong("there is no such day or time"))
    }
}

fn literal(pieces: &mut Vec<(Piece, bool)>, text: &str) {
    match pieces.last_mut() {
        Some((Piece::Text(before), _)) => before.push_str(text),
        _ => pieces.push((Piece::Text(text.to_owned()), true)),
    }
}

fn name(out: &mut String, name: &str, case: Case, short: bool, filled: bool) {
    let name = if short { &name[..3] } else { name };
    let name = match case {
        Case::Upper => name.to_uppercase(),
        Case::Lower => name.to_lowercase(),
        Case::Title => name.to_owned(),
    };
    // PostgreSQL fills long names up to nine letters.
    let _ = if filled && !short { write!(out, "{name:<9}") } else { write!(out, "{name}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> NaiveDateTime {
        "2024-05-07T15:04:09.123456".parse().unwrap()
    }

    /// Expected texts are PostgreSQL's and MySQL's own.
    #[test]
    fn times_are_written_as_other_databases_write_them() {
        for (pattern, expected) in [
            ("YYYY-MM", "2024-05"),
            ("yyyy-mm-dd", "2024-05-07"),
            ("YYYYMMDD", "20240507"),
            ("YYYY-MM-DD HH24:MI:SS", "2024-05-07 15:04:09"),
            ("HH12:MI AM", "03:04 PM"),
            ("FMDD FMMonth YYYY", "7 May 2024"),
            ("Month|", "May      |"),
            ("Dy DD Mon YY", "Tue 07 May 24"),
            ("\"Q\"Q YYYY", "Q2 2024"),
            ("IYYY-IW", "2024-19"),
            ("DDD WW D", "128 19 3"),
            ("YYYY年MM月DD日", "2024年05月07日"),
            ("HH24:MI:SS.MS", "15:04:09.123"),
            ("%Y-%m-%d %H:%i:%s", "2024-05-07 15:04:09"),
            ("%M %e, %Y", "May 7, 2024"),
            ("%T %p %j", "15:04:09 PM 128"),
            ("%x-%v 100%%", "2024-19 100%"),
        ] {
            let mut out = String::new();
            Pattern::read(pattern).unwrap().write(at(), &mut out);
            assert_eq!(out, expected, "{pattern}");
        }
        assert!(Pattern::read("%Q").is_err());
    }

    #[test]
    fn times_are_read_as_other_databases_read_them() {
        for (pattern, text, expected) in [
            ("YYYY-MM-DD", "2024-05-07", "2024-05-07T00:00:00"),
            ("DD/MM/YYYY", "7/5/2024", "2024-05-07T00:00:00"),
            ("YYYYMMDD HH24MISS", "20240507 150409", "2024-05-07T15:04:09"),
            ("DD-MON-YY", "07-MAY-24", "2024-05-07T00:00:00"),
            ("%d.%m.%Y", "07.05.2024", "2024-05-07T00:00:00"),
            ("%Y-%m-%d %h:%i %p", "2024-05-07 03:04 pm", "2024-05-07T15:04:00"),
            ("YYYY-MM", "2024-05", "2024-05-01T00:00:00"),
        ] {
            let read = Pattern::read(pattern).unwrap().parse(text).unwrap();
            assert_eq!(read, expected.parse().unwrap(), "{pattern}");
        }
        let pattern = Pattern::read("YYYY-MM-DD").unwrap();
        for wrong in ["2024-13-01", "2024-05", "x", "2024-05-07 10:00"] {
            assert!(pattern.parse(wrong).is_err(), "{wrong}");
        }
    }
}
