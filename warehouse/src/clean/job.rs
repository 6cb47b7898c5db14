//! Brings `clean.<name>` up to date with its raw table.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::physical_plan::execute_stream_partitioned;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{nearest, new_id};
use tokio::sync::mpsc;

use super::apply::{Cleaner, invalid};
use super::corrected::{self, Keyed, WATCHED};
use super::ledger::{Adjusted, Quarantined, told};
use super::reject::{self, Reject};
use super::runs;
use super::spec::CleanSpec;
use super::versions::newest_versions;
use super::wash::{Counts, Wash, with_arrival};
use crate::session::caught;
use crate::{Error, Landing, LoadMark, Result, Since, Staged, TableName, Warehouse, Zone};

/// What one cleaning did. `kept` + `rejected` = `read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CleanReport {
    /// Raw rows read.
    pub read: u64,
    /// Rows that fit.
    pub kept: u64,
    /// Rows put into quarantine.
    pub rejected: u64,
    /// Rows that the definition says are no data; they are not among `read`.
    pub skipped: u64,
    /// Rows of `kept` that a newer row of the same key stands for.
    pub merged: u64,
    /// Rows that left quarantine.
    pub released: u64,
    /// Of `rejected`: rows that a later row of the same key and cleaning stands for; they are not in quarantine.
    pub superseded: u64,
    /// Rows that were in quarantine before and left it, because a later row of their key fits.
    pub corrected: u64,
    /// Rows in quarantine afterwards.
    pub standing: u64,
    /// Why rows went to quarantine, by column.
    pub quarantined: Vec<Quarantined>,
    /// Cells of kept rows that are not as they were delivered, by column.
    pub adjusted: Vec<Adjusted>,
    /// Version of the clean table.
    pub version: i64,
    /// True when everything was read again, not only what had come since the last cleaning.
    pub full: bool,
    /// True when there was nothing to do.
    pub already: bool,
}

/// What the clean table remembers of the cleaning that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Version of the raw table up to which it has read.
    raw: i64,
    /// Hash of the definition and the zone: another one means to read it all again.
    definition: String,
    /// Everything was quarantined, so the clean table stayed as it was: it waits for other rows or another definition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    held: bool,
}

impl Warehouse {
    /// Cleans what has come to the raw table since the last time; everything when the raw table
    /// was rewritten or the definition changed.
    ///
    /// # Errors
    /// `NotFound` for an unknown cleaning, `Invalid` for a wrong definition, else what reading and landing
    /// report. Calling again is safe.
    pub async fn clean(&self, name: &str) -> Result<CleanReport> {
        self.clean_and_record(name, false).await
    }

    /// Reads the whole raw table again with the present definition, so that rows that now fit
    /// leave quarantine. Errors as [`Warehouse::clean`].
    pub async fn release(&self, name: &str) -> Result<CleanReport> {
        self.clean_and_record(name, true).await
    }

    async fn clean_and_record(&self, name: &str, everything: bool) -> Result<CleanReport> {
        let (warehouse, name) = (self.clone(), name.to_owned());
        let work = async move {
            let cleaning = Cleaning::new(&warehouse, &name)?;
            let started_at = warehouse.clock().now();
            let done = caught(cleaning.run(everything)).await;
            runs::record(&warehouse, &name, started_at, &done).await?;
            done
        };
        self.workers().build(work).await
    }

    /// Whether the table was cleaned by another definition than the one in force, so that the next cleaning reads all
    /// of it again. Errors as [`Warehouse::clean`].
    pub async fn is_clean_changed(&self, name: &str) -> Result<bool> {
        let cleaning = Cleaning::new(self, name)?;
        let mark = self.mark(&cleaning.table, &cleaning.stream).await?;
        let known = mark.and_then(|mark| serde_json::from_value::<Cursor>(mark.cursor).ok());
        Ok(known.is_some_and(|c| !c.definition.is_empty() && c.definition != cleaning.definition))
    }
}

struct Cleaning<'a> {
    warehouse: &'a Warehouse,
    spec: CleanSpec,
    cleaner: Arc<Cleaner>,
    definition: String,
    table: TableName,
    rejects: TableName,
    stream: String,
}

/// What is read in one run.
struct Input {
    raw: Arc<dyn TableProvider>,
    version: i64,
    full: bool,
}

