//! What functions may make and hold: asked before they make it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::Result as DfResult;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use store::limits;

use crate::error::Error;
use crate::memory;
use crate::session::running::Running;

/// A batch of results may be so many times as large as its largest value.
const BATCH: u64 = 16;
/// Results from this size on ask whether the process has room for them.
const LARGE: u64 = 1 << 20;
/// A function of nothing but constants becomes one when the query is planned, and is copied as often as the plan: so
/// long may a text be, and so many bytes all of a query.
const CONSTANT: u64 = 1 << 20;
const CONSTANTS: u64 = 32 << 20;
/// Bytes that functions are about to make, at most twice what they will hold.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// The query that functions run for, among its options.
#[derive(Clone, Debug)]
pub(crate) struct Limited(pub(crate) Arc<Running>);

impl ConfigExtension for Limited {
    const PREFIX: &'static str = "guanlan_query";
}

impl ExtensionOptions for Limited {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> DfResult<()> {
        datafusion::common::config_err!("{key} cannot be set")
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        vec![]
    }
}

/// Errs when the query must end.
pub(super) fn check(options: &ConfigOptions) -> DfResult<()> {
    match options.extensions.get::<Limited>() {
        Some(Limited(query)) => query.check().map_err(Error::into_datafusion),
        None => Ok(()),
    }
}

/// Errs when `total` bytes of results, the largest value being `largest`, are more than a function may make.
pub(super) fn admit(name: &str, largest: u64, total: u64) -> DfResult<()> {
    let most = limits().result_bytes as u64;
    let refuse = |message: String| Err(Error::Exhausted { message }.into_datafusion());
    if largest > most {
        return refuse(format!(
            "{name} would make a value of {} MiB; at most {} MiB are allowed (`limits: {{ result_bytes: … }}`)",
            largest >> 20,
            most >> 20
        ));
    }
    let ahead = || AHEAD.load(Ordering::Relaxed).saturating_add(total);
    if total > most.saturating_mul(BATCH) || (total > LARGE && memory::full(ahead())) {
        return refuse(format!(
            "{name} would make {} MiB at once, which the server has no room for; make shorter values or select fewer \
             rows and columns",
            total >> 20
        ));
    }
    Ok(())
}

/// Errs when a query's constants are more than a plan may hold, or one `text` is.
pub(super) fn admit_constant(name: &str, options: &ConfigOptions, text: bool, bytes: u64) -> DfResult<()> {
    let refuse = |message: String| Err(Error::Exhausted { message }.into_datafusion());
    if text && bytes > CONSTANT {
        return refuse(format!(
            "{name} would make a constant text of {} MiB; at most {} MiB are allowed",
            bytes >> 20,
            CONSTANT >> 20
        ));
    }
    let Some(Limited(query)) = options.extensions.get::<Limited>() else { return Ok(()) };
    if query.constants.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > CONSTANTS {
        return refuse(format!(
            "the constants of the query are larger than {} MiB; make shorter ones, or read them from a table",
            CONSTANTS >> 20
        ));
    }
    Ok(())
}

/// Bytes that are being made, for as long as that takes.
pub(super) struct Making(u64);

impl Making {
    pub(super) fn new(bytes: u64) -> Self {
        AHEAD.fetch_add(bytes, Ordering::Relaxed);
        Making(bytes)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        AHEAD.fetch_sub(self.0, Ordering::Relaxed);
    }
}
