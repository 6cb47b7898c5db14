//! Checks of a model, asked of the rows that are about to be published.

use arrow::array::{Array, RecordBatch};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::plan::select;
use super::spec::{Accepted, Check, Rows, SqlCheck};
use crate::clean::{literal, quoted};
use crate::{Error, Result};

/// How one check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// `not_null(id)`, `unique(id, day)`, or the name of an SQL check.
    pub name: String,
    pub ok: bool,
    /// Rows that fail; for a row count the rows that are missing or too many.
    pub failing: u64,
    /// Keys of up to five failing rows.
    pub samples: Vec<String>,
    /// One sentence; empty when the check holds.
    pub message: String,
}

/// Failing rows that are shown.
const SAMPLES: usize = 5;

/// Where the checks look: `this` in each context.
pub(super) struct Audit {
    /// `this` = the rows just built.
    pub(super) built: SessionContext,
    /// `this` = the whole table as it would be published.
    pub(super) whole: SessionContext,
    /// Columns that name a row in samples.
    pub(super) key: Vec<String>,
}

impl Audit {
    /// Runs every check. Errors are those of the queries: a check over a missing column fails the
    /// build, it does not pass.
    pub(super) async fn run(&self, checks: &[Check]) -> Result<Vec<CheckResult>> {
        let mut results = Vec::with_capacity(checks.len());
        for check in checks {
            results.push(self.one(check).await?);
        }
        Ok(results)
    }

    async fn one(&self, check: &Check) -> Result<CheckResult> {
        match check {
            // Rows that stay were checked when they came, by the same definition.
            Check::NotNull(columns) => self.not_null(columns).await,
            Check::Accepted(accepted) => self.accepted(accepted).await,
            Check::Unique(columns) => self.unique(columns).await,
            Check::Rows(rows) => self.rows(rows).await,
            Check::Sql(sql) => self.sql(sql).await,
        }
    }

    async fn not_null(&self, columns: &[String]) -> Result<CheckResult> {
        let missing: Vec<String> = columns.iter().map(|c| format!("{} IS NULL", quoted(c))).collect();
        let name = format!("not_null({})", columns.join(", "));
        self.failing_rows(name, &missing.join(" OR "), "lack a value").await
    }

    async fn accepted(&self, accepted: &Accepted) -> Result<CheckResult> {
        let column = quoted(&accepted.column);
        let values: Vec<String> = accepted.values.iter().map(|value| literal(value)).collect();
        let outside =
            format!("{column} IS NOT NULL AND CAST({column} AS VARCHAR) NOT IN ({})", values.join(", "));
        let name = format!("accepted({})", accepted.column);
        self.failing_rows(name, &outside, "hold a value that is not accepted").await
    }

    async fn failing_rows(&self, name: String, predicate: &str, what: &str) -> Result<CheckResult> {
        let failing = number(&self.built, &format!("SELECT count(*) FROM this WHERE {predicate}")).await?;
        if failing == 0 {
            return Ok(CheckResult::held(name));
        }
        let shown: Vec<String> = self.key.iter().map(|key| quoted(key)).collect();
        let sql = format!("SELECT {} FROM this WHERE {predicate} LIMIT {SAMPLES}", shown.join(", "));
        let samples = samples(self.built.sql(&sql).await?).await?;
        Ok(CheckResult::failed(name, failing, samples, what))
    }

    async fn unique(&self, columns: &[String]) -> Result<CheckResult> {
        let name = format!("unique({})", columns.join(", "));
        let keys: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let keys = keys.join(", ");
        let groups = format!(
            "SELECT {keys}, count(*) AS \"rows of key\" FROM this GROUP BY {keys} HAVING count(*) > 1"
        );
        let failing =
            number(&self.whole, &format!("SELECT coalesce(sum(\"rows of key\"), 0) FROM ({groups})")).await?;
        if failing == 0 {
            return Ok(CheckResult::held(name));
        }
        let sql =
            format!("SELECT {keys} FROM ({groups}) ORDER BY \"rows of key\" DESC, {keys} LIMIT {SAMPLES}");
        let samples = samples(self.whole.sql(&sql).await?).await?;
        Ok(CheckResult::failed(name, failing, samples, "share their key with another row"))
    }

