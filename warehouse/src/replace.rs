//! What a landing changes: which rows go, which files are written again, and whether anything changes at all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::compute::{filter_record_batch, not};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};

use crate::commit::Change;
use crate::error::{Error, Result};
use crate::keyed::Keys;
use crate::land::{Landing, Staged};
use crate::layout;
use crate::log::{DataFile, Snapshot, file_of};
use crate::reading::Reading;
use crate::replaced::{Interval, Replaced, Replaces};
use crate::same::{Content, Whole};
use crate::shape;
use crate::stage::{Cut, Files};
use crate::table::Zone;
use crate::warehouse::Warehouse;

/// What a landing does to the table as it is.
pub(crate) enum Effect {
    /// The table holds these very rows already.
    Nothing,
    Change {
        change: Change,
        /// Files written for this commit only, to discard if it is lost.
        written: Files,
        /// These hold the staged rows that differ, instead of the staged files.
        lean: bool,
    },
}

/// Which of the staged rows the table does not have.
enum Differing {
    All,
    /// These, written into files of their own.
    Some(Files),
    None,
}

/// Files whose key columns are read at once.
const LOOKING: usize = 2;
/// Up to so many staged rows it is always worth leaving out those that the table has; beyond that a tenth must be.
const FEW: u64 = 100_000;

impl Warehouse {
    pub(crate) async fn effect(
        &self,
        present: Option<&Arc<Snapshot>>,
        staged: &mut Staged,
        how: &Landing,
    ) -> Result<Effect> {
        let mut change = Change { operation: operation(how), data_change: true, ..Change::default() };
        change.schema = schema(present.map(Arc::as_ref), staged, how)?;
        let alike = present.filter(|_| change.schema.is_none());
        let mut lean = None;
        let mut written = Files { adds: vec![], schema: staged.schema.clone(), rows: 0 };
        match (how, present) {
            (Landing::Append, _) if staged.rows == 0 && alike.is_some() => return Ok(Effect::Nothing),
            (Landing::Append, _) => {}
            (Landing::Replace, _) => {
                if let Some(present) = alike
                    && self.holds_the_same(present, staged).await?
                {
                    return Ok(Effect::Nothing);
                }
                change.removed = present.map(|s| s.files.clone()).unwrap_or_default();
            }
            (Landing::Anew { keys }, _) => {
                if !keys.is_empty() {
                    self.keys(staged, keys, true).await?;
                    change.key = keys.clone();
                }
                change.removed = present.map(|s| s.files.clone()).unwrap_or_default();
            }
            (Landing::Upsert { keys }, _) => {
                let mut found = self.keys(staged, keys, true).await?;
                change.key = keys.clone();
                if staged.rows == 0 && alike.is_some() {
                    return Ok(Effect::Nothing);
                }
                if let Some(present) = present.filter(|_| staged.rows > 0) {
                    if alike.is_some() {
                        match self.differing(present, staged, &mut found).await? {
                            Differing::All => {}
                            Differing::Some(files) => lean = Some(files),
                            Differing::None => return Ok(Effect::Nothing),
                        }
                    }
                    let replaced = Replaced::Keys(Box::new(found));
                    written = self.rewrite(present, &replaced, staged, &mut change).await?;
                }
            }
            (Landing::Interval { keys, .. }, None) => change.key = keys.clone(),
            (Landing::Interval { column, since, keys }, Some(present)) => {
                let interval = Interval { column: column.clone(), since: since.value(staged, column)? };
                let found = self.keys(staged, keys, false).await?;
                change.key = keys.clone();
                let replaced = Replaced::Interval(Box::new(found), interval);
                if alike.is_some() && self.replaces_the_same(present, &replaced, staged).await? {
                    return Ok(Effect::Nothing);
                }
                written = self.rewrite(present, &replaced, staged, &mut change).await?;
            }
            (Landing::ReplaceFile { .. }, None) => {}
            (Landing::ReplaceFile { file }, Some(present)) => {
                let replaced = Replaced::File(file.clone());
                if alike.is_some() && self.replaces_the_same(present, &replaced, staged).await? {
                    return Ok(Effect::Nothing);
                }
                written = self.rewrite(present, &replaced, staged, &mut change).await?;
            }
        }
        let rows = lean.as_ref().unwrap_or(&staged.files);
        change.added = written.adds.iter().chain(&rows.adds).cloned().collect();
        let leaner = lean.is_some();
        written.adds.extend(lean.into_iter().flat_map(|files| files.adds));
        Ok(Effect::Change { change, written, lean: leaner })
    }

