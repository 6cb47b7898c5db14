//! SQL files become tables of `mart`, after their checks hold.

mod check;
mod order;
mod plan;
mod spec;

mod audit;
mod build;
mod progress;
mod runs;

#[cfg(test)]
mod tests;

pub use audit::CheckResult;
pub use build::{BuildReport, Due};
pub use check::check;
pub use order::order;
pub use runs::{Cost, ModelState};
pub(crate) use runs::{prepare, states, system_tables};
pub use spec::{
    Accepted, Check, Full, Incremental, ModelFile, ModelHeader, ModelSpec, Refresh, Rows, SqlCheck,
};
