//! Answers of metrics, shared between viewers: one question over one state of its tables is computed
//! once, however many people look at it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use access::{Principal, Role};
use arrow::datatypes::DataType;
use moka::future::Cache;
use store::Timestamp;
use tokio::sync::Semaphore;
use warehouse::metric::{Grain, Measure, MetricAnswer, MetricQuery, MetricSpec};
use warehouse::{Definitions, Snapshot, TableName, Warehouse, Zone};

use crate::answer::{Evidence, TableState, TileFailure};
use crate::check::tables_behind;
use crate::error::Error;
use crate::spec::DashboardSpec;

/// Memory that kept answers may take, in bytes, and how many there may be.
const CACHE_BYTES: u64 = 64 << 20;
const CACHE_ENTRIES: u64 = 10_000;
/// An answer that nobody asked for so long is dropped.
const CACHE_IDLE: Duration = Duration::from_secs(15 * 60);
/// How long an answer about Guanlan itself is good for.
const SYSTEM_ANSWER_SECONDS: i64 = 5;
/// Queries of all pages together that run at once; more would only fight for the same cores and memory.
const QUERIES_AT_ONCE: usize = 4;

/// Asks metrics and keeps their answers.
pub(crate) struct Reader {
    warehouse: Warehouse,
    cache: Cache<Key, Arc<MetricAnswer>>,
    gate: Semaphore,
}

/// What an answer depends on: the question, the definition of the number, what the reader may see,
/// and the versions of the tables.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    query: MetricQuery,
    definition: u64,
    roles: Vec<Role>,
    versions: Vec<(TableName, Option<i64>)>,
}

/// An answer, and whether it was there already.
pub(crate) struct Hit {
    pub(crate) answer: Arc<MetricAnswer>,
    cached: bool,
}

impl Reader {
    pub(crate) fn new(warehouse: Warehouse) -> Self {
        let least = u32::try_from(CACHE_BYTES / CACHE_ENTRIES).unwrap_or(u32::MAX);
        let cache = Cache::builder()
            .max_capacity(CACHE_BYTES)
            .weigher(move |_: &Key, answer: &Arc<MetricAnswer>| weight(answer).max(least))
            .time_to_idle(CACHE_IDLE)
            .build();
        Self { warehouse, cache, gate: Semaphore::new(QUERIES_AT_ONCE) }
    }

    /// What is known right now about the tables behind a page; one look serves all its tiles.
    pub(crate) async fn state(&self, spec: &DashboardSpec, now: Timestamp) -> Result<State, Error> {
        let definitions = self.warehouse.definitions();
        let mut tables = HashMap::new();
        for table in tables_behind(spec, &definitions.metrics) {
            let snapshot = self.warehouse.snapshot(&table).await;
            let snapshot = snapshot.map_err(|e| Error::Catalogue(e.to_string()))?;
            tables.extend(snapshot.map(|snapshot| (table, snapshot)));
        }
        Ok(State { tables, definitions, now })
    }

    /// The answer to `query` for `who`. Readers with the same roles share answers, and readers who ask
    /// at the same time share the computation.
    pub(crate) async fn ask(
        &self,
        who: &Principal,
        state: &State,
        query: MetricQuery,
    ) -> Result<Hit, TileFailure> {
        let key = Key {
            definition: state.definition(&query.metric),
            roles: sorted_roles(who),
            versions: state.versions(&query.metric),
            query,
        };
        let compute = async {
            let _turn = self.gate.acquire().await.expect("the gate is never closed");
            self.warehouse.session(who).metric(&key.query).await.map(Arc::new).map_err(|e| failure(&e))
        };
        let entry = self
            .cache
            .entry(key.clone())
            .or_try_insert_with(compute)
            .await
            .map_err(|shared: Arc<TileFailure>| (*shared).clone())?;
        Ok(Hit { cached: !entry.is_fresh(), answer: entry.into_value() })
    }
}

/// Tables and definitions at one moment.
pub(crate) struct State {
    tables: HashMap<TableName, Arc<Snapshot>>,
    definitions: Arc<Definitions>,
    now: Timestamp,
}

impl State {
    pub(crate) fn metrics(&self) -> &BTreeMap<String, MetricSpec> {
        &self.definitions.metrics
    }

    pub(crate) fn metric(&self, name: &str) -> Option<&MetricSpec> {
        self.definitions.metrics.get(name)
    }

