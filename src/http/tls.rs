//! TLS of our own listener: certificate chain and key as PEM files, rustls with ring, TLS 1.2 and 1.3.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

/// Certificate and key of the web server, as PEM files relative to the project folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// The certificate, followed by those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsSpec {
    /// What accepts connections with this certificate.
    ///
    /// # Errors
    /// A file cannot be read, holds no certificate or key, or the two do not belong together.
    pub fn acceptor(&self, folder: &Path) -> Result<TlsAcceptor> {
        let (certificate, key) = (folder.join(&self.certificate), folder.join(&self.key));
        let chain = CertificateDer::pem_file_iter(&certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| unreadable("tls.certificate", &certificate, &e))?;
        if chain.is_empty() {
            return Err(anyhow!(
                "tls.certificate: {} holds no certificate; it must be PEM, beginning with -----BEGIN CERTIFICATE-----",
                certificate.display()
            ));
        }
        let private = PrivateKeyDer::from_pem_file(&key).map_err(|e| unreadable("tls.key", &key, &e))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .context("TLS versions")?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|e| {
                anyhow!(
                    "tls: {} and {}: {e}; the key must be that of the first certificate",
                    certificate.display(),
                    key.display()
                )
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn unreadable(field: &str, file: &Path, error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow!(
        "{field}: {} cannot be read as PEM: {error}; check the path (relative to the project folder) and its rights",
        file.display()
    )
}
