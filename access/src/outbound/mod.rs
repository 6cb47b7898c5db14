//! The only way out, by HTTP and to databases and object stores. Addresses inside the company are refused unless the administrator listed
//! them; what was checked is what is connected to; nothing is followed, nothing goes through a proxy,
//! nothing is read without a bound.

mod address;
mod allow;
mod objects;
#[cfg(test)]
mod tests;
mod tunnel;
#[cfg(test)]
mod tunnel_tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Span;
use url::{Host, Url};

pub use self::tunnel::{Opened, Tunnel, Watch};
pub use reqwest::Method;

use self::allow::{Allowed, DATABASES};
use crate::error::{Error, Result};

/// Clients kept for reuse, one for each destination and its addresses.
const CLIENTS: usize = 64;
const CONNECT: Duration = Duration::from_secs(10);

/// What may be called, and how much is waited and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundSpec {
    /// Private addresses that may be called: `host`, `host:port`, `10.1.2.3:8080` or `10.0.0.0/8`; the entry
    /// `databases` stands for the PostgreSQL and MySQL servers of sources, whose addresses are secrets that only
    /// administrators set. Public addresses need no entry. Default `[databases]`.
    pub allow: Vec<String>,
    /// Longest wait for one answer. Default 20s.
    pub timeout: Span,
    /// Largest answer that is read, in bytes. Default 33554432 (32 MiB).
    pub max_body: u64,
}

impl Default for OutboundSpec {
    fn default() -> Self {
        Self {
            allow: vec![DATABASES.into()],
            timeout: Span(Duration::from_secs(20)),
            max_body: 32 * 1024 * 1024,
        }
    }
}

/// A request to the outside. Debug shows no header values and no body: both may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: vec![], body: Bytes::new() }
    }

    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::new(Method::POST, url) }
    }

    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        // The query may hold a token, so only scheme, host and path are shown.
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        write!(f, "Request({} {url}, headers {names:?}, {} bytes)", self.method, self.body.len())
    }
}

/// An answer, whatever its status. Header names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Reply {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The reply when its status is 2xx; otherwise what to do: later for 408, 425, 429 and 5xx (after the
    /// seconds of Retry-After, if given), never for the rest, redirects among them.
    pub fn success(self) -> Result<Reply, OutboundError> {
        let status = self.status;
        let after =
            self.header(RETRY_AFTER.as_str()).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        match status {
            200..=299 => Ok(self),
            408 | 425 | 429 | 500..=599 => {
                Err(OutboundError::Later { after, why: format!("the other side answered {status}") })
            }
            300..=399 => Err(OutboundError::Never(format!(
                "the other side answered {status} and wants to redirect to {}; redirects are not followed: put the \
                 final address into the definition",
                self.header("location").unwrap_or("nowhere")
            ))),
            _ => Err(OutboundError::Never(format!(
                "the other side answered {status}: check the address and the credentials"
            ))),
        }
    }
}

/// Why there is no answer, by what happens next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The address is not allowed: the administrator must list it.
    #[error("{0}")]
    Refused(String),
    /// Nobody there, too slow, or overloaded: try again.
    #[error("{why}")]
    Later { after: Option<Duration>, why: String },
    /// Trying again would not help.
    #[error("{0}")]
    Never(String),
}

/// A handle; clones share connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    allowed: Allowed,
    timeout: Duration,
    max_body: u64,
    clients: Mutex<HashMap<Destination, reqwest::Client>>,
}

