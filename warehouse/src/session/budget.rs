//! What all queries together may use: memory and spill space.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use super::charging::Charging;
use super::escape::Escapes;
use super::functions::{LongConstants, Patterns};
use super::not_in::NotIn;
use super::yielding::Yielding;
use crate::error::{Error, Result};
use crate::lineage::CATALOGUE;
use crate::memory;
use crate::scan::Place;
use crate::warehouse::Settings;

/// Footers of Parquet files kept in memory.
const FOOTERS: usize = 64 << 20;
const SPILL: u64 = 64 << 30;

/// One environment for every query: they share the pool, the footer cache and the spill folder.
pub(crate) fn environment(settings: &Settings, place: &Place) -> Result<Arc<RuntimeEnv>> {
    let bytes = memory::affordable(settings.memory_mib.max(16) << 20).max(16 << 20);
    // A greedy pool: fair pools refuse concurrent aggregations that would fit one after the other.
    let pool = TrackConsumersPool::new(GreedyMemoryPool::new(bytes), NonZeroUsize::MIN);
    let disk = match &settings.spill {
        None => DiskManagerMode::OsTmpDirectory,
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| Error::Store {
                table: None,
                message: format!(
                    "cannot create the spill folder {}: {e}; make it writable",
                    folder.display()
                ),
            })?;
            DiskManagerMode::Directories(vec![folder.clone()])
        }
    };
    let disk = DiskManagerBuilder::default().with_mode(disk).with_max_temp_directory_size(SPILL);
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(FOOTERS)
        .build_arc()?;
    environment.register_object_store(place.url.as_ref(), place.store.clone());
    Ok(environment)
}

/// The state that every query's own state begins as.
pub(crate) fn state(environment: Arc<RuntimeEnv>, settings: &Settings) -> SessionState {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOGUE, "mart");
    let options = config.options_mut();
    // Tables hold plain Utf8; a cast should give the same type.
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("UTC".into());
    options.execution.parquet.schema_force_view_types = false;
    if let Some(partitions) = settings.partitions {
        options.execution.target_partitions = partitions.max(1);
    }
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .with_analyzer_rule(Arc::new(Escapes))
        .with_analyzer_rule(Arc::new(NotIn))
        .with_analyzer_rule(Arc::new(Patterns))
        .with_optimizer_rule(Arc::new(LongConstants::new()))
        .with_physical_optimizer_rule(Arc::new(Yielding))
        .with_physical_optimizer_rule(Arc::new(Charging))
        .build()
}
