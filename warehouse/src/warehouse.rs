//! The warehouse as a whole: its parts, built once, and the doors to them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use access::{Permission, Principal, decide};
use chrono::Weekday;
use chrono_tz::Tz;
use datafusion::catalog::TableProvider;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionContext;
use object_store::ObjectStore;
use store::{Metadata, Objects, SharedClock};
use tokio::sync::broadcast;

use crate::calendar::Calendar;
use crate::catalog::{Catalog, TableChanged, TableInfo};
use crate::clean::{self, CleanSpec};
use crate::error::Result;
use crate::log::Snapshot;
use crate::metric::{self, MetricSpec};
use crate::model::{self, ModelSpec};
use crate::scan::{self, Place};
use crate::session::audit::{self, PastQuery};
use crate::session::{self, Registry, Session, Workers, budget};
use crate::system::SystemTable;
use crate::table::{TableName, Zone};
use crate::usage::{self, TablesScan};
use crate::{lineage, marks, memory};

/// Plain data; `calendar` holds zone, week start and fiscal month.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For all queries together.
    pub memory_mib: usize,
    /// For one query, from its start to its last row.
    pub timeout: Duration,
    /// Where queries spill; the system's temporary folder when not set.
    pub spill: Option<PathBuf>,
    /// Parallelism of a query; the number of cores when not set.
    pub partitions: Option<usize>,
    pub retention: Retention,
    pub calendar: Calendar,
}

/// How long what is no longer in a table stays for readers and for going back: by age and by room, whichever comes
/// first. What this process is reading stays in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub age: Duration,
    /// A table with its earlier versions takes at most so many times its own bytes.
    pub times_live: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(86_400), times_live: 3 }
    }
}

impl Settings {
    pub fn new(timezone: Tz, week_start: Weekday, fiscal_month: u32) -> Self {
        Self {
            memory_mib: 1024,
            timeout: Duration::from_secs(60),
            spill: None,
            partitions: None,
            retention: Retention::default(),
            calendar: Calendar::built_in(timezone).with_periods(week_start, fiscal_month),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(chrono_tz::Asia::Shanghai, Weekday::Mon, 1)
    }
}

/// What the project folder defines, by name. Swapped as a whole.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    pub cleans: BTreeMap<String, CleanSpec>,
    pub models: BTreeMap<String, ModelSpec>,
    pub metrics: BTreeMap<String, MetricSpec>,
}

/// A handle; clones share everything.
#[derive(Clone)]
pub struct Warehouse(Arc<Inner>);

struct Inner {
    place: Place,
    db: Metadata,
    clock: SharedClock,
    settings: Settings,
    calendar: Arc<Calendar>,
    catalog: Catalog,
    definitions: RwLock<Arc<Definitions>>,
    system: RwLock<BTreeMap<String, SystemTable>>,
    state: SessionState,
    running: Arc<Registry>,
    workers: Workers,
}

impl std::fmt::Debug for Warehouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Warehouse")
    }
}

const STEPS: [&str; 3] = [
    "CREATE TABLE warehouse_marks (table_name TEXT NOT NULL, stream TEXT NOT NULL, seq BIGINT NOT NULL,
        cursor TEXT NOT NULL, operation TEXT NOT NULL, landed BIGINT NOT NULL, version BIGINT NOT NULL,
        PRIMARY KEY (table_name, stream))",
    "CREATE TABLE queries (id TEXT PRIMARY KEY, user_name TEXT NOT NULL, statement TEXT NOT NULL,
        started_at BIGINT NOT NULL, elapsed_ms BIGINT NOT NULL, row_count BIGINT NOT NULL, outcome TEXT NOT NULL,
        error TEXT, tables TEXT NOT NULL);
     CREATE INDEX queries_started ON queries (started_at);
     CREATE INDEX queries_user ON queries (user_name, started_at)",
    "ALTER TABLE queries ADD COLUMN origin TEXT NOT NULL DEFAULT 'person'",
];

