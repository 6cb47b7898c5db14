//! What an answer says: its text whatever its encoding, whether it refuses, and whether more pages follow.

use access::outbound::Reply;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use url::Url;

use super::caller::{header, place};
use crate::error::SourceError;
use crate::formats::json::value::Raw;
use crate::spec::JsonPath;

/// Names under which answers tell that more pages follow, and that none does.
const MORE: [&str; 7] =
    ["has_more", "hasmore", "has_next", "hasnext", "has_next_page", "hasnextpage", "more"];
const LAST: [&str; 4] = ["is_last", "islast", "is_last_page", "last"];
/// Names of the number of records of all pages.
const TOTAL: [&str; 6] =
    ["total", "total_count", "totalcount", "total_results", "totalelements", "total_records"];

/// The text of an answer: by its byte order mark, else by the charset of its header, else by the definition, else
/// as UTF-8.
///
/// # Errors
/// The bytes do not fit the encoding.
pub(super) fn text(
    url: &Url,
    reply: &Reply,
    declared: Option<&'static Encoding>,
) -> Result<String, SourceError> {
    let body = &reply.body[..];
    let named = header(reply, "content-type").and_then(charset);
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some(found) => found,
        None => (wide(body).or(named).or(declared).unwrap_or(UTF_8), 0),
    };
    let (text, damaged) = encoding.decode_without_bom_handling(&body[mark..]);
    if damaged {
        let name = encoding.name();
        return Err(SourceError::never(format!(
            "{}: the answer is not {name}{}; write the encoding of the API beside `url`, for example `encoding: gb18030`",
            place(url),
            if named.is_some() {
                ", although its Content-Type says so"
            } else {
                " and its Content-Type names no charset"
            }
        )));
    }
    Ok(text.into_owned())
}

/// JSON begins with ASCII: a zero byte beside it tells UTF-16.
fn wide(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [0, b, ..] if *b != 0 => Some(UTF_16BE),
        [b, 0, ..] if *b != 0 => Some(UTF_16LE),
        _ => None,
    }
}

/// The charset of `application/json; charset=GBK`; GB 18030 contains GBK and GB 2312.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let value = content_type.split(';').skip(1).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })?;
    crate::formats::encoding::named(value).ok().flatten()
}

/// What an API says that answers 200 and yet refuses, as many do: a code or error beside the missing records.
pub(super) fn refusal(document: Raw<'_>) -> Option<String> {
    let mut refused = false;
    let mut said = Vec::new();
    document.fields(&mut |key, value| {
        let text = value.landed().unwrap_or_default();
        let name = key.to_lowercase();
        let wrong = match name.as_str() {
            "code" | "errcode" | "error_code" | "errorcode" | "errno" | "ret" | "status_code" => {
                text.parse::<i64>().is_ok_and(|code| code != 0 && !(200..300).contains(&code))
            }
            "error" | "errors" => !matches!(&*text, "" | "false" | "0" | "[]" | "{}"),
            "success" | "ok" => text == "false",
            _ => false,
        };
        refused |= wrong;
        if wrong || matches!(name.as_str(), "msg" | "message" | "errmsg" | "error_description" | "detail") {
            said.push(format!("{key}: {}", text.chars().take(200).collect::<String>()));
        }
    });
    refused.then(|| said.join(", "))
}

/// Whether the answer says that more pages follow: at `more`, else under a common name beside the records or at
/// the top.
pub(super) fn more(document: Raw<'_>, records: &JsonPath, more: Option<&JsonPath>) -> Option<bool> {
    if let Some(path) = more {
        return document
            .find(&path.0)
            .map(|v| !matches!(v.text, "false" | "0" | "null" | "\"\"" | "\"false\""));
    }
    beside(document, records, |name, value| match value.text {
        "true" | "false" if MORE.contains(&name) => Some(value.text == "true"),
        "true" | "false" if LAST.contains(&name) => Some(value.text == "false"),
        _ => None,
    })
}

/// How many records the answer says there are on all pages.
pub(super) fn total(document: Raw<'_>, records: &JsonPath) -> Option<u64> {
    beside(document, records, |name, value| match TOTAL.contains(&name) {
        true => value.landed()?.parse().ok(),
        false => None,
    })
}

/// The first field of use among those beside the records, then at the top.
fn beside<T>(document: Raw<'_>, records: &JsonPath, pick: impl Fn(&str, Raw<'_>) -> Option<T>) -> Option<T> {
    let parent = &records.0[..records.0.len().saturating_sub(1)];
    let mut found = None;
    for place in [document.find(parent), Some(document)].into_iter().flatten() {
        place.fields(&mut |key, value| {
            if found.is_none() {
                found = pick(&key.to_lowercase(), value);
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_are_found_however_they_are_written() {
        for text in
            ["application/json; charset=GBK", "text/json;Charset = \"gb2312\"", "a/b; x=1; charset='gbk'"]
        {
            assert_eq!(charset(text).map(Encoding::name), Some("gb18030"), "{text}");
        }
        assert_eq!(charset("application/json"), None);
    }

    #[test]
    fn an_answer_tells_its_end_and_its_refusals() {
        let path = JsonPath::parse("data.items").unwrap();
        let more = |text: &str| super::more(Raw::parse(text).unwrap(), &path, None);
        assert_eq!(more(r#"{"data":{"hasMore":false}}"#), Some(false));
        assert_eq!(more(r#"{"has_more":true,"data":{}}"#), Some(true));
        assert_eq!(more(r#"{"last":true}"#), Some(false));
        assert_eq!(more(r#"{"more":"yes"}"#), None);
        let refusal = |text: &str| super::refusal(Raw::parse(text).unwrap());
        assert!(refusal(r#"{"code":99991663,"msg":"token expired"}"#).unwrap().contains("token expired"));
        assert!(refusal(r#"{"success":false}"#).is_some());
        assert!(refusal(r#"{"code":0,"error":null,"data":{}}"#).is_none());
        assert!(refusal(r#"{"code":200}"#).is_none());
    }
}
