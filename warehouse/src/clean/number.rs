//! Exact numbers out of text: plain numbers, money as people write it, and unit factors.

use std::borrow::Cow;

use super::reject::Reason;

/// `mantissa` × 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) mantissa: i128,
    pub(crate) scale: u32,
}

/// A fraction by which a number is multiplied.
pub(crate) type Factor = (i64, i64);

/// A number and the factor that its own text asks for (万, 亿, %), which wins over the column's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) number: Number,
    pub(crate) factor: Option<Factor>,
}

/// Digits beyond this cannot be stored in any Arrow decimal of 128 bits.
const MAX_DIGITS: u32 = 38;

impl Number {
    pub(crate) fn whole(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }

    /// Reads `-12`, `+3.50`, `1e5`. No separators, no units.
    pub(crate) fn plain(text: &str) -> Option<Self> {
        let (negative, rest) = sign(text);
        let (number, used) = digits(rest.as_bytes(), false)?;
        (used == rest.len()).then(|| number.negated(negative))
    }

    fn negated(self, negative: bool) -> Self {
        if negative { Self { mantissa: -self.mantissa, ..self } } else { self }
    }

    /// The integer nearest to number × factor × 10^`scale` (halves away from zero) and whether it
    /// is exact. None when it does not fit.
    pub(crate) fn scaled(self, factor: Factor, scale: i8) -> Option<(i128, bool)> {
        let shift = i32::from(scale) - i32::try_from(self.scale).ok()?;
        let mut numerator = self.mantissa.checked_mul(i128::from(factor.0))?;
        let mut denominator = i128::from(factor.1);
        if shift >= 0 {
            numerator = numerator.checked_mul(power_of_ten(shift)?)?;
        } else {
            match power_of_ten(-shift).and_then(|power| denominator.checked_mul(power)) {
                Some(wide) => denominator = wide,
                // So many decimals that nothing is left of the number.
                None => return Some((0, numerator == 0)),
            }
        }
        if denominator == 1 {
            return Some((numerator, true));
        }
        let (quotient, rest) = (numerator / denominator, numerator % denominator);
        let rounded = match rest.unsigned_abs() * 2 >= denominator.unsigned_abs() {
            true if numerator < 0 => quotient - 1,
            true => quotient + 1,
            false => quotient,
        };
        Some((rounded, rest == 0))
    }

    /// The nearest floating point number.
    pub(crate) fn float(self, factor: Factor) -> f64 {
        let value = match self.mantissa.checked_mul(i128::from(factor.0)) {
            // Both sides are exact in 53 bits, so that the division rounds once.
            Some(m) if m.unsigned_abs() < (1 << 53) && self.scale <= 22 => {
                return m as f64 / (10f64.powi(self.scale as i32) * factor.1 as f64);
            }
            Some(m) => format!("{m}e-{}", self.scale).parse().unwrap_or(f64::NAN),
            None => self.mantissa as f64 * factor.0 as f64 / 10f64.powi(self.scale as i32),
        };
        value / factor.1 as f64
    }
}

impl Read {
    /// Reads money and shares: `1,234.50`, `￥3.2万`, `1.5亿元`, `(300)`, `CNY -5`, `12.5%`.
    /// Thousands separators must stand in groups of three, otherwise `1,23` would become 123.
    pub(crate) fn amount(text: &str) -> Option<Self> {
        let text = &*grouped_by_commas(text);
        let (bracketed, text) = match text.strip_prefix('(') {
            Some(inner) => (true, inner.strip_suffix(')')?.trim()),
            None => (false, text),
        };
        let (before, text) = sign(text);
        let text = currency(text);
        let (after, text) = if before { (false, text) } else { sign(text) };
        let (number, used) = digits(text.as_bytes(), true)?;
        let rest = text.get(used..)?.trim();
        if let Some(sum) = in_words(number, rest) {
            let negative = before || after;
            if bracketed && negative {
                return None;
            }
            return Some(Self { number: sum.negated(bracketed || negative), factor: Some((1, 1)) });
        }
        let factor = magnitude(rest)?;
        let negative = before || after;
        if bracketed && negative {
            return None;
        }
        Some(Self { number: number.negated(bracketed || negative), factor })
    }

