//! The threads on which queries and builds run: none of them answers HTTP, so that health, signals and pages go on
//! however long one batch takes.

use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use datafusion::common::DataFusionError;
use futures::FutureExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

use super::running::Class;
use crate::error::{Error, Result};
use crate::memory;

/// Plans and expressions are walked as deep as a statement may nest.
const STACK: usize = 16 << 20;
/// Threads for files; each costs a stack of addresses while it lives.
const FILES: usize = 32;

/// Two sets of threads: what people ask and what is built share one, pages and rules have the other, so that the
/// system's scheduler gives them their part.
pub(crate) struct Workers {
    people: Option<Runtime>,
    pages: Option<Runtime>,
}

impl Workers {
    pub(crate) fn start() -> Result<Self> {
        let cores = available_parallelism().map_or(2, NonZeroUsize::get);
        // More threads than cores: a batch that takes long keeps one of them, not a core.
        Ok(Self {
            people: Some(runtime("guanlan-query", (2 * cores).max(4))?),
            pages: Some(runtime("guanlan-page", cores.max(2))?),
        })
    }

    pub(super) fn of(&self, class: Class) -> Result<Handle> {
        let runtime = if class == Class::Person { &self.people } else { &self.pages };
        runtime.as_ref().map(|r| r.handle().clone()).ok_or(Error::Cancelled)
    }

    /// Runs `work` to its end; a panic in it is an error. Dropping the future ends it at its next pause.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        class: Class,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.of(class)?.spawn(caught(work));
        AbortOnDropHandle::new(task).await.map_err(|_| Error::Cancelled)?
    }

    /// The same for builds, beside the SQL of people.
    pub(crate) async fn build<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.run(Class::Person, work).await
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // A batch under way is not waited for.
        for runtime in [self.people.take(), self.pages.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(name: &'static str, threads: usize) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(FILES)
        .thread_stack_size(STACK)
        .thread_name(name)
        .on_thread_start(memory::of_queries)
        .enable_all()
        .build()
        .map_err(|e| Error::Store {
            table: None,
            message: format!(
                "cannot start the threads of queries: {e}; raise the limit of processes or memory"
            ),
        })
}

/// What `work` answers, or its panic as an error with an id that the log has too.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(panic) => Err(internal(panic.as_ref())),
    }
}

/// Panics told so far, to tell them apart.
static PANICS: AtomicUsize = AtomicUsize::new(1);

fn internal(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    // A nested loop join that runs out of memory begins its left side again, which a repartition below it cannot bear;
    // and a stack is memory, too.
    let exhausted = ["partition not used yet", "mmap failed to allocate stack", memory::RAN_OUT];
    if exhausted.iter().any(|known| text.contains(known)) {
        return Error::from_datafusion(DataFusionError::ResourcesExhausted(text));
    }
    let id = format!("{:x}-{}", std::process::id(), PANICS.fetch_add(1, Ordering::Relaxed));
    tracing::error!(error.id = id, error.message = text, "a query or build met a fault of the program");
    Error::Internal { id }
}