    fn behind(&self, metric: &str) -> Vec<TableName> {
        let Some(spec) = self.metric(metric) else { return Vec::new() };
        spec.tables(self.metrics()).into_iter().collect()
    }

    fn versions(&self, metric: &str) -> Vec<(TableName, Option<i64>)> {
        let version = |name: &TableName| match name.zone {
            // What Guanlan records about itself has no versions: its answers live for a few seconds.
            Zone::System => Some(self.now.timestamp().div_euclid(SYSTEM_ANSWER_SECONDS)),
            _ => self.tables.get(name).map(|snapshot| snapshot.version),
        };
        self.behind(metric).into_iter().map(|name| (name.clone(), version(&name))).collect()
    }

    /// A fingerprint of the metric and of every metric it is derived from, so that an edited
    /// definition is not answered from before.
    fn definition(&self, metric: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut open = vec![metric.to_owned()];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let Some(spec) = self.metric(&name) else { continue };
            name.hash(&mut hasher);
            // A definition always serializes; were it not so, the versions still tell answers apart.
            serde_json::to_string(spec).unwrap_or_default().hash(&mut hasher);
            if let Measure::Derived(derived) = &spec.measure {
                open.extend(derived.metrics.values().cloned());
            }
        }
        hasher.finish()
    }

    /// The finest bucket that the metric's time column can be cut into: a date has no hours.
    pub(crate) fn finest(&self, metric: &str) -> Grain {
        let mut open = vec![metric];
        for _ in 0..32 {
            let Some(spec) = open.pop().and_then(|name| self.metric(name)) else { break };
            if let Measure::Derived(derived) = &spec.measure {
                open.extend(derived.metrics.values().map(String::as_str));
            }
            let kind = spec.table.as_ref().and_then(|t| self.tables.get(t)).zip(spec.time.as_ref()).and_then(
                |(snapshot, column)| {
                    snapshot.schema.field_with_name(column).ok().map(|f| f.data_type().clone())
                },
            );
            if matches!(kind, Some(DataType::Date32 | DataType::Date64)) {
                return Grain::Day;
            }
        }
        Grain::Hour
    }

    fn updated_at(&self, table: &TableName) -> Option<Timestamp> {
        self.tables.get(table).map(|snapshot| snapshot.committed_at)
    }
}

impl Evidence {
    /// Adds where one more answer of the same tile comes from.
    pub(crate) fn note(&mut self, hit: &Hit, state: &State) {
        let first = self.query_id.is_empty();
        if first {
            self.query_id.clone_from(&hit.answer.query_id);
        }
        self.previous = self.previous.or(hit.answer.previous_range);
        self.incomplete |= hit.answer.incomplete;
        self.cached = hit.cached && (first || self.cached);
        self.as_of = match (self.as_of, hit.answer.as_of) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        for (name, version) in &hit.answer.tables {
            let text = name.to_string();
            if self.tables.iter().all(|t| t.name != text) {
                self.tables.push(TableState {
                    name: text,
                    version: *version,
                    updated_at: state.updated_at(name),
                });
            }
        }
    }
}

fn sorted_roles(who: &Principal) -> Vec<Role> {
    let mut roles = who.roles.clone();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Why a question has no answer, for the place where the answer would stand.
fn failure(error: &warehouse::Error) -> TileFailure {
    use warehouse::Error as E;
    let (code, hint) = match error {
        E::NotFound { .. } => {
            ("no_table", Some("the table appears once its source was read and its model built"))
        }
        E::Refused { .. } => ("not_permitted", Some("ask an administrator for the right to read it")),
        E::Timeout { .. } => ("timeout", None),
        E::Cancelled => ("cancelled", Some("load the tile again")),
        E::Exhausted { .. } => ("memory", None),
        E::Store { .. } | E::Conflict { .. } => ("unavailable", Some("load the tile again in a moment")),
        _ => ("query", None),
    };
    TileFailure { ok: false, code, detail: error.to_string(), hint: hint.map(str::to_owned), query_id: None }
}

/// Bytes of an answer, roughly.
fn weight(answer: &MetricAnswer) -> u32 {
    let keys: usize = answer.rows.iter().flat_map(|r| &r.by).flatten().map(|k| k.len() + 24).sum();
    u32::try_from(answer.rows.len() * 128 + keys + 512).unwrap_or(u32::MAX)
}
