//! The tables as a query sees them: the zones it may read, each table pinned at the version first touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider, TableProvider,
};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::TableType;
use datafusion::prelude::SessionContext;
use store::Timestamp;

use super::functions::{self, Limited};
use super::running::Running;
use super::share;
use crate::error::Error;
use crate::lineage::CATALOGUE;
use crate::log::Snapshot;
use crate::table::{TableName, Zone};
use crate::warehouse::Warehouse;

/// What a query has read so far. A query sees one version of a table, however often it names it.
#[derive(Debug, Default)]
pub(crate) struct Touched(Mutex<BTreeMap<TableName, Arc<Snapshot>>>);

impl Touched {
    pub(crate) fn tables(&self) -> Vec<(TableName, i64)> {
        self.lock().iter().map(|(name, snapshot)| (name.clone(), snapshot.version)).collect()
    }

    /// When the oldest of them was last changed: the answer cannot be fresher than that.
    pub(crate) fn as_of(&self) -> Option<Timestamp> {
        self.lock().values().map(|s| s.committed_at).min()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TableName, Arc<Snapshot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A context that knows only `zones`, for one query or, without one, for a job. `partitions` overrides the
/// parallelism.
pub(crate) fn open(
    warehouse: &Warehouse,
    zones: &[Zone],
    partitions: Option<usize>,
    query: Option<&Arc<Running>>,
) -> SessionContext {
    let touched = query.map(|query| query.touched.clone()).unwrap_or_default();
    let schemas = zones.iter().map(|zone| {
        let schema = ZoneSchema {
            zone: *zone,
            warehouse: warehouse.clone(),
            touched: touched.clone(),
            own: Mutex::default(),
        };
        (zone.as_str().to_owned(), Arc::new(schema))
    });
    let catalogues = MemoryCatalogProviderList::new();
    catalogues.register_catalog(CATALOGUE.into(), Arc::new(House { zones: schemas.collect() }));
    let base = warehouse.state();
    let mut config = base.config().clone();
    if let Some(partitions) = partitions {
        config = config.with_target_partitions(partitions);
    }
    let shared = base.runtime_env().clone();
    let mut state = SessionStateBuilder::new_from_existing(base).with_catalog_list(Arc::new(catalogues));
    if let Some(query) = query {
        config.options_mut().extensions.insert(Limited(query.clone()));
        state = state.with_runtime_env(share::environment(&shared, query));
    }
    let context = SessionContext::new_with_state(state.with_config(config).build());
    functions::register(&context, warehouse.calendar(), warehouse.clock().now());
    context
}

#[derive(Debug)]
struct House {
    zones: BTreeMap<String, Arc<ZoneSchema>>,
}

impl CatalogProvider for House {
    fn schema_names(&self) -> Vec<String> {
        self.zones.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.zones.get(name).map(|zone| zone.clone() as Arc<dyn SchemaProvider>)
    }
}

struct ZoneSchema {
    zone: Zone,
    warehouse: Warehouse,
    touched: Arc<Touched>,
    /// Tables that a job registers for itself, such as `this`; SQL cannot.
    own: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl std::fmt::Debug for ZoneSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ZoneSchema({})", self.zone)
    }
}

impl ZoneSchema {
    fn own(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<dyn TableProvider>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SchemaProvider for ZoneSchema {
    fn table_names(&self) -> Vec<String> {
        let known = self.warehouse.names().into_iter().filter(|n| n.zone == self.zone).map(|n| n.name);
        let all: BTreeSet<String> = known.chain(self.own().keys().cloned()).collect();
        all.into_iter().collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(own) = self.own().get(name) {
            return Ok(Some(own.clone()));
        }
        let Ok(name) = TableName::new(self.zone, name) else { return Ok(None) };
        if let Some(system) = self.warehouse.system_table(&name) {
            return Ok(Some(system));
        }
        if let Some(pinned) = self.touched.lock().get(&name) {
            return Ok(Some(self.warehouse.provider(pinned.clone())));
        }
        let Some(snapshot) = self.warehouse.snapshot(&name).await.map_err(Error::into_datafusion)? else {
            return Ok(None);
        };
        let pinned = self.touched.lock().entry(name).or_insert(snapshot).clone();
        Ok(Some(self.warehouse.provider(pinned)))
    }

    async fn table_type(&self, name: &str) -> DfResult<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> DfResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.own().insert(name, table))
    }

    fn deregister_table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.own().remove(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.own().contains_key(name)
            || self.warehouse.names().iter().any(|n| n.zone == self.zone && n.name == name)
    }
}
