//! Builds a model: stage, check, publish. Readers see the last good version until the new one is
//! published as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::dataframe::DataFrame;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{nearest, new_id};

use super::audit::{Audit, CheckResult};
use super::plan;
use super::progress::{self, since_value};
use super::runs::{Outcome, Run, record};
use super::spec::{Check, Incremental, ModelSpec, Refresh};
use crate::{Error, Landing, LoadMark, Result, Staged, TableName, Warehouse, Zone, references};

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
        let build = Build::new(self, model)?;
        let (definition, inputs) = (build.definition().await?, build.inputs().await?);
        let mark = self.mark(&build.table, &build.stream).await?;
        Ok(!mark.is_some_and(|mark| progress::stands(&mark, &definition, &inputs)))
    }

    /// Computes a model and publishes it as `mart.<model>` if its checks hold. The run is
    /// recorded in `system.model_runs`.
    ///
    /// # Errors
    /// `NotFound` for an unknown model, `Sql` with a place in the model's file, or what reading
    /// and landing report. A failing check is no error: `published` is false.
    pub async fn build(&self, model: &str) -> Result<BuildReport> {
        let build = Build::new(self, model)?;
        let started_at = self.clock().now();
        let outcome = build.run().await;
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

    async fn run(&self) -> Result<BuildReport> {
        // Read before the rows are: a table that moves on meanwhile makes the model stale again.
        let (definition, inputs) = (self.definition().await?, self.inputs().await?);
        let mark = self.warehouse.mark(&self.table, &self.stream).await?;
        let since = match (&self.spec.refresh, &mark) {
            (Refresh::Incremental(how), Some(mark)) if progress::wrote(mark, &definition) => {
                since_value(self.warehouse, &self.table, how).await?
            }
            _ => None,
        };
        let incremental = since.as_ref().and(match &self.spec.refresh {
            Refresh::Incremental(how) => Some(how),
            Refresh::Full(_) => None,
        });
        let staged = self.stage(since.clone()).await?;
        let checks = match self.audit(&staged, incremental).await {
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
        report.version = Some(self.publish(staged, incremental, mark).await?);
        Ok(report)
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
        Ok(fingerprint(&self.spec, &read))
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
        let plan = match plan::plan(&cx, &self.spec, since).await {
            Ok(plan) => plan,
            Err(error) => return Err(self.sql_error(plan::problem(&cx, &self.spec, error))),
        };
        let schema = plan::columns(&plan).map_err(|problem| self.sql_error(problem))?;
        self.known_columns(&schema)?;
        let rows = DataFrame::new(cx.state(), plan).execute_stream().await?;
        // The schema travels even when no row does.
        let first = stream::iter([Ok(arrow::array::RecordBatch::new_empty(rows.schema()))]);
        self.warehouse.stage(&self.table, first.chain(rows.map_err(Error::from)).boxed()).await
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

    async fn audit(&self, staged: &Staged, incremental: Option<&Incremental>) -> Result<Vec<CheckResult>> {
        let (built, whole) = (self.warehouse.context(), self.warehouse.context());
        built.register_table("this", staged.provider())?;
        match incremental {
            None => whole.register_table("this", staged.provider())?,
            Some(how) => {
                let merged = progress::merged(self.warehouse, &whole, &self.table, staged, &how.key).await?;
                whole.register_table("this", merged.into_view())?
            }
        };
        let key = sample_key(&self.spec, &staged.schema);
        Audit { built, whole, key }.run(&self.spec.checks).await
    }

    async fn publish(
        &self,
        staged: Staged,
        incremental: Option<&Incremental>,
        mark: LoadMark,
    ) -> Result<i64> {
        let Some(how) = incremental else {
            return Ok(self.warehouse.publish(staged, Landing::Replace, mark).await?.version);
        };
        match self.merged_anew(&staged, how).await {
            Ok(None) => {
                let upsert = Landing::Upsert { keys: how.key.clone() };
                Ok(self.warehouse.publish(staged, upsert, mark).await?.version)
            }
            // The rows are in `whole` now; whatever becomes of it, their first copy is not needed.
            Ok(Some(whole)) => {
                self.warehouse.discard(staged).await;
                Ok(self.warehouse.publish(whole, Landing::Replace, mark).await?.version)
            }
            Err(error) => {
                self.warehouse.discard(staged).await;
                Err(error)
            }
        }
    }

    /// Several rows a key: an upsert would keep one of them, so the table is written anew from the
    /// rows that stay and the rows that come. None when an upsert will do.
    async fn merged_anew(&self, staged: &Staged, how: &Incremental) -> Result<Option<Staged>> {
        if progress::is_unique(self.warehouse, staged, &how.key).await? {
            return Ok(None);
        }
        let cx = self.warehouse.context();
        let merged = progress::merged(self.warehouse, &cx, &self.table, staged, &how.key).await?;
        let rows = merged.execute_stream().await?.map_err(Error::from).boxed();
        self.warehouse.stage(&self.table, rows).await.map(Some)
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

/// Another SQL, refresh or set of checks means that old rows cannot be trusted, and so does another
/// definition behind the tables that were read: rows before `$since` would keep its old numbers.
fn fingerprint(spec: &ModelSpec, read: &BTreeMap<String, Value>) -> String {
    let mut parts = vec![json!(spec.sql), json!(spec.refresh), json!(spec.checks)];
    if !read.is_empty() {
        parts.push(json!(read));
    }
    let text = Value::from(parts).to_string();
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