    /// Whether the table's rows are the staged ones, in any order.
    async fn holds_the_same(&self, present: &Arc<Snapshot>, staged: &Staged) -> Result<bool> {
        if present.rows() != Some(staged.rows) {
            return Ok(false);
        }
        let whole = Arc::new(Whole::new(&present.schema)?);
        let (new, old) = (staged.snapshot(), self.reading(present.clone()));
        let new = self.reading(new.clone()).rows(new.files.clone(), None).await?;
        let old = old.rows(present.files.clone(), None).await?;
        let (new, old) = futures::try_join!(Content::of(&whole, new), Content::of(&whole, old))?;
        Ok(new == old)
    }

    /// The staged keys; where a key came twice and `last` wins, the staged files are written again without its
    /// earlier rows.
    async fn keys(&self, staged: &mut Staged, columns: &[String], last: bool) -> Result<Keys> {
        let mut keys = Keys::new(&staged.table, columns, &staged.schema)?;
        let snapshot = staged.snapshot();
        let reading = self.reading(snapshot.clone());
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut rows = reading.rows(snapshot.files.clone(), Some(&names)).await?;
        while let Some(batch) = rows.next().await {
            keys.add(&batch?)?;
        }
        if last && (keys.distinct() as u64) < keys.rows {
            let files = self.kept(staged, &reading, &keys).await?;
            let before = std::mem::replace(&mut staged.files, files);
            self.discard_files(&staged.table, &before).await;
            // From here on every key is unique: a second attempt counts the same rows again.
            staged.rows = staged.files.rows;
        }
        keys.bound(&staged.snapshot().files, &staged.schema);
        Ok(keys)
    }

    /// The staged rows written again without those whose key was left out or comes again later.
    async fn kept(&self, staged: &Staged, reading: &Reading, keys: &Keys) -> Result<Files> {
        let kept = reading.last_ones(reading.snapshot.files.clone(), keys).await?;
        self.stager().write(&staged.table, Some(&staged.schema), kept, Cut::Bytes).await
    }

    /// Leaves out the keys whose rows the table has already, so that reading the same again changes nothing.
    async fn differing(
        &self,
        present: &Arc<Snapshot>,
        staged: &Staged,
        keys: &mut Keys,
    ) -> Result<Differing> {
        let touched = self.touched(present, &*keys).await?;
        if touched.is_empty() {
            return Ok(Differing::All);
        }
        let whole = Whole::new(&present.schema)?;
        let snapshot = staged.snapshot();
        let reading = self.reading(snapshot.clone());
        let mut new: HashMap<u128, u128> = HashMap::new();
        let mut rows = reading.rows(snapshot.files.clone(), None).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let content = whole.hashes(&batch)?;
            new.extend(keys.among(&batch)?.into_iter().map(|(row, key)| (key, content[row])));
        }
        let (mut seen, mut same): (HashSet<u128>, HashSet<u128>) = Default::default();
        let mut rows = self.reading(present.clone()).rows(touched, None).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let content = whole.hashes(&batch)?;
            for (row, key) in keys.among(&batch)? {
                // A key that the table has twice is mended by writing it once.
                if seen.insert(key) && new.get(&key) == Some(&content[row]) {
                    same.insert(key);
                } else {
                    same.remove(&key);
                }
            }
        }
        let (count, all) = (same.len() as u64, new.len() as u64);
        if count == all {
            return Ok(Differing::None);
        }
        if count == 0 || (all > FEW && count * 10 < all) {
            return Ok(Differing::All);
        }
        keys.forget(same);
        let files = self.kept(staged, &reading, keys).await?;
        let left = files.adds.iter().map(|add| Arc::new(file_of(&staged.table, add, &staged.schema)));
        keys.bound(&left.collect::<Vec<_>>(), &staged.schema);
        Ok(Differing::Some(files))
    }

    /// Whether the rows that would go are the staged ones, in any order.
    async fn replaces_the_same(
        &self,
        present: &Arc<Snapshot>,
        replaced: &Replaced,
        staged: &Staged,
    ) -> Result<bool> {
        let whole = Arc::new(Whole::new(&present.schema)?);
        let touched = self.touched(present, replaced).await?;
        let rows = self.reading(present.clone()).rows(touched, None).await?;
        let gone = rows.map(|batch| {
            let batch = batch?;
            Ok(filter_record_batch(&batch, &not(&replaced.stays(&batch)?)?)?)
        });
        let gone = Content::of(&whole, gone.boxed()).await?;
        if gone.rows() != staged.rows {
            return Ok(false);
        }
        let snapshot = staged.snapshot();
        let rows = self.reading(snapshot.clone()).rows(snapshot.files.clone(), None).await?;
        Ok(gone == Content::of(&whole, rows).await?)
    }

    /// The files that hold a replaced row.
    async fn touched(&self, present: &Arc<Snapshot>, replaced: &impl Replaces) -> Result<Vec<Arc<DataFile>>> {
        let reading = self.reading(present.clone());
        let maybe: Vec<Arc<DataFile>> =
            present.files.iter().filter(|f| replaced.may_touch(f, &present.schema)).cloned().collect();
        let looked = maybe.len();
        let touched: Vec<Arc<DataFile>> = futures::stream::iter(maybe)
            .map(|file| {
                let reading = &reading;
                async move { Ok::<_, Error>(reading.touches(&file, replaced).await?.then_some(file)) }
            })
            .buffered(LOOKING)
            .try_filter_map(|file| async move { Ok(file) })
            .try_collect()
            .await?;
        tracing::debug!(table.name = %present.table, files = present.files.len(), files.looked = looked,
            files.touched = touched.len(), "replacing rows");
        Ok(touched)
    }

    /// Writes again what stays of the files that hold replaced rows, and lists those files as removed.
    async fn rewrite(
        &self,
        present: &Arc<Snapshot>,
        replaced: &Replaced,
        staged: &Staged,
        change: &mut Change,
    ) -> Result<Files> {
        let mut files = Files { adds: vec![], schema: staged.schema.clone(), rows: 0 };
        let touched = self.touched(present, replaced).await?;
        let reading = self.reading(present.clone());
        let key: &[String] = replaced.keys().map_or(&[], Keys::names);
        let room = layout::room(staged.rows);
        let little = |f: &Arc<DataFile>| key.is_empty() || f.rows().is_some_and(|rows| rows <= room);
        let (small, large): (Vec<_>, Vec<_>) = touched.iter().cloned().partition(little);
        let together = if key.is_empty() { Cut::Bytes } else { Cut::Rows(room) };
        let mut steps = vec![];
        if !small.is_empty() {
            steps.push((small, together));
        }
        for file in large {
            let cut = file.rows().map_or(Cut::Bytes, |rows| Cut::Rows(layout::piece(rows, staged.rows)));
            steps.push((vec![file], cut));
        }
        for (group, cut) in steps {
            let written = async {
                let rows = reading.remaining(group, replaced, key).await?;
                self.stager().write(&staged.table, Some(&present.schema), rows, cut).await
            };
            match written.await {
                Ok(written) => {
                    files.rows += written.rows;
                    files.adds.extend(written.adds);
                }
                Err(error) => {
                    self.discard_files(&staged.table, &files).await;
                    return Err(error);
                }
            }
        }
        change.removed = touched;
        Ok(files)
    }
}

