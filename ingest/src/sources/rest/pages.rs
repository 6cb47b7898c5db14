//! Pages of an API, one request each.

use std::collections::HashSet;

use access::outbound::Reply;
use sha2::{Digest, Sha256};
use url::Url;

use super::answer;
use super::caller::{Caller, place, refused};
use super::link;
use crate::error::SourceError;
use crate::formats::json::text;
use crate::formats::json::value::Raw;
use crate::source::Cursor;
use crate::sources::sql::moment::back;
use crate::spec::{JsonPath, PageSpec, StreamSpec};

const MOST_PAGES: u32 = 10_000;

/// Walks the pages of one stream.
pub(super) struct Pages {
    caller: Caller,
    records: JsonPath,
    page: Option<PageSpec>,
    first: Url,
    next: Option<Url>,
    number: u32,
    fetched: u32,
    /// Records read.
    read: u64,
    /// The number of records that the API tells.
    total: Option<u64>,
    /// The cursor that the last request was sent with.
    sent: Option<String>,
    /// Fingerprints of pages and addresses: an API that ignores the page parameter repeats itself for ever.
    known: HashSet<[u8; 32]>,
    /// Fingerprints of the records of the page before.
    before: Vec<[u8; 32]>,
    short_before: bool,
}

/// What a page says beside its records.
struct Said {
    /// The next cursor or address.
    next: Option<String>,
    more: Option<bool>,
}

impl Pages {
    pub(super) fn new(
        caller: Caller,
        stream: &StreamSpec,
        after: Option<&Cursor>,
    ) -> Result<Self, SourceError> {
        let mut first = caller.url.clone();
        let (path, query) = stream
            .path
            .as_deref()
            .unwrap_or_default()
            .split_once('?')
            .map_or((stream.path.as_deref().unwrap_or_default(), None), |(p, q)| (p, Some(q)));
        let joined = format!("{}/{}", first.path().trim_end_matches('/'), path.trim_start_matches('/'));
        // An API may tell `/tickets/` from `/tickets`.
        first.set_path(if path.ends_with('/') { &joined } else { joined.trim_end_matches('/') });
        if let Some(query) = query {
            first.set_query(Some(query));
        }
        let at = after.and_then(|c| c.get("at")).filter(|v| !v.is_null());
        if let (Some(param), Some(at)) = (stream.cursor_param(), at) {
            let at = text(&back(at, stream.overlap())).unwrap_or_default();
            first.query_pairs_mut().append_pair(param, &at);
        }
        let number = match &stream.page {
            Some(PageSpec::Number(p)) => p.first,
            _ => 0,
        };
        let mut pages = Pages {
            caller,
            records: stream.records.clone().unwrap_or_default(),
            page: stream.page.clone(),
            next: None,
            number,
            fetched: 0,
            read: 0,
            total: None,
            sent: None,
            known: HashSet::new(),
            before: Vec::new(),
            short_before: false,
            first,
        };
        pages.next = Some(pages.address(None));
        Ok(pages)
    }

    /// What a person should know once all pages were read.
    pub(super) fn warning(&self) -> Option<String> {
        let total = self.total.filter(|total| *total > self.read)?;
        Some(format!(
            "the API tells of {total} records and sent {}; check `page`{}",
            self.read,
            if self.page.is_none() { ", which is left out" } else { "" }
        ))
    }

    /// The address of the page with this number or cursor.
    fn address(&self, cursor: Option<&str>) -> Url {
        let mut url = self.first.clone();
        let mut add = |key: &str, value: &str| {
            url.query_pairs_mut().append_pair(key, value);
        };
        let mut sized = |param: &Option<String>, size: Option<u32>| {
            if let (Some(param), Some(size)) = (param, size) {
                add(param, &size.to_string());
            }
        };
        match &self.page {
            Some(PageSpec::Number(p)) => sized(&p.size_param, Some(p.size)),
            Some(PageSpec::Offset(p)) => sized(&p.size_param, Some(p.size)),
            Some(PageSpec::Cursor(p)) => sized(&p.size_param, Some(p.size)),
            Some(PageSpec::Next(p)) => sized(&p.size_param, p.size),
            Some(PageSpec::Link(p)) => sized(&p.size_param, p.size),
            None => {}
        }
        match (&self.page, cursor) {
            (Some(PageSpec::Number(p)), _) => add(&p.param, &self.number.to_string()),
            (Some(PageSpec::Offset(p)), _) => add(&p.param, &self.read.to_string()),
            (Some(PageSpec::Cursor(p)), Some(cursor)) => add(&p.param, cursor),
            _ => {}
        }
        url
    }

