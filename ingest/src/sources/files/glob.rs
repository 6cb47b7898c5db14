//! Which file names belong to a stream.

use regex::Regex;

/// A pattern over paths: `*` and `?` match inside a name, `**` any folders, `{a,b}` either, `[a-z]` one of.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    pattern: Regex,
    /// Patterns without a folder need no walk into folders.
    pub(super) deep: bool,
}

impl Glob {
    /// # Errors
    /// What is wrong with the pattern.
    pub(crate) fn parse(glob: &str) -> Result<Self, String> {
        let glob = glob.trim_start_matches("./");
        if glob.is_empty() || glob.starts_with('/') || glob.split('/').any(|p| p == "..") {
            return Err(format!("`{glob}` is not a pattern below the source's folder"));
        }
        let mut out = String::from("^");
        let mut chars = glob.chars().peekable();
        let mut braces = 0usize;
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.peek() == Some(&'*') => {
                    chars.next();
                    if chars.peek() == Some(&'/') {
                        chars.next();
                        out.push_str("(?:.*/)?");
                    } else {
                        out.push_str(".*");
                    }
                }
                '*' => out.push_str("[^/]*"),
                '?' => out.push_str("[^/]"),
                '{' => {
                    braces += 1;
                    out.push_str("(?:");
                }
                '}' if braces > 0 => {
                    braces -= 1;
                    out.push(')');
                }
                ',' if braces > 0 => out.push('|'),
                '[' => class(&mut chars, &mut out).ok_or_else(|| format!("`{glob}`: a [ is not closed"))?,
                other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        if braces > 0 {
            return Err(format!("`{glob}`: a {{ is not closed"));
        }
        out.push('$');
        let pattern = Regex::new(&out).map_err(|_| format!("`{glob}` is not a pattern"))?;
        Ok(Glob { pattern, deep: glob.contains('/') || glob.contains("**") })
    }

    /// Whether a path relative to the source's folder, with `/` between names, belongs.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.pattern.is_match(path)
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    if matches!(chars.peek(), Some('!' | '^')) {
        chars.next();
        out.push('^');
    }
    let mut any = false;
    for c in chars.by_ref() {
        match c {
            ']' if any => {
                out.push(']');
                return Some(());
            }
            '-' => out.push('-'),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        any = true;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn patterns_match_names_and_folders() {
        let cases = [
            ("orders_*.csv", "orders_2026.csv", true),
            ("orders_*.csv", "a/orders_2026.csv", false),
            ("**/*.xlsx", "a/b/销售.xlsx", true),
            ("**/*.xlsx", "销售.xlsx", true),
            ("2026-??/*.{csv,txt}", "2026-01/x.txt", true),
            ("2026-??/*.{csv,txt}", "2026-01/x.pdf", false),
            ("[a-c]*.csv", "b1.csv", true),
            ("[!a-c]*.csv", "b1.csv", false),
            ("a+b(1).csv", "a+b(1).csv", true),
        ];
        for (glob, path, expected) in cases {
            assert_eq!(Glob::parse(glob).unwrap().matches(path), expected, "{glob} {path}");
        }
        for bad in ["", "../x.csv", "/abs.csv", "a{b.csv", "a[b.csv"] {
            assert!(Glob::parse(bad).is_err(), "{bad}");
        }
    }
}
