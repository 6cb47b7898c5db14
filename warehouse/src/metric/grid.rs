//! Values by series and bucket, for the range and the one compared to.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use store::Timestamp;

use super::compile::Compiled;
use super::span::Span;
use crate::{Error, Range, Result};

/// Values of the dimensions asked for.
pub(crate) type Key = Vec<Option<String>>;

/// The buckets of both ranges; one bucket each without a grain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) current: Vec<Range>,
    pub(crate) previous: Vec<Range>,
    /// For each present bucket its counterpart among the previous ones.
    pub(crate) pairs: Vec<Option<usize>>,
}

/// One value, with both sides when it is a ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) value: Option<f64>,
    pub(crate) numerator: Option<f64>,
    pub(crate) denominator: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) current: Vec<Option<Cell>>,
    pub(crate) previous: Vec<Option<Cell>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grid {
    pub(crate) series: BTreeMap<Key, Series>,
}

/// What stands where no row came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Nothing happened.
    Zero,
    /// Zero where any other series has a row in the bucket, unknown elsewhere.
    ZeroWhereSeen,
    Unknown,
}

/// More than this in one answer is no longer one for people.
pub(crate) const MAX_CELLS: usize = 500_000;

impl Grid {
    /// Takes in the rows of one query.
    pub(crate) fn add(&mut self, batch: &RecordBatch, shape: &Compiled, axis: &Axis) -> Result<()> {
        let bare = |at: usize, kind: &DataType| cast(batch.column(at), kind);
        let part = bare(0, &DataType::Int64)?;
        let part = part.as_primitive::<Int64Type>();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let bucket = if shape.has_bucket { Some(bare(1, &micros)?) } else { None };
        let until = if shape.carried { Some(bare(2, &micros)?) } else { None };
        let first_dimension = 1 + usize::from(shape.has_bucket) + usize::from(shape.carried);
        let first_value = first_dimension + shape.dimensions;
        let value = bare(first_value, &DataType::Float64)?;
        let value = value.as_primitive::<Float64Type>();
        let over = if shape.ratio { Some(bare(first_value + 1, &DataType::Float64)?) } else { None };
        for row in 0..batch.num_rows() {
            let key: Key = (first_dimension..first_value)
                .map(|at| text(batch.column(at).as_ref(), row))
                .collect::<Result<_>>()?;
            let is_previous = part.value(row) == 1;
            let starts = if is_previous { &axis.previous } else { &axis.current };
            let at = match &bucket {
                None => 0,
                Some(times) => {
                    let micros = times.as_primitive::<TimestampMicrosecondType>().value(row);
                    match starts.binary_search_by_key(&micros, |bucket| bucket.from.timestamp_micros()) {
                        Ok(at) => at,
                        Err(_) => continue,
                    }
                }
            };
            let number = |array: &arrow::array::Float64Array| array.is_valid(row).then(|| array.value(row));
            let cell = match &over {
                None => Cell { value: number(value).filter(|v| v.is_finite()), ..Cell::default() },
                Some(over) => Cell::ratio(number(value), number(over.as_primitive::<Float64Type>())),
            };
            let cells = self.cells(key, is_previous, axis)?;
            match &until {
                None => {
                    if let Some(slot) = cells.get_mut(at) {
                        *slot = Some(cell);
                    }
                }
                Some(until) => {
                    let until = until.as_primitive::<TimestampMicrosecondType>().value(row);
                    let end = starts.partition_point(|bucket| bucket.from.timestamp_micros() < until);
                    for held in cells.iter_mut().take(end).skip(at) {
                        let sum = held.and_then(|held| held.value).into_iter().chain(cell.value).sum();
                        *held = Some(Cell { value: Some(sum), ..Cell::default() });
                    }
                }
            }
        }
        Ok(())
    }

    fn cells(&mut self, key: Key, is_previous: bool, axis: &Axis) -> Result<&mut Vec<Option<Cell>>> {
        let width = axis.current.len() + axis.previous.len();
        if !self.series.contains_key(&key) && (self.series.len() + 1) * width.max(1) > MAX_CELLS {
            return Err(Error::Exhausted {
                message: format!(
                    "the answer has more than {MAX_CELLS} values; ask for a longer grain, a shorter range or fewer dimensions"
                ),
            });
        }
        let series = self.series.entry(key).or_insert_with(|| Series::empty(axis));
        Ok(if is_previous { &mut series.previous } else { &mut series.current })
    }

    /// Fills gaps as far as anything is known; what lies ahead, or outside of the data, stays unknown.
    pub(crate) fn fill(&mut self, gap: Gap, axis: &Axis, known: &Known, split: bool) {
        if !split && self.series.is_empty() {
            self.series.insert(Vec::new(), Series::empty(axis));
        }
        let seen = |part: fn(&Series) -> &Vec<Option<Cell>>, width: usize| -> Vec<bool> {
            (0..width).map(|at| self.series.values().any(|series| part(series)[at].is_some())).collect()
        };
        let current = seen(|series| &series.current, axis.current.len());
        let previous = seen(|series| &series.previous, axis.previous.len());
        for series in self.series.values_mut() {
            fill_cells(&mut series.current, &axis.current, &current, gap, known);
            fill_cells(&mut series.previous, &axis.previous, &previous, gap, known);
            if known.whole {
                // A bucket of which the data knows only the end is no base for a comparison.
                for (cell, bucket) in series.previous.iter_mut().zip(&axis.previous) {
                    if known.span.begins_after_start(bucket) {
                        *cell = None;
                    }
                }
            }
        }
    }
}

/// What is known of a metric's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) span: Span,
    pub(crate) now: Timestamp,
    /// Time behind the last row counts as time in which nothing happened.
    pub(crate) silent: bool,
    /// The value of a bucket needs all of the bucket, as sums do and levels at its end do not.
    pub(crate) whole: bool,
}

fn fill_cells(cells: &mut [Option<Cell>], buckets: &[Range], seen: &[bool], gap: Gap, known: &Known) {
    for ((cell, bucket), seen) in cells.iter_mut().zip(buckets).zip(seen) {
        let over = bucket.from < known.now && bucket.from < bucket.to;
        let zero = match gap {
            Gap::Zero => over && !known.span.is_outside(bucket, known.silent),
            Gap::ZeroWhereSeen => *seen,
            Gap::Unknown => false,
        };
        // A sum over rows without a value is a sum over nothing.
        let valued = cell.is_some_and(|cell| cell.value.is_some());
        if zero && !valued {
            *cell = Some(Cell { value: Some(0.0), ..Cell::default() });
        }
    }
}

impl Series {
    pub(crate) fn empty(axis: &Axis) -> Self {
        Self { current: vec![None; axis.current.len()], previous: vec![None; axis.previous.len()] }
    }

    /// By which series are ranked.
    pub(crate) fn total(&self) -> Option<f64> {
        let values: Vec<f64> = self.current.iter().flatten().filter_map(|cell| cell.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Cell {
    fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> Self {
        // A sum over no rows is nothing, and so is its share of something.
        let numerator = numerator.or(Some(0.0));
        let value = match (numerator, denominator) {
            (Some(n), Some(d)) if d != 0.0 => Some(n / d),
            _ => None,
        };
        Self { value, numerator, denominator }
    }
}

fn text(array: &dyn Array, row: usize) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    Ok(Some(arrow::util::display::array_value_to_string(array, row)?))
}
