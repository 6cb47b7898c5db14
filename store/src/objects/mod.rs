//! Where the warehouse's files live: a local folder or an S3 bucket, seen as one object store whose root
//! is the root of the specification.

mod durable;
mod reach;
#[cfg(test)]
mod tests;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use self::durable::DurableLocal;
pub use self::reach::Gate;
use self::reach::Reach;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Retries of one S3 request, and how long they may take together. The reader of a failed commit looks
/// into the log before it tries again, so more would only hide an outage.
const S3_RETRIES: usize = 5;
const S3_RETRY_TIME: std::time::Duration = std::time::Duration::from_secs(60);

/// Where files are kept: `local: { path: data }` or `s3: { bucket: … }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StoreSpec {
    /// A folder on this machine.
    Local {
        /// Relative to the project folder, or absolute.
        path: PathBuf,
    },
    /// A bucket of Amazon S3 or a store that speaks its protocol and supports conditional writes.
    S3(S3Spec),
}

/// A bucket and how to reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Spec {
    pub bucket: String,
    /// Folder inside the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// URL of a store that is not Amazon's, for example "http://127.0.0.1:9000".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Default us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Together with secret_key; without them the environment (AWS_*) or the machine's role is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<Secret>,
    /// Allow plain http to the endpoint. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
}

/// An open store. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    url: Url,
}

impl Objects {
    /// Opens a store; relative local paths start at `base`. A local folder is created and tried for
    /// writing at once, so that a wrong path is known before the first commit.
    ///
    /// # Errors
    /// [`Error::Disk`] or [`Error::Invalid`], both naming the path or setting and what to do.
    pub fn open(spec: &StoreSpec, base: &Path) -> Result<Self> {
        Self::open_behind(spec, base, None)
    }

    /// The same, calling only addresses that `gate` allows.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub fn open_behind(spec: &StoreSpec, base: &Path, gate: Option<Arc<dyn Gate>>) -> Result<Self> {
        match spec {
            StoreSpec::Local { path } => Self::local(&base.join(path)),
            StoreSpec::S3(s3) => Self::s3(s3, base, gate),
        }
    }

    /// A store in memory, for tests.
    pub fn memory() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let url = format!("memory://store{}/", COUNT.fetch_add(1, Ordering::Relaxed));
        Self { store: Arc::new(InMemory::new()), url: Url::parse(&url).expect("a number makes a valid host") }
    }

    /// The store; its root is the root of the specification.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Names this store and no other: `file:///absolute/folder/`, `s3://bucket/prefix/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    fn local(path: &Path) -> Result<Self> {
        let disk = |doing, source| Error::Disk { doing, path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(|e| disk("create the data folder", e))?;
        let root = std::fs::canonicalize(path).map_err(|e| disk("find the data folder", e))?;
        durable::try_writing(&root).map_err(|e| disk("write to the data folder", e))?;
        let mode = std::fs::metadata(&root).map_or(0, |found| found.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            // Perhaps on purpose, for another program that reads the tables.
            tracing::warn!(
                data.folder = %root.display(), data.mode = format!("{mode:o}"),
                "other accounts of this machine may read the data; unless that is wanted: chmod -R go= {}",
                root.display()
            );
        }
        let url = Url::from_directory_path(&root)
            .map_err(|()| Error::Invalid(format!("{} is not an absolute path", root.display())))?;
        let store = DurableLocal::open(&root)
            .map_err(|source| Error::Objects { doing: format!("open {}", root.display()), source })?;
        Ok(Self { store: Arc::new(store), url })
    }

    fn s3(spec: &S3Spec, base: &Path, gate: Option<Arc<dyn Gate>>) -> Result<Self> {
        let mut builder = match (&spec.access_key, &spec.secret_key) {
            (Some(id), Some(key)) => AmazonS3Builder::new()
                .with_access_key_id(id.resolve(base)?)
                .with_secret_access_key(key.resolve(base)?),
            (None, None) => AmazonS3Builder::from_env(),
            _ => return Err(Error::Invalid("store.s3: give access_key and secret_key, or neither".into())),
        };
        let allow_http = spec.allow_http.unwrap_or(false);
        if let Some(endpoint) = &spec.endpoint {
            if endpoint.starts_with("http://") && !allow_http {
                return Err(Error::Invalid(format!(
                    "store.s3.endpoint {endpoint} is not encrypted: use https, or set allow_http: true inside a \
                     trusted network"
                )));
            }
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let store = builder
            .with_bucket_name(&spec.bucket)
            .with_region(spec.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(false)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_http_connector(Reach { gate, role: spec.access_key.is_none() })
            .with_client_options(ClientOptions::new().with_allow_http(allow_http))
            .with_retry(RetryConfig {
                max_retries: S3_RETRIES,
                retry_timeout: S3_RETRY_TIME,
                ..Default::default()
            })
            .build()
            .map_err(|source| Error::Objects { doing: format!("open the bucket {}", spec.bucket), source })?;
        // Parsed, not converted: a conversion would percent-encode Chinese names, which no other program finds.
        let prefix = object_store::path::Path::parse(spec.prefix.as_deref().unwrap_or("")).map_err(|e| {
            Error::Invalid(format!("store.s3.prefix is no folder: {e}; write names joined by single /"))
        })?;
        let text = match prefix.as_ref() {
            "" => format!("s3://{}/", spec.bucket),
            prefix => format!("s3://{}/{prefix}/", spec.bucket),
        };
        let url = Url::parse(&text).map_err(|e| {
            Error::Invalid(format!("store.s3: {text} is not a valid address ({e}): check the bucket name"))
        })?;
        let store: Arc<dyn ObjectStore> = match prefix.as_ref() {
            "" => Arc::new(store),
            _ => Arc::new(PrefixStore::new(store, prefix)),
        };
        Ok(Self { store, url })
    }
}
