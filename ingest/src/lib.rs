//! Source → raw: reads other systems and lands what they say, exactly once.
//!
//! Never: reads marts, cleans a value, or decides what runs next.
//! Reading order: `source` (the one trait), `spec` (what `sources/*.yaml` may say), `sync` (pull,
//! land, resume), then one file a kind below `sources` and one a file format below `formats`.

mod error;
mod ledger;
mod source;
mod spec;
mod sync;

mod formats;
mod sources;

#[cfg(test)]
mod contract;

pub use error::{Error, SourceError};
pub use ledger::Changed;
pub use source::{Cursor, Pull, Source, Stream};
pub use spec::*;
pub use sync::{
    Aside, Ingest, Outcome, Preview, Progress, Quiet, SetAside, SourceState, StreamReport, StreamRun,
    SyncReport, TestReport, Tested, source_state,
};
#[cfg(test)]
mod tests;
