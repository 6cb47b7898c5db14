//! One definition per number; every tile and rule asks here.
//!
//! A question becomes one SELECT (`compile`), its rows a grid of series and buckets (`grid`), the
//! grid the rows of the answer (`answer`).

mod query;
mod spec;

mod bucket;
mod compare;
mod formula;
mod function;
mod predicate;

mod answer;
mod check;
mod compile;
mod grid;

#[cfg(test)]
mod tests;

pub use crate::range::Period;
pub(crate) use answer::answer;
pub use check::check;
pub(crate) use function::functions;
pub use query::{Compare, Filter, Grain, MetricAnswer, MetricQuery, MetricRow, Order};
pub use spec::{
    ColumnOf, CountOf, Derived, Direction, Measure, MetricSpec, MetricUnit, QuantileOf, Ratio, Term,
};