    async fn rows(&self, rows: &Rows) -> Result<CheckResult> {
        let name = "rows".to_owned();
        let found = number(&self.whole, "SELECT count(*) FROM this").await?;
        let (failing, message) = match (rows.min, rows.max) {
            (Some(min), _) if found < min => (min - found, format!("{found} rows, expected at least {min}")),
            (_, Some(max)) if found > max => (found - max, format!("{found} rows, expected at most {max}")),
            _ => return Ok(CheckResult::held(name)),
        };
        Ok(CheckResult { name, ok: false, failing, samples: Vec::new(), message })
    }

    async fn sql(&self, check: &SqlCheck) -> Result<CheckResult> {
        let plan = select(&self.whole, &check.query).await?;
        let mut stream = DataFrame::new(self.whole.state(), plan).execute_stream().await?;
        let (mut failing, mut shown) = (0u64, Vec::new());
        while let Some(batch) = stream.try_next().await? {
            failing += batch.num_rows() as u64;
            let room = SAMPLES.saturating_sub(shown.len());
            shown.extend(texts(&self.keys_of(&batch)?, room)?);
        }
        if failing == 0 {
            return Ok(CheckResult::held(check.name.clone()));
        }
        Ok(CheckResult::failed(check.name.clone(), failing, shown, "were returned by its query"))
    }

    /// The key columns of a returned row when it has them all, otherwise the whole row.
    fn keys_of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let schema = batch.schema();
        let indices: Option<Vec<usize>> =
            self.key.iter().map(|key| schema.column_with_name(key).map(|(at, _)| at)).collect();
        Ok(match indices {
            Some(indices) if !indices.is_empty() => batch.project(&indices)?,
            _ => batch.clone(),
        })
    }
}

impl CheckResult {
    /// The check that every model has: rows that were set aside do not empty it.
    pub(super) fn emptied(rejected: u64, message: String) -> Self {
        Self {
            name: "not emptied by rejects".into(),
            ok: false,
            failing: rejected,
            samples: Vec::new(),
            message,
        }
    }

    fn held(name: String) -> Self {
        Self { name, ok: true, failing: 0, samples: Vec::new(), message: String::new() }
    }

    fn failed(name: String, failing: u64, samples: Vec<String>, what: &str) -> Self {
        let examples = match samples.is_empty() {
            true => String::new(),
            false => format!(", such as {}", samples.join("; ")),
        };
        let message = format!("{name}: {failing} rows {what}{examples}");
        Self { name, ok: false, failing, samples, message }
    }
}

/// The single number that a query returns.
async fn number(cx: &SessionContext, sql: &str) -> Result<u64> {
    let batches = cx.sql(sql).await?.collect().await?;
    let value = batches
        .iter()
        .find(|batch| batch.num_rows() > 0)
        .map(|batch| arrow::util::display::array_value_to_string(batch.column(0), 0));
    match value {
        Some(text) => {
            text?.parse().map_err(|_| Error::invalid("a check counted to something that is no number"))
        }
        None => Ok(0),
    }
}

async fn samples(rows: DataFrame) -> Result<Vec<String>> {
    let mut shown = Vec::new();
    for batch in rows.collect().await? {
        shown.extend(texts(&batch, SAMPLES - shown.len().min(SAMPLES))?);
    }
    Ok(shown)
}

/// Up to `most` rows as `id=5, day=2026-01-02`.
fn texts(batch: &RecordBatch, most: usize) -> Result<Vec<String>> {
    let schema = batch.schema();
    (0..batch.num_rows().min(most))
        .map(|row| {
            let cells: Result<Vec<String>> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, array)| {
                    let value = match array.is_null(row) {
                        true => "null".to_owned(),
                        false => arrow::util::display::array_value_to_string(array, row)?,
                    };
                    Ok(format!("{}={}", field.name(), value.chars().take(80).collect::<String>()))
                })
                .collect();
            Ok(cells?.join(", "))
        })
        .collect()
}
