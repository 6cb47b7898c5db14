//! What tests of this room stand on: a real warehouse in a temporary folder, a clock that moves by hand, and
//! a receiver on the loopback interface.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::{Outbound, OutboundSpec};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use futures::StreamExt;
use serde_json::{Value, json};
use store::{ManualClock, Metadata, Objects, Outbox, StoreSpec, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use warehouse::{Definitions, Landing, LoadMark, Settings, Warehouse};

use crate::spec::{ChannelSpec, RuleSpec};
use crate::{Rules, sign};

/// Monday, 10:30 in Shanghai; the clock of a site begins a minute later.
pub(crate) const NOW: &str = "2026-03-30T02:30:00Z";
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) db: Metadata,
    pub(crate) warehouse: Warehouse,
    pub(crate) outbox: Outbox,
    pub(crate) rules: Rules,
    landed: AtomicI64,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Site {
    pub(crate) async fn open(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guanlan-rules-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("secret"), SECRET).unwrap();
        let clock = Arc::new(ManualClock::new(at(NOW) + chrono::TimeDelta::minutes(1), 7));
        let objects = Objects::open(&StoreSpec::Local { path: "data".into() }, &dir).unwrap();
        let db = Metadata::memory().await.unwrap();
        let warehouse =
            Warehouse::open(objects, db.clone(), clock.clone(), Settings::default()).await.unwrap();
        warehouse.set_definitions(Definitions { metrics: metrics(), ..Definitions::default() });
        let (outbox, rules) = room(&db, &warehouse, &clock, &dir).await;
        Self { dir, clock, db, warehouse, outbox, rules, landed: 0.into() }
    }

    /// What a new process finds after the old one is gone.
    pub(crate) async fn restart(&mut self) {
        (self.outbox, self.rules) = room(&self.db, &self.warehouse, &self.clock, &self.dir).await;
    }

    /// Adds rows to mart.work: when, process, amount.
    pub(crate) async fn land(&self, rows: &[(Timestamp, &str, f64)]) {
        self.write(rows, Landing::Append).await;
    }

    /// Leaves only these rows in mart.work.
    pub(crate) async fn replace(&self, rows: &[(Timestamp, &str, f64)]) {
        self.write(rows, Landing::Replace).await;
    }

    async fn write(&self, rows: &[(Timestamp, &str, f64)], how: Landing) {
        let rows: Vec<_> = rows.iter().map(|(at, process, amount)| (*at, Some(*process), *amount)).collect();
        self.write_some(&rows, how).await;
    }

    async fn write_some(&self, rows: &[(Timestamp, Option<&str>, f64)], how: Landing) {
        let times: TimestampMicrosecondArray = rows.iter().map(|r| Some(r.0.timestamp_micros())).collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("at", Arc::new(times.with_timezone("UTC"))),
            ("process", Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>())),
            ("amount", Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Float64Array>())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let seq = self.landed.fetch_add(1, Ordering::Relaxed) + 1;
        let mark =
            LoadMark { stream: "test".into(), seq, cursor: Value::Null, operation: format!("test-{seq}") };
        let rows = futures::stream::iter([Ok(batch)]).boxed();
        self.warehouse.land(&"mart.work".parse().unwrap(), rows, how, mark).await.unwrap();
    }

    /// Leaves only these rows in mart.work, some without a process.
    pub(crate) async fn replace_some(&self, rows: &[(Timestamp, Option<&str>, f64)]) {
        self.write_some(rows, Landing::Replace).await;
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(60 * minutes));
    }

    pub(crate) fn now(&self) -> Timestamp {
        store::Clock::now(&*self.clock)
    }

    /// A moment that a question asked now just reaches.
    pub(crate) fn just_now(&self) -> Timestamp {
        self.now() - chrono::TimeDelta::seconds(1)
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.db.pool()).await.unwrap()
    }
}

async fn room(
    db: &Metadata,
    warehouse: &Warehouse,
    clock: &Arc<ManualClock>,
    dir: &PathBuf,
) -> (Outbox, Rules) {
    let outbox = Outbox::open(db.clone(), clock.clone()).await.unwrap();
    let allow = vec!["127.0.0.1".to_owned()];
    let outbound = Outbound::new(OutboundSpec { allow, ..OutboundSpec::default() }).unwrap();
    let rules = Rules::open(warehouse.clone(), db.clone(), outbox.clone(), outbound, clock.clone(), dir)
        .await
        .unwrap();
    (outbox, rules)
}

