//! From when to when a table knows anything: outside, nothing happened as far as anyone can tell.

use arrow::datatypes::DataType;
use chrono::TimeDelta;
use datafusion::common::ScalarValue;
use datafusion::common::stats::Precision;
use store::{Timestamp, from_micros};

use super::bucket::{next_of, start_of};
use super::query::Grain;
use crate::log::Snapshot;
use crate::{Calendar, Range};

/// What a table's time column covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// From the start of the bucket (at least of the day) of the first row to the last row.
    Between(Timestamp, Timestamp),
    /// The table has no row at all.
    Nothing,
    /// Nothing can be told: every time is taken for known.
    Open,
}

impl Span {
    /// The span of `time` by the log's statistics, whose bounds hold for every row. A row that `covers` a period
    /// knows all of it.
    pub(crate) fn of(
        snapshot: &Snapshot,
        time: &str,
        grain: Option<Grain>,
        covers: Option<Grain>,
        calendar: &Calendar,
    ) -> Self {
        if snapshot.rows() == Some(0) {
            return Span::Nothing;
        }
        let Ok(index) = snapshot.schema.index_of(time) else { return Span::Open };
        let total = snapshot.total();
        let Some(column) = total.column_statistics.get(index) else { return Span::Open };
        let point = |value: &Precision<ScalarValue>| match value.get_value()? {
            ScalarValue::TimestampMicrosecond(Some(micros), _) => Some(from_micros(*micros)),
            ScalarValue::Date32(Some(days)) => {
                chrono::NaiveDate::from_epoch_days(*days).map(|day| calendar.midnight(day))
            }
            _ => None,
        };
        match (point(&column.min_value), point(&column.max_value)) {
            (Some(first), Some(last)) => {
                let is_date = matches!(snapshot.schema.field(index).data_type(), DataType::Date32);
                let hourly = grain == Some(Grain::Hour) && !is_date;
                let grain = if hourly { Grain::Hour } else { Grain::Day };
                let covers = covers.or(is_date.then_some(Grain::Day));
                let last =
                    covers.map_or(last, |unit| next_of(unit, last, calendar) - TimeDelta::microseconds(1));
                Span::Between(start_of(grain, first, calendar), last)
            }
            _ => Span::Open,
        }
    }

    /// Whether nothing is known of this stretch. `silent`: what lies behind the last row counts as known.
    pub(crate) fn is_outside(&self, range: &Range, silent: bool) -> bool {
        match self {
            Span::Between(first, last) => range.to <= *first || (!silent && range.from > *last),
            Span::Nothing => !silent,
            Span::Open => false,
        }
    }

    /// The time of the last row, where there is one.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        match self {
            Span::Between(_, last) => Some(*last),
            Span::Nothing | Span::Open => None,
        }
    }

    /// Whether the data begins inside or after this stretch.
    pub(crate) fn begins_after_start(&self, range: &Range) -> bool {
        match self {
            Span::Between(first, _) => range.from < *first,
            Span::Nothing => true,
            Span::Open => false,
        }
    }

    /// What two metrics both know.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Span::Nothing, _) | (_, Span::Nothing) => Span::Nothing,
            (Span::Open, known) | (known, Span::Open) => known,
            (Span::Between(a, b), Span::Between(c, d)) => Span::Between(a.max(c), b.min(d)),
        }
    }
}
