//! Runs due jobs: a bounded number of each kind at once, with retries.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::queue::Taken;
use super::{Job, JobError, Outcome, Queue};
use crate::clock::{SharedClock, Timestamp};
use crate::error::Result;

/// Pause before the second attempt; doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long the loop sleeps at most, in the clock's time: a net under missed wake-ups.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long running jobs may take to end after the stop, in real time.
const GRACE: Duration = Duration::from_secs(20);
/// Pause after the database refused, in the clock's time.
const TROUBLE: Duration = Duration::from_secs(5);

type Run<C> = Arc<dyn Fn(String, Arc<C>) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync>;

/// Runs the jobs whose kinds were registered, with one context for all.
pub struct Runner<C> {
    queue: Queue,
    context: Arc<C>,
    clock: SharedClock,
    kinds: BTreeMap<&'static str, Kind<C>>,
}

struct Kind<C> {
    run: Run<C>,
    max_parallel: usize,
    max_attempts: u32,
}

/// Jobs in flight and how many of each kind.
#[derive(Default)]
struct Flight {
    tasks: JoinSet<&'static str>,
    counts: BTreeMap<&'static str, usize>,
}

impl Flight {
    /// Waits for one run to end; pending forever when none is in flight.
    async fn landed(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(kind)) => {
                if let Some(count) = self.counts.get_mut(kind) {
                    *count = count.saturating_sub(1);
                }
            }
            // Panics are caught inside the task; only an abort gets here, and that ends the loop anyway.
            Some(Err(error)) => tracing::error!(%error, "a job's task ended oddly"),
            None => std::future::pending().await,
        }
    }
}

impl<C: Send + Sync + 'static> Runner<C> {
    pub fn new(queue: Queue, context: Arc<C>, clock: SharedClock) -> Self {
        Self { queue, context, clock, kinds: BTreeMap::new() }
    }

    /// Lets this runner run jobs of `J`'s kind, at most `max_parallel` at once, each at most
    /// `max_attempts` times (both at least 1).
    pub fn register<J: Job<Context = C>>(&mut self, max_parallel: usize, max_attempts: u32) -> &mut Self {
        let run: Run<C> = Arc::new(|payload, cx| {
            Box::pin(async move {
                let job: J = serde_json::from_str(&payload).map_err(|e| JobError::Fail {
                    message: format!("the stored job does not fit this program ({e}): queue it again"),
                })?;
                job.run(&cx).await
            })
        });
        let kind = Kind { run, max_parallel: max_parallel.max(1), max_attempts: max_attempts.max(1) };
        self.kinds.insert(J::KIND, kind);
        self
    }

    /// Runs due jobs until `stop`, then waits a moment for what is running. Jobs that do not end in time
    /// are abandoned and run again after the next start.
    pub async fn run(&self, stop: CancellationToken) {
        let mut flight = Flight::default();
        while !stop.is_cancelled() {
            let pause = match self.launch(&mut flight).await {
                Ok(_) => self.pause(&flight).await,
                Err(error) => {
                    tracing::error!(%error, "the job queue does not answer");
                    TROUBLE
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.queue.pushed() => {}
                () = flight.landed() => {}
                () = self.clock.sleep(pause) => {}
            }
        }
        let _ = tokio::time::timeout(GRACE, async {
            while !flight.tasks.is_empty() {
                flight.landed().await;
            }
        })
        .await;
    }

    /// Runs everything that is due now, and what that makes due now, until nothing is left. Returns the
    /// number of runs. Jobs due later, retries among them, stay queued.
    pub async fn drain(&self) -> usize {
        let mut flight = Flight::default();
        let mut count = 0;
        loop {
            match self.launch(&mut flight).await {
                Ok(launched) => count += launched,
                Err(error) => {
                    tracing::error!(%error, "the job queue does not answer");
                    return count;
                }
            }
            if flight.tasks.is_empty() {
                return count;
            }
            flight.landed().await;
        }
    }

    /// Starts as many due jobs as there is room for.
    async fn launch(&self, flight: &mut Flight) -> Result<usize> {
        self.queue.recover().await?;
        let mut launched = 0;
        for (&name, kind) in &self.kinds {
            let room =
                kind.max_parallel - flight.counts.get(name).copied().unwrap_or(0).min(kind.max_parallel);
            if room == 0 {
                continue;
            }
            for job in self.queue.take(name, room).await? {
                *flight.counts.entry(name).or_default() += 1;
                flight.tasks.spawn(self.task(name, kind, job));
                launched += 1;
            }
        }
        Ok(launched)
    }

    /// One run from start to record, panics included.
    fn task(
        &self,
        name: &'static str,
        kind: &Kind<C>,
        job: Taken,
    ) -> impl Future<Output = &'static str> + use<C> {
        let (queue, context, clock) = (self.queue.clone(), self.context.clone(), self.clock.clone());
        let (run, max_attempts) = (kind.run.clone(), kind.max_attempts);
        async move {
            // More attempts than allowed happen only when the process died while the job ran.
            let result = if job.attempt > i64::from(max_attempts) + 1 {
                Err(JobError::Fail {
                    message: "the process ended each time this job ran: see the log".into(),
                })
            } else {
                AssertUnwindSafe(run(job.payload.clone(), context)).catch_unwind().await.unwrap_or_else(
                    |_| {
                        Err(JobError::Retry {
                            most: u32::MAX,
                            message: "the job panicked: see the log".into(),
                        })
                    },
                )
            };
            let (outcome, message, again) = judge(&job, result, max_attempts, &clock);
            report(&job, outcome, message.as_deref());
            // Until its end is recorded the job counts as running, and nothing else of its key may run.
            while let Err(error) = queue.finish(&job, outcome, message.clone(), again).await {
                tracing::error!(job.kind = job.kind, job.key = %job.key, %error, "a job's end could not be recorded yet");
                clock.sleep(TROUBLE).await;
            }
            name
        }
    }

    /// How long to sleep: until the next job that there is room for.
    async fn pause(&self, flight: &Flight) -> Duration {
        let free: Vec<&'static str> = self
            .kinds
            .iter()
            .filter(|(name, kind)| flight.counts.get(*name).copied().unwrap_or(0) < kind.max_parallel)
            .map(|(name, _)| *name)
            .collect();
        match self.queue.next_runnable(&free).await {
            Ok(Some(due)) => (due - self.clock.now()).to_std().unwrap_or_default().min(LONGEST_SLEEP),
            Ok(None) => LONGEST_SLEEP,
            Err(_) => TROUBLE,
        }
    }
}

