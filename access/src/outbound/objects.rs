//! Object stores go the same way out.

use std::net::SocketAddr;

use async_trait::async_trait;
use store::Gate;
use url::{Host, Url};

use super::{Outbound, OutboundError};

#[async_trait]
impl Gate for Outbound {
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let host = Host::parse(host).map_err(|e| format!("`{host}` is no host name or address: {e}"))?;
        self.checked(&host, port, false).await.map(|d| d.addresses).map_err(|e| e.to_string())
    }
}

impl Outbound {
    /// Checks an address without calling it, so that a definition that names one inside the company is refused
    /// before anything is tried.
    ///
    /// # Errors
    /// The address is not allowed, or its name does not resolve.
    pub async fn check(&self, url: &str) -> Result<(), OutboundError> {
        let url =
            Url::parse(url).map_err(|e| OutboundError::Never(format!("the address is not a URL: {e}")))?;
        self.resolve(&url).await.map(drop)
    }
}
