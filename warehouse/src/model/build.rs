//! Builds a model: stage, check, publish. Readers see the last good version until the new one is
//! published as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use datafusion::prelude::ident;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{nearest, new_id};

use super::audit::{Audit, CheckResult};
use super::plan;
use super::progress;
use super::runs::{Cost, Outcome, Run, costs, record};
use super::spec::{Check, Incremental, ModelSpec, Refresh};
use crate::session::caught;
use crate::{
    Calendar, Error, Landing, LoadMark, Result, Since, Staged, TableName, Warehouse, Zone, references,
};

/// What one build did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BuildReport {
    /// Version that is served now: the new one, or the last good one. None before the first.
    pub version: Option<i64>,
    /// Rows computed; for an incremental build those since `$since`.
    pub rows: u64,
    pub checks: Vec<CheckResult>,
    /// False when a check failed: nothing changed for readers.
    pub published: bool,
    /// The whole table was computed.
    pub full: bool,
    /// Bytes that the computed rows take.
    pub bytes: u64,
    /// What was computed is what the table held: it is not newer than it was.
    pub unchanged: bool,
}

/// Whether a model is to be built, and what that means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Due {
    pub model: String,
    pub stale: bool,
    /// Building it computes every row, also for one new row.
    pub full: bool,
    /// Why, for people; empty when it is up to date.
    pub reason: String,
    /// What its last builds took.
    pub cost: Option<Cost>,
}

impl BuildReport {
    /// What failed, in one sentence; empty when every check holds.
    pub fn message(&self) -> String {
        let failed: Vec<&str> =
            self.checks.iter().filter(|check| !check.ok).map(|check| check.message.as_str()).collect();
        failed.join("; ")
    }
}

impl Warehouse {
    /// Whether a model's table is older than its definition or any table it reads.
    ///
    /// # Errors
    /// `NotFound` for an unknown model, `Sql` when its tables cannot be told, or what the log reports.
    pub async fn is_stale(&self, model: &str) -> Result<bool> {
        Ok(Build::new(self, model)?.reason().await?.is_some())
    }

    /// As [`Self::is_stale`], with the reason and what a build costs. Errors likewise.
    pub async fn due(&self, model: &str) -> Result<Due> {
        let build = Build::new(self, model)?;
        let reason = build.reason().await?;
        let always = matches!(build.spec.refresh, Refresh::Full(_));
        Ok(Due {
            model: model.to_owned(),
            stale: reason.is_some(),
            full: always || reason.as_ref().is_some_and(|reason| reason.full),
            reason: reason.map_or_else(String::new, |reason| reason.text),
            cost: costs(self.db()).await?.remove(model),
        })
    }

    /// Computes a model and publishes it as `mart.<model>` if its checks hold. The run is
    /// recorded in `system.model_runs`.
    ///
    /// # Errors
    /// `NotFound` for an unknown model, `Sql` with a place in the model's file, or what reading
    /// and landing report. A failing check is no error: `published` is false.
    pub async fn build(&self, model: &str) -> Result<BuildReport> {
        self.run_build(model, false).await
    }

    /// The same for every row, also where an incremental model would go on from where it stands. Errors likewise.
    pub async fn build_full(&self, model: &str) -> Result<BuildReport> {
        self.run_build(model, true).await
    }

    async fn run_build(&self, model: &str, full: bool) -> Result<BuildReport> {
        let (warehouse, model) = (self.clone(), model.to_owned());
        self.workers().build(async move { warehouse.build_and_record(&model, full).await }).await
    }

    async fn build_and_record(&self, model: &str, full: bool) -> Result<BuildReport> {
        let build = Build::new(self, model)?;
        let started_at = self.clock().now();
        let outcome = caught(build.run(full)).await;
        let failure = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let (how, message) = match &outcome {
            Ok(report) if report.published => (Outcome::Published, String::new()),
            Ok(report) => (Outcome::Held, report.message()),
            Err(_) => (Outcome::Failed, failure),
        };
        let run = Run {
            id: new_id(self.clock().as_ref()),
            model,
            started_at,
            finished_at: self.clock().now(),
            outcome: how,
            full: outcome.as_ref().is_ok_and(|report| report.full),
            version: outcome.as_ref().ok().and_then(|report| report.version),
            rows: outcome.as_ref().ok().map(|report| report.rows),
            bytes: outcome.as_ref().ok().map(|report| report.bytes),
            checks: outcome.as_ref().map_or(&[], |report| &report.checks),
            message: &message,
        };
        record(self.db(), &run).await?;
        if how == Outcome::Held {
            tracing::warn!(table.name = %build.table, "a check failed; the last good version stays: {message}");
        }
        outcome
    }
}

struct Build<'a> {
    warehouse: &'a Warehouse,
    spec: ModelSpec,
    table: TableName,
    stream: String,
}

