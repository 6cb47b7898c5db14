//! raw → clean → model → metric: Delta tables, landing commits, cleaning, models, metrics, and the only read door,
//! [`Warehouse::session`].
//!
//! Never here: HTTP, vendor APIs, alerts. Reading order follows the modules below; inside, `clean`, `model`,
//! `metric` and `session` import only what stands above them.
//!
//! * One process writes. Every write is one commit that carries rows and the stream's position together.
//! * A query sees one version of each table, only the zones of its principal, and only reading statements.
//! * Nothing asks the system for time: see `store::Clock`.

mod bounds;
mod error;
mod memory;
mod naming;
mod range;
mod table;
mod words;

mod calendar;
mod lineage;
mod shape;

mod catalog;
mod commit;
mod keyed;
mod land;
mod layout;
mod log;
mod marks;
mod reading;
mod replace;
mod replaced;
mod rows;
mod same;
mod scan;
mod since;
mod stage;
mod system;
mod upkeep;
mod usage;
mod warehouse;

mod session;

pub mod clean;
pub mod metric;
pub mod model;

#[cfg(test)]
pub(crate) mod tests;

pub use bounds::{bounded, on_large_stack};
pub use calendar::{Calendar, CalendarUnit};
pub use catalog::{TableChanged, TableInfo};
pub use error::{Error, Result};
pub use land::{Landed, Landing, LoadMark, Staged};
pub use lineage::references;
pub use log::{DataFile, Snapshot};
pub use memory::{Guarded, RAN_OUT, keep_few_regions, was_refused};
pub use naming::Naming;
pub use range::Range;
pub use replace::Start;
pub use session::audit::PastQuery;
pub use session::functions::sql_functions;
pub use session::{Answer, Session, row_bytes};
pub use since::Since;
pub use system::SystemTable;
pub use table::{TableName, Title, Zone};
pub use upkeep::UpkeepReport;
pub use usage::Usage;
pub use warehouse::{Definitions, Retention, Settings, Warehouse};