    /// Reads a plain number that may carry a % or ‰.
    pub(crate) fn share(text: &str) -> Option<Self> {
        let (text, factor) = match (text.strip_suffix('%'), text.strip_suffix('‰')) {
            (Some(rest), _) => (rest.trim_end(), Some((1, 100))),
            (_, Some(rest)) => (rest.trim_end(), Some((1, 1000))),
            _ => (text, None),
        };
        Some(Self { number: Number::plain(text)?, factor })
    }
}

/// Spaces and apostrophes between digits, as `1 234.50` and `1'234.50` are written, as commas: the same rule of
/// three digits holds for them.
fn grouped_by_commas(text: &str) -> Cow<'_, str> {
    const MARKS: [char; 5] = [' ', '\u{a0}', '\u{202f}', '\'', '’'];
    if !text.contains(MARKS) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut after_digit = false;
    while let Some(c) = chars.next() {
        let between = after_digit && chars.peek().is_some_and(char::is_ascii_digit);
        written.push(if between && MARKS.contains(&c) { ',' } else { c });
        after_digit = c.is_ascii_digit();
    }
    Cow::Owned(written)
}

/// `5元8角3分` and `12万3千`: a number of one unit, then others of ever smaller ones. None when only one unit stands
/// there, which [`magnitude`] reads.
fn in_words(first: Number, rest: &str) -> Option<Number> {
    // In hundredths of a yuan.
    const UNITS: [(&str, i128); 9] = [
        ("万", 1_000_000),
        ("萬", 1_000_000),
        ("千", 100_000),
        ("百", 10_000),
        ("元", 100),
        ("圆", 100),
        ("块", 100),
        ("角", 10),
        ("分", 1),
    ];
    let (mut number, mut rest) = (first, rest);
    let (mut sum, mut below, mut parts) = (0i128, i128::MAX, 0);
    loop {
        let (unit, cents) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        let (value, exact) = number.scaled((i64::try_from(*cents).ok()?, 1), 0)?;
        if !exact || *cents >= below {
            return None;
        }
        (sum, below, parts) = (sum.checked_add(value)?, *cents, parts + 1);
        rest = rest[unit.len()..].trim_start();
        if rest.is_empty() || rest == "整" || (rest == "元" && below > 100) {
            return (parts > 1).then_some(Number { mantissa: sum, scale: 2 });
        }
        let (next, used) = digits(rest.as_bytes(), false)?;
        (number, rest) = (next, rest.get(used..)?);
    }
}

/// A whole number written with an exponent and so many digits that a spreadsheet shortened it: `1.10101E+17` was an
/// identity number of eighteen digits, of which six are left.
pub(crate) fn is_shortened(text: &str) -> bool {
    let Some((digits, power)) = text.split_once(['e', 'E']) else { return false };
    let power = power.trim_start_matches('+').parse::<u32>();
    digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'))
        && power.is_ok_and(|power| power >= 11)
}

/// What would read a text that is no number: the beginning of an advice, for the reason of its reject.
pub(crate) fn advice(text: &str) -> Option<Reason> {
    let swapped: String = text
        .chars()
        .map(|c| match c {
            '.' => ',',
            ',' => '.',
            other => other,
        })
        .collect();
    let foreign = || {
        let bare = text.trim_start_matches(['-', '−', '(']).trim_start();
        let mark = bare.find(|c: char| c.is_ascii_digit()).map(|at| bare[..at].trim());
        let coded = |mark: &str| mark.len() == 3 && mark.bytes().all(|b| b.is_ascii_uppercase());
        mark.is_some_and(|mark| mark.ends_with(['$', '€', '£', '₩', '₽', '฿']) || coded(mark))
    };
    if text.contains(',') && Read::amount(text).is_none() && Read::amount(&swapped).is_some() {
        return Some(Reason::DecimalComma);
    }
    if foreign() {
        return Some(Reason::Currency);
    }
    if Read::amount(text).is_some() {
        return Some(Reason::Amount);
    }
    matches!(text, "-" | "—" | "–" | "--" | "/" | "——").then_some(Reason::Dash)
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// Takes a sign off the front; true when it is a minus (ASCII, mathematical or full-width).
fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, text[1..].trim_start()),
        Some(b'+') => (false, &text[1..]),
        // A triangle is the minus of Japanese and many Chinese balance sheets.
        Some(0xE2 | 0xEF) => match text.strip_prefix(['−', '－', '△', '▲']) {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        },
        _ => (false, text),
    }
}