impl<'a> Build<'a> {
    fn new(warehouse: &'a Warehouse, model: &str) -> Result<Self> {
        let definitions = warehouse.definitions();
        let Some(spec) = definitions.models.get(model).cloned() else {
            let near = nearest(model, definitions.models.keys().map(String::as_str));
            return Err(Error::NotFound {
                what: format!("model `{model}`"),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        };
        Ok(Self {
            table: TableName::new(Zone::Mart, model).map_err(Error::invalid)?,
            stream: format!("model/{model}"),
            warehouse,
            spec,
        })
    }

    /// Why the model is to be built; `None` when it is up to date.
    async fn reason(&self) -> Result<Option<Reason>> {
        let (definition, inputs) = (self.definition().await?, self.inputs().await?);
        let Some(mark) = self.warehouse.mark(&self.table, &self.stream).await? else {
            return Ok(Some(Reason { full: true, text: "it was never built".into() }));
        };
        if !progress::wrote(&mark, &definition) {
            let text = "its SQL, its refresh, its checks, the calendar or a definition behind it changed";
            return Ok(Some(Reason { full: true, text: text.into() }));
        }
        let mut moved = vec![];
        for (table, version) in &inputs {
            let stood = progress::input(&mark, table);
            if stood == Some(*version) {
                continue;
            }
            // Merged files and kept positions are versions too, without other rows.
            let same = match (stood, table.parse::<TableName>()) {
                (Some(stood), Ok(name)) => {
                    matches!(self.warehouse.snapshot_since(&name, stood).await?, Since::Unchanged { .. })
                }
                _ => false,
            };
            if !same {
                moved.push(table.as_str());
            }
        }
        let text = || format!("{} changed", moved.join(", "));
        Ok((!moved.is_empty()).then(|| Reason { full: false, text: text() }))
    }

    async fn run(&self, full: bool) -> Result<BuildReport> {
        // Read before the rows are: a table that moves on meanwhile makes the model stale again.
        let (definition, inputs) = (self.definition().await?, self.inputs().await?);
        let mark = self.warehouse.mark(&self.table, &self.stream).await?;
        let since = match (&self.spec.refresh, &mark) {
            (Refresh::Incremental(how), Some(mark)) if !full && progress::wrote(mark, &definition) => {
                progress::since_value(self.warehouse, &self.table, how).await?
            }
            _ => None,
        };
        let incremental = since.as_ref().and(match &self.spec.refresh {
            Refresh::Incremental(how) => Some(how),
            Refresh::Full(_) => None,
        });
        let staged = self.stage(since.clone()).await?;
        let checks = match self.audit(&staged, incremental.zip(since.as_ref())).await {
            Ok(checks) => checks,
            Err(error) => {
                self.warehouse.discard(staged).await;
                return Err(error);
            }
        };
        let mut report = BuildReport {
            rows: staged.rows,
            published: checks.iter().all(|check| check.ok),
            checks,
            full: incremental.is_none(),
            version: None,
            bytes: staged.bytes(),
            unchanged: false,
        };
        if !report.published {
            self.warehouse.discard(staged).await;
            report.version = self.warehouse.snapshot(&self.table).await?.map(|snapshot| snapshot.version);
            return Ok(report);
        }
        let mark = LoadMark {
            stream: self.stream.clone(),
            seq: mark.map_or(0, |mark| mark.seq) + 1,
            cursor: progress::cursor(&definition, &inputs),
            operation: new_id(self.warehouse.clock().as_ref()),
        };
        let how = match incremental.zip(since) {
            Some((how, since)) => Landing::Interval {
                column: how.since.clone(),
                since: progress::start(&since)?,
                keys: how.key.clone(),
            },
            None => Landing::Replace,
        };
        let landed = self.warehouse.publish(staged, how, mark).await?;
        (report.version, report.unchanged) = (Some(landed.version), landed.unchanged);
        Ok(report)
    }

    /// A model that only rejected rows made empty keeps its rows: the cleaning tells what does not fit.
    async fn emptied(&self, staged: &Staged) -> Result<Option<CheckResult>> {
        let present = self.warehouse.snapshot(&self.table).await?.and_then(|snapshot| snapshot.rows());
        if staged.rows > 0 || present.unwrap_or(0) == 0 {
            return Ok(None);
        }
        let rows = async |table: &TableName| -> Result<u64> {
            Ok(self.warehouse.snapshot(table).await?.and_then(|snapshot| snapshot.rows()).unwrap_or(0))
        };
        for table in references(&self.spec.sql).map_err(|problem| self.sql_error(problem))? {
            if table.zone != Zone::Clean || rows(&table).await? > 0 {
                continue;
            }
            let rejects = TableName::new(Zone::Clean, &format!("{}_rejected", table.name));
            let rejected = rows(&rejects.map_err(Error::invalid)?).await?;
            if rejected > 0 {
                let message = format!("{table} has no rows: {rejected} are set aside");
                return Ok(Some(CheckResult::emptied(rejected, message)));
            }
        }
        Ok(None)
    }

    /// The model's definition with those that wrote the clean and mart tables it reads, by their logs: a
    /// cleaning that was edited counts from when its table was cleaned anew.
    async fn definition(&self) -> Result<String> {
        let mut read = BTreeMap::new();
        for table in references(&self.spec.sql).map_err(|problem| self.sql_error(problem))? {
            let stream = match table.zone {
                Zone::Clean => format!("clean/{}", table.name),
                Zone::Mart => format!("model/{}", table.name),
                _ => continue,
            };
            if let Some(mark) = self.warehouse.mark(&table, &stream).await? {
                read.insert(table.to_string(), mark.cursor["definition"].clone());
            }
        }
        Ok(fingerprint(&self.spec, self.warehouse.calendar(), &read))
    }

    /// The tables the model reads, with their versions now; -1 for one that does not exist.
    async fn inputs(&self) -> Result<BTreeMap<String, i64>> {
        let mut inputs = BTreeMap::new();
        for table in references(&self.spec.sql).map_err(|problem| self.sql_error(problem))? {
            if table.zone != Zone::System {
                let version = self.warehouse.snapshot(&table).await?.map_or(-1, |snapshot| snapshot.version);
                inputs.insert(table.to_string(), version);
            }
        }
        Ok(inputs)
    }

    async fn stage(&self, since: Option<ScalarValue>) -> Result<Staged> {
        let cx = self.warehouse.context();
        let whole = since.is_none();
        let plan = match plan::plan(&cx, &self.spec, since).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.sql_error(plan::problem(&cx, &self.spec, error))),
        };
        let schema = plan::columns(&plan).map_err(|problem| self.sql_error(problem))?;
        self.known_columns(&schema)?;
        let mut frame = DataFrame::new(cx.state(), plan);
        // The whole of an incremental model is laid by its key, for the rows that will change.
        let ordered = match &self.spec.refresh {
            Refresh::Incremental(how) if whole => {
                frame =
                    frame.sort(how.key.iter().map(|key| ident(key.as_str()).sort(true, false)).collect())?;
                true
            }
            _ => false,
        };
        let rows = frame.execute_stream().await?;
        // The schema travels even when no row does.
        let first = stream::iter([Ok(arrow::array::RecordBatch::new_empty(rows.schema()))]);
        let rows = first.chain(rows.map_err(Error::from)).boxed();
        match ordered {
            true => self.warehouse.stage_in_order(&self.table, rows).await,
            false => self.warehouse.stage(&self.table, rows).await,
        }
    }

