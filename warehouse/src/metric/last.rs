//! The last value of each key, carried on until the key writes another.

use store::Timestamp;

use super::compile::{Select, word};
use crate::{Error, Result};

impl Select<'_> {
    /// The sum over the newest row of each key at the end of each bucket. A key that rests keeps its value, also one
    /// from before the range; rows without a value say nothing; rows of one key at one time count together. What
    /// the question filters by is looked at afterwards: a key that has moved on is counted where it is now.
    ///
    /// With a grain each line holds in the buckets from `bucket` on that begin before `until`: there are as many as
    /// pairs of both, not as keys times buckets. Nothing is said of buckets that begin after `reached`.
    pub(super) fn last(
        &self,
        value: &str,
        of: &[String],
        filter: Option<String>,
        reached: Timestamp,
    ) -> Result<String> {
        let (range, part) = match (self.parts.current, self.parts.previous) {
            (Some(range), None) => (range, 0),
            (None, Some(range)) => (range, 1),
            _ => return Err(Error::invalid("a level is asked for one range at a time")),
        };
        let (time, from) = (&self.time.sql, &self.from);
        let mut rows = vec![
            format!("{time} < {}", self.time.point(range.to, self.calendar)),
            format!("{value} IS NOT NULL"),
            (range.from <= reached).to_string(),
        ];
        rows.extend(filter.map(|sql| format!("({sql})")));
        let rows = rows.join(" AND ");
        let wanted = match self.filters.is_empty() {
            true => "true".to_owned(),
            false => self.filters.join(" AND "),
        };
        let by: Vec<String> = (0..self.by.len()).map(|at| format!("d{at}")).collect();
        let named: String = self.by.iter().zip(&by).map(|(sql, name)| format!("{sql} AS {name}, ")).collect();
        let by: String = by.iter().map(|name| format!("{name}, ")).collect();
        let groups = |first: usize| -> String {
            (1..=first + self.by.len()).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")
        };
        let Some(grain) = self.grain else {
            let newest = format!(
                "SELECT {named}{value} AS v, ({wanted}) AS wanted, \
                 rank() OVER (PARTITION BY {} ORDER BY {time} DESC) AS place FROM {from} WHERE {rows}",
                of.join(", "),
            );
            return Ok(format!(
                "SELECT {part} AS part, {by}sum(v) AS v FROM ({newest}) r WHERE place = 1 AND wanted GROUP BY {}",
                groups(1),
            ));
        };
        let keys: Vec<String> = (0..of.len()).map(|at| format!("k{at}")).collect();
        let keyed: String = of.iter().zip(&keys).map(|(sql, name)| format!("{sql} AS {name}, ")).collect();
        let keys = keys.join(", ");
        let start = self.time.point(range.from, self.calendar);
        let placed = format!(
            "SELECT bucket_start(greatest({time}, {start}), '{}') AS bucket, {keyed}{named}{time} AS moment, \
             {value} AS v, ({wanted}) AS wanted FROM {from} WHERE {rows}",
            word(grain),
        );
        let newest = format!(
            "SELECT *, rank() OVER (PARTITION BY bucket, {keys} ORDER BY moment DESC) AS place FROM ({placed}) p"
        );
        // The next bucket in which the key writes, which rows of the same moment share.
        let held = format!(
            "SELECT bucket, first_value(bucket) OVER (PARTITION BY {keys} ORDER BY bucket \
             GROUPS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS until, {by}v, wanted \
             FROM ({newest}) n WHERE place = 1"
        );
        let end = reached.timestamp_micros().saturating_add(1);
        Ok(format!(
            "SELECT {part} AS part, bucket, \
             coalesce(until, arrow_cast({end}, 'Timestamp(Microsecond, Some(\"UTC\"))')) AS until, {by}sum(v) AS v \
             FROM ({held}) h WHERE wanted GROUP BY {}",
            groups(3),
        ))
    }
}
