//! `Link` headers (RFC 8288): several lines, several links a line, quoted parameters, relations in any case.

/// The target of the first link whose relation is `next`, over all header lines.
pub(super) fn next<'h>(lines: impl IntoIterator<Item = &'h str>) -> Option<String> {
    lines.into_iter().find_map(|line| links(line).into_iter().find(|l| l.is_next).map(|l| l.target))
}

struct Link {
    target: String,
    is_next: bool,
}

fn links(line: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(open) = rest.find('<') {
        let Some((target, behind)) = rest[open + 1..].split_once('>') else { break };
        let (parameters, behind) = parameters(behind);
        // Only the first `rel` counts; a link with an anchor is about another page.
        let rel = parameters.iter().find(|(name, _)| name == "rel").map_or("", |(_, value)| value);
        let is_next = rel.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
            && !parameters.iter().any(|(name, _)| name == "anchor");
        found.push(Link { target: target.trim().to_owned(), is_next });
        rest = behind;
    }
    found
}

/// The parameters of one link, names in lower case, and what follows the comma behind them.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        match rest.as_bytes().first() {
            Some(b';') => rest = &rest[1..],
            Some(b',') => return (found, &rest[1..]),
            None => return (found, rest),
            Some(_) => {
                let end = rest.find([';', ',', '=']).unwrap_or(rest.len());
                let name = rest[..end].trim().to_ascii_lowercase();
                rest = rest[end..].trim_start();
                let mut value = String::new();
                if let Some(behind) = rest.strip_prefix('=') {
                    (value, rest) = one(behind.trim_start());
                }
                found.push((name, value));
            }
        }
    }
}

/// A token or a quoted text, and what follows it.
fn one(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_found_however_it_is_written() {
        for lines in [
            &["<https://x/?p=2>; rel=\"next\""][..],
            &["<https://x/?p=2>;rel=next"],
            &["<https://x/?p=2>; REL=\"Next last\""],
            &["<https://x/?p=1>; rel=\"first\"", "<https://x/?p=2>; rel=\"next\""],
            &["<https://x/?p=1>; rel=prev; title=\"a, b; rel=next\", <https://x/?p=2>; rel=\"last NEXT\""],
            &["<https://x/?a=1,2;3>; rel=self , <https://x/?p=2> ; title=\"say \\\"next\\\"\" ; rel = next"],
            &["<https://x/?p=9>; rel=next; anchor=\"#other\", <https://x/?p=2>; rel=next"],
            &["<https://x/?p=9>; rel=last; rel=next, <https://x/?p=2>; rel=next"],
        ] {
            assert_eq!(next(lines.iter().copied()).as_deref(), Some("https://x/?p=2"), "{lines:?}");
        }
        for lines in
            [&["<https://x/?p=2>; rel=\"nextish\""][..], &["https://x/; rel=next"], &["<x"], &[""], &[]]
        {
            assert_eq!(next(lines.iter().copied()), None, "{lines:?}");
        }
    }
}
