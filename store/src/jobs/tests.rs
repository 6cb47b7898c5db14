use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::{Clock, ManualClock, ScaledClock, SharedClock};
use crate::metadata::Metadata;

#[derive(Default)]
struct Context {
    ran: Mutex<Vec<String>>,
    fail_first: Mutex<BTreeMap<String, usize>>,
    now: AtomicUsize,
    most: AtomicUsize,
    queue: Mutex<Option<(Queue, SharedClock)>>,
}

#[derive(Serialize, Deserialize)]
struct Say {
    word: String,
    key: String,
}

fn say(word: &str) -> Say {
    Say { word: word.into(), key: word.into() }
}

impl Job for Say {
    const KIND: &'static str = "say";
    type Context = Context;

    fn key(&self) -> String {
        self.key.clone()
    }

    async fn run(&self, cx: &Context) -> Result<(), JobError> {
        let running = cx.now.fetch_add(1, Ordering::SeqCst) + 1;
        cx.most.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        cx.now.fetch_sub(1, Ordering::SeqCst);
        cx.ran.lock().unwrap().push(self.word.clone());
        if self.word == "panic" {
            panic!("as asked");
        }
        if self.word == "hang" {
            std::future::pending::<()>().await;
        }
        if let Some(left) = cx.fail_first.lock().unwrap().get_mut(&self.word)
            && *left > 0
        {
            *left -= 1;
            // What is dear says itself how often it may be tried.
            let most = if self.word == "dear" { 2 } else { u32::MAX };
            return Err(JobError::Retry { most, message: "not yet".into() });
        }
        if self.word == "never" {
            return Err(JobError::Fail { message: "never".into() });
        }
        let queue = cx.queue.lock().unwrap().clone();
        if let (Some((queue, clock)), "parent") = (queue, self.word.as_str()) {
            queue.push(&say("child"), clock.now()).await.unwrap();
        }
        Ok(())
    }
}

struct Stage {
    db: Metadata,
    clock: Arc<ManualClock>,
    queue: Queue,
    cx: Arc<Context>,
}

impl Stage {
    async fn new() -> Self {
        let db = Metadata::memory().await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 1));
        let queue = Queue::open(db.clone(), clock.clone()).await.unwrap();
        Self { db, clock, queue, cx: Arc::default() }
    }

    fn runner(&self, parallel: usize, attempts: u32) -> Runner<Context> {
        let mut runner = Runner::new(self.queue.clone(), self.cx.clone(), self.clock.clone());
        runner.register::<Say>(parallel, attempts);
        runner
    }

    fn ran(&self) -> Vec<String> {
        self.cx.ran.lock().unwrap().clone()
    }

    async fn runs(&self) -> Vec<(String, i64, String)> {
        sqlx::query_as("SELECT key, attempt, outcome FROM job_runs ORDER BY id")
            .fetch_all(self.db.pool())
            .await
            .unwrap()
    }
}

/// Waits in real time until a condition holds, or fails.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn drain_runs_what_is_due_and_what_that_queues_and_leaves_the_rest() {
    let s = Stage::new().await;
    *s.cx.queue.lock().unwrap() = Some((s.queue.clone(), s.clock.clone()));
    s.queue.push(&say("parent"), s.clock.now()).await.unwrap();
    let tomorrow = s.clock.now() + Duration::from_secs(86_400);
    s.queue.push(&say("later"), tomorrow).await.unwrap();
    assert_eq!(s.runner(2, 1).drain().await, 2);
    assert_eq!(s.ran(), ["parent", "child"]);
    assert_eq!(s.queue.next_due().await.unwrap(), Some(tomorrow));
}

#[tokio::test]
async fn a_job_queued_again_is_one_job_with_the_newer_payload_and_the_earlier_moment() {
    let s = Stage::new().await;
    let now = s.clock.now();
    s.queue.push(&Say { word: "old".into(), key: "k".into() }, now).await.unwrap();
    s.queue.push(&Say { word: "new".into(), key: "k".into() }, now + Duration::from_secs(60)).await.unwrap();
    assert_eq!(s.queue.next_due().await.unwrap(), Some(now));
    assert_eq!(s.runner(4, 1).drain().await, 1);
    assert_eq!(s.ran(), ["new"]);
}

#[tokio::test]
async fn a_failing_job_is_tried_again_later_and_given_up_in_the_end() {
    let s = Stage::new().await;
    s.cx.fail_first.lock().unwrap().insert("flaky".into(), 1);
    s.cx.fail_first.lock().unwrap().insert("hopeless".into(), 99);
    s.cx.fail_first.lock().unwrap().insert("dear".into(), 99);
    for word in ["dear", "flaky", "hopeless", "never", "panic"] {
        s.queue.push(&say(word), s.clock.now()).await.unwrap();
    }
    let runner = s.runner(1, 3);
    assert_eq!(runner.drain().await, 5);
    let due = s.queue.next_due().await.unwrap().unwrap();
    assert!(due > s.clock.now() && due <= s.clock.now() + Duration::from_secs(1), "{due}");
    for _ in 0..3 {
        s.clock.advance(Duration::from_secs(300));
        runner.drain().await;
    }
    assert_eq!(s.queue.next_due().await.unwrap(), None);
    let mut runs = s.runs().await;
    runs.sort();
    let expected = [
        ("dear", 1, "retry"),
        ("dear", 2, "failed"),
        ("flaky", 1, "retry"),
        ("flaky", 2, "done"),
        ("hopeless", 1, "retry"),
        ("hopeless", 2, "retry"),
        ("hopeless", 3, "failed"),
        ("never", 1, "failed"),
        ("panic", 1, "retry"),
        ("panic", 2, "retry"),
        ("panic", 3, "failed"),
    ];
    assert_eq!(runs, expected.map(|(k, a, o)| (k.to_owned(), a, o.to_owned())));
}

