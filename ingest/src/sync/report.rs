//! What a sync did, in numbers that add up and in words.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use warehouse::TableName;

use crate::error::SourceError;
use crate::ledger::Changed;
use crate::spec::{AcceptSpec, SourceSpec};

/// What a sync of one source did.
#[derive(Debug, Clone, Serialize)]
pub struct SyncReport {
    /// In the order of the definition.
    pub streams: Vec<StreamReport>,
}

impl SyncReport {
    /// Every stream went through.
    pub fn ok(&self) -> bool {
        self.streams.iter().all(|s| s.error.is_none())
    }
}

/// What a sync of one stream did. `read` = `rows` + `rejected_rows` + `refused`.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Name in the definition.
    pub stream: String,
    /// Where it lands.
    #[serde(serialize_with = "shown")]
    pub table: TableName,
    /// Rows that the source delivered.
    pub read: u64,
    /// Rows kept. Where a read brought what is there already they are counted, and nothing was committed.
    pub rows: u64,
    /// Rows that could not be read or kept and stand in `<table>_rejected`.
    pub rejected_rows: u64,
    /// Rows that were read and not landed, because their file or the stream was refused: `error` says why.
    pub refused: u64,
    /// Why rows were set aside, the most frequent reason first.
    pub set_aside: Vec<SetAside>,
    /// Cells of kept rows that are not as they were delivered.
    pub changed: Vec<Changed>,
    /// Files landed.
    pub files: u64,
    /// The table's version afterwards; `None` when nothing was committed.
    pub version: Option<i64>,
    /// What went on but should be known.
    pub warnings: Vec<String>,
    /// Why the stream, or some of its files, did not land.
    #[serde(serialize_with = "worded")]
    pub error: Option<SourceError>,
    /// What the definition accepts.
    #[serde(skip)]
    pub accept: AcceptSpec,
}

/// Rows set aside for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Why, without the values of the row.
    pub reason: String,
    /// Rows.
    pub count: u64,
    /// Where the first one stands, such as `a.csv row 4`; its text where there is no place.
    pub first: String,
}

/// How a stream ended, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything was kept, or what was lost is within what the definition accepts.
    Ok,
    /// Done, but rows were set aside or cells changed, more than the definition accepts.
    SetAside,
    /// Some of it landed, some was refused.
    Partial,
    /// Nothing landed.
    Failed,
}

impl Outcome {
    /// The word in `system.runs`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::SetAside => "set_aside",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
        }
    }
}

impl StreamReport {
    pub(super) fn new(source: &str, name: &str, accept: AcceptSpec) -> Self {
        StreamReport {
            stream: name.into(),
            table: SourceSpec::table(source, name),
            read: 0,
            rows: 0,
            rejected_rows: 0,
            refused: 0,
            set_aside: Vec::new(),
            changed: Vec::new(),
            files: 0,
            version: None,
            warnings: Vec::new(),
            error: None,
            accept,
        }
    }

    /// Cells of kept rows that are not as they were delivered.
    pub fn changed_cells(&self) -> u64 {
        self.changed.iter().map(|c| c.count).sum()
    }

    /// Nothing was set aside, changed or refused: what may be shown in green.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && self.rejected_rows == 0 && self.changed_cells() == 0
    }

    /// How the stream ended.
    pub fn outcome(&self) -> Outcome {
        let accepted = self.accept.set_aside.holds(self.rejected_rows, self.read)
            && self.accept.changed.holds(self.changed_cells(), self.read);
        match &self.error {
            None if accepted => Outcome::Ok,
            None => Outcome::SetAside,
            Some(_) if self.version.is_some() => Outcome::Partial,
            Some(_) => Outcome::Failed,
        }
    }

    /// The state in words: `landed`, `landed, 4 of 5 set aside`, `up to date`, `failed`.
    pub fn state(&self) -> String {
        let mut said = match (&self.error, self.version) {
            (Some(_), Some(_)) => "failed in part".to_owned(),
            (Some(_), None) => "failed".to_owned(),
            (None, Some(_)) => "landed".to_owned(),
            (None, None) => "up to date".to_owned(),
        };
        if self.rejected_rows > 0 {
            said += &format!(", {} of {} set aside", self.rejected_rows, self.read);
        }
        match self.changed_cells() {
            0 => {}
            1 => said += ", 1 cell changed",
            n => said += &format!(", {n} cells changed"),
        }
        said
    }
}

fn shown<S: serde::Serializer>(table: &TableName, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(table)
}

fn worded<S: serde::Serializer>(error: &Option<SourceError>, to: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(to)
}

/// Different reasons of one stream that are counted apart.
const REASONS: usize = 20;
/// Characters of a row's text that stand for its place.
const SHOWN: usize = 60;

/// Counts set-aside rows by reason, as they are read: `rows` as [`crate::source::Pull::rejected`].
#[derive(Debug, Clone, Default)]
pub(super) struct Reasons(Vec<SetAside>);