/// A host and the addresses that were checked for it: a client connects to these and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Destination {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Outbound {
    /// # Errors
    /// [`Error::Invalid`] names the entry of `allow` that cannot be read.
    pub fn new(spec: OutboundSpec) -> Result<Self> {
        let inner = Inner {
            allowed: Allowed::parse(&spec.allow).map_err(Error::Invalid)?,
            timeout: spec.timeout.0.max(Duration::from_millis(1)),
            max_body: spec.max_body,
            clients: Mutex::new(HashMap::new()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sends a request and reads the whole answer, within the timeout and the largest body. A status
    /// that is no success is a [`Reply`] too; see [`Reply::success`].
    pub async fn send(&self, request: Request) -> Result<Reply, OutboundError> {
        let url = checked_url(&request.url)?;
        let headers = checked_headers(&request.headers)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let late = || OutboundError::Later {
            after: None,
            why: format!("{host} did not answer within {}", Span(self.inner.timeout)),
        };
        let exchange = async {
            let destination = self.resolve(&url).await?;
            let client = self.client(destination)?;
            let sent =
                client.request(request.method, url.clone()).headers(headers).body(request.body).send().await;
            let answer = sent.map_err(|e| failed(&host, &e))?;
            self.read(&host, answer).await
        };
        tokio::time::timeout(self.inner.timeout, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    /// The addresses of the URL's host, every one of them checked.
    async fn resolve(&self, url: &Url) -> Result<Destination, OutboundError> {
        let port = url.port_or_known_default().unwrap_or(80);
        match url.host() {
            Some(host) => self.checked(&host.to_owned(), port, false).await,
            None => Err(OutboundError::Never(format!("{url} names no host"))),
        }
    }

    /// The addresses of a host, every one of them checked; `database`: those of databases may be meant.
    async fn checked(&self, host: &Host, port: u16, database: bool) -> Result<Destination, OutboundError> {
        let (host, addresses) = match host {
            Host::Ipv4(ip) => (ip.to_string(), vec![SocketAddr::new((*ip).into(), port)]),
            Host::Ipv6(ip) => (ip.to_string(), vec![SocketAddr::new((*ip).into(), port)]),
            Host::Domain(name) => (name.to_owned(), lookup(name, port).await?),
        };
        let allowed = &self.inner.allowed;
        let by_name = allowed.name(&host, port);
        for address in &addresses {
            let ip = address.ip();
            let by_kind = database && allowed.databases() && address::is_inner(ip);
            if !(by_name || by_kind || address::is_public(ip) || allowed.address(ip, port)) {
                return Err(refused(&host, ip, port));
            }
        }
        Ok(Destination { host, addresses })
    }

    fn client(&self, destination: Destination) -> Result<reqwest::Client, OutboundError> {
        let mut clients = self.inner.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(client) = clients.get(&destination) {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(NoLookups))
            .resolve_to_addrs(&destination.host, &destination.addresses)
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("guanlan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| {
                OutboundError::Never(format!("no HTTP client: {e}; check the system's certificates"))
            })?;
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(destination, client.clone());
        Ok(client)
    }

    async fn read(&self, host: &str, mut answer: reqwest::Response) -> Result<Reply, OutboundError> {
        let status = answer.status().as_u16();
        let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        let headers = answer.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| failed(host, &e))? {
            if (body.len() + chunk.len()) as u64 > self.inner.max_body {
                return Err(OutboundError::Never(format!(
                    "{host} answered with more than {} bytes: ask for smaller pages, or raise outbound.max_body",
                    self.inner.max_body
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body: body.into() })
    }
}

/// A resolver that knows nothing: beside the pinned addresses a client must not look anything up.
struct NoLookups;

impl reqwest::dns::Resolve for NoLookups {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let why = format!("the address of {} was not checked", name.as_str());
        Box::pin(std::future::ready(Err(why.into())))
    }
}

async fn lookup(name: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
    let later = |why: String| OutboundError::Later { after: None, why };
    let found = tokio::net::lookup_host((name, port)).await;
    let found = found.map_err(|e| {
        later(format!("the name {name} cannot be resolved: {e}; check the address and the DNS"))
    })?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    // One order, so that round-robin answers share a client.
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(later(format!("the name {name} has no address; check the DNS")));
    }
    Ok(addresses)
}

fn checked_url(text: &str) -> Result<Url, OutboundError> {
    let never = |why: String| OutboundError::Never(why);
    // The text itself may hold a token, so it is not repeated.
    let url = Url::parse(text).map_err(|e| never(format!("the address is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(never(format!("{}: addresses are not called: use http or https", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(never(
            "the address holds a user or password: put them into a header by secret reference".into(),
        ));
    }
    Ok(url)
}

fn checked_headers(given: &[(String, String)]) -> Result<HeaderMap, OutboundError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = || OutboundError::Never(format!("the header {name} or its value is not valid HTTP"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        // These decide where a request goes and where it ends.
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&key) {
            return Err(OutboundError::Never(format!("the header {name} is set by Guanlan: leave it out")));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

fn refused(host: &str, ip: IpAddr, port: u16) -> OutboundError {
    let what = if host == ip.to_string() { host.to_owned() } else { format!("{host} ({ip})") };
    let entry = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    OutboundError::Refused(format!(
        "{what} is a private or reserved address, which may not be called. If that is intended, add \"{entry}\" to \
         outbound.allow in guanlan.yaml."
    ))
}

/// A transport failure in words, without the URL, which may hold a token.
fn failed(host: &str, error: &reqwest::Error) -> OutboundError {
    let mut causes = vec![];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let why = causes.pop().unwrap_or_else(|| "the exchange failed".into());
    let what = if error.is_connect() { "cannot be reached" } else { "broke off" };
    OutboundError::Later { after: None, why: format!("{host} {what}: {why}") }
}
