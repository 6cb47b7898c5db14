//! The Delta log of one table: what a commit says, what a snapshot holds, how to write the next version.
//!
//! Loading a table (checkpoints and all) is deltalake's work; from there on this module follows the log one
//! commit at a time, which costs one small read per refresh instead of a listing, and writes its own commits,
//! so that a commit whose outcome is unknown can be read back by its id before anything is retried.

mod action;
mod commit;
mod kernel;
mod load;
mod ordered;
mod snapshot;
mod statistics;

pub(crate) use action::{Add, CommitInfo, Line, Own, Remove, Transaction};
pub(crate) use commit::{Outcome, read_commit, versions_of, write_commit};
pub(crate) use kernel::{checkpoint, tombstones};
#[cfg(test)]
pub(crate) use load::delta_table;
pub(crate) use load::{arrow_schema, exists, follow, load, transaction};
pub use snapshot::{DataFile, Snapshot};
pub(crate) use snapshot::{Kind, Next, file_of};
pub(crate) use statistics::from_footer;
