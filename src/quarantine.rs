//! One quarantine for both zones: rows that could not land (`raw.shop_orders`) and rows that did not fit their
//! cleaning (`clean.orders`), with what can be done about them. The command line and HTTP call the same.

use access::{Event, Principal};
use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use warehouse::clean::CleanReport;
use warehouse::{TableName, Zone};

use crate::cells;
use crate::flow::Happened;
use crate::platform::Platform;
use crate::project::Loaded;

/// Reasons that are counted apart, a table.
const REASONS: usize = 50;

/// The quarantine of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The table whose rows are missing.
    pub table: TableName,
    of: Of,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Clean,
    Stream {
        source: String,
        stream: String,
    },
    /// Its stream or cleaning is no longer defined: its rows can be seen and discarded.
    Nothing,
}

/// Rows of one quarantine, counted: `{table, zone, rows, reasons: [{column, reason, count, first}]}`.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    /// `raw.shop_orders` or `clean.orders`; what the other calls take.
    pub table: String,
    /// `raw` or `clean`.
    pub zone: &'static str,
    pub rows: u64,
    pub reasons: Vec<Counts>,
}

/// Rows quarantined for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    /// `null` where the whole line did not fit.
    pub column: Option<String>,
    pub reason: Option<String>,
    pub count: u64,
    /// Where the first one stands.
    pub first: Option<String>,
}

/// What a retry does.
#[derive(Debug, Clone)]
pub enum Retried {
    /// Cleaned again; the report says what fits now.
    Cleaned(Box<CleanReport>),
    /// To be read again by the next sync of this stream: these files, or all of it when there are none.
    Asked { source: String, stream: String, files: Vec<String> },
}

/// No quarantine of this name.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(pub String);

impl Quarantine {
    /// Where the rows stand.
    pub fn rejected(&self) -> TableName {
        TableName { zone: self.table.zone, name: format!("{}_rejected", self.table.name) }
    }

    fn of(live: &Loaded, table: TableName) -> Self {
        let of = match table.zone {
            Zone::Clean if live.project.cleans.contains_key(&table.name) => Of::Clean,
            Zone::Raw => stream_of(live, &table).unwrap_or(Of::Nothing),
            _ => Of::Nothing,
        };
        Self { table, of }
    }
}

fn stream_of(live: &Loaded, table: &TableName) -> Option<Of> {
    live.project.sources.iter().find_map(|(source, spec)| {
        let mut names = spec.streams.keys();
        let stream = names.find(|stream| ingest::SourceSpec::table(source, stream) == *table)?;
        Some(Of::Stream { source: source.clone(), stream: stream.clone() })
    })
}

