//! Who is at the other end of a connection. A header of a proxy is believed only when the proxy is listed.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The address a request came from, and whether its way to us was encrypted.
#[derive(Debug, Clone)]
pub struct Peer {
    pub ip: String,
    pub secure: bool,
}

/// The connection itself is encrypted.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

/// An address or a block of addresses, such as `10.0.0.5` or `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl Network {
    pub(super) fn holds(&self, ip: IpAddr) -> bool {
        match (self.base, ip.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (u32::from(base) ^ u32::from(ip)) & mask == 0
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (u128::from(base) ^ u128::from(ip)) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address; write 10.0.0.5, or a block such as 10.0.0.0/8");
        let (base, prefix) = text.split_once('/').unzip();
        let base: IpAddr = base.unwrap_or(text).parse().map_err(|_| wrong())?;
        let widest = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(widest), str::parse).map_err(|_| wrong())?;
        (prefix <= widest).then_some(Self { base, prefix }).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.base, self.prefix))
    }
}

impl JsonSchema for Network {
    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["127.0.0.1", "10.0.0.0/8"]})
    }
}

/// Who called, by the connection and the headers of trusted proxies on the way.
fn peer_of(connection: Option<IpAddr>, encrypted: bool, headers: &HeaderMap, trusted: &[Network]) -> Peer {
    let Some(connection) = connection else { return Peer { ip: "unknown".into(), secure: encrypted } };
    let believed = |ip: IpAddr| trusted.iter().any(|n| n.holds(ip));
    if !believed(connection) {
        return Peer { ip: connection.to_canonical().to_string(), secure: encrypted };
    }
    // The last hop that no trusted proxy added; what stands before it may be made up.
    let hops = listed(headers, "x-forwarded-for");
    let mut ip = connection;
    for hop in hops.iter().rev() {
        match hop.parse::<IpAddr>() {
            Ok(hop) => ip = hop,
            Err(_) => break,
        }
        if !believed(ip) {
            break;
        }
    }
    let secure = listed(headers, "x-forwarded-proto").last().is_some_and(|p| p.eq_ignore_ascii_case("https"));
    Peer { ip: ip.to_canonical().to_string(), secure: secure || encrypted }
}

/// The values of a list header, over all its lines.
fn listed(headers: &HeaderMap, name: &'static str) -> Vec<String> {
    let lines = headers.get_all(HeaderName::from_static(name)).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
}

/// Notes who calls, for login limits and the audit.
pub async fn note(
    State(trusted): State<std::sync::Arc<[Network]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let encrypted = request.extensions().get::<Encrypted>().is_some();
    let peer = peer_of(connection, encrypted, request.headers(), &trusted);
    request.extensions_mut().insert(peer);
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn ip(connection: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let pairs: Vec<_> = forwarded.iter().map(|f| ("x-forwarded-for", *f)).collect();
        let trusted: Vec<Network> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        peer_of(Some(connection.parse().unwrap()), false, &headers(&pairs), &trusted).ip
    }

    #[test]
    fn only_listed_proxies_are_believed_and_only_the_last_hop_before_them() {
        assert_eq!(ip("127.0.0.1", &["198.51.100.7"], &[]), "127.0.0.1", "nobody is believed");
        assert_eq!(ip("127.0.0.1", &["198.51.100.7"], &["127.0.0.1"]), "198.51.100.7");
        assert_eq!(ip("127.0.0.1", &["1.2.3.4, 198.51.100.7"], &["127.0.0.1"]), "198.51.100.7", "made up");
        assert_eq!(
            ip("127.0.0.1", &["198.51.100.7, 10.1.2.3"], &["127.0.0.1", "10.0.0.0/8"]),
            "198.51.100.7"
        );
        assert_eq!(
            ip("127.0.0.1", &["1.1.1.1", "198.51.100.7"], &["127.0.0.1"]),
            "198.51.100.7",
            "two lines"
        );
        assert_eq!(ip("127.0.0.1", &["198.51.100.7, rubbish"], &["127.0.0.1"]), "127.0.0.1");
        assert_eq!(ip("::ffff:10.0.0.1", &["198.51.100.7"], &["10.0.0.1"]), "198.51.100.7", "mapped");
    }

    #[test]
    fn networks_are_read_and_refused() {
        for good in ["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8", "::/0"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0", "10.0.0.0/33", "::/129", "proxy.local", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let block: Network = "10.0.0.0/8".parse().unwrap();
        assert!(block.holds("10.255.0.1".parse().unwrap()) && !block.holds("11.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_proxy_tells_whether_the_way_was_encrypted() {
        let trusted: Vec<Network> = vec!["127.0.0.1".parse().unwrap()];
        let https = headers(&[("x-forwarded-proto", "https")]);
        let from = |ip: &str, trusted| peer_of(ip.parse().ok(), false, &https, trusted).secure;
        assert!(from("127.0.0.1", &trusted) && !from("127.0.0.1", &[]) && !from("10.0.0.1", &trusted));
    }
}
