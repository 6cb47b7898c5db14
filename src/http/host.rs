//! Which names a request may call this server by. Any other name is another site's page trying to read this one
//! through the reader's browser (DNS rebinding), or a proxy that was not told of.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::Refusal;
use super::listener::Local;

/// The names that are not addresses: those of `public_url`, in lower case.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// `public_url` as it was configured.
    pub fn of(public_url: Option<&str>) -> Self {
        let url = public_url.and_then(|url| Url::parse(url).ok());
        Self(url.iter().filter_map(Url::host_str).map(str::to_ascii_lowercase).collect())
    }

    /// Whether `host` names the server at whose address `local` the connection came in.
    pub fn knows(&self, host: &str, local: Option<SocketAddr>) -> bool {
        let Some(name) = name_of(host) else { return false };
        if self.0.contains(&name) {
            return true;
        }
        // In memory, for tests of the doors, there is no connection.
        let Some(local) = local.map(|l| l.ip().to_canonical()) else { return name == "localhost" };
        match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            // An address cannot be made to point elsewhere.
            Ok(ip) => ip.to_canonical() == local || (ip.is_loopback() && local.is_loopback()),
            Err(_) => name == "localhost" && local.is_loopback(),
        }
    }
}

/// The name of `name:port` in lower case, without the port; `None` when it is malformed.
fn name_of(host: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    let bare = !host.contains(['/', '?', '#', '@', '\\']) && !host.is_empty();
    (plain && bare).then(|| url.host_str().map(str::to_ascii_lowercase))?
}

/// Refuses a request without a host, with two, or with one that is not ours.
pub async fn known(State(names): State<Names>, request: Request, next: Next) -> Response {
    let hosts: Vec<_> = request.headers().get_all(header::HOST).iter().collect();
    let local = request.extensions().get::<Local>().map(|l| l.0);
    let why = match hosts[..] {
        [] => "the request has no Host header".to_owned(),
        [host] => {
            // A request line may carry the whole address; then it is what counts (RFC 9112, 3.2.2).
            let named = request.uri().authority().map(|a| a.as_str()).or(host.to_str().ok());
            match named {
                Some(host) if names.knows(host, local) => return next.run(request).await,
                Some(host) => format!("this server is not called {}", host.escape_default()),
                None => "the Host header is not readable".to_owned(),
            }
        }
        _ => "the request has more than one Host header".to_owned(),
    };
    Refusal::new(StatusCode::BAD_REQUEST, "foreign_host", "Unknown host", why)
        .hint("write the address that people use into `public_url:` of guanlan.yaml")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_and_the_public_name_are_known_and_nothing_else() {
        let names = Names::of(Some("https://Guanlan.example.com/"));
        let loopback = Some("127.0.0.1:8080".parse().unwrap());
        let lan = Some("192.168.3.4:8080".parse().unwrap());
        for (host, local) in [
            ("127.0.0.1:8080", loopback),
            ("localhost:8080", loopback),
            ("LOCALHOST", loopback),
            ("[::1]:8080", loopback),
            ("guanlan.example.com", loopback),
            ("Guanlan.Example.COM:443", lan),
            ("192.168.3.4:8080", lan),
            ("localhost", None),
        ] {
            assert!(names.knows(host, local), "{host}");
        }
        for (host, local) in [
            ("evil.example.com", loopback),
            ("guanlan.example.com.evil.com", loopback),
            ("localhost:8080", lan),
            ("127.0.0.1", lan),
            ("192.168.3.5", lan),
            ("", loopback),
            ("a b", loopback),
            ("user@localhost", loopback),
            ("localhost/x", loopback),
        ] {
            assert!(!names.knows(host, local), "{host}");
        }
    }
}
