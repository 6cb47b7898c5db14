//! The memory of one query: a part of the pool that all share, counted for itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;

use super::running::{Class, Running};
use crate::error::Error;

/// Of the pool, what the SQL of people leaves to pages and rules, as a fraction of its size.
const LEFT_TO_THE_HOUSE: usize = 8;

/// The environment of one query: everything is shared but the account of its memory.
pub(super) fn environment(base: &Arc<RuntimeEnv>, query: &Arc<Running>) -> Arc<RuntimeEnv> {
    let house = base.memory_pool.clone();
    let most = match house.memory_limit() {
        MemoryLimit::Finite(size) if query.class == Class::Person => size - size / LEFT_TO_THE_HOUSE,
        MemoryLimit::Finite(size) => size,
        _ => usize::MAX,
    };
    let share = Share { house, most, query: query.clone() };
    Arc::new(RuntimeEnv { memory_pool: Arc::new(share), ..base.as_ref().clone() })
}

#[derive(Debug)]
struct Share {
    house: Arc<dyn MemoryPool>,
    most: usize,
    query: Arc<Running>,
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "share({})", self.query.id)
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.house.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.house.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.house.grow(reservation, additional);
        self.query.held.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.house.shrink(reservation, shrink);
        self.query.held.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        // Operators that hold much come by here often: a query that was ended gives up even inside a batch.
        self.query.check().map_err(Error::into_datafusion)?;
        if self.house.reserved().saturating_add(additional) > self.most {
            return datafusion::common::resources_err!(
                "{additional} more bytes than the queries of people may hold"
            );
        }
        self.house.try_grow(reservation, additional)?;
        self.query.held.fetch_add(additional, Ordering::Relaxed);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.house.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.house.memory_limit()
    }
}
