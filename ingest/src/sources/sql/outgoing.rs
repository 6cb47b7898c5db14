//! Batches of a database → pulls with cursors and landing boundaries.

use std::collections::HashMap;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::record_batch::RecordBatch;
use arrow::util::display::FormatOptions;
use serde_json::json;

use super::seen::{Edge, Fingerprints, check_order, landed, lost_column, up_to, value};
use crate::error::SourceError;
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
    Append { column: String, edge: Edge, landed: Landed, as_one: bool },
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
                landed: Landed { after: after.cloned(), rows: landed(after), skip: 0 },
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
        Outgoing { feed, mode, after, held: None, rejected: Vec::new(), warnings, since_commit: 0, nulls: 0 }
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
        let (rows, cursor, may_commit) = self.place(batch)?;
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
    fn place(&mut self, batch: RecordBatch) -> Result<(RecordBatch, Cursor, bool), SourceError> {
        match &mut self.mode {
            Mode::Whole => Ok((batch, json!({"at": null}), false)),
            Mode::Keyed => Ok((batch, json!({"at": null}), true)),
            Mode::Upsert { column, edge } => {
                let at = batch
                    .column_by_name(column)
                    .cloned()
                    .ok_or_else(|| super::no_cursor("the source", column, &[]))?;
                self.nulls += at.null_count() as u64;
                check_order(column, edge.last.as_ref().or(self.after.get("at")), &at)?;
                if let Some(end) = batch.num_rows().checked_sub(1) {
                    edge.last = Some(super::seen::value(&at, end)?);
                }
                let cursor = edge.last.as_ref().map_or_else(|| self.after.clone(), |at| json!({"at": at}));
                Ok((batch, cursor, true))
            }
            Mode::Append { column, edge, landed, as_one } => {
                let at = batch
                    .column_by_name(column)
                    .cloned()
                    .ok_or_else(|| super::no_cursor("the source", column, &[]))?;
                self.nulls += at.null_count() as u64;
                check_order(column, edge.last.as_ref().or(self.after.get("at")), &at)?;
                edge.pass(&batch, &at)?;
                let rows = landed.leave_out(batch, &at)?;
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
            cursor: held.cursor,
            commit,
            file: None,
            warnings: std::mem::take(&mut self.warnings),
        };
        Ok(self.feed.send(Ok(pull)).await?)
    }
}

/// Rows that landed before.
struct Landed {
    /// The cursor that says so, until the first batch was compared with it.
    after: Option<Cursor>,
    /// Fingerprints, crossed off one by one.
    rows: HashMap<u64, u32>,
    /// Rows at the edge to leave out by number, when a dropped column makes fingerprints useless.
    skip: usize,
}

impl Landed {
    /// The batch, with its cursor column, without rows that landed before.
    fn leave_out(&mut self, batch: RecordBatch, cursor: &ArrayRef) -> Result<RecordBatch, SourceError> {
        if let Some(after) = self.after.take()
            && lost_column(&after, &batch)
        {
            self.skip = at_edge(&after, cursor, self.rows.drain().map(|(_, n)| n as usize).sum())?;
        }
        if self.skip > 0 {
            let here = self.skip.min(batch.num_rows());
            self.skip -= here;
            return Ok(batch.slice(here, batch.num_rows() - here));
        }
        if self.rows.is_empty() || batch.num_rows() == 0 {
            return Ok(batch);
        }
        let options = FormatOptions::default();
        let marks = Fingerprints::of(&batch, &options)?;
        let keep: BooleanArray = (0..batch.num_rows())
            .map(|row| Some(self.rows.is_empty() || !self.cross_off(marks.row(row))))
            .collect();
        filter_record_batch(&batch, &keep)
            .map_err(|e| SourceError::never(format!("cannot leave out rows: {e}")))
    }

    fn cross_off(&mut self, mark: u64) -> bool {
        let Some(n) = self.rows.get_mut(&mark) else { return false };
        *n -= 1;
        if *n == 0 {
            self.rows.remove(&mark);
        }
        true
    }
}

/// How many rows to leave out when those that landed cannot be told by their columns: the ones that still
/// stand at the edge, which comes first. A row that has moved on since is new. Where more stand there than
/// landed, none is left out: a row that lands twice is better than one that never does.
fn at_edge(after: &Cursor, cursor: &ArrayRef, landed: usize) -> Result<usize, SourceError> {
    let Some(edge) = after.get("at") else { return Ok(0) };
    let mut standing = 0;
    while standing < cursor.len() && up_to(&value(cursor, standing)?, edge) {
        standing += 1;
    }
    Ok(match standing {
        more if more > landed => 0,
        // A batch that ends within the edge does not show all of it.
        all if all == cursor.len() => landed,
        some => some,
    })
}
