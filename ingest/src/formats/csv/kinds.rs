//! What a cell looks like: enough to tell a header from data, never to change a value.

/// What kind of value a text writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, or a word for it.
    Empty,
    Number,
    /// A date, a time of day, or both.
    Time,
    Text,
}

/// The kind of one cell.
pub(super) fn kind(cell: &[u8]) -> Kind {
    let cell = cell.trim_ascii();
    let Ok(text) = std::str::from_utf8(cell) else { return Kind::Text };
    if is_missing(text) {
        Kind::Empty
    } else if is_number(text) {
        Kind::Number
    } else if is_time(text) {
        Kind::Time
    } else {
        Kind::Text
    }
}

fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 10] = ["", "-", "--", "null", "none", "n/a", "na", "nan", "\\n", "nil"];
    text.len() <= 4 && WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// `-1,234.5`, `12%`, `$3.20`, `1.5e-3`, `1.234,56`, `(12.00)`.
fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-', '$', '€', '£', '¥', '￥', '(', '<', '>', '=', ' ', '`']);
    let text = text.trim_end_matches(['%', ')', ' ', '€', '元', '‰']);
    let Some(first) = text.bytes().next() else { return false };
    if text.len() > 40 || !(first.is_ascii_digit() || (matches!(first, b'.' | b',') && text.len() > 1)) {
        return false;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e.trim_start_matches(['+', '-']))),
        None => (text, None),
    };
    if exponent.is_some_and(|e| e.is_empty() || !e.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if !mantissa.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'\'' | b' ')) {
        return false;
    }
    // Groups between separators have three digits, save the first and what follows a single last mark.
    let parts: Vec<&str> = mantissa.split(['.', ',', '\'', ' ']).collect();
    let inner = parts.len().saturating_sub(2);
    parts.iter().skip(1).take(inner).all(|p| p.len() == 3)
        && (parts.len() <= 2 || parts[0].len() <= 3)
        && parts.iter().any(|p| !p.is_empty())
}

/// `2026-11-27`, `27/11/2026 08:00`, `08:00:05+08:00`, `2026年11月27日`, `09-Mar-11`, `2026-11-27T08:00:00Z`.
fn is_time(text: &str) -> bool {
    if text.len() < 4 || text.len() > 40 || !text.bytes().any(|b| b.is_ascii_digit()) {
        return false;
    }
    let (mut digits, mut marks, mut letters) = (0, 0, String::new());
    for c in text.chars() {
        match c {
            '0'..='9' => digits += 1,
            '-' | '/' | ':' | '年' | '月' | '日' | '时' | '分' | '秒' => marks += 1,
            '.' | ' ' | '+' | ',' => {}
            c if c.is_ascii_alphabetic() => letters.push(c.to_ascii_lowercase()),
            _ => return false,
        }
    }
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let spoken = match letters.as_str() {
        "" | "t" | "z" | "tz" | "am" | "pm" | "utc" => false,
        word if MONTHS.iter().any(|m| word.starts_with(m)) && word.len() <= 9 => true,
        _ => return false,
    };
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_digit());
    let dots = text.matches('.').count();
    (first || spoken) && digits >= if spoken { 2 } else { 3 } && (marks >= 1 || dots == 2 || spoken)
        // A phone number or an account: long runs of digits are no time.
        && text.split(|c: char| !c.is_ascii_digit()).all(|run| run.len() <= 9)
        && (marks + usize::from(spoken) >= 2 || text.contains(':') || dots == 2 || digits <= 8)
}

/// The kind that most of a column's filled cells have; `Text` when they differ.
pub(super) fn of_column(cells: impl Iterator<Item = Kind>) -> Kind {
    let (mut numbers, mut times, mut filled) = (0usize, 0usize, 0usize);
    for kind in cells {
        match kind {
            Kind::Empty => continue,
            Kind::Number => numbers += 1,
            Kind::Time => times += 1,
            Kind::Text => {}
        }
        filled += 1;
    }
    match filled {
        0 => Kind::Empty,
        n if numbers * 10 >= n * 9 => Kind::Number,
        n if times * 10 >= n * 9 => Kind::Time,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_told_apart() {
        let cases = [
            (
                Kind::Number,
                "0 -12 1,234.50 1.234,56 $74.69 12% 1.5e-3 .5 0.95973685430362821 (12.00) 13800000000 1e5",
            ),
            (
                Kind::Time,
                "2026-11-27 27/11/2026 08:00:05+08:00 2026年11月27日 09-Mar-11 2018-12-06T00:00:26Z 00:15 2026-11 Oct-14",
            ),
            (Kind::Text, "n16 MG-8769 di4-aN.wav abc 51,47,45 1.2.3.4.5 部门 T Cp 1st <=5x A1 2x4 may"),
            (Kind::Empty, "- NULL none N/A"),
        ];
        for (expected, cells) in cases {
            for cell in cells.split(' ') {
                assert_eq!(kind(cell.as_bytes()), expected, "{cell}");
            }
        }
        assert_eq!(kind(b"2026-11-27 08:00:00"), Kind::Time);
        assert_eq!(kind(b""), Kind::Empty);
    }
}
