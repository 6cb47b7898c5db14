//! The way to a database server: an address that may be called, and how the connection is encrypted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::outbound::{Opened, Outbound, OutboundError};

use crate::error::SourceError;
use crate::spec::{DatabaseSpec, TlsSpec};

/// How a server is reached.
#[derive(Clone)]
pub(crate) struct Reach {
    outbound: Arc<Outbound>,
    tls: Option<TlsSpec>,
    /// The URL says itself how to encrypt.
    url_says: bool,
}

/// How one connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Guard {
    /// TLS with a certificate that is valid for the server's name, and those of a file trusted too.
    Verified(Option<PathBuf>),
    /// TLS with any certificate.
    Encrypted,
    /// TLS where the server offers it, and never a password in clear: nobody stands between.
    Offered,
    /// No TLS, because the definition says so.
    Open,
    /// As the URL says.
    Url,
}

impl Reach {
    pub(crate) fn new(outbound: Arc<Outbound>, spec: &DatabaseSpec, url: &str, base: &Path) -> Self {
        let tls = match &spec.tls {
            Some(TlsSpec::Ca(path)) => Some(TlsSpec::Ca(base.join(path))),
            other => other.clone(),
        };
        let query = url.split_once('?').map_or("", |(_, query)| query).to_lowercase();
        let url_says = query.split('&').any(|p| p.starts_with("sslmode=") || p.starts_with("ssl-mode="));
        Reach { outbound, tls, url_says }
    }

    /// How to encrypt a connection; `local`: to this machine itself.
    pub(crate) fn guard(&self, local: bool) -> Guard {
        match &self.tls {
            Some(TlsSpec::Verify) => Guard::Verified(None),
            Some(TlsSpec::Ca(path)) => Guard::Verified(Some(path.clone())),
            Some(TlsSpec::Unverified) => Guard::Encrypted,
            Some(TlsSpec::Off) => Guard::Open,
            None if self.url_says => Guard::Url,
            None if local => Guard::Offered,
            None => Guard::Verified(None),
        }
    }

    /// How to encrypt a connection through a Unix socket, if a server of this machine may be called.
    pub(crate) async fn local(&self, place: &str, port: u16) -> Result<Guard, SourceError> {
        self.outbound.local(port).await.map_err(|e| out(place, e))?;
        Ok(self.guard(true))
    }

    /// Connects to a server that may be called. `place` names it in messages.
    pub(crate) async fn open(&self, place: &str, host: &str, port: u16) -> Result<Opened, SourceError> {
        self.outbound.tunnel(host, port).await.map_err(|e| out(place, e))
    }
}

/// Why there is no way to a server.
pub(crate) fn out(place: &str, e: OutboundError) -> SourceError {
    match e {
        OutboundError::Refused(why) => SourceError::never(format!("{place} may not be called: {why}")),
        OutboundError::Later { after, why } => SourceError::Later {
            after,
            message: format!(
                "{place} cannot be reached: {why}; check that it runs and that host and port are right"
            ),
        },
        OutboundError::Never(why) => SourceError::never(format!("{place}: {why}")),
    }
}

/// TLS that could not be agreed, with the ways out; `None` when an error is about something else.
pub(crate) fn tls_error(place: &str, e: &sqlx::Error) -> Option<SourceError> {
    let why = match e {
        sqlx::Error::Tls(e) => e.to_string(),
        sqlx::Error::Io(e) if e.to_string().contains("certificate") => e.to_string(),
        sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => e.to_string(),
        _ => return None,
    };
    Some(SourceError::never(format!(
        "{place}: no verified TLS connection: {why}. Give the server a certificate that is valid for this name, or say in the definition what to do: `tls: {{ ca: company.pem }}` trusts your own certificates, `tls: unverified` takes any, `tls: off` sends everything in clear (only inside a trusted network)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(tls: Option<&str>, url: &str) -> Reach {
        let spec = serde_json::json!({"url": "env:X", "tls": tls});
        let outbound = Arc::new(Outbound::new(Default::default()).unwrap());
        Reach::new(outbound, &serde_json::from_value(spec).unwrap(), url, Path::new("/project"))
    }

    #[test]
    fn tls_is_verified_unless_the_definition_says_otherwise() {
        let url = "postgres://u:p@db.corp/x";
        assert_eq!(reach(None, url).guard(false), Guard::Verified(None));
        assert_eq!(reach(None, url).guard(true), Guard::Offered);
        assert_eq!(reach(Some("verify"), url).guard(true), Guard::Verified(None));
        assert_eq!(reach(Some("unverified"), url).guard(false), Guard::Encrypted);
        assert_eq!(reach(Some("off"), url).guard(false), Guard::Open);
        let says = "postgres://u:p@db.corp/x?application_name=a&sslmode=require";
        assert_eq!(reach(None, says).guard(false), Guard::Url);
        assert_eq!(reach(Some("verify"), says).guard(false), Guard::Verified(None));
    }
}
