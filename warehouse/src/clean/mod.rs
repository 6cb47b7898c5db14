//! Raw rows become typed rows, or go to quarantine with a reason.
//!
//! Pure: [`apply`] over one batch. With storage: [`crate::Warehouse::clean`], which streams the
//! new raw rows through it into `clean.<name>` and `clean.<name>_rejected`.

mod kind;
mod ordered;
mod spec;
mod sql;
mod unit;

mod civil;
mod flexible;
mod moment;
mod number;
mod text;
mod written;

mod apply;
mod check;
mod column;
mod ledger;
mod reject;
mod skip;
mod target;

mod corrected;
mod job;
mod quarantine;
mod runs;
mod versions;
mod wash;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use apply::{Cleaned, apply};
pub use check::check;
pub use job::CleanReport;
pub use kind::{DecimalSize, Kind};
pub use ledger::{Adjusted, Quarantined, told};
pub use ordered::Ordered;
pub use reject::{Reason, Reject};
pub use runs::FailedClean;
pub(crate) use runs::{failure, prepare, system_table};
pub use spec::{Amount, CleanSpec, CodeMap, ColumnSpec, Otherwise, Replace, SkipRows, Split};
pub(crate) use sql::{literal, quoted};
pub use unit::{Interval, Money, Share, Unit};
pub(crate) use written::{day, instant, scaled};