impl Warehouse {
    /// Opens the warehouse on a store. Tables are listed, not yet read.
    pub async fn open(
        objects: Objects,
        db: Metadata,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self> {
        Self::on(objects.store(), db, clock, settings).await
    }

    /// The same on any store (tests put one that fails in between).
    pub(crate) async fn on(
        store: Arc<dyn ObjectStore>,
        db: Metadata,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self> {
        db.migrate("warehouse", &STEPS).await?;
        model::prepare(&db).await?;
        clean::prepare(&db).await?;
        let url = ObjectStoreUrl::parse("guanlan://store")?;
        let place = Place { url, store };
        let environment = budget::environment(&settings, &place)?;
        let calendar = Arc::new(settings.calendar.clone());
        let mut state = budget::state(environment, &settings);
        session::functions::sql_functions(&mut state, &calendar, &clock)?;
        for function in metric::functions(&calendar) {
            state.register_udf(Arc::new(function))?;
        }
        let inner = Inner {
            catalog: Catalog::new(place.store.clone(), clock.clone()),
            place,
            db,
            clock,
            calendar,
            state,
            settings,
            definitions: RwLock::default(),
            system: RwLock::default(),
            running: Registry::start()?,
            workers: Workers::start()?,
        };
        let warehouse = Self(Arc::new(inner));
        warehouse.catalog().discover().await?;
        warehouse.register_system(audit::table());
        warehouse.register_system(clean::system_table());
        for table in model::system_tables() {
            warehouse.register_system(table);
        }
        Ok(warehouse)
    }

    pub fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    pub fn db(&self) -> &Metadata {
        &self.0.db
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub fn calendar(&self) -> &Arc<Calendar> {
        &self.0.calendar
    }

    pub fn timezone(&self) -> Tz {
        self.0.calendar.timezone()
    }

    pub fn definitions(&self) -> Arc<Definitions> {
        self.0.definitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_definitions(&self, definitions: Definitions) {
        *self.0.definitions.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(definitions);
    }

    /// A door for one principal.
    pub fn session(&self, who: &Principal) -> Session {
        Session::new(self.clone(), who)
    }

    /// Reading for jobs of the house: every zone, no timeout, the shared memory pool.
    pub fn context(&self) -> SessionContext {
        session::open(self, &Zone::ALL, None, None)
    }

    /// The same with rows in the order of files.
    pub(crate) fn one_partition(&self) -> SessionContext {
        session::open(self, &Zone::ALL, Some(1), None)
    }

    /// The newest version of a table; `None` when there is no such table.
    pub async fn snapshot(&self, table: &TableName) -> Result<Option<Arc<Snapshot>>> {
        self.catalog().snapshot(table).await
    }

    pub fn provider(&self, snapshot: Arc<Snapshot>) -> Arc<dyn TableProvider> {
        scan::provider(snapshot, self.place())
    }

    /// Every commit of ours, and those of others when they are seen.
    pub fn changes(&self) -> broadcast::Receiver<TableChanged> {
        self.catalog().changes()
    }

    /// Adds a table of the zone system (or replaces one of its name).
    pub fn register_system(&self, table: SystemTable) {
        self.0.system.write().unwrap_or_else(PoisonError::into_inner).insert(table.name.clone(), table);
    }

    /// Removes a table and all its data.
    pub async fn drop_table(&self, table: &TableName) -> Result<()> {
        self.catalog().remove(table).await?;
        marks::forget(self.db(), table).await;
        Ok(())
    }

    /// Every table. One that cannot be read is left out and logged; the others stay usable.
    pub async fn tables(&self) -> Vec<TableInfo> {
        if let Err(e) = self.catalog().rediscover().await {
            tracing::warn!(error.message = %e, "the store could not be listed; known tables are shown");
        }
        let definitions = self.definitions();
        let lineage = Lineage::of(&definitions);
        let states = model::states(self.db()).await.unwrap_or_else(|e| {
            tracing::warn!(error.message = %e, "the outcomes of builds could not be read");
            BTreeMap::new()
        });
        let mut found = vec![];
        for name in self.catalog().names() {
            match self.snapshot(&name).await {
                Ok(Some(snapshot)) => found.push(info(&snapshot, &definitions, &lineage, &states)),
                Ok(None) => {}
                Err(e) => tracing::error!(table.name = %name, error.message = %e, "a table cannot be read"),
            }
        }
        let system = self.0.system.read().unwrap_or_else(PoisonError::into_inner).clone();
        let own = (usage::TABLES.to_owned(), usage::schema());
        let system = system.into_values().map(|table| (table.name, table.schema)).chain([own]);
        found.extend(system.filter_map(|(name, schema)| {
            Some(TableInfo {
                name: TableName::new(Zone::System, &name).ok()?,
                schema,
                rows: None,
                bytes: 0,
                files: 0,
                version: 0,
                updated_at: self.clock().now(),
                title: None,
                columns: BTreeMap::new(),
                upstream: vec![],
                downstream: vec![],
                checks: None,
            })
        }));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The models whose last build failed, with what failed and when.
    ///
    /// # Errors
    /// The metadata database cannot be read.
    pub async fn failed_builds(&self) -> Result<BTreeMap<String, model::ModelState>> {
        let states = model::states(self.db()).await?;
        // One that is being built has nothing to tell yet.
        Ok(states.into_iter().filter(|(_, state)| !state.ok && !state.message.is_empty()).collect())
    }

    /// The cleanings whose last run failed or fitted no row. Errs when the metadata database cannot be read.
    pub async fn failed_cleans(&self) -> Result<Vec<clean::FailedClean>> {
        let mut failed = Vec::new();
        for name in self.definitions().cleans.keys() {
            failed.extend(clean::failure(self.db(), name).await?);
        }
        Ok(failed)
    }

    /// Whether the process holds all the memory it may although no query runs that could be ended for it.
    pub fn is_short_of_memory(&self) -> bool {
        self.0.running.is_idle() && memory::full(0)
    }

    /// Cancels a running query: one's own, or anyone's for who may read the system. False when it is not running.
    pub fn cancel(&self, query_id: &str, who: &Principal) -> bool {
        let may = |user: &str| user == who.user || decide(who, Permission::ManageAccess);
        self.0.running.cancel(query_id, may)
    }

    /// Cancels every query that runs, so that a stop need not wait for them.
    pub fn cancel_all(&self) {
        self.0.running.cancel_all();
    }

    /// The newest queries that a user wrote, newest first.
    pub async fn history(&self, who: &Principal, limit: usize) -> Result<Vec<PastQuery>> {
        audit::history(self.db(), &who.user, limit).await
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    pub(crate) fn state(&self) -> SessionState {
        self.0.state.clone()
    }

    /// Names of all tables, for suggestions and lists.
    pub(crate) fn names(&self) -> Vec<TableName> {
        let system = self.0.system.read().unwrap_or_else(PoisonError::into_inner);
        let system = system.keys().map(String::as_str).chain([usage::TABLES]);
        let system = system.filter_map(|name| TableName::new(Zone::System, name).ok());
        self.catalog().names().into_iter().chain(system).collect()
    }

    pub(crate) fn is_system(&self, name: &TableName) -> bool {
        name.zone == Zone::System
            && (name.name == usage::TABLES
                || self.0.system.read().unwrap_or_else(PoisonError::into_inner).contains_key(&name.name))
    }

    pub(crate) fn system_table(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        if name.zone != Zone::System {
            return None;
        }
        if name.name == usage::TABLES {
            return Some(Arc::new(TablesScan(self.clone())));
        }
        let system = self.0.system.read().unwrap_or_else(PoisonError::into_inner);
        system.get(&name.name).map(|table| table.provider(self.db()))
    }

    pub(crate) fn running(&self) -> &Arc<Registry> {
        &self.0.running
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }
}

/// Which table is made from which, by the definitions.
struct Lineage {
    up: BTreeMap<TableName, Vec<TableName>>,
    down: BTreeMap<TableName, Vec<TableName>>,
}

impl Lineage {
    fn of(definitions: &Definitions) -> Self {
        let cleans =
            definitions.cleans.iter().map(|(name, spec)| (Zone::Clean, name, vec![spec.from.clone()]));
        let models = definitions
            .models
            .iter()
            .map(|(name, spec)| (Zone::Mart, name, lineage::references(&spec.sql).unwrap_or_default()));
        let (mut up, mut down) = (BTreeMap::new(), BTreeMap::<TableName, Vec<TableName>>::new());
        for (zone, name, sources) in cleans.chain(models) {
            let Ok(table) = TableName::new(zone, name) else { continue };
            for source in &sources {
                down.entry(source.clone()).or_default().push(table.clone());
            }
            up.insert(table, sources);
        }
        Self { up, down }
    }
}

fn info(
    snapshot: &Snapshot,
    definitions: &Definitions,
    lineage: &Lineage,
    states: &BTreeMap<String, model::ModelState>,
) -> TableInfo {
    let name = &snapshot.table;
    let clean = definitions.cleans.get(&name.name).filter(|_| name.zone == Zone::Clean);
    let model = definitions.models.get(&name.name).filter(|_| name.zone == Zone::Mart);
    let mut columns = BTreeMap::new();
    if let Some(clean) = clean {
        columns
            .extend(clean.columns.iter().filter_map(|(name, c)| Some((name.to_string(), c.title.clone()?))));
    }
    if let Some(model) = model {
        columns.extend(model.columns.iter().map(|(name, c)| (name.to_string(), c.title.clone())));
    }
    TableInfo {
        name: name.clone(),
        schema: snapshot.schema.clone(),
        rows: snapshot.rows(),
        bytes: snapshot.bytes(),
        files: snapshot.files.len(),
        version: snapshot.version,
        updated_at: snapshot.committed_at,
        title: clean.and_then(|c| c.title.clone()).or_else(|| model.map(|m| m.title.clone())),
        columns,
        upstream: lineage.up.get(name).cloned().unwrap_or_default(),
        downstream: lineage.down.get(name).cloned().unwrap_or_default(),
        checks: model.and_then(|_| states.get(&name.name).cloned()),
    }
}