impl<'a> Cleaning<'a> {
    fn new(warehouse: &'a Warehouse, name: &str) -> Result<Self> {
        let definitions = warehouse.definitions();
        let Some(spec) = definitions.cleans.get(name).cloned() else {
            let near = nearest(name, definitions.cleans.keys().map(String::as_str));
            return Err(Error::NotFound {
                what: format!("cleaning `{name}`"),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        };
        let zone = warehouse.timezone();
        let problems = super::check(&spec, None);
        if !problems.is_empty() {
            return Err(invalid(&spec, &problems));
        }
        let cleaner = Cleaner::compile(&spec, zone).map_err(|problems| invalid(&spec, &problems))?;
        let table = |name: &str| TableName::new(Zone::Clean, name).map_err(Error::invalid);
        Ok(Self {
            definition: fingerprint(&spec, zone.name())?,
            table: table(name)?,
            rejects: table(&format!("{name}_rejected"))?,
            stream: format!("clean/{name}"),
            cleaner: Arc::new(cleaner),
            warehouse,
            spec,
        })
    }

    async fn run(&self, everything: bool) -> Result<CleanReport> {
        let mark = self.warehouse.mark(&self.table, &self.stream).await?;
        let quarantine_mark = self.warehouse.mark(&self.rejects, &self.stream).await?;
        let seq_of = |mark: &Option<LoadMark>| mark.as_ref().map_or(0, |mark| mark.seq);
        if self.warehouse.snapshot(&self.spec.from).await?.is_none() {
            return self.lay_out(seq_of(&mark)).await;
        }
        // A kill between the two commits leaves the quarantine one step ahead.
        let torn = seq_of(&quarantine_mark) > seq_of(&mark);
        if torn && !everything {
            self.still_held(&quarantine_mark).await?;
        }
        let known = mark.as_ref().and_then(|mark| serde_json::from_value::<Cursor>(mark.cursor.clone()).ok());
        let continued = known
            .filter(|cursor| !everything && !torn && cursor.definition == self.definition)
            .map(|cursor| cursor.raw);
        let Some(input) = self.input(continued).await? else {
            let snapshot = self.warehouse.snapshot(&self.table).await?;
            let version = snapshot.map_or(0, |snapshot| snapshot.version);
            let standing = self.standing().await?;
            return Ok(CleanReport { version, already: true, standing, ..CleanReport::default() });
        };
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: seq_of(&mark).max(seq_of(&quarantine_mark)) + 1,
            cursor: serde_json::json!(Cursor {
                raw: input.version,
                definition: self.definition.clone(),
                held: false
            }),
            operation: new_id(self.warehouse.clock().as_ref()),
        };
        self.wash(input, mark).await
    }

    /// A source that has delivered nothing yet: an empty table with its columns lets what reads it be built.
    async fn lay_out(&self, seq: i64) -> Result<CleanReport> {
        if let Some(snapshot) = self.warehouse.snapshot(&self.table).await? {
            return Ok(CleanReport { version: snapshot.version, already: true, ..CleanReport::default() });
        }
        let empty = RecordBatch::new_empty(self.cleaner.schema());
        let staged = self.warehouse.stage(&self.table, stream::iter([Ok(empty)]).boxed()).await?;
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: seq + 1,
            // No definition has read anything, so the first rows are read from the beginning.
            cursor: serde_json::json!(Cursor { raw: -1, definition: String::new(), held: false }),
            operation: new_id(self.warehouse.clock().as_ref()),
        };
        let version = self.warehouse.publish(staged, Landing::Replace, mark).await?.version;
        Ok(CleanReport { version, full: true, ..CleanReport::default() })
    }

    /// What has to be read; None when nothing has come.
    async fn input(&self, continued: Option<i64>) -> Result<Option<Input>> {
        if let Some(version) = continued {
            match self.warehouse.snapshot_since(&self.spec.from, version).await? {
                Since::Unchanged { .. } => return Ok(None),
                Since::Appended { version, provider, .. } => {
                    return Ok(Some(Input { raw: provider, version, full: false }));
                }
                Since::Missing | Since::Rewritten { .. } => {}
            }
        }
        let Some(snapshot) = self.warehouse.snapshot(&self.spec.from).await? else { return Ok(None) };
        let version = snapshot.version;
        Ok(Some(Input { raw: self.warehouse.provider(snapshot), version, full: true }))
    }