#[tokio::test]
async fn no_more_run_at_once_than_allowed_and_never_two_of_one_key() {
    let s = Stage::new().await;
    for i in 0..8 {
        s.queue.push(&say(&format!("job {i}")), s.clock.now()).await.unwrap();
    }
    assert_eq!(s.runner(3, 1).drain().await, 8);
    assert_eq!(s.cx.most.load(Ordering::SeqCst), 3);

    let s = Stage::new().await;
    let runner = s.runner(8, 1);
    s.queue.push(&Say { word: "first".into(), key: "k".into() }, s.clock.now()).await.unwrap();
    let (queue, clock) = (s.queue.clone(), s.clock.clone());
    let again = async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        queue.push(&Say { word: "second".into(), key: "k".into() }, clock.now()).await.unwrap();
    };
    tokio::join!(runner.drain(), again);
    runner.drain().await;
    assert_eq!(s.ran(), ["first", "second"]);
    assert_eq!(s.cx.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_a_killed_process_left_running_runs_again_after_reopening() {
    let s = Stage::new().await;
    s.queue.push(&say("hang"), s.clock.now()).await.unwrap();
    let runner = s.runner(1, 1);
    let process = tokio::spawn(async move { runner.run(CancellationToken::new()).await });
    until("the job hangs", || s.ran() == ["hang"]).await;
    process.abort();
    assert!(process.await.unwrap_err().is_cancelled());
    let state: String = sqlx::query_scalar("SELECT state FROM jobs").fetch_one(s.db.pool()).await.unwrap();
    assert_eq!(state, "running", "nothing was cleaned up, as after kill -9");

    // A handle that only reads does not take the job from whoever runs it.
    let reopened = Queue::open(s.db.clone(), s.clock.clone()).await.unwrap();
    assert_eq!(reopened.next_due().await.unwrap(), None);
    let mut runner = Runner::new(reopened, s.cx.clone(), s.clock.clone());
    runner.register::<Say>(1, 1);
    let stop = CancellationToken::new();
    let process = tokio::spawn({
        let stop = stop.clone();
        async move { runner.run(stop).await }
    });
    until("the job ran again", || s.ran() == ["hang", "hang"]).await;
    process.abort();
}

#[tokio::test]
async fn a_job_that_kills_the_process_each_time_is_given_up() {
    let s = Stage::new().await;
    s.queue.push(&say("hang"), s.clock.now()).await.unwrap();
    for _ in 0..2 {
        let queue = Queue::open(s.db.clone(), s.clock.clone()).await.unwrap();
        queue.recover().await.unwrap();
        assert_eq!(queue.take("say", 1).await.unwrap().len(), 1);
    }
    let queue = Queue::open(s.db.clone(), s.clock.clone()).await.unwrap();
    let mut runner = Runner::new(queue, s.cx.clone(), s.clock.clone());
    runner.register::<Say>(1, 1);
    assert_eq!(runner.drain().await, 1);
    assert_eq!(s.runs().await, [("hang".to_owned(), 3, "failed".to_owned())]);
    assert!(s.ran().is_empty(), "it was not started a third time");
}

#[tokio::test]
async fn the_loop_wakes_for_due_moments_of_a_manual_clock_and_for_new_jobs() {
    let s = Stage::new().await;
    let stop = CancellationToken::new();
    let mut finished = s.queue.finished();
    let runner = s.runner(2, 1);
    let process = tokio::spawn({
        let stop = stop.clone();
        async move { runner.run(stop).await }
    });
    s.queue.push(&say("in an hour"), s.clock.now() + Duration::from_secs(3600)).await.unwrap();
    s.queue.push(&say("now"), s.clock.now()).await.unwrap();
    until("the due job ran", || s.ran() == ["now"]).await;
    assert_eq!(finished.recv().await.unwrap().key, "now");
    tokio::time::sleep(Duration::from_millis(50)).await;
    s.clock.advance(Duration::from_secs(3600));
    until("the later job ran", || s.ran().len() == 2).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), process).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_loop_follows_a_fast_clock() {
    let db = Metadata::memory().await.unwrap();
    let clock: SharedClock = Arc::new(ScaledClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 36_000.0));
    let queue = Queue::open(db, clock.clone()).await.unwrap();
    let cx = Arc::new(Context::default());
    let mut runner = Runner::new(queue.clone(), cx.clone(), clock.clone());
    runner.register::<Say>(1, 1);
    let stop = CancellationToken::new();
    let process = tokio::spawn({
        let stop = stop.clone();
        async move { runner.run(stop).await }
    });
    queue.push(&say("in an hour"), clock.now() + Duration::from_secs(3600)).await.unwrap();
    until("an hour passed", || cx.ran.lock().unwrap().len() == 1).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), process).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_job_of_a_transaction_that_failed_was_never_queued() {
    let s = Stage::new().await;
    let mut tx = s.db.begin().await.unwrap();
    s.queue.push_in(&mut tx, &say("x"), s.clock.now()).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(s.runner(1, 1).drain().await, 0);
}