fn operation(how: &Landing) -> &'static str {
    match how {
        Landing::Append | Landing::Replace | Landing::Anew { .. } => "WRITE",
        Landing::Upsert { .. } | Landing::ReplaceFile { .. } | Landing::Interval { .. } => "MERGE",
    }
}

/// The table's new schema, where it changes.
fn schema(present: Option<&Snapshot>, staged: &Staged, how: &Landing) -> Result<Option<SchemaRef>> {
    let all = *how == Landing::Replace;
    Ok(match present {
        None => Some(staged.schema.clone()),
        Some(_) if staged.schema.fields().is_empty() => None,
        Some(s) if matches!(how, Landing::Anew { .. }) => {
            (s.schema != staged.schema).then(|| staged.schema.clone())
        }
        Some(s) if all && matches!(staged.table.zone, Zone::Clean | Zone::Mart) => {
            (s.schema != staged.schema).then(|| staged.schema.clone())
        }
        Some(s) if all => shape::replaced(&s.schema, &staged.schema),
        Some(s) => shape::grown(&staged.table, &s.schema, &staged.schema)?,
    })
}

/// A moment in the units of the log, for [`Landing::Interval`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Days since 1970, for a date.
    Day(i32),
    /// Microseconds since 1970, for a timestamp with or without zone.
    Micros(i64),
}

impl Start {
    fn value(self, staged: &Staged, column: &str) -> Result<ScalarValue> {
        let kind = staged.schema.field_with_name(column).map_err(|_| {
            Error::invalid(format!("{}: the column `{column}` is not among the delivered ones", staged.table))
        })?;
        match (self, kind.data_type()) {
            (Start::Day(day), DataType::Date32) => Ok(ScalarValue::Date32(Some(day))),
            (Start::Micros(at), DataType::Timestamp(..)) => {
                Ok(ScalarValue::TimestampMicrosecond(Some(at), None).cast_to(kind.data_type())?)
            }
            (_, other) => Err(Error::invalid(format!(
                "{}: the column `{column}` is {other}; an interval begins at a date or a moment",
                staged.table
            ))),
        }
    }
}