    async fn wash(&self, input: Input, mark: LoadMark) -> Result<CleanReport> {
        let counts = Arc::new(Counts::default());
        // Bounded: a quarantine that is slower than the cleaning slows the cleaning down.
        let (send, receive) = mpsc::channel(4);
        let kept = self.kept(&input, counts.clone(), send).await?;
        let rejected = rejected_batches(receive);
        let stage_kept = async {
            match input.full && !self.spec.key.is_empty() {
                true => self.warehouse.stage_in_order(&self.table, kept).await,
                false => self.warehouse.stage(&self.table, kept).await,
            }
        };
        let (kept, rejected) = futures::try_join!(stage_kept, self.warehouse.stage(&self.rejects, rejected))?;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let ledger = std::mem::take(&mut *counts.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        let mut report = CleanReport {
            read: count(&counts.read),
            kept: count(&counts.kept),
            rejected: count(&counts.rejected),
            skipped: count(&counts.skipped),
            merged: count(&counts.kept).saturating_sub(kept.rows),
            full: input.full,
            quarantined: ledger.quarantined,
            adjusted: ledger.adjusted,
            ..CleanReport::default()
        };
        let good = self.warehouse.snapshot(&self.table).await?.and_then(|s| s.rows()).unwrap_or(0);
        if input.full && report.kept == 0 && report.rejected > 0 && good > 0 {
            self.warehouse.discard(kept).await;
            return Err(self.hold(rejected, mark, &report).await?);
        }
        let new = std::mem::take(&mut *counts.keyed.lock().unwrap_or_else(PoisonError::into_inner));
        self.publish_rejects(rejected, &input, mark.clone(), &new, &mut report).await?;
        let how = match (input.full, self.spec.key.is_empty()) {
            (true, _) => Landing::Replace,
            (false, true) => Landing::Append,
            (false, false) => Landing::Upsert { keys: self.spec.key.clone() },
        };
        report.version = self.warehouse.publish(kept, how, mark).await?.version;
        tracing::info!(
            table.name = %self.table, rows.read = report.read, rows.kept = report.kept,
            rows.rejected = report.rejected, rows.merged = report.merged, clean.full = report.full,
            "cleaned a table"
        );
        Ok(report)
    }

    /// Publishes the quarantine before the clean rows; rows that were corrected are not in it.
    async fn publish_rejects(
        &self,
        staged: Staged,
        input: &Input,
        mark: LoadMark,
        new: &[Keyed],
        report: &mut CleanReport,
    ) -> Result<()> {
        let before = self.standing().await?;
        let old = match input.full || self.spec.key.is_empty() {
            true => Vec::new(),
            false => corrected::standing(self.warehouse, &self.rejects).await?,
        };
        let new = if new.len() > WATCHED { &[] } else { new };
        let gone = corrected::corrected(self.warehouse, &self.spec, input.raw.clone(), &old, new).await;
        let gone = match gone {
            Ok(gone) => gone,
            Err(error) => {
                self.warehouse.discard(staged).await;
                return Err(error);
            }
        };
        let superseded = new.iter().filter(|row| gone.contains(*row)).count() as u64;
        let (came, mut how) = (staged.rows, if input.full { Landing::Replace } else { Landing::Append });
        let staged = if gone.is_empty() {
            staged
        } else {
            let rows = self.warehouse.context().read_table(staged.provider())?.execute_stream().await?;
            let mut rows = rows.map_err(Error::from).boxed();
            if !input.full
                && let Some(standing) = self.warehouse.rows(&self.rejects).await?
            {
                rows = standing.chain(rows).boxed();
            }
            how = Landing::Replace;
            let rows = corrected::without(rows, gone);
            let first = stream::iter([Ok(RecordBatch::new_empty(reject::schema()))]);
            let stay = self.warehouse.stage(&self.rejects, first.chain(rows).boxed()).await;
            self.warehouse.discard(staged).await;
            stay?
        };
        let stay = if how == Landing::Append { before + staged.rows } else { staged.rows };
        report.superseded = superseded;
        let left = if input.full { came } else { before + came };
        report.corrected = left.saturating_sub(stay).saturating_sub(superseded);
        report.released = if input.full { before.saturating_sub(stay) } else { 0 };
        report.standing = stay;
        let nothing = staged.rows == 0 && (how == Landing::Append || before == 0);
        if nothing {
            self.warehouse.discard(staged).await;
            return Ok(());
        }
        self.warehouse.publish(staged, how, mark).await?;
        Ok(())
    }

    /// Rows in quarantine now.
    async fn standing(&self) -> Result<u64> {
        Ok(self.warehouse.snapshot(&self.rejects).await?.and_then(|s| s.rows()).unwrap_or(0))
    }

    /// Not one row fits where good ones are: publishes the quarantine, so that people see why, and leaves the clean table as it is.
    async fn hold(&self, rejects: Staged, mark: LoadMark, report: &CleanReport) -> Result<Error> {
        let mut cursor = mark.cursor.clone();
        cursor["held"] = true.into();
        let mark = LoadMark { cursor, ..mark };
        self.warehouse.publish(rejects, Landing::Replace, mark).await?;
        Ok(self.all_quarantined(Some(report)).await)
    }

    /// The same rows by the same definition as when all of them were quarantined.
    async fn still_held(&self, quarantine: &Option<LoadMark>) -> Result<()> {
        let cursor =
            quarantine.as_ref().and_then(|m| serde_json::from_value::<Cursor>(m.cursor.clone()).ok());
        let Some(cursor) = cursor.filter(|c| c.held && c.definition == self.definition) else {
            return Ok(());
        };
        match self.warehouse.snapshot_since(&self.spec.from, cursor.raw).await? {
            Since::Unchanged { .. } if self.standing().await? > 0 => Err(self.all_quarantined(None).await),
            _ => Ok(()),
        }
    }

    async fn all_quarantined(&self, report: Option<&CleanReport>) -> Error {
        let good = self.warehouse.snapshot(&self.table).await.ok().flatten().and_then(|s| s.rows());
        let fate = format!("{} keeps its last good version of {} rows", self.table, good.unwrap_or(0));
        let why = match report {
            Some(report) => format!(
                "all {} rows of {} went to quarantine: {}",
                report.read,
                self.spec.from,
                told(&report.quarantined)
            ),
            None => format!("all rows of {} are in quarantine", self.spec.from),
        };
        Error::Check {
            message: format!(
                "{fate}: {why}. Correct the source or the cleaning; `guanlan quarantine show {}` lists them",
                self.table
            ),
        }
    }

    /// Kept rows as a stream of the output columns, the newest row of each key only.
    async fn kept(
        &self,
        input: &Input,
        counts: Arc<Counts>,
        rejects: mpsc::Sender<Vec<Reject>>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let cx = self.warehouse.context();
        let raw = cx.read_table(input.raw.clone())?.create_physical_plan().await?;
        let partitions = execute_stream_partitioned(raw, cx.task_ctx())?
            .into_iter()
            .map(|raw| {
                let wash = Wash::new(raw, self.cleaner.clone(), counts.clone(), rejects.clone());
                Arc::new(wash) as Arc<dyn PartitionStream>
            })
            .collect();
        let output = self.cleaner.schema();
        let washed = StreamingTable::try_new(with_arrival(&output), partitions)?;
        let present = match (input.full, &self.spec.latest) {
            (false, Some(_)) => self.warehouse.snapshot(&self.table).await?,
            _ => None,
        };
        let present = present.map(|snapshot| self.warehouse.provider(snapshot));
        let rows = newest_versions(&cx, &self.spec, Arc::new(washed), present).await?;
        // The schema travels even when no row does.
        let first = stream::iter([Ok(RecordBatch::new_empty(output))]);
        Ok(first.chain(rows.execute_stream().await?.map_err(Error::from)).boxed())
    }
}

fn rejected_batches(mut receive: mpsc::Receiver<Vec<Reject>>) -> BoxStream<'static, Result<RecordBatch>> {
    let first = stream::iter([Ok(RecordBatch::new_empty(reject::schema()))]);
    let rest = stream::poll_fn(move |cx| receive.poll_recv(cx));
    first.chain(rest.map(|rejects| Ok(reject::batch(&rejects)?))).boxed()
}

/// Titles do not matter: a new title cleans nothing again.
fn fingerprint(spec: &CleanSpec, zone: &str) -> Result<String> {
    let mut bare = spec.clone();
    bare.title = None;
    bare.columns = bare
        .columns
        .iter()
        .map(|(name, column)| {
            (name.to_owned(), super::ColumnSpec { title: None, titles: Default::default(), ..column.clone() })
        })
        .collect();
    let text = serde_json::to_string(&(bare, zone, RULES))
        .map_err(|error| Error::invalid(format!("the cleaning cannot be written as JSON: {error}")))?;
    Ok(Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Counts up when cleaning itself reads values in another way, so that tables are cleaned anew.
const RULES: u32 = 2;
