//! One definition per number; every tile and rule asks here.

mod query;
mod spec;

pub use query::{Compare, Filter, Grain, MetricAnswer, MetricQuery, MetricRow, Order};
pub use spec::{
    ColumnOf, CountOf, Derived, Direction, Measure, MetricSpec, MetricUnit, QuantileOf, Ratio, Term,
};
