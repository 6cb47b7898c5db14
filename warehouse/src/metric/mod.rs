//! One definition per number; every tile and rule asks here.
//!
//! A question is bounded (`bounds`) and becomes one SELECT (`compile`, `filter`, `last`), its rows a grid of series and
//! buckets (`grid`) as far as the table's data reaches (`span`), the grid the rows of the answer (`answer`,
//! `rows`). A derived metric joins the grids of the metrics it stands on (`parts`).

mod query;
mod spec;

mod bounds;
mod bucket;
mod compare;
mod filter;
mod formula;
mod function;
mod predicate;

mod answer;
mod check;
mod compile;
mod grid;
mod last;
mod parts;
mod rows;
mod span;
mod titles;

#[cfg(test)]
mod tests;

pub use crate::range::Period;
pub(crate) use answer::answer;
pub use check::check;
pub(crate) use function::functions;
pub use query::{Compare, Filter, Grain, MetricAnswer, MetricQuery, MetricRow, Order};
pub use spec::{
    ColumnOf, CountOf, Derived, Direction, LastOf, Measure, MetricSpec, MetricUnit, QuantileOf, Ratio, Term,
};
pub use titles::titles;