/// `backlog`: a level. `submitted`: a count. `mean`: an average. All over mart.work by process.
pub(crate) fn metrics() -> BTreeMap<String, warehouse::metric::MetricSpec> {
    let metric = |measure: Value| {
        serde_json::from_value(json!({
            "title": {"zh": "数", "en": "Number"}, "table": "mart.work", "measure": measure, "time": "at",
            "dimensions": {"process": {"zh": "流程", "en": "Process"}}, "unit": "count"
        }))
        .unwrap()
    };
    BTreeMap::from([
        ("backlog".to_owned(), metric(json!({"latest": {"column": "amount"}}))),
        ("submitted".to_owned(), metric(json!({"count": {}}))),
        ("mean".to_owned(), metric(json!({"average": {"column": "amount"}}))),
    ])
}

/// A rule with what is given over some usual defaults.
pub(crate) fn rule(given: Value) -> RuleSpec {
    let mut spec = json!({
        "title": {"zh": "积压", "en": "Backlog"}, "severity": "critical", "notify": ["ops"], "labels": {"team": "ops"},
        "annotations": {"zh": {"summary": "{{process}} 在途 {{value}} 件，上限 {{high}}"}}
    });
    spec.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

/// Warns when a process has more than 100 open documents.
pub(crate) fn backlog_above_100() -> RuleSpec {
    rule(json!({
        "ask": {"metric": "backlog", "by": ["process"], "grain": "hour", "window": "1d"},
        "when": {"above": {"value": 100.0}}
    }))
}

/// One request as it came, and what was answered.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) body: String,
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn is_signed(&self) -> bool {
        let at = Timestamp::from_timestamp(self.timestamp, 0).unwrap();
        self.signature == sign(SECRET, &self.id, at, &self.body).unwrap()
    }

    /// The alerts that it tells of.
    pub(crate) fn alerts(&self) -> Vec<String> {
        let data = &self.json()["data"];
        let id = |alert: &Value| alert["id"].as_str().unwrap().to_owned();
        data["alerts"].as_array().map_or_else(|| vec![id(data)], |alerts| alerts.iter().map(id).collect())
    }
}

/// Answers with the next planned answer, then with the last one for ever.
pub(crate) struct Receiver {
    pub(crate) url: String,
    plan: Arc<Mutex<Vec<&'static str>>>,
    /// What a body may not contain, and the answer to one that does.
    poison: Arc<Mutex<Option<(&'static str, &'static str)>>>,
    got: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
pub(crate) const BAD: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\nconnection: close\r\n\r\nwhat";
pub(crate) const DOWN: &str =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 11\r\nconnection: close\r\n\r\nout to tea\n";

impl Receiver {
    pub(crate) async fn start(plan: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(plan.to_vec()));
        let got: Arc<Mutex<Vec<Received>>> = Arc::default();
        let poison: Arc<Mutex<Option<(&'static str, &'static str)>>> = Arc::default();
        let task = tokio::spawn({
            let (plan, got, poison) = (plan.clone(), got.clone(), poison.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let answer = {
                        let mut plan = plan.lock().unwrap();
                        if plan.len() > 1 { plan.remove(0) } else { plan[0] }
                    };
                    let poison = *poison.lock().unwrap();
                    if let Some(received) = exchange(stream, answer, poison).await {
                        got.lock().unwrap().push(received);
                    }
                }
            }
        });
        Self { url, plan, poison, got, task }
    }

    /// From now on answers so.
    pub(crate) fn answer(&self, answer: &'static str) {
        *self.plan.lock().unwrap() = vec![answer];
    }

    /// From now on answers so to every message that contains `part`.
    pub(crate) fn refuse(&self, part: &'static str, answer: &'static str) {
        *self.poison.lock().unwrap() = Some((part, answer));
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn accepted(&self) -> Vec<Received> {
        self.all().into_iter().filter(|r| r.status == 200).collect()
    }

    pub(crate) fn channels(&self) -> BTreeMap<String, ChannelSpec> {
        self.channels_with(json!({}))
    }

    /// The channel with more settings.
    pub(crate) fn channels_with(&self, more: Value) -> BTreeMap<String, ChannelSpec> {
        let mut hook = json!({"url": self.url, "secret": "file:secret"});
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        BTreeMap::from([("ops".to_owned(), serde_json::from_value(json!({"webhook": hook})).unwrap())])
    }
}

async fn exchange(mut stream: TcpStream, answer: &str, poison: Option<(&str, &str)>) -> Option<Received> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut chunk = [0u8; 4096];
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = header(&head, "content-length")?.parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + length {
                break (end, length);
            }
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let body = String::from_utf8(bytes[head + 4..head + 4 + length].to_vec()).ok()?;
    let answer = poison.filter(|(part, _)| body.contains(part)).map_or(answer, |(_, answer)| answer);
    let received = Received {
        id: header(&text, "webhook-id")?,
        timestamp: header(&text, "webhook-timestamp")?.parse().ok()?,
        signature: header(&text, "webhook-signature")?,
        body,
        status: answer[9..12].parse().ok()?,
    };
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()?;
    Some(received)
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