fn currency(text: &str) -> &str {
    for mark in ["￥", "¥", "CNY", "RMB", "人民币"] {
        if let Some(rest) = text.strip_prefix(mark) {
            return rest.trim_start();
        }
    }
    text
}

/// What a suffix multiplies by; None when the suffix is not known.
fn magnitude(suffix: &str) -> Option<Option<Factor>> {
    if suffix.is_empty() {
        return Some(None);
    }
    let mut word = suffix;
    for ending in ["整", "人民币", "RMB", "CNY", "元", "圆", "块"] {
        word = word.strip_suffix(ending).unwrap_or(word).trim_end();
    }
    let times = match word {
        "" => return Some(if suffix.ends_with(['元', '圆', '整', '块']) { Some((1, 1)) } else { None }),
        "百" => 100,
        "千" | "k" | "K" => 1_000,
        "万" | "萬" | "w" | "W" => 10_000,
        "十万" => 100_000,
        "百万" => 1_000_000,
        "千万" => 10_000_000,
        "亿" | "億" => 100_000_000,
        "十亿" => 1_000_000_000,
        "百亿" => 10_000_000_000,
        "千亿" => 100_000_000_000,
        "万亿" | "兆" => 1_000_000_000_000,
        "%" => return Some(Some((1, 100))),
        "‰" => return Some(Some((1, 1000))),
        _ => return None,
    };
    Some(Some((times, 1)))
}

/// Unsigned digits with an optional point and exponent; also how many bytes they take.
fn digits(bytes: &[u8], grouped: bool) -> Option<(Number, usize)> {
    let mut mantissa: u128 = 0;
    let (mut significant, mut scale, mut run, mut used) = (0u32, 0u32, 0u32, 0usize);
    let (mut any, mut point, mut commas) = (false, false, false);
    for &byte in bytes {
        match byte {
            b'0'..=b'9' => {
                if significant == MAX_DIGITS {
                    return None;
                }
                mantissa = mantissa * 10 + u128::from(byte - b'0');
                significant += u32::from(mantissa != 0);
                any = true;
                run += 1;
                scale += u32::from(point);
            }
            b'.' if !point && (!commas || run == 3) => point = true,
            b',' if grouped && !point && any && (if commas { run == 3 } else { run <= 3 }) => {
                commas = true;
                run = 0;
            }
            _ => break,
        }
        used += 1;
    }
    if !any || (commas && !point && run != 3) {
        return None;
    }
    let number = Number { mantissa: i128::try_from(mantissa).ok()?, scale };
    exponent(number, bytes, used)
}