fn judge(
    job: &Taken,
    result: Result<(), JobError>,
    max_attempts: u32,
    clock: &SharedClock,
) -> (Outcome, Option<String>, Option<Timestamp>) {
    match result {
        Ok(()) => (Outcome::Done, None, None),
        Err(JobError::Fail { message }) => (Outcome::Failed, Some(message), None),
        Err(JobError::Retry { most, message }) if job.attempt >= i64::from(most.min(max_attempts)) => {
            (Outcome::Failed, Some(message), None)
        }
        Err(JobError::Retry { message, .. }) => {
            let pause = backoff(job.attempt, clock);
            let due = clock.now().checked_add_signed(chrono::Duration::from_std(pause).unwrap_or_default());
            (Outcome::Retry, Some(message), due.or(Some(clock.now())))
        }
    }
}

/// Doubling pause with jitter: between half and the whole of it, so that jobs that failed together do
/// not come back together.
fn backoff(attempt: i64, clock: &SharedClock) -> Duration {
    let doublings = attempt.clamp(1, 20) as u32 - 1;
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let mut byte = [0u8; 1];
    clock.fill(&mut byte);
    whole / 2 + whole.mul_f64(f64::from(byte[0]) / 510.0)
}

fn report(job: &Taken, outcome: Outcome, message: Option<&str>) {
    let (kind, key, attempt) = (job.kind, &job.key, job.attempt);
    match outcome {
        Outcome::Done => tracing::debug!(job.kind = kind, job.key = %key, job.attempt = attempt, "job done"),
        Outcome::Retry => {
            tracing::warn!(job.kind = kind, job.key = %key, job.attempt = attempt, error = message, "job will be tried again");
        }
        Outcome::Failed => {
            tracing::error!(job.kind = kind, job.key = %key, job.attempt = attempt, error = message, "job failed");
        }
    }
}
