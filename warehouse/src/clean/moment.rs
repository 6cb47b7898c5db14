//! Dates and times out of text and numbers.

use chrono::format::{Item, Parsed, StrftimeItems};

use super::civil::{self, DAY_MICROS, Scan};

/// A date and time as written: a local one, unless the text itself carries an offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Microseconds since 1970-01-01 00:00 on the clock that the text shows.
    pub(crate) micros: i64,
    /// Seconds east of UTC.
    pub(crate) offset: Option<i32>,
}

/// One way to read a date or time.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// ISO 8601, also with `/`, `.` or 年月日 between the parts, and without separators.
    Flexible,
    /// Days since 1899-12-30, the fraction is the time of day.
    Excel,
    /// Seconds or milliseconds since 1970 UTC.
    Unix { per_second: i64 },
    /// Numbers and literals only: read without chrono, which is several times slower.
    Plain(Vec<Token>),
    /// Everything else that strftime knows (month names, AM/PM, offsets).
    Strftime(Vec<Item<'static>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Year,
    ShortYear,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Fraction,
    Space,
    Literal(String),
}

impl Format {
    /// Reads a format of a definition file. Err says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "excel" => return Ok(Format::Excel),
            "iso" => return Ok(Format::Flexible),
            "unix" => return Ok(Format::Unix { per_second: 1 }),
            "unix_ms" => return Ok(Format::Unix { per_second: 1_000 }),
            _ => {}
        }
        let items = StrftimeItems::new(text)
            .parse_to_owned()
            .map_err(|_| format!("`{text}` is not a date format"))?;
        if !text.contains('%') {
            return Err(format!("`{text}` is not a date format: it holds no `%`"));
        }
        let format = match plain(text) {
            Some(tokens) => Format::Plain(tokens),
            None => Format::Strftime(items.clone()),
        };
        // One that cannot read what it writes itself would quarantine every row.
        match format.reads_back(&items) {
            true => Ok(format),
            false => Err(format!(
                "`{text}` can never be read as a date: it lacks the year, or says a part twice or in a way that is only written"
            )),
        }
    }

    fn reads_back(&self, items: &[Item<'static>]) -> bool {
        // A day whose parts are all different, with two digits each.
        let day = chrono::NaiveDate::from_ymd_opt(2027, 11, 23)
            .and_then(|day| day.and_hms_micro_opt(13, 45, 56, 789_000));
        let Some(moment) = day.map(|day| day.and_utc().fixed_offset()) else { return true };
        let mut written = String::new();
        use std::fmt::Write;
        if write!(written, "{}", moment.format_with_items(items.iter())).is_err() {
            return false;
        }
        self.read(&written).is_some()
    }

    /// Reads a text; None when the format does not fit all of it.
    pub(crate) fn read(&self, text: &str) -> Option<Moment> {
        match self {
            Format::Flexible => super::flexible::read(text),
            Format::Plain(tokens) => read_plain(tokens, text),
            Format::Strftime(items) => read_strftime(items, text),
            Format::Excel | Format::Unix { .. } => self.number(text.parse().ok()?),
        }
    }

    /// Reads a number; None for formats that read text only.
    pub(crate) fn number(&self, value: f64) -> Option<Moment> {
        match self {
            // 2958465 is 9999-12-31; below 1 Excel holds a time without a date.
            Format::Excel if (1.0..2_958_466.0).contains(&value) => {
                // Excel keeps about 15 digits: a millisecond is what can be trusted.
                let millis = (value * 86_400_000.0).round() as i64;
                Some(Moment { micros: millis * 1_000 - 25_569 * DAY_MICROS, offset: None })
            }
            Format::Unix { per_second } => {
                let micros = (value * (1_000_000 / per_second) as f64).round();
                let sane = civil::RANGE.contains(&(micros as i64));
                sane.then_some(Moment { micros: micros as i64, offset: Some(0) })
            }
            _ => None,
        }
    }
}

