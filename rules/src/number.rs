//! Numbers as people read them in a message: 1.2万 and 3.4亿 in Chinese, 12K and 3.4M in English, with
//! the unit of the metric.

use warehouse::metric::MetricUnit;

/// The language of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Zh,
    En,
}

/// A value in the unit of its metric; without a unit as plain as it is.
pub(crate) fn format(value: f64, unit: Option<MetricUnit>, language: Language) -> String {
    use Language::{En, Zh};
    let short = || shorten(value, language);
    match (unit, language) {
        (None | Some(MetricUnit::Count), _) => short(),
        (Some(MetricUnit::Cny), _) => match short().strip_prefix('-') {
            Some(amount) => format!("-¥{amount}"),
            None => format!("¥{}", short()),
        },
        (Some(MetricUnit::Percent), _) => format!("{}%", plain(value * 100.0, 1)),
        (Some(MetricUnit::Ratio), _) => plain(value, 3),
        (Some(MetricUnit::Hours), Zh) => format!("{} 小时", plain(value, 1)),
        (Some(MetricUnit::Hours), En) => format!("{} h", plain(value, 1)),
        (Some(MetricUnit::Minutes), Zh) => format!("{} 分钟", plain(value, 1)),
        (Some(MetricUnit::Minutes), En) => format!("{} min", plain(value, 1)),
        (Some(MetricUnit::Days), Zh) => format!("{} 天", plain(value, 1)),
        (Some(MetricUnit::Days), En) => format!("{} d", plain(value, 1)),
        (Some(MetricUnit::Points), Zh) => format!("{} 点", plain(value, 1)),
        (Some(MetricUnit::Points), En) => format!("{} pts", plain(value, 1)),
    }
}

/// A share as a signed percentage: +35%.
pub(crate) fn change(share: f64) -> String {
    let text = plain(share * 100.0, 1);
    if text.starts_with('-') || text == "0" { format!("{text}%") } else { format!("+{text}%") }
}

/// From which size on a number is written in which unit, largest first.
fn shorten(value: f64, language: Language) -> String {
    let steps: &[(f64, f64, &str)] = match language {
        Language::Zh => &[(1e8, 1e8, "亿"), (1e4, 1e4, "万")],
        Language::En => &[(1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "K")],
    };
    // Below the smallest size every digit is shown, so nothing is rounded up into it.
    let plainly = steps.last().is_none_or(|(from, ..)| value.abs() < *from);
    for (from, unit, sign) in steps.iter().filter(|_| !plainly) {
        // What rounds up to the next size is written in it: 99,999,999 is 1亿, not 10000万.
        let shown = (value / unit * 100.0).round() / 100.0;
        if shown.abs() * unit >= *from {
            return format!("{}{sign}", plain(shown, 2));
        }
    }
    plain(value, 2)
}

/// At most so many decimals, no trailing zeros, thousands grouped.
fn plain(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "—".to_owned();
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let rest = rest.trim_end_matches('0');
    let mut grouped = String::with_capacity(whole.len() + whole.len() / 3 + rest.len() + 2);
    if value < 0.0 && (rest.len() + whole.trim_matches('0').len()) > 0 {
        grouped.push('-');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !rest.is_empty() {
        grouped.push('.');
        grouped.push_str(rest);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_in_both_languages() {
        let cases = [
            (0.0, None, "0", "0"),
            (-0.001, None, "0", "0"),
            (7.0, None, "7", "7"),
            (1234.5, None, "1,234.5", "1,234.5"),
            (9999.0, None, "9,999", "9,999"),
            (12_345.0, None, "1.23万", "12.35K"),
            (-12_345.0, None, "-1.23万", "-12.35K"),
            (999_999.0, None, "100万", "1M"),
            (99_999_999.0, None, "1亿", "100M"),
            (123_456_789.0, None, "1.23亿", "123.46M"),
            (2_500_000_000.0, None, "25亿", "2.5B"),
            (12_345.0, Some(MetricUnit::Cny), "¥1.23万", "¥12.35K"),
            (-5.0, Some(MetricUnit::Cny), "-¥5", "-¥5"),
            (0.9534, Some(MetricUnit::Percent), "95.3%", "95.3%"),
            (3.25, Some(MetricUnit::Hours), "3.2 小时", "3.2 h"),
            (0.12345, Some(MetricUnit::Ratio), "0.123", "0.123"),
            (f64::NAN, None, "—", "—"),
        ];
        for (value, unit, zh, en) in cases {
            assert_eq!(format(value, unit, Language::Zh), zh, "{value}");
            assert_eq!(format(value, unit, Language::En), en, "{value}");
        }
    }

    #[test]
    fn changes_carry_their_sign() {
        assert_eq!(change(0.354), "+35.4%");
        assert_eq!(change(-0.5), "-50%");
        assert_eq!(change(0.0), "0%");
    }
}