impl Platform {
    /// The quarantine of a table by its name: `raw.shop_orders`, `clean.orders`, or `orders` for a clean table.
    ///
    /// # Errors
    /// [`Unknown`] when there is neither such a table nor a definition of it.
    pub async fn quarantine(&self, name: &str) -> Result<Quarantine> {
        let live = self.project();
        let bare = name.strip_suffix("_rejected").unwrap_or(name);
        let full = if bare.contains('.') { bare.to_owned() } else { format!("clean.{bare}") };
        let table: TableName = full.parse().map_err(Unknown)?;
        let found = Quarantine::of(&live, table);
        if found.of != Of::Nothing || self.warehouse.snapshot(&found.rejected()).await?.is_some() {
            return Ok(found);
        }
        let known: Vec<String> = live
            .project
            .cleans
            .keys()
            .map(|name| format!("clean.{name}"))
            .chain(live.project.sources.iter().flat_map(|(source, spec)| {
                spec.streams.keys().map(move |s| ingest::SourceSpec::table(source, s).to_string())
            }))
            .collect();
        let near = store::nearest(&full, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Err(Unknown(format!("no table {full} has a quarantine{near}")).into())
    }

    /// Every quarantine with rows, in the order of the line: raw, then clean.
    pub async fn quarantines(&self) -> Result<Vec<Counted>> {
        let mut found = Vec::new();
        for table in self.warehouse.tables().await {
            let zone = match table.name.zone {
                Zone::Raw => "raw",
                Zone::Clean => "clean",
                _ => continue,
            };
            let Some(name) = table.name.name.strip_suffix("_rejected") else { continue };
            // A table of somebody else may have such a name.
            if table.rows == Some(0) || table.schema.field_with_name("reason").is_err() {
                continue;
            }
            let reasons = self.counted(&table.name, &table.schema).await?;
            let rows = match table.rows {
                Some(rows) => rows,
                None => reasons.iter().map(|r| r.count).sum(),
            };
            if rows > 0 {
                found.push(Counted { table: format!("{zone}.{name}"), zone, rows, reasons });
            }
        }
        found.sort_by(|a, b| (a.zone != "raw", &a.table).cmp(&(b.zone != "raw", &b.table)));
        Ok(found)
    }

    async fn counted(&self, table: &TableName, schema: &arrow::datatypes::Schema) -> Result<Vec<Counts>> {
        let has = |name: &str| schema.field_with_name(name).is_ok();
        let (column, first) = if has("column") {
            let key = if has("key") { "'key ' || \"key\"" } else { "null" };
            (
                "\"column\"",
                format!(
                    "first_value(concat_ws(': ', coalesce(file || ' row ' || cast(\"row\" as varchar), {key}), left(value, 60)) order by loaded_at, file, \"row\")"
                ),
            )
        } else {
            // Rows set aside while landing name no column: their whole line did not fit.
            (
                "cast(null as varchar)",
                "first_value(coalesce(_file || ' row ' || cast(_row as varchar), left(text, 60)) order by _loaded_at, _file, _row)"
                    .to_owned(),
            )
        };
        let sql = format!(
            "select {column}, reason, count(*) as n, {first} from {}.\"{}\" group by 1, 2 order by n desc limit {REASONS}",
            table.zone, table.name
        );
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let (batches, _) =
            self.warehouse.session(&Principal::system()).sql(&sql).await?.collect(REASONS).await?;
        let mut reasons = Vec::new();
        for batch in &batches {
            for row in cells::rows(batch, self.warehouse.timezone())? {
                reasons.push(Counts {
                    column: text(&row[0]),
                    reason: text(&row[1]),
                    count: row[2].as_u64().unwrap_or_default(),
                    first: text(&row[3]),
                });
            }
        }
        Ok(reasons)
    }

    /// Judges the rows again by the definition now in force: quarantined rows of a cleaning are cleaned again at
    /// once, rows that could not land are read again by the next sync of their stream.
    pub async fn retry_quarantine(&self, of: &Quarantine, actor: &str) -> Result<Retried> {
        let retried = match &of.of {
            Of::Clean => {
                let report = self.warehouse.release(&of.table.name).await?;
                self.follow(Happened::Cleaned(of.table.clone())).await?;
                Retried::Cleaned(Box::new(report))
            }
            Of::Stream { source, stream } => {
                let live = self.project();
                let Some(spec) = live.project.sources.get(source) else {
                    return Err(Unknown(format!("no source {source}")).into());
                };
                let files = self.ingest.ask_retry(source, spec, stream).await?.into_iter().collect();
                Retried::Asked { source: source.clone(), stream: stream.clone(), files }
            }
            Of::Nothing => {
                return Err(Unknown(format!(
                    "{} is no longer defined, so its rows can only be seen or discarded",
                    of.table
                ))
                .into());
            }
        };
        self.redone(actor, "quarantine.retry", &of.table.to_string(), "").await?;
        Ok(retried)
    }

    /// Empties a quarantine; how many rows that were.
    pub async fn discard_quarantine(&self, of: &Quarantine, actor: &str) -> Result<u64> {
        let live = self.project();
        let rows = match &of.of {
            Of::Stream { source, stream } if live.project.sources.contains_key(source) => {
                self.ingest.discard_rejected(source, &live.project.sources[source], stream).await?
            }
            _ if of.table.zone == Zone::Clean => self.warehouse.discard_quarantine(&of.table.name).await?,
            // Nobody fills it any more: the table itself goes.
            _ => {
                let rejected = of.rejected();
                let rows = self.warehouse.snapshot(&rejected).await?.and_then(|s| s.rows()).unwrap_or(0);
                self.warehouse.drop_table(&rejected).await?;
                rows
            }
        };
        self.redone(actor, "quarantine.discard", &of.table.to_string(), &format!("{rows} rows")).await?;
        Ok(rows)
    }

    /// Asks for a stream to be forgotten and read again from its start by its next sync.
    pub async fn ask_reset(&self, source: &str, stream: &str, actor: &str) -> Result<()> {
        let live = self.project();
        let Some(spec) = live.project.sources.get(source) else {
            return Err(Unknown(format!("no source {source} in sources/")).into());
        };
        self.ingest.ask_reset(source, spec, stream).await?;
        self.redone(actor, "source.reset", &format!("{source}.{stream}"), "").await
    }

    /// What the next sync does over because its definition changed, or because someone asked, a line each:
    /// ``reads oa.approvals again: `encoding` changed``.
    pub async fn redone_by_definitions(&self) -> Result<Vec<String>> {
        let live = self.project();
        let mut lines = Vec::new();
        for (source, spec) in &live.project.sources {
            for (stream, why) in self.ingest.pending(source, spec).await? {
                lines.push(format!("reads {source}.{stream} again: {why}"));
            }
        }
        for name in live.project.cleans.keys() {
            // A cleaning that is wrong is told among the findings.
            if self.warehouse.is_clean_changed(name).await.unwrap_or(false) {
                lines.push(format!("cleans clean.{name} again: its definition changed"));
            }
        }
        Ok(lines)
    }

    async fn redone(&self, actor: &str, action: &str, object: &str, detail: &str) -> Result<()> {
        self.audit.record(Event::new(actor, action, object, "ok").detail(detail)).await?;
        Ok(())
    }
}
