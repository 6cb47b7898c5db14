//! The queries that run: whose they are, what they hold, when they must end. A thread of its own looks after them, so
//! that a deadline holds inside a batch and while nobody reads.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use store::limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::audit::{Outcome, Record};
use super::catalogue::Touched;
use crate::error::{Error, Result};
use crate::memory;
use crate::warehouse::Warehouse;

/// Queries that run at the same time; more wait (their timeout runs meanwhile).
pub(crate) const RUNNING: usize = 16;
/// Of these, how many the SQL of people may take, and how many pages: neither waits for the other, and rules and
/// upkeep of the house go on however busy both are.
pub(super) const PEOPLE: usize = 8;
pub(super) const PAGES: usize = 6;
/// How often running queries are looked after.
const TICK: Duration = Duration::from_millis(5);
/// How often memory that nobody uses is given back.
const TIDY: Duration = Duration::from_secs(1);
/// After one query was ended for its memory the next has so long to see it freed, unless less than so much is left.
const SPARED: Duration = Duration::from_millis(300);
const LAST: u64 = 128 << 20;

/// Who asks: that decides whom a query waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// A person, in SQL.
    Person,
    /// A page or a metric question, in a person's name.
    Page,
    /// Rules and upkeep.
    House,
}

impl Class {
    /// As the audit calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Class::Person => "person",
            Class::Page => "page",
            Class::House => "house",
        }
    }
}

/// Why a query ended before its last row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Cancelled,
    Late,
    Dear,
}

/// One query that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) class: Class,
    pub(super) started: Instant,
    timeout: Duration,
    pub(super) cancel: CancellationToken,
    why: OnceLock<Why>,
    /// Bytes that its operators reserve.
    pub(super) held: AtomicUsize,
    pub(super) rows: AtomicU64,
    /// Bytes of the constants that its functions were computed to.
    pub(super) constants: AtomicU64,
    pub(super) touched: Arc<Touched>,
    /// Taken when it has ended for its reader; it may still run until its batch is over.
    record: Mutex<Option<Record>>,
}

impl Running {
    pub(super) fn new(class: Class, record: Record, timeout: Duration) -> Self {
        Self {
            id: record.id().to_owned(),
            user: record.user().to_owned(),
            class,
            started: Instant::now(),
            timeout,
            cancel: CancellationToken::new(),
            why: OnceLock::new(),
            held: AtomicUsize::new(0),
            rows: AtomicU64::new(0),
            constants: AtomicU64::new(0),
            touched: Arc::default(),
            record: Mutex::new(Some(record)),
        }
    }

    fn end(&self, why: Why) {
        let _ = self.why.set(why);
        self.cancel.cancel();
    }

