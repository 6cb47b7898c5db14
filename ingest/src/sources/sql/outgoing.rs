//! Batches of a database → pulls with cursors and landing boundaries.

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};

use super::landed::Landed;
use super::seen::{Edge, Places, check_order, check_overlap};
use crate::error::SourceError;
use crate::ledger::Changes;
use crate::source::{Closed, Cursor, Feed, Pull};
use crate::spec::{ModeSpec, StreamSpec};

/// Rows after which an incremental read commits.
pub(crate) const COMMIT_ROWS: usize = 200_000;
/// Rows after which an upsert without a cursor commits. The keys of one commit are kept in memory, and
/// each commit may write much of the table again: neither few rows nor all.
const KEYED_COMMIT_ROWS: usize = 2_000_000;

/// Why reading stopped early.
pub(crate) enum Halt {
    Closed,
    Failed(SourceError),
}

impl From<Closed> for Halt {
    fn from(_: Closed) -> Self {
        Halt::Closed
    }
}

impl From<SourceError> for Halt {
    fn from(e: SourceError) -> Self {
        Halt::Failed(e)
    }
}

/// Sends the batches of one read.
pub(crate) struct Outgoing {
    feed: Feed,
    mode: Mode,
    /// Where reading stood before: still true while only rows were read that cannot land.
    after: Cursor,
    held: Option<Held>,
    rejected: Vec<RecordBatch>,
    warnings: Vec<String>,
    /// Cells that could not be kept as they were.
    pub(crate) changes: Changes,
    overlap: std::time::Duration,
    /// Cursor values keep the class that the source gives them.
    typed: bool,
    since_commit: usize,
    nulls: u64,
}

struct Held {
    rows: RecordBatch,
    cursor: Cursor,
    may_commit: bool,
}

enum Mode {
    /// The table is replaced.
    Whole,
    /// Everything is upserted, without a cursor: reading a row twice does no harm.
    Keyed,
    /// Upserted by cursor: reading a row twice does no harm.
    Upsert { column: String, edge: Edge },
    /// Appended by cursor: a row must come exactly once.
    Append { column: String, edge: Edge, landed: Box<Landed>, as_one: bool },
}

impl Outgoing {
    /// The outgoing side of one read from `after` on.
    pub(crate) fn new(feed: Feed, spec: &StreamSpec, after: Option<&Cursor>) -> Self {
        let edge = Edge::new(spec.overlap());
        let mode = match (&spec.mode, spec.cursor()) {
            (Some(ModeSpec::Upsert(_)), Some(column)) => Mode::Upsert { column: column.into(), edge },
            (Some(ModeSpec::Incremental(_)), Some(column)) => Mode::Append {
                column: column.into(),
                edge,
                landed: Box::new(Landed::new(after)),
                as_one: false,
            },
            (Some(ModeSpec::Upsert(_)), None) => Mode::Keyed,
            _ => Mode::Whole,
        };
        let mut warnings = Vec::new();
        if matches!(mode, Mode::Append { .. }) && after.is_some_and(|c| c.get("whole").is_some()) {
            warnings.push(format!(
                "more than {} rows share the last cursor value; rows that appear later with that same value are not seen. Use a finer cursor column or mode upsert",
                super::seen::MOST_SEEN
            ));
        }
        let after = after.cloned().unwrap_or_else(|| json!({"at": null}));
        Outgoing {
            feed,
            mode,
            after,
            held: None,
            rejected: Vec::new(),
            warnings,
            changes: Changes::default(),
            overlap: spec.overlap(),
            typed: false,
            since_commit: 0,
            nulls: 0,
        }
    }

    /// Sets rows aside that cannot be represented, to be sent with the next batch.
    pub(crate) fn reject(&mut self, rejected: RecordBatch) {
        self.rejected.push(rejected);
    }

    pub(crate) fn warn(&mut self, message: String) {
        if self.warnings.len() < 20 && !self.warnings.contains(&message) {
            self.warnings.push(message);
        }
    }

    /// Sends one batch, ordered by the cursor column when there is one.
    pub(crate) async fn batch(&mut self, batch: RecordBatch) -> Result<(), Halt> {
        self.batch_at(batch, None).await
    }

