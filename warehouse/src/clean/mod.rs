//! Raw rows become typed rows, or go to quarantine with a reason.

mod kind;
mod ordered;
mod spec;
mod unit;

pub use kind::{DecimalSize, Kind};
pub use ordered::Ordered;
pub use spec::{Amount, CleanSpec, CodeMap, ColumnSpec, Otherwise};
pub use unit::{Interval, Money, Share, Unit};