    fn sql_error(&self, problem: store::Problem) -> Error {
        let (line, column) = problem.at.map_or((None, None), |(l, c)| (Some(l as u64), Some(c as u64)));
        let message = format!("model {}: {}", self.spec.name, problem.message);
        Error::Sql { message, line, column, hint: problem.hint }
    }

    fn known_columns(&self, schema: &SchemaRef) -> Result<()> {
        match super::check::against_columns(&self.spec, schema).into_iter().next() {
            None => Ok(()),
            Some(problem) => {
                Err(self.sql_error(store::Problem { message: problem.to_string(), hint: None, ..problem }))
            }
        }
    }

    async fn audit(
        &self,
        staged: &Staged,
        incremental: Option<(&Incremental, &ScalarValue)>,
    ) -> Result<Vec<CheckResult>> {
        let (built, whole) = (self.warehouse.context(), self.warehouse.context());
        built.register_table("this", staged.provider())?;
        match incremental {
            None => whole.register_table("this", staged.provider())?,
            Some((how, since)) => {
                let merged =
                    progress::merged(self.warehouse, &whole, &self.table, staged, how, since).await?;
                whole.register_table("this", merged.into_view())?
            }
        };
        let key = sample_key(&self.spec, &staged.schema);
        let mut checks = Audit { built, whole, key }.run(&self.spec.checks).await?;
        if incremental.is_none() {
            checks.extend(self.emptied(staged).await?);
        }
        Ok(checks)
    }
}

/// Columns that name a row in samples: the key of the refresh, else the first unique check, else
/// the first column.
fn sample_key(spec: &ModelSpec, schema: &Arc<arrow::datatypes::Schema>) -> Vec<String> {
    let unique = spec.checks.iter().find_map(|check| match check {
        Check::Unique(columns) => Some(columns.clone()),
        _ => None,
    });
    match (&spec.refresh, unique) {
        (_, Some(columns)) => columns,
        (Refresh::Incremental(how), None) => how.key.clone(),
        (Refresh::Full(_), None) => schema.fields().first().map(|f| f.name().clone()).into_iter().collect(),
    }
}

/// Why a model is to be built.
struct Reason {
    full: bool,
    text: String,
}

/// Another SQL, refresh or set of checks means that old rows cannot be trusted, and so does another calendar or
/// another definition behind the tables that were read: rows before `$since` would keep its old numbers.
fn fingerprint(spec: &ModelSpec, calendar: &Calendar, read: &BTreeMap<String, Value>) -> String {
    let calendar = format!("{calendar:?}");
    let parts = json!([spec.sql, spec.refresh, spec.checks, read, calendar, RULES]);
    Sha256::digest(parts.to_string()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Counts up when building itself comes to other rows, so that tables are built anew.
const RULES: u32 = 2;