    /// Errs once the query must end. Work inside a batch asks this now and then.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(self.error()) } else { Ok(()) }
    }

    /// What its reader is told once it was ended.
    pub(super) fn error(&self) -> Error {
        match self.why.get() {
            Some(Why::Late) => Error::Timeout { seconds: self.timeout.as_secs() },
            Some(Why::Dear) => Error::Exhausted {
                message:
                    "the query was ended because the server ran out of memory and it held the most; select \
                          fewer columns or a shorter range, or aggregate earlier"
                        .into(),
            },
            Some(Why::Cancelled) | None => Error::Cancelled,
        }
    }

    /// Leaves its row in the audit, the first time.
    pub(super) fn finish(&self, warehouse: &Warehouse, outcome: &Outcome) {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut record) = record {
            record.tables = self.touched.tables();
            record.rows = self.rows.load(Ordering::Relaxed);
            record.end(warehouse, self.started, outcome);
        }
    }

    fn finished(&self) -> bool {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// All that run, and the turns they wait for.
pub(crate) struct Registry {
    running: Mutex<HashMap<String, Arc<Running>>>,
    begun: Condvar,
    all: Arc<Semaphore>,
    people: Arc<Semaphore>,
    pages: Arc<Semaphore>,
    users: Mutex<HashMap<(String, Class), Weak<Semaphore>>>,
}

/// A turn among the queries that run at the same time.
pub(super) struct Turn {
    _user: Option<OwnedSemaphorePermit>,
    _class: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Registry {
    /// Begins to look after queries.
    pub(crate) fn start() -> Result<Arc<Self>> {
        memory::hold_back();
        let registry = Arc::new(Self {
            running: Mutex::default(),
            begun: Condvar::new(),
            all: Arc::new(Semaphore::new(RUNNING)),
            people: Arc::new(Semaphore::new(PEOPLE)),
            pages: Arc::new(Semaphore::new(PAGES)),
            users: Mutex::default(),
        });
        let watched = Arc::downgrade(&registry);
        std::thread::Builder::new().name("guanlan-guard".into()).spawn(move || watch(&watched)).map_err(
            |e| Error::Store {
                table: None,
                message: format!("cannot start the thread that guards queries: {e}"),
            },
        )?;
        Ok(registry)
    }

    pub(super) fn begin(&self, running: Running) -> Arc<Running> {
        let running = Arc::new(running);
        self.lock().insert(running.id.clone(), running.clone());
        self.begun.notify_all();
        running
    }

    /// To be called when nothing of it runs any more.
    pub(super) fn over(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Cancels the query `id` if `may` says so of its user. False when it does not run.
    pub(crate) fn cancel(&self, id: &str, may: impl Fn(&str) -> bool) -> bool {
        let found = self.lock().get(id).filter(|query| may(&query.user) && !query.finished()).cloned();
        found.inspect(|query| query.end(Why::Cancelled)).is_some()
    }

    /// Cancels every query, for the end of the program.
    pub(crate) fn cancel_all(&self) {
        self.lock().values().for_each(|query| query.end(Why::Cancelled));
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    /// How many queries of people run.
    pub(super) fn busy(&self) -> usize {
        self.lock().values().filter(|query| query.class == Class::Person).count()
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, class: Class, user: &str) -> Result<Turn> {
        let take = async |turns: Arc<Semaphore>| turns.acquire_owned().await.map_err(|_| Error::Cancelled);
        let among = match class {
            Class::Person => Some(&self.people),
            Class::Page => Some(&self.pages),
            Class::House => None,
        };
        let (user, class) = match among {
            Some(among) => (Some(take(self.of_user(user, class)).await?), Some(take(among.clone()).await?)),
            None => (None, None),
        };
        Ok(Turn { _user: user, _class: class, _all: take(self.all.clone()).await? })
    }

    fn of_user(&self, user: &str, class: Class) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (user.to_owned(), class);
        if let Some(known) = users.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        users.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(limits().queries_per_user.max(1)));
        users.insert(key, Arc::downgrade(&turns));
        turns
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is late, and the dearest when memory runs out.
    fn look(&self, spared: &mut Instant) {
        let now = Instant::now();
        let running: Vec<_> = self.lock().values().filter(|q| q.why.get().is_none()).cloned().collect();
        for query in running.iter().filter(|query| now.duration_since(query.started) >= query.timeout) {
            query.end(Why::Late);
        }
        if !memory::full(0) {
            return memory::hold_back();
        }
        if now < *spared && !memory::full(LAST) {
            return;
        }
        let dearest = running.iter().filter(|q| q.why.get().is_none());
        if let Some(query) = dearest.max_by_key(|q| (q.held.load(Ordering::Relaxed), Reverse(q.started))) {
            tracing::warn!(query.id, query.user, "memory runs out: the query that holds the most is ended");
            query.end(Why::Dear);
            *spared = now + SPARED;
        }
    }
}

/// Looks after the queries until there is no warehouse any more.
fn watch(registry: &Weak<Registry>) {
    let (mut spared, mut tidied) = (Instant::now(), Instant::now());
    while let Some(registry) = registry.upgrade() {
        let idle = registry.lock();
        if idle.is_empty() {
            drop(registry.begun.wait_timeout(idle, Duration::from_secs(1)));
        } else {
            drop(idle);
        }
        // One that runs long keeps nothing from being given back.
        if tidied.elapsed() >= TIDY {
            memory::tidy();
            tidied = Instant::now();
        }
        registry.look(&mut spared);
        drop(registry);
        std::thread::sleep(TICK);
    }
}
