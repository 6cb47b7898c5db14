//! The grid as rows: ranked, limited and in order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use store::Timestamp;

use super::grid::{Axis, Grid, Key, Series};
use super::query::{MetricQuery, MetricRow, Order};
use super::span::Span;
use crate::Range;

/// Everything that decides about rows beside the grid.
pub(crate) struct Rows<'a> {
    pub(crate) ask: &'a MetricQuery,
    pub(crate) axis: &'a Axis,
    pub(crate) now: Timestamp,
    pub(crate) span: Span,
    /// For each dimension whether its values are numbers.
    pub(crate) numeric: &'a [bool],
    /// The value over the whole range by series, where buckets do not add up to it.
    pub(crate) totals: Option<BTreeMap<Key, Option<f64>>>,
}

impl Rows<'_> {
    pub(crate) fn of(&self, grid: Grid) -> Vec<MetricRow> {
        let (ask, axis) = (self.ask, self.axis);
        let mut series: Vec<(Key, Series)> = grid.series.into_iter().collect();
        series.sort_by(|a, b| compared(&a.0, &b.0, self.numeric));
        let by_value = ask.order != Order::Time;
        if by_value || (ask.limit.is_some() && ask.grain.is_some()) {
            let ascending = ask.order == Order::ValueAsc;
            series.sort_by(|a, b| ranked(self.total(a), self.total(b), ascending));
        }
        if let Some(limit) = ask.limit {
            series.truncate(limit);
        }
        if !by_value {
            series.sort_by(|a, b| compared(&a.0, &b.0, self.numeric));
        }
        let mut rows = Vec::with_capacity(series.len() * axis.current.len());
        for (key, series) in &series {
            for (at, bucket) in axis.current.iter().enumerate() {
                rows.push(self.row(key, series, at, bucket));
            }
        }
        if !by_value {
            rows.sort_by_key(|row| row.time);
        }
        rows
    }

    fn total(&self, (key, series): &(Key, Series)) -> Option<f64> {
        match &self.totals {
            Some(totals) => totals.get(key).copied().flatten(),
            None => series.total(),
        }
    }

    fn row(&self, key: &Key, series: &Series, at: usize, bucket: &Range) -> MetricRow {
        let cell = series.current[at].unwrap_or_default();
        let pair = self.axis.pairs.get(at).copied().flatten();
        let asked = &self.ask.range;
        MetricRow {
            time: self.ask.grain.map(|_| bucket.from),
            by: key.clone(),
            value: cell.value,
            numerator: cell.numerator,
            denominator: cell.denominator,
            previous: pair.and_then(|at| series.previous.get(at).copied().flatten()?.value),
            partial: bucket.to > self.now
                || bucket.from < asked.from
                || bucket.to > asked.to
                || (cell.value.is_some() && self.span.begins_after_start(bucket)),
        }
    }
}

/// Which dimensions hold numbers, by the schema of the table.
pub(crate) fn numeric(by: &[String], schema: &Schema) -> Vec<bool> {
    let number = |kind: &DataType| kind.is_numeric();
    by.iter().map(|name| schema.field_with_name(name).is_ok_and(|field| number(field.data_type()))).collect()
}

/// Numbers by value, everything else by text (days and times are written so that this is their order); no value
/// comes first.
fn compared(a: &Key, b: &Key, numeric: &[bool]) -> Ordering {
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let order = match (a, b) {
            (Some(a), Some(b)) if numeric.get(at).copied().unwrap_or(false) => by_value(a, b),
            _ => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn by_value(a: &str, b: &str) -> Ordering {
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>()) {
        return a.cmp(&b);
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        _ => a.cmp(b),
    }
}

/// Known values first, then by value.
fn ranked(a: Option<f64>, b: Option<f64>, ascending: bool) -> Ordering {
    let order = match (a, b) {
        (Some(a), Some(b)) if ascending => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        _ => Ordering::Equal,
    };
    b.is_some().cmp(&a.is_some()).then(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_numbers_stand_in_the_order_of_their_values() {
        let mut keys: Vec<Key> = [Some("10.5"), Some("0.5"), None, Some("-2"), Some("1.5"), Some("9")]
            .map(|key| vec![key.map(str::to_owned)])
            .to_vec();
        keys.sort_by(|a, b| compared(a, b, &[true]));
        let shown: Vec<&str> = keys.iter().map(|key| key[0].as_deref().unwrap_or("-")).collect();
        assert_eq!(shown, ["-", "-2", "0.5", "1.5", "9", "10.5"]);
        assert_eq!(by_value("9007199254740993", "9007199254740992"), Ordering::Greater);
        keys.sort_by(|a, b| compared(a, b, &[false]));
        assert_eq!(keys[2][0].as_deref(), Some("0.5"));
    }
}