fn exponent(number: Number, bytes: &[u8], used: usize) -> Option<(Number, usize)> {
    if !matches!(bytes.get(used), Some(b'e' | b'E')) {
        return Some((number, used));
    }
    let mut at = used + 1;
    let negative = matches!(bytes.get(at), Some(b'-'));
    at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
    let start = at;
    let mut power: u32 = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        power = power.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
        at += 1;
    }
    if at == start || power > MAX_DIGITS {
        return None;
    }
    if negative {
        return Some((Number { scale: number.scale + power, ..number }, at));
    }
    let absorbed = power.min(number.scale);
    let times = 10i128.checked_pow(power - absorbed)?;
    let mantissa = number.mantissa.checked_mul(times)?;
    Some((Number { mantissa, scale: number.scale - absorbed }, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Option<f64> {
        Read::amount(text).map(|read| read.number.float(read.factor.unwrap_or((1, 1))))
    }

    #[test]
    fn money_is_read_as_people_write_it() {
        for (text, value) in [
            ("1,234.50", 1234.5),
            ("￥3.2万", 32_000.0),
            ("¥ 1,000", 1000.0),
            ("1.5亿元", 150_000_000.0),
            ("3.2万元整", 32_000.0),
            ("(300)", -300.0),
            ("(1,300.25)", -1300.25),
            ("-￥5", -5.0),
            ("￥-5", -5.0),
            ("−7", -7.0),
            ("CNY 12", 12.0),
            ("8 RMB", 8.0),
            ("300元", 300.0),
            ("2w", 20_000.0),
            ("12.5%", 0.125),
            ("1.2E+05", 120_000.0),
            ("0", 0.0),
            (".5", 0.5),
            ("1 234.50", 1234.5),
            ("1\u{a0}234\u{a0}567", 1_234_567.0),
            ("1'234.50", 1234.5),
            ("△300", -300.0),
            ("5元8角", 5.8),
            ("5元8角3分", 5.83),
            ("12万3千", 123_000.0),
            ("-1万2千元", -12_000.0),
            ("3块", 3.0),
        ] {
            assert_eq!(amount(text), Some(value), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_amount_is_refused() {
        for text in [
            "",
            "-",
            "abc",
            "1,23",
            "1,2345",
            "1234,567",
            "12,34,567",
            "1.2.3",
            "3万2",
            "(5",
            "5)",
            "(-5)",
            "--5",
            "１２",
            "1e",
            "1e99",
            "5 apples",
            ",5",
            "1,234,5",
            "1 23",
            "12'34",
            "8角5元",
            "3千4万",
            "12万3",
            "$5",
            "HK$5",
        ] {
            assert_eq!(Read::amount(text), None, "{text}");
        }
    }

    #[test]
    fn scaling_rounds_halves_away_from_zero_and_says_when_it_did() {
        let read = |text| Number::plain(text).expect("a number");
        assert_eq!(read("1.005").scaled((1, 1), 2), Some((101, false)));
        assert_eq!(read("-1.005").scaled((1, 1), 2), Some((-101, false)));
        assert_eq!(read("1.004").scaled((1, 1), 2), Some((100, false)));
        assert_eq!(read("12.30").scaled((1, 1), 2), Some((1230, true)));
        assert_eq!(read("3.2").scaled((10_000, 1), 0), Some((32_000, true)));
        assert_eq!(read("90").scaled((1, 60), 2), Some((150, true)));
        assert_eq!(read("100").scaled((1, 60), 2), Some((167, false)));
        assert_eq!(read("1e-38").scaled((1, 1), 2), Some((0, false)));
        let nines = "9".repeat(38);
        assert_eq!(read(&nines).scaled((1, 1), 2), None);
        assert_eq!(Number::plain(&"9".repeat(39)), None);
    }

    #[test]
    fn floats_are_the_nearest_ones() {
        for text in ["0.1", "1234.5678", "-2.5", "1e22", "0.30000000000000004", "123456789012345678"] {
            let number = Number::plain(text).expect("a number");
            assert_eq!(number.float((1, 1)), text.parse::<f64>().expect("a float"), "{text}");
        }
    }

    #[test]
    fn a_shortened_number_is_known_by_its_exponent() {
        for text in ["1.10101E+17", "4.2e26", "-1E11"] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["1e3", "1.20E+05", "110101199003070012", "1E-12", "abcE+17", "E17x"] {
            assert!(!is_shortened(text), "{text}");
        }
    }

    #[test]
    fn what_would_read_a_text_is_known() {
        for (text, reason) in [
            ("1.234,56", Some(Reason::DecimalComma)),
            ("1234,5", Some(Reason::DecimalComma)),
            ("HK$5", Some(Reason::Currency)),
            ("USD 100", Some(Reason::Currency)),
            ("-€5", Some(Reason::Currency)),
            ("1,234.50", Some(Reason::Amount)),
            ("3.2万", Some(Reason::Amount)),
            ("—", Some(Reason::Dash)),
            ("about 5", None),
        ] {
            assert_eq!(advice(text), reason, "{text}");
        }
    }
}
