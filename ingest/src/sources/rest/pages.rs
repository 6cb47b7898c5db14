//! Pages of an API, one request each, with patience for a busy server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use access::outbound::{Method, Outbound, OutboundError, Reply, Request};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::SharedClock;
use url::Url;

use crate::error::SourceError;
use crate::formats::json::{keys_of, text};
use crate::source::Cursor;
use crate::sources::sql::seen::back;
use crate::spec::{JsonPath, PageSpec, StreamSpec};

const MOST_PAGES: u32 = 10_000;
const ATTEMPTS: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Sends requests to one API.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) url: Url,
    pub(super) token: Option<String>,
    pub(super) outbound: Arc<Outbound>,
    pub(super) clock: SharedClock,
}

impl Caller {
    /// Any answer but a refusal proves that the API is there.
    pub(super) async fn probe(&self) -> Result<(), SourceError> {
        let reply = self.once(&self.url).await?;
        match reply.status {
            401 | 403 => Err(refused(&self.url, reply.status)),
            500.. => Err(SourceError::later(format!(
                "{} answers {}; try again later",
                place(&self.url),
                reply.status
            ))),
            _ => Ok(()),
        }
    }

    async fn once(&self, url: &Url) -> Result<Reply, SourceError> {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        if let Some(token) = &self.token {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        let request =
            Request { method: Method::GET, url: url.to_string(), headers, body: Default::default() };
        self.outbound.send(request).await.map_err(|e| match e {
            OutboundError::Refused(why) => SourceError::never(format!(
                "{} may not be called: {why}; list the host in `outbound.allow` of guanlan.yaml",
                place(url)
            )),
            OutboundError::Later { after, why } => {
                SourceError::Later { after, message: format!("{} cannot be reached: {why}", place(url)) }
            }
            OutboundError::Never(why) => SourceError::never(format!("{}: {why}", place(url))),
        })
    }

    /// Tries until an answer comes that waiting would not change.
    async fn get(&self, url: &Url) -> Result<Reply, SourceError> {
        let mut wait = Duration::from_secs(1);
        for attempt in 1.. {
            let outcome = self.once(url).await;
            let (after, message) = match &outcome {
                Ok(reply) if reply.status == 429 || reply.status >= 500 => {
                    (retry_after(reply, &self.clock), format!("{} answers {}", place(url), reply.status))
                }
                Err(SourceError::Later { after, message }) => (*after, message.clone()),
                _ => return outcome,
            };
            let pause = after.unwrap_or(wait);
            if attempt >= ATTEMPTS || pause > LONGEST_WAIT {
                return Err(SourceError::Later {
                    after,
                    message: format!("{message}, {attempt} times; the next sync tries again"),
                });
            }
            tracing::debug!(
                source.host = url.host_str(),
                wait_ms = pause.as_millis() as u64,
                "the API asks to wait"
            );
            self.clock.sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        unreachable!("the loop above has no end but return")
    }
}

/// Scheme, host and path: never the query, which may carry secrets.
fn place(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn refused(url: &Url, status: u16) -> SourceError {
    SourceError::never(format!(
        "{} answers {status}: the token is wrong, expired or lacks rights; correct `token`",
        place(url)
    ))
}

/// Seconds or an HTTP date.
fn retry_after(reply: &Reply, clock: &SharedClock) -> Option<Duration> {
    let value = header(reply, "retry-after")?;
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    (at.with_timezone(&chrono::Utc) - clock.now()).to_std().ok()
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Walks the pages of one stream.
pub(super) struct Pages {
    caller: Caller,
    records: JsonPath,
    page: Option<PageSpec>,
    first: Url,
    next: Option<Url>,
    number: u32,
    fetched: u32,
    /// Fingerprints of pages and addresses: an API that ignores the page parameter repeats itself for ever.
    known: HashSet<[u8; 32]>,
    short_before: bool,
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
        first.set_path(joined.trim_end_matches('/'));
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
            known: HashSet::new(),
            short_before: false,
            first,
        };
        pages.next = Some(pages.address(None));
        Ok(pages)
    }

    /// The address of the page with this number or cursor.
    fn address(&self, cursor: Option<&str>) -> Url {
        let mut url = self.first.clone();
        let mut add = |key: &str, value: &str| {
            url.query_pairs_mut().append_pair(key, value);
        };
        match &self.page {
            Some(PageSpec::Number(p)) => {
                add(&p.param, &self.number.to_string());
                if let Some(param) = &p.size_param {
                    add(param, &p.size.to_string());
                }
            }
            Some(PageSpec::Cursor(p)) => {
                if let Some(cursor) = cursor {
                    add(&p.param, cursor);
                }
                if let Some(param) = &p.size_param {
                    add(param, &p.size.to_string());
                }
            }
            Some(PageSpec::Link(p)) => {
                if let (Some(param), Some(size)) = (&p.size_param, p.size) {
                    add(param, &size.to_string());
                }
            }
            None => {}
        }
        url
    }

    /// The records of the next page; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Value>>, SourceError> {
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
            200..=299 => {}
            401 | 403 => return Err(refused(&url, reply.status)),
            // Some APIs have no page behind the last one.
            404 if self.fetched > 1 && matches!(self.page, Some(PageSpec::Number(_))) => return Ok(None),
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
        let mut document: Value = serde_json::from_slice(&reply.body).map_err(|e| {
            SourceError::never(format!(
                "{}: the answer is not JSON ({e}); check that `url` is the API and not its web page",
                place(&url)
            ))
        })?;
        let cursor = match &self.page {
            Some(PageSpec::Cursor(p)) => p.next.find(&document).and_then(text).filter(|c| !c.is_empty()),
            _ => None,
        };
        let fields = keys_of(&document);
        let records = match self.records.take(&mut document) {
            Some(Value::Array(records)) => records,
            Some(Value::Null) if !self.records.0.is_empty() => Vec::new(),
            _ => {
                return Err(SourceError::never(format!(
                    "{}: no array of records at {}; {fields}. Correct `records`",
                    place(&url),
                    self.records
                )));
            }
        };
        self.turn(&url, &reply, cursor, records)
    }

    /// Decides where the next page is.
    fn turn(
        &mut self,
        url: &Url,
        reply: &Reply,
        cursor: Option<String>,
        records: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, SourceError> {
        let full = match &self.page {
            Some(PageSpec::Number(p)) => records.len() >= p.size as usize,
            _ => true,
        };
        let fresh =
            self.known.insert(Sha256::digest(serde_json::to_vec(&records).unwrap_or_default()).into());
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
        self.short_before = !full;
        self.next = match &self.page {
            None => None,
            // A short page may be a server's own limit: only an empty one is surely the end.
            Some(PageSpec::Number(_)) if records.is_empty() => None,
            Some(PageSpec::Number(_)) => {
                self.number += 1;
                Some(self.address(None))
            }
            Some(PageSpec::Cursor(_)) => cursor.map(|c| self.address(Some(&c))),
            Some(PageSpec::Link(_)) => self.link(url, reply)?,
        };
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

    /// `Link: <…>; rel="next"`, on the same host only: the token must not travel elsewhere.
    fn link(&self, url: &Url, reply: &Reply) -> Result<Option<Url>, SourceError> {
        let Some(links) = header(reply, "link") else { return Ok(None) };
        let next = links
            .split(',')
            .find(|l| l.split(';').skip(1).any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next")));
        let Some(target) = next
            .and_then(|l| l.split(';').next())
            .map(|t| t.trim().trim_start_matches('<').trim_end_matches('>'))
        else {
            return Ok(None);
        };
        let target = url.join(target).map_err(|e| {
            SourceError::never(format!("{}: its Link header does not parse: {e}", place(url)))
        })?;
        if target.origin() != url.origin() {
            return Err(SourceError::never(format!(
                "{}: its Link header points to another host ({}); the token is not sent there",
                place(url),
                target.host_str().unwrap_or_default()
            )));
        }
        Ok(Some(target))
    }
}
