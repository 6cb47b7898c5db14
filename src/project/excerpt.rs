//! A line of a definition as it may be shown beside an error: terminals, logs and screens of colleagues are no place
//! for a secret that stands in a file by mistake.

use std::borrow::Cow;

/// Parts of the names of keys whose values are secrets, misspelled ones too.
const PARTS: [&str; 11] = [
    "passw",
    "pwd",
    "secret",
    "token",
    "bearer",
    "authoriz",
    "credential",
    "cookie",
    "api_key",
    "apikey",
    "access_key",
];
/// Whole names.
const NAMES: [&str; 3] = ["auth", "pass", "api-key"];
/// How a reference to a secret begins.
const REFERENCES: [&str; 2] = ["env:", "file:"];

/// The line up to where a secret may stand. `column` is the place of a finding that is about an unknown key, whose
/// value may be anything.
pub(super) fn without_secrets(line: &str, unknown: Option<usize>) -> Cow<'_, str> {
    let behind = |at: usize| Cow::Owned(format!("{} …", &line[..at]));
    for (at, _) in line.match_indices(':') {
        // A cast of SQL.
        if line[at + 1..].starts_with(':') || line[..at].ends_with(':') {
            continue;
        }
        let key = line[..at].trim_end_matches(['"', '\'']);
        let begin = key.rfind([' ', '\t', '{', ',', '"', '\'']).map_or(0, |before| before + 1);
        let name = key[begin..].to_lowercase();
        let value = line[at + 1..].trim_start().trim_start_matches(['"', '\'']);
        let harmless =
            value.is_empty() || value.starts_with('#') || REFERENCES.iter().any(|r| value.starts_with(r));
        // A map of harmless keys is shown, and its keys are looked at themselves.
        if !harmless && !value.starts_with('{') && is_secret(&name) {
            return behind(at + 1);
        }
        let column = line[..begin].chars().count() + 1;
        if unknown.is_some_and(|unknown| column >= unknown) && !harmless {
            return behind(at + 1);
        }
    }
    without_password(line)
}

fn is_secret(name: &str) -> bool {
    NAMES.contains(&name) || PARTS.iter().any(|part| name.contains(part))
}

/// An address without its user's password.
fn without_password(line: &str) -> Cow<'_, str> {
    let Some((before, rest)) = line.split_once("://") else { return Cow::Borrowed(line) };
    let end = rest.find(['/', '"', '\'', ' ', ',']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{before}://…{}", &rest[at..])),
        None => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_keys_that_look_like_secrets_are_hidden() {
        for (line, shown) in [
            ("    passwrod: TOKEN", "    passwrod: …"),
            ("headers: { Authorization: Bearer TOKEN, a: b }", "headers: { Authorization: …"),
            ("auth: { bearer: \"TOKEN\" }", "auth: { bearer: …"),
            ("auth: TOKEN", "auth: …"),
            ("{\"api_key\":\"TOKEN\"}", "{\"api_key\": …"),
            ("password: env:NAME, token: TOKEN", "password: env:NAME, token: …"),
            ("url: http://u:TOKEN@host/path", "url: http://…@host/path"),
            ("key: [id] # primary", "key: [id] # primary"),
            ("title: 12:30 A@B http://host/a@b", "title: 12:30 A@B http://host/a@b"),
            ("password: ", "password: "),
            (
                "select token_id::int, author: x, pass_rate: 3",
                "select token_id::int, author: x, pass_rate: 3",
            ),
        ] {
            assert_eq!(without_secrets(line, None), shown);
        }
        assert_eq!(without_secrets("  x: { y: TOKEN }", Some(3)), "  x: …");
        assert_eq!(without_secrets("- { a: 1, x: TOKEN, b: 1 }", Some(11)), "- { a: 1, x: …");
        assert_eq!(without_secrets("title: 1\u{3000}", Some(1)), "title: …");
    }
}