    /// The texts of the next page's records; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<String>>, SourceError> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if self.fetched >= MOST_PAGES {
            return Err(SourceError::never(format!(
                "{}: more than {MOST_PAGES} pages; raise the page size, or read incrementally",
                place(&url)
            )));
        }
        let reply = self.caller.get(&url).await?;
        self.fetched += 1;
        match reply.status {
            204 => return Ok(None),
            200..=299 => {}
            401 | 403 => return Err(refused(&url, reply.status)),
            // Some APIs have no page behind the last one.
            404 | 416
                if self.fetched > 1
                    && matches!(self.page, Some(PageSpec::Number(_) | PageSpec::Offset(_))) =>
            {
                return Ok(None);
            }
            404 => {
                return Err(SourceError::never(format!(
                    "{} answers 404: there is no such path; correct `url` or `path`",
                    place(&url)
                )));
            }
            300..=399 => {
                return Err(SourceError::never(format!(
                    "{} redirects; write the address it redirects to",
                    place(&url)
                )));
            }
            status => {
                return Err(SourceError::never(format!(
                    "{} answers {status}; check the path and its parameters",
                    place(&url)
                )));
            }
        }
        let body = answer::text(&url, &reply, self.caller.encoding)?;
        let document = Raw::parse(&body).map_err(|e| {
            SourceError::never(format!(
                "{}: the answer is not JSON ({e}); check that `url` is the API and not its web page",
                place(&url)
            ))
        })?;
        let said = self.said(document);
        let records = self.records_of(&url, document, &said)?;
        self.total = answer::total(document, &self.records).or(self.total);
        self.turn(&url, &reply, said, records)
    }

    fn said(&self, document: Raw<'_>) -> Said {
        let (next, more) = match &self.page {
            Some(PageSpec::Number(p)) => (None, p.more.as_ref()),
            Some(PageSpec::Offset(p)) => (None, p.more.as_ref()),
            Some(PageSpec::Cursor(p)) => (at(document, &p.next), p.more.as_ref()),
            Some(PageSpec::Next(p)) => (at(document, &p.at), None),
            _ => (None, None),
        };
        // Some write `false` for none.
        let next = next.and_then(|v| v.landed()).filter(|c| !matches!(&**c, "" | "false"));
        Said { next: next.map(|c| c.into_owned()), more: answer::more(document, &self.records, more) }
    }

    /// The records of an answer. Where there are none, many APIs leave the array out.
    fn records_of(&self, url: &Url, document: Raw<'_>, said: &Said) -> Result<Vec<String>, SourceError> {
        match document.find(&self.records.0) {
            Some(found) if found.is_array() => {
                let mut records = Vec::new();
                found.elements(&mut |record| records.push(record.text.to_owned()));
                return Ok(records);
            }
            Some(found) if found.text == "null" && !self.records.0.is_empty() => {}
            None if self.fetched > 1 && self.page.is_some() => {}
            // Nothing at all, and the answer says so.
            None if said.more == Some(false) || answer::total(document, &self.records) == Some(0) => {}
            _ => {
                let why = match answer::refusal(document) {
                    Some(said) => format!("the API refuses: {said}"),
                    None => format!(
                        "no array of records at {}; {}. Correct `records`",
                        self.records,
                        fields(document)
                    ),
                };
                return Err(SourceError::never(format!("{}: {why}", place(url))));
            }
        }
        // An answer without records may be a refusal on a later page: what was read so far is not all.
        match answer::refusal(document) {
            Some(said) => Err(SourceError::later(format!(
                "{}: the API refuses page {}: {said}",
                place(url),
                self.fetched
            ))),
            None => Ok(Vec::new()),
        }
    }

    /// Decides where the next page is.
    fn turn(
        &mut self,
        url: &Url,
        reply: &Reply,
        said: Said,
        records: Vec<String>,
    ) -> Result<Option<Vec<String>>, SourceError> {
        let full = match &self.page {
            Some(PageSpec::Number(p)) => records.len() >= p.size as usize,
            _ => true,
        };
        let marks: Vec<[u8; 32]> = records.iter().map(|r| Sha256::digest(r).into()).collect();
        let mut whole = Sha256::new();
        marks.iter().for_each(|mark| whole.update(mark));
        let fresh = self.known.insert(whole.finalize().into());
        if !records.is_empty() && !fresh && self.page.is_some() {
            // Behind a short last page some servers show that page again: the end.
            if self.short_before {
                return Ok(None);
            }
            return Err(SourceError::never(format!(
                "{}: page {} repeats an earlier one; check the parameters of `page`",
                place(url),
                self.fetched
            )));
        }
        self.check_overlap(url, &marks)?;
        self.before = marks;
        self.short_before = !full;
        self.read += records.len() as u64;
        self.next = self.following(url, reply, said, records.is_empty())?;
        if let Some(next) = &self.next
            && !self.known.insert(Sha256::digest(next.as_str()).into())
        {
            return Err(SourceError::never(format!(
                "{}: the API points back to a page that was read already",
                place(url)
            )));
        }
        Ok(Some(records))
    }

    /// A page that goes on in the middle of the one before: its parameter counts records, not pages.
    fn check_overlap(&self, url: &Url, marks: &[[u8; 32]]) -> Result<(), SourceError> {
        let Some(PageSpec::Number(page)) = &self.page else { return Ok(()) };
        let Some(first) = marks.first() else { return Ok(()) };
        let Some(at) = self.before.iter().position(|mark| mark == first).filter(|at| *at > 0) else {
            return Ok(());
        };
        let shared = &self.before[at..];
        if shared.len() < 2 || !marks.starts_with(shared) {
            return Ok(());
        }
        Err(SourceError::never(format!(
            "{}: page {} begins with the last {} records of the page before, so `{}` counts records, not pages; write `page: {{ offset: {{ param: {}, … }} }}`",
            place(url),
            self.fetched,
            shared.len(),
            page.param,
            page.param
        )))
    }

    fn following(
        &mut self,
        url: &Url,
        reply: &Reply,
        said: Said,
        empty: bool,
    ) -> Result<Option<Url>, SourceError> {
        let (by_cursor, path) = match &self.page {
            Some(PageSpec::Cursor(p)) => (true, p.next.to_string()),
            Some(PageSpec::Next(p)) => (true, p.at.to_string()),
            _ => (false, String::new()),
        };
        if said.more == Some(false) && self.page.is_some() && !matches!(self.page, Some(PageSpec::Link(_))) {
            return Ok(None);
        }
        if by_cursor && said.next.is_none() && said.more == Some(true) && !empty {
            return Err(SourceError::never(format!(
                "{}: the answer says that more pages follow, but there is no cursor at {path}; correct it in `page`",
                place(url)
            )));
        }
        match &self.page {
            None => Ok(None),
            // A short page may be a server's own limit: only an empty one is surely the end.
            Some(PageSpec::Number(_) | PageSpec::Offset(_)) if empty => Ok(None),
            Some(PageSpec::Number(_)) => {
                self.number += 1;
                Ok(Some(self.address(None)))
            }
            Some(PageSpec::Offset(_)) => Ok(Some(self.address(None))),
            Some(PageSpec::Cursor(_)) => match said.next {
                None => Ok(None),
                Some(next) if is_address(&next) => self.target(url, &next, "the next address").map(Some),
                // The last page repeats the cursor that led to it.
                Some(next) if self.sent.as_ref() == Some(&next) => Ok(None),
                Some(next) => {
                    let address = self.address(Some(&next));
                    self.sent = Some(next);
                    Ok(Some(address))
                }
            },
            Some(PageSpec::Next(_)) => match said.next {
                Some(next) => {
                    let target = self.target(url, &next, "the next address")?;
                    Ok((target != *url).then_some(target))
                }
                None => Ok(None),
            },
            Some(PageSpec::Link(_)) => {
                let lines = reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
                match link::next(lines.map(|(_, value)| value.as_str())) {
                    Some(next) => self.target(url, &next, "its Link header").map(Some),
                    None => Ok(None),
                }
            }
        }
    }

    /// An address that the API gave, on the same host only: the token must not travel elsewhere.
    fn target(&self, url: &Url, next: &str, what: &str) -> Result<Url, SourceError> {
        let mut target = url
            .join(next)
            .map_err(|e| SourceError::never(format!("{}: {what} does not parse: {e}", place(url))))?;
        // Behind a proxy that ends TLS, servers write http for themselves.
        if target.host() == url.host() && target.scheme() != url.scheme() && target.port().is_none() {
            let _ = target.set_scheme(url.scheme());
            let _ = target.set_port(url.port());
        }
        if target.origin() != url.origin() {
            return Err(SourceError::never(format!(
                "{}: {what} points to another host ({}); the token is not sent there",
                place(url),
                target.host_str().unwrap_or_default()
            )));
        }
        Ok(target)
    }
}

/// The value at a path; a name may hold dots itself, as in `@odata.nextLink`.
fn at<'d>(document: Raw<'d>, path: &JsonPath) -> Option<Raw<'d>> {
    document.find(&path.0).or_else(|| document.get(&path.0.join(".")))
}

/// Whether a cursor is an address: cursors of letters and digits may hold a slash, but no question mark.
fn is_address(cursor: &str) -> bool {
    cursor.starts_with("http://")
        || cursor.starts_with("https://")
        || cursor.starts_with('?')
        || (cursor.starts_with('/') && cursor.contains('?'))
}

/// What a document has instead of records, for messages.
fn fields(document: Raw<'_>) -> String {
    if document.is_array() {
        return "it is an array itself: leave `records` out".into();
    }
    if !document.is_object() {
        return "it is a single value".into();
    }
    let mut names = Vec::new();
    document.fields(&mut |key, _| names.push(key.into_owned()));
    names.truncate(20);
    format!("its fields are {}", names.join(", "))
}