    /// The same, with the cursor values as the source keeps them where the landed column cannot tell.
    pub(crate) async fn batch_at(&mut self, batch: RecordBatch, at: Option<Vec<Value>>) -> Result<(), Halt> {
        self.typed |= at.is_some();
        let (rows, cursor, may_commit) = self.place(batch, at)?;
        if rows.num_rows() == 0 && !self.is_whole() && self.rejected.is_empty() {
            return Ok(());
        }
        if let Some(earlier) = self.held.replace(Held { rows, cursor, may_commit }) {
            let many = if matches!(self.mode, Mode::Keyed) { KEYED_COMMIT_ROWS } else { COMMIT_ROWS };
            let commit = earlier.may_commit && self.since_commit + earlier.rows.num_rows() >= many;
            self.send(earlier, commit).await?;
        }
        Ok(())
    }

    /// No cursor column: one cursor says it all.
    fn is_whole(&self) -> bool {
        matches!(self.mode, Mode::Whole | Mode::Keyed)
    }

    /// Which rows of a batch are new, where reading stands behind it, and whether that may be committed.
    fn place(
        &mut self,
        batch: RecordBatch,
        at: Option<Vec<Value>>,
    ) -> Result<(RecordBatch, Cursor, bool), SourceError> {
        let places = |column: &str| match at {
            Some(values) => Ok(Places::Values(values)),
            None => batch
                .column_by_name(column)
                .cloned()
                .map(Places::Column)
                .ok_or_else(|| super::no_cursor("the source", column, &[])),
        };
        match &mut self.mode {
            Mode::Whole => Ok((batch, json!({"at": null}), false)),
            Mode::Keyed => Ok((batch, json!({"at": null}), true)),
            Mode::Upsert { column, edge } => {
                let at = places(column)?;
                self.nulls += at.nulls() as u64;
                check_order(column, edge.last.as_ref().or(self.after.get("at")), &at)?;
                if let Some(end) = batch.num_rows().checked_sub(1) {
                    edge.last = Some(at.get(end)?);
                }
                check_overlap(column, self.overlap, edge.last.as_ref())?;
                let cursor = edge.last.as_ref().map_or_else(|| self.after.clone(), |at| json!({"at": at}));
                Ok((batch, cursor, true))
            }
            Mode::Append { column, edge, landed, as_one } => {
                let at = places(column)?;
                self.nulls += at.nulls() as u64;
                check_order(column, edge.last.as_ref().or(self.after.get("at")), &at)?;
                edge.pass(&batch, &at)?;
                check_overlap(column, self.overlap, edge.last.as_ref())?;
                let rows = landed.leave_out(batch)?;
                self.warnings.extend(landed.warning());
                // Too many to remember: from here on the read lands as one, under the cursor of its end.
                *as_one |= edge.crowded;
                Ok((rows, edge.cursor().unwrap_or_else(|| self.after.clone()), !*as_one))
            }
        }
    }

    /// Sends what is held back as the last of the read.
    pub(crate) async fn finish(mut self, empty: RecordBatch) -> Result<(), Halt> {
        if self.nulls > 0 {
            let nulls = self.nulls;
            self.warn(format!(
                "{nulls} rows have no value in the cursor column; later changes to such rows are not seen"
            ));
        }
        let last = match self.held.take() {
            Some(mut held) => {
                if let Mode::Append { edge, .. } = &self.mode
                    && let Some(cursor) = edge.cursor()
                {
                    held.cursor = cursor;
                }
                held
            }
            None if self.is_whole() => Held { rows: empty, cursor: json!({"at": null}), may_commit: true },
            // Every row was set aside: these land, and reading stands where it stood.
            None if !self.rejected.is_empty() => {
                Held { rows: empty, cursor: self.after.clone(), may_commit: true }
            }
            // Nothing new: nothing to commit.
            None => return Ok(()),
        };
        self.send(last, true).await
    }

    async fn send(&mut self, held: Held, commit: bool) -> Result<(), Halt> {
        self.since_commit = if commit { 0 } else { self.since_commit + held.rows.num_rows() };
        let mut cursor = held.cursor;
        if self.typed && !cursor["at"].is_null() {
            cursor["typed"] = json!(true);
        }
        let aside = std::mem::take(&mut self.rejected);
        let rejected = match aside.first() {
            Some(first) => Some(
                concat_batches(&first.schema(), &aside)
                    .map_err(|e| SourceError::never(format!("rejected rows cannot be joined: {e}")))?,
            ),
            None => None,
        };
        let pull = Pull {
            rows: held.rows,
            rejected,
            cursor,
            commit,
            file: None,
            warnings: std::mem::take(&mut self.warnings),
            changed: self.changes.take(),
            found: Vec::new(),
        };
        Ok(self.feed.send(Ok(pull)).await?)
    }
}