impl Reasons {
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        let text = |name: &str| rows.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
        let Some(reasons) = text("reason") else { return };
        for row in 0..rows.num_rows() {
            let reason = if reasons.is_valid(row) { reasons.value(row) } else { "no reason given" };
            if self.count(reason, 1) {
                continue;
            }
            let value = |column: Option<&arrow::array::StringArray>| {
                column.filter(|c| c.is_valid(row)).map(|c| c.value(row).to_owned())
            };
            let number = rows.column_by_name("_row").and_then(|c| c.as_primitive_opt::<Int64Type>());
            let number = number.filter(|n| n.is_valid(row)).map(|n| n.value(row));
            let first = match (value(text("_file")), number) {
                (Some(file), Some(number)) => format!("{file} row {number}"),
                (Some(file), None) => file,
                (None, Some(number)) => format!("row {number}"),
                (None, None) => value(text("text")).unwrap_or_default().chars().take(SHOWN).collect(),
            };
            self.0.push(SetAside { reason: reason.to_owned(), count: 1, first });
        }
    }

    /// Counts rows of a reason that is known, or one too many to be known.
    fn count(&mut self, reason: &str, rows: u64) -> bool {
        if let Some(known) = self.0.iter_mut().find(|r| r.reason == reason) {
            known.count += rows;
            return true;
        }
        let full = self.0.len() >= REASONS;
        if let Some(last) = self.0.last_mut().filter(|_| full) {
            "more reasons".clone_into(&mut last.reason);
            last.count += rows;
        }
        full
    }

    /// Adds what was counted elsewhere.
    pub(super) fn merge(&mut self, others: Vec<SetAside>) {
        for other in others {
            if !self.count(&other.reason, other.count) {
                self.0.push(other);
            }
        }
    }

    /// The most frequent first.
    pub(super) fn take(&mut self) -> Vec<SetAside> {
        let mut all = std::mem::take(&mut self.0);
        all.sort_by_key(|r| std::cmp::Reverse(r.count));
        all
    }
}

/// Reasons as one text: `2 × 3 fields where the header has 4 (first: a.csv row 4)`.
pub(super) fn told(reasons: &[SetAside]) -> String {
    const TOLD: usize = 3;
    let mut parts: Vec<String> = reasons
        .iter()
        .take(TOLD)
        .map(|r| {
            let times = if r.count > 1 { format!("{} × ", r.count) } else { String::new() };
            match r.first.as_str() {
                "" => format!("{times}{}", r.reason),
                first => format!("{times}{} (first: {first})", r.reason),
            }
        })
        .collect();
    if reasons.len() > TOLD {
        parts.push(format!("{} more reasons", reasons.len() - TOLD));
    }
    parts.join("; ")
}

/// What was set aside and what was changed is said wherever warnings are read, not only counted.
pub(super) fn say_losses(mut report: StreamReport) -> StreamReport {
    if report.rejected_rows > 0 {
        let aside = match report.rejected_rows {
            1 => "1 row does not fit and was set aside with its reason".to_owned(),
            n => format!("{n} rows do not fit and were set aside with their reasons"),
        };
        let why = match told(&report.set_aside) {
            why if why.is_empty() => why,
            why => format!(": {why}"),
        };
        report.warnings.push(format!("{aside} in {}_rejected{why}", report.table));
    }
    for changed in &report.changed {
        let cells = if changed.count == 1 { "1 cell".to_owned() } else { format!("{} cells", changed.count) };
        report.warnings.push(format!(
            "column `{}`: {cells} changed, {} (first: {})",
            changed.column, changed.how, changed.first
        ));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(read: u64, aside: u64, version: Option<i64>) -> StreamReport {
        let accept = AcceptSpec { set_aside: "20%".parse().unwrap(), ..AcceptSpec::default() };
        let mut report = StreamReport::new("s", "o", accept);
        (report.read, report.rows, report.rejected_rows, report.version) =
            (read, read - aside, aside, version);
        report
    }

    #[test]
    fn states_are_told_in_words() {
        assert_eq!(report(5, 0, Some(1)).state(), "landed");
        assert_eq!(report(0, 0, None).state(), "up to date");
        let four = report(5, 4, Some(1));
        assert_eq!((four.state().as_str(), four.outcome()), ("landed, 4 of 5 set aside", Outcome::SetAside));
        let one = report(5, 1, Some(1));
        assert_eq!((one.state().as_str(), one.outcome()), ("landed, 1 of 5 set aside", Outcome::Ok));
        assert!(!one.is_whole(), "accepted, and still said");
        let failed = StreamReport { error: Some(SourceError::never("x")), ..report(0, 0, None) };
        assert_eq!((failed.state().as_str(), failed.outcome()), ("failed", Outcome::Failed));
    }
}
