//! One kind of source each.

pub(crate) mod files;
pub(crate) mod mysql;
pub(crate) mod postgres;
pub(crate) mod rest;
pub(crate) mod spool;
pub(crate) mod sql;
pub(crate) mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::outbound::Outbound;
use chrono_tz::Tz;
use store::{S3Spec, SharedClock, StoreSpec};

use crate::error::SourceError;
use crate::source::Source;
use crate::spec::{KindSpec, SourceSpec};

/// What sources are built from.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) clock: SharedClock,
    /// The project folder: relative paths and `file:` secrets start here.
    pub(crate) base: Arc<Path>,
    /// The site's time zone: what times without a zone are read in.
    pub(crate) zone: Tz,
}

/// The source that a definition describes. Nothing is contacted yet.
///
/// # Errors
/// A secret cannot be read, or an address does not parse.
pub(crate) async fn open(spec: &SourceSpec, parts: &Parts) -> Result<Box<dyn Source>, SourceError> {
    Ok(match &spec.kind {
        KindSpec::Sqlite(sqlite) => {
            Box::new(sqlite::Sqlite::new(inside(&parts.base, &sqlite.path)?, parts.clock.clone()))
        }
        KindSpec::Postgres(database) => {
            Box::new(postgres::Postgres::new(&resolve(&database.url, parts)?, database, parts)?)
        }
        KindSpec::Mysql(database) => {
            Box::new(mysql::Mysql::new(&resolve(&database.url, parts)?, database, parts)?)
        }
        KindSpec::Files(files) => {
            if let Some(StoreSpec::S3(S3Spec { endpoint: Some(endpoint), .. })) = &files.store {
                parts.outbound.check(endpoint).await.map_err(|e| sql::reach::out("the object store", e))?;
            }
            Box::new(files::Files::open(files, parts)?)
        }
        KindSpec::Rest(rest) => {
            let token = rest.token.as_ref().map(|t| resolve(t, parts)).transpose()?;
            Box::new(rest::Rest::new(rest, token, parts)?)
        }
    })
}

/// A local place that a definition names: no part of the system, and behind no link that the definition does not show.
fn inside(base: &Path, path: &Path) -> Result<PathBuf, SourceError> {
    let whole = base.join(path);
    let real = whole.canonicalize().unwrap_or_else(|_| whole.clone());
    if ["/proc", "/sys", "/dev"].iter().any(|of| real.starts_with(of)) {
        return Err(SourceError::never(format!(
            "{} belongs to the system and holds no data",
            path.display()
        )));
    }
    if path.is_relative() {
        let mut at = base.to_owned();
        for part in path.components() {
            at.push(part);
            if std::fs::symlink_metadata(&at).is_ok_and(|found| found.is_symlink()) {
                let link = at.strip_prefix(base).unwrap_or(&at).display();
                return Err(SourceError::never(format!(
                    "`path` leads through the link {link}; write the place that it leads to"
                )));
            }
        }
    }
    Ok(whole)
}

fn resolve(secret: &store::Secret, parts: &Parts) -> Result<String, SourceError> {
    secret.resolve(&parts.base).map(|s| s.trim().to_owned()).map_err(|e| SourceError::never(e.to_string()))
}