/// Takes a format of numbers and literals apart; None when it holds anything else.
fn plain(format: &str) -> Option<Vec<Token>> {
    let expanded = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
    let mut tokens = Vec::new();
    let mut chars = expanded.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_whitespace() {
            if tokens.last() != Some(&Token::Space) {
                tokens.push(Token::Space);
            }
            continue;
        }
        if c != '%' {
            match tokens.last_mut() {
                Some(Token::Literal(text)) => text.push(c),
                _ => tokens.push(Token::Literal(c.to_string())),
            }
            continue;
        }
        let mut code = chars.next()?;
        if matches!(code, '-' | '_') {
            code = chars.next()?;
        }
        tokens.push(match code {
            'Y' => Token::Year,
            'y' => Token::ShortYear,
            'm' => Token::Month,
            'd' | 'e' => Token::Day,
            'H' | 'k' => Token::Hour,
            'M' => Token::Minute,
            'S' => Token::Second,
            '.' if chars.next_if_eq(&'f').is_some() => Token::Fraction,
            _ => return None,
        });
    }
    let dated = |token| tokens.contains(&token);
    let year = dated(Token::Year) || dated(Token::ShortYear);
    // A day without its month is none; a month or a year alone is its first day.
    (year && (dated(Token::Month) || !dated(Token::Day))).then_some(tokens)
}

fn read_plain(tokens: &[Token], text: &str) -> Option<Moment> {
    let mut scan = Scan::new(text);
    let (mut year, mut month, mut day) = (0, 1, 1);
    let (mut hour, mut minute, mut second, mut fraction) = (0, 0, 0, 0);
    for token in tokens {
        match token {
            Token::Year => year = scan.digits(4, 4)?,
            // POSIX: 69–99 are 19xx, 00–68 are 20xx.
            Token::ShortYear => {
                let two = scan.digits(2, 2)?;
                year = if two >= 69 { 1900 + two } else { 2000 + two };
            }
            Token::Month => month = scan.digits(1, 2)?,
            Token::Day => day = scan.digits(1, 2)?,
            Token::Hour => hour = scan.digits(1, 2)?,
            Token::Minute => minute = scan.digits(1, 2)?,
            Token::Second => second = scan.digits(1, 2)?,
            Token::Fraction => fraction = scan.fraction()?,
            Token::Space => scan.spaces(),
            Token::Literal(literal) => scan.literal(literal)?,
        }
    }
    if tokens.last() == Some(&Token::Second) && !scan.is_done() {
        // Database exports add `.000` to seconds.
        fraction = scan.fraction()?;
    }
    if !scan.is_done() {
        return None;
    }
    let days = civil::days(year, month, day)?;
    let time = civil::time_micros(hour, minute, second)?;
    Some(Moment { micros: days * DAY_MICROS + time + fraction, offset: None })
}

/// The first day of a month or year that a text names without a day, such as `Nov 2026`.
fn first_day(parsed: &Parsed) -> Option<chrono::NaiveDate> {
    if parsed.day().is_some() || parsed.ordinal().is_some() || parsed.weekday().is_some() {
        return None;
    }
    let year = parsed.year().or_else(|| Some(2000 + parsed.year_mod_100().filter(|two| *two < 69)?))?;
    let weeks = parsed.week_from_sun().or(parsed.week_from_mon()).or(parsed.isoweek());
    let month = if weeks.is_some() { None } else { Some(parsed.month().unwrap_or(1)) };
    chrono::NaiveDate::from_ymd_opt(year, month?, 1)
}

fn read_strftime(items: &[Item<'static>], text: &str) -> Option<Moment> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
    // `%s` and the like give an instant instead of the parts.
    if let Some(seconds) = parsed.timestamp() {
        return Some(Moment { micros: seconds.checked_mul(1_000_000)?, offset: Some(0) });
    }
    let date = parsed.to_naive_date().ok().or_else(|| first_day(&parsed))?;
    let time = parsed.to_naive_time().unwrap_or_default();
    let micros = date.and_time(time).and_utc().timestamp_micros();
    Some(Moment { micros, offset: parsed.offset() })
}
