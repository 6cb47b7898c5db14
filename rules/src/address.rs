//! The address of a channel: often a secret itself, since whoever knows it may write there. It is given as a
//! reference or as it is; either way nothing that people read shows more of it than its host.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::{Secret, Span};

/// Shorter parts of an address are words of it rather than a token.
const TOKEN: usize = 8;
/// What stands for what is not shown.
const HIDDEN: &str = "***";

/// An http or https address, or `env:NAME` or `file:PATH` of one. Debug, Display and serde show its host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Given(String),
    Secret(Secret),
}

impl Address {
    /// The address itself; references are read now.
    ///
    /// # Errors
    /// The reference cannot be read, or what it holds is no address. The text is never repeated.
    pub fn resolve(&self, base: &Path) -> Result<String, String> {
        let text = match &self.0 {
            Place::Given(text) => text.clone(),
            Place::Secret(secret) => secret.resolve(base).map_err(|e| e.to_string())?.trim().to_owned(),
        };
        match checked(&text) {
            Ok(_) => Ok(text),
            Err(why) => Err(format!("{self}: {why}")),
        }
    }

    /// What is wrong with an address that is written in the file.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.0 {
            Place::Given(text) => checked(text).err(),
            Place::Secret(_) => None,
        }
    }
}

fn checked(text: &str) -> Result<reqwest::Url, String> {
    let url =
        reqwest::Url::parse(text).map_err(|e| format!("the address of the channel is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the address of a channel begins with https:// or http://".to_owned());
    }
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() {
        return Err("the address of a channel names a host, and neither user nor password".to_owned());
    }
    Ok(url)
}

/// An address as people may see it: where it leads, not what opens it.
pub(crate) fn shown(text: &str) -> String {
    let Ok(url) = checked(text) else { return HIDDEN.to_owned() };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let rest =
        if url.path().len() > 1 || url.query().is_some() { format!("/{HIDDEN}") } else { String::new() };
    format!("{}://{host}{port}{rest}", url.scheme())
}

/// A text of the other side without what it repeats of the address.
pub(crate) fn masked(text: &str, address: &str) -> String {
    let Ok(url) = checked(address) else { return text.to_owned() };
    let mut parts: Vec<String> = vec![address.to_owned(), url.as_str().to_owned()];
    if let Some(query) = url.query() {
        parts.push(format!("{}?{query}", url.path()));
        parts.push(query.to_owned());
    }
    if url.path().len() > 1 {
        parts.push(url.path().to_owned());
    }
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()).filter(|v| v.len() >= TOKEN));
    parts.extend(url.path().split('/').filter(|part| part.len() >= TOKEN).map(str::to_owned));
    parts.into_iter().fold(text.to_owned(), |text, part| text.replace(&part, HIDDEN))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Given(text) => f.write_str(&shown(text)),
            Place::Secret(secret) => secret.fmt(f),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        if text.starts_with("env:") || text.starts_with("file:") {
            let secret = Secret::parse(&text).map_err(serde::de::Error::custom)?;
            return Ok(Self(Place::Secret(secret)));
        }
        Ok(Self(Place::Given(text)))
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(https?://.+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "description": "An http or https address. One that holds a token is a secret: write env:NAME or \
                            file:PATH (relative to the project folder) and put the address there.",
        })
    }
}

/// Waits before each further attempt, as they may be written.
pub(crate) fn waits_problem(waits: &[Span]) -> Option<(usize, String)> {
    const MOST: usize = 30;
    const LONGEST: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);
    if waits.len() > MOST {
        return Some((MOST, format!("more than {MOST} further attempts help nobody")));
    }
    waits.iter().enumerate().find_map(|(at, wait)| {
        if wait.0.is_zero() {
            return Some((at, "a wait of zero would send again at once".to_owned()));
        }
        (wait.0 > LONGEST).then(|| (at, format!("{wait} is longer than a week")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn nothing_shows_more_of_an_address_than_its_host() {
        let token = address("https://hook.example.com:8443/robot/send?access_token=s3cr3t-t0ken-77");
        for text in [token.to_string(), format!("{token:?}"), serde_json::to_string(&token).unwrap()] {
            assert!(text.contains("https://hook.example.com:8443/***") && !text.contains("s3cr3t"), "{text}");
        }
        assert_eq!(address("http://127.0.0.1:9/").to_string(), "http://127.0.0.1:9");
        assert_eq!(address("env:HOOK_URL").to_string(), "env:HOOK_URL");
        let error = address("ftp://x/s3cr3t").resolve(Path::new(".")).unwrap_err();
        assert!(error.contains("https://") && !error.contains("s3cr3t"), "{error}");
        let error = serde_json::from_value::<Address>("env:not a name s3cr3t".into()).unwrap_err();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }

    #[test]
    fn what_the_other_side_repeats_is_hidden_too() {
        let url = "https://h.example.com/robot/abcdefgh12345/send?key=0123456789";
        for text in [
            "The requested URL /robot/abcdefgh12345/send was not found",
            "moved to https://h.example.com/robot/abcdefgh12345/send?key=0123456789",
            "key=0123456789 is unknown",
            "no robot abcdefgh12345",
        ] {
            let masked = masked(text, url);
            assert!(!masked.contains("abcdefgh12345") && !masked.contains("0123456789"), "{masked}");
        }
        assert_eq!(masked("ok", url), "ok");
    }

    #[test]
    fn waits_that_are_no_waits_are_refused() {
        let spans = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<Span>>();
        assert_eq!(waits_problem(&spans(&["2s", "3s", "4s"])), None);
        assert_eq!(waits_problem(&spans(&["2s", "0s"])).unwrap().0, 1);
        assert_eq!(waits_problem(&spans(&["2w"])).unwrap().0, 0);
        assert!(waits_problem(&vec![spans(&["1s"])[0]; 31]).is_some());
    }
}
