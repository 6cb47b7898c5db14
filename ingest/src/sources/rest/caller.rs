//! Requests to one API, with patience for a busy server.

use std::sync::Arc;
use std::time::Duration;

use access::outbound::{Method, Outbound, OutboundError, Reply, Request};
use encoding_rs::Encoding;
use store::SharedClock;
use url::Url;

use crate::error::SourceError;

const ATTEMPTS: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// Sends requests to one API.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) url: Url,
    pub(super) token: Option<String>,
    pub(super) outbound: Arc<Outbound>,
    pub(super) clock: SharedClock,
    /// Of answers that do not say theirs.
    pub(super) encoding: Option<&'static Encoding>,
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
    pub(super) async fn get(&self, url: &Url) -> Result<Reply, SourceError> {
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
pub(super) fn place(url: &Url) -> String {
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

pub(super) fn refused(url: &Url, status: u16) -> SourceError {
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

pub(super) fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}
