//! Builds every part once, in the order of the line, and holds them together for jobs, HTTP and the
//! command line. No decision is taken here: what follows what is `flow`, what may be read is
//! `access`, what a number means is `warehouse`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use anyhow::Result;
use arrow::datatypes::{DataType, TimeUnit};
use tokio_util::sync::CancellationToken;

use access::{Audit, Outbound, Principal, Sessions, Users};
use dashboards::{DashboardSpec, Dashboards};
use ingest::{Ingest, Progress, SourceSpec, SyncReport};
use rules::{RuleSpec, Rules};
use store::{Metadata, Objects, Outbox, Queue, Runner, Schedule, SharedClock, SystemClock};
use warehouse::{Definitions, Retention, Settings, SystemTable, TableName, Warehouse, references};

use crate::config::Config;
use crate::events::Hub;
use crate::flow::{self, Happened, Lineage};
use crate::jobs::{Build, Clean, Deliver, Evaluate, Next, Sync, Upkeep};
use crate::project::{self, Finding, Kind, Loaded, Plan, Project};

/// What a process wants with a project. Only one that works takes over jobs that a killed one left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Look,
    Work,
}

/// Every part of a running Guanlan.
pub struct Platform {
    pub folder: PathBuf,
    pub clock: SharedClock,
    pub db: Metadata,
    pub warehouse: Warehouse,
    pub ingest: Ingest,
    pub dashboards: Dashboards,
    pub rules: Rules,
    pub users: Users,
    pub sessions: Sessions,
    pub audit: Audit,
    pub queue: Queue,
    pub outbox: Outbox,
    pub hub: Hub,
    pub stopping: CancellationToken,
    /// Set when the clock is a simulated company's.
    pub demo_speed: Option<f64>,
    /// The settings that the parts were built with.
    opened: Config,
    live: RwLock<Arc<Loaded>>,
}

impl Platform {
    /// Opens a project whose definitions are loaded.
    pub async fn open(
        loaded: Loaded,
        clock: SharedClock,
        purpose: Purpose,
        demo_speed: Option<f64>,
    ) -> Result<Arc<Self>> {
        let project = loaded.project.clone();
        let (config, folder) = (&project.config, project.dir.as_path());
        if !config.limits.install() {
            tracing::warn!(
                "`limits:` of this project are not in force: another project of this process came first"
            );
        }
        let db = Metadata::open(&folder.join(&config.metadata.path)).await?;
        let objects = Objects::open(&config.store, folder)?;
        let users = Users::open(db.clone(), clock.clone()).await?;
        // A simulated company's days are minutes, but people sign in by their own clock.
        let wall = if demo_speed.is_some() { Arc::new(SystemClock) } else { clock.clone() };
        let sessions = Sessions::open(db.clone(), wall, users.clone(), config.sessions).await?;
        let audit = Audit::open(db.clone(), clock.clone()).await?;
        let outbound = Outbound::new(config.outbound.clone())?;
        let warehouse = Warehouse::open(objects, db.clone(), clock.clone(), settings(&project)).await?;
        warehouse.set_definitions(definitions(&project));
        let ingest =
            Ingest::new(warehouse.clone(), Arc::new(outbound.clone()), db.clone(), clock.clone(), folder)
                .await?;
        if purpose == Purpose::Work {
            ingest.recover().await?;
            keep(&project);
        }
        let outbox = Outbox::open(db.clone(), clock.clone()).await?;
        let rules =
            Rules::open(warehouse.clone(), db.clone(), outbox.clone(), outbound, clock.clone(), folder)
                .await?;
        let queue = Queue::open(db.clone(), clock.clone()).await?;
        for (name, columns, sql) in store::system_queries().into_iter().chain(access::system_queries()) {
            let columns: Vec<_> = columns.into_iter().map(|(name, kind)| (name, arrow_type(kind))).collect();
            warehouse.register_system(SystemTable::new(name, &columns, sql));
        }
        for table in Ingest::system_tables().into_iter().chain(rules::system_tables()) {
            warehouse.register_system(table);
        }
        let dashboards = Dashboards::new(warehouse.clone(), clock.clone());
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            clock,
            db,
            warehouse,
            ingest,
            dashboards,
            rules,
            users,
            sessions,
            audit,
            queue,
            outbox,
            hub: Hub::default(),
            stopping: CancellationToken::new(),
            demo_speed,
            opened: config.clone(),
            live: RwLock::new(Arc::new(loaded)),
        }))
    }

    /// The definitions served now.
    pub fn project(&self) -> Arc<Loaded> {
        self.live.read().expect("no thread panics while swapping definitions").clone()
    }

    /// Serves new definitions: swaps them, then queues what they make stale.
    pub async fn reload(&self, mut loaded: Loaded) -> Result<()> {
        self.warehouse.set_definitions(definitions(&loaded.project));
        if self.opened.needs_restart(&loaded.project.config) {
            loaded.findings.push(
                Finding::whole("guanlan.yaml", "a changed setting takes effect only after a restart")
                    .warning()
                    .hint("restart `guanlan serve`; channels and the site's name take effect at once"),
            );
        }
        keep(&loaded.project);
        let (revision, problems) = (loaded.project.revision.clone(), loaded.findings.len());
        let touched = loaded.plan.clone();
        *self.live.write().expect("no thread panics while swapping definitions") = Arc::new(loaded);
        self.run_touched(&touched).await?;
        self.keep_schedules().await?;
        self.retire_rules().await?;
        self.follow(Happened::Reloaded).await?;
        self.hub.tell("project", serde_json::json!({"revision": revision, "problems": problems}));
        Ok(())
    }

    /// Ends the alerts of rules that are gone. A rule whose file is merely broken is not gone.
    pub async fn retire_rules(&self) -> Result<()> {
        let live = self.project();
        let held = live.held.keys().filter(|place| place.kind == Kind::Rule).map(|place| &place.name);
        let known: Vec<&str> = live.project.rules.keys().chain(held).map(String::as_str).collect();
        if self.rules.retire(&known).await? > 0 {
            self.deliver_now().await?;
        }
        Ok(())
    }

    /// A runner that knows every job.
    pub fn runner(self: &Arc<Self>) -> Runner<Self> {
        let mut runner = Runner::new(self.queue.clone(), self.clone(), self.clock.clone());
        runner.register::<Sync>(2, 1);
        // An object store that is away for an hour, or memory that others hold, passes by itself.
        runner.register::<Clean>(2, 24);
        runner.register::<Build>(1, 12);
        runner.register::<Evaluate>(1, 1);
        runner.register::<Deliver>(1, 1);
        runner.register::<Upkeep>(1, 1);
        runner
    }

    /// Sees to it that every schedule of the project has its next run queued. What never ran is due at
    /// once. Called again and again it revives a schedule that a failure at the wrong moment ended.
    pub async fn keep_schedules(&self) -> Result<()> {
        let live = self.project();
        let now = self.clock.now();
        for (name, spec) in &live.project.sources {
            if let Ok(Some(schedule)) = spec.schedule()
                && let Some(next) = live.project.next_run(&schedule, now)
            {
                self.queue.ensure(&Sync { source: name.clone() }, now, next).await?;
            }
        }
        let rules: BTreeMap<String, Schedule> =
            live.project.rules.values().map(|r| (r.schedule().to_string(), r.schedule())).collect();
        for (name, schedule) in rules {
            if let Some(next) = live.project.next_run(&schedule, now) {
                self.queue.ensure(&Evaluate { schedule: name }, now, next).await?;
            }
        }
        let soon = now + std::time::Duration::from_secs(600);
        self.queue.ensure(&Upkeep {}, soon, soon).await?;
        self.queue.ensure(&Deliver {}, now, now).await?;
        Ok(())
    }

    /// Runs at once what was added or changed by hand: whoever edits a source or a rule wants to see it work.
    async fn run_touched(&self, touched: &Plan) -> Result<()> {
        let live = self.project();
        let now = self.clock.now();
        for place in touched.added.iter().chain(&touched.changed) {
            if let (Kind::Source, Some(spec)) = (place.kind, live.project.sources.get(&place.name))
                && let Ok(Some(_)) = spec.schedule()
            {
                self.queue.push(&Sync { source: place.name.clone() }, now).await?;
            }
            if let (Kind::Rule, Some(spec)) = (place.kind, live.project.rules.get(&place.name)) {
                self.queue.push(&Evaluate { schedule: spec.schedule().to_string() }, now).await?;
            }
        }
        Ok(())
    }

    /// Queues the next run of a scheduled source.
    pub async fn schedule_source(&self, source: &str) -> Result<()> {
        let live = self.project();
        let Some(Ok(Some(schedule))) = live.project.sources.get(source).map(SourceSpec::schedule) else {
            return Ok(()); // removed, read by hand, or a schedule that `check` refuses
        };
        if let Some(due) = live.project.next_run(&schedule, self.clock.now()) {
            self.queue.push(&Sync { source: source.to_owned() }, due).await?;
        }
        Ok(())
    }

    /// Queues the next evaluation of the rules with this schedule; false when there are none left.
    pub async fn schedule_rules(&self, schedule: &str) -> Result<bool> {
        let live = self.project();
        let Some(spec) = live.project.rules.values().find(|r| r.schedule().to_string() == schedule) else {
            return Ok(false);
        };
        if let Some(due) = live.project.next_run(&spec.schedule(), self.clock.now()) {
            self.queue.push(&Evaluate { schedule: schedule.to_owned() }, due).await?;
        }
        Ok(true)
    }

    /// Reads a source into raw tables and queues what follows. `None` when the project has no such source.
    pub async fn sync(
        &self,
        source: &str,
        stream: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<Option<SyncReport>> {
        let live = self.project();
        let Some(spec) = live.project.sources.get(source) else { return Ok(None) };
        let report = self.ingest.sync(source, spec, stream, progress).await?;
        // A commit without rows counts too: a table that was emptied at its source.
        for stream in report.streams.iter().filter(|s| s.version.is_some()) {
            self.follow(Happened::Landed(stream.table.clone())).await?;
        }
        for stream in report.streams.iter().filter(|s| s.version.is_some() || !s.is_whole()) {
            let outcome = if stream.error.is_some() { "failed" } else { stream.outcome().as_str() };
            self.hub.tell(
                "job",
                serde_json::json!({"kind": "sync", "key": source, "stream": stream.stream,
                    "table": stream.table.to_string(), "rows": stream.rows, "outcome": outcome,
                    "state": stream.state(), "message": stream.error.as_ref().map(ToString::to_string)}),
            );
        }
        Ok(Some(report))
    }

    /// Queues the jobs that follow.
    pub async fn follow(&self, happened: Happened) -> Result<()> {
        let now = self.clock.now();
        for job in flow::next(&happened, &*self.project()) {
            match job {
                Next::Clean(job) => self.queue.push::<Clean>(&job, now).await?,
                Next::Build(job) => self.queue.push::<Build>(&job, now).await?,
            }
        }
        Ok(())
    }

    /// Evaluates the rules of a schedule (all rules for `None`) and queues the delivery of what fired.
    pub async fn evaluate(&self, schedule: Option<&str>) -> Result<rules::Pass> {
        let live = self.project();
        let due: Vec<(&str, &RuleSpec)> = live
            .project
            .rules
            .iter()
            .filter(|(_, r)| schedule.is_none_or(|s| r.schedule().to_string() == s))
            .map(|(name, spec)| (name.as_str(), spec))
            .collect();
        let pass = self.rules.evaluate_many(&due).await?;
        self.queue.push(&Deliver {}, self.clock.now()).await?;
        Ok(pass)
    }

    /// Has the deliverer look now: something was told, or someone asked for it.
    pub async fn deliver_now(&self) -> Result<()> {
        Ok(self.queue.push(&Deliver {}, self.clock.now()).await?)
    }

    /// Sends what is due and queues itself for what is due later.
    pub async fn deliver(&self) -> Result<()> {
        let live = self.project();
        let pass = self.rules.deliver(&live.project.config.channels, 64).await?;
        if pass != rules::Delivered::default() {
            self.hub.tell(
                "delivery",
                serde_json::json!({"accepted": pass.accepted, "later": pass.later, "dead": pass.dead}),
            );
        }
        if let Some(due) = self.outbox.next_due(rules::EFFECT_KIND).await? {
            self.queue.push(&Deliver {}, due).await?;
        }
        Ok(())
    }

    /// Compacts, checkpoints and sweeps every Delta table, and forgets the oldest query records.
    pub async fn upkeep(&self) -> Result<()> {
        Ok(self.warehouse.upkeep_all().await?)
    }

    /// The dashboards that `who` may open, the cockpit of their role first.
    pub fn dashboards_of(&self, who: &Principal) -> Vec<(String, DashboardSpec)> {
        let live = self.project();
        let mut open: Vec<_> = live
            .project
            .dashboards
            .iter()
            .filter(|(_, spec)| spec.open_to(who))
            .map(|(name, spec)| (name.clone(), spec.clone()))
            .collect();
        // A page made for the caller's own role comes before those for everyone.
        open.sort_by_key(|(name, spec)| {
            (spec.roles.first().is_none_or(|r| !who.roles.contains(r)), name.clone())
        });
        open
    }
}

impl Loaded {
    /// The share of set-aside rows that the stream of a raw table accepts.
    pub fn accepted(&self, raw: &TableName) -> ingest::Share {
        let streams = self.project.sources.iter().flat_map(|(source, spec)| {
            spec.streams.iter().map(move |(stream, of)| (SourceSpec::table(source, stream), of))
        });
        let found = streams.filter(|(table, _)| table == raw).find_map(|(_, of)| of.accept);
        found.unwrap_or_default().set_aside
    }
}

/// A folder that cannot be written has no last good version after a restart; serving goes on.
fn keep(project: &Project) {
    if let Err(error) = project::remember(project) {
        tracing::warn!(error = %error, "what is served could not be kept in .guanlan/served.json");
    }
}

/// How the plain column kinds of the rooms left of Arrow are typed in a query.
fn arrow_type(kind: store::Column) -> DataType {
    match kind {
        store::Column::Text => DataType::Utf8,
        store::Column::Integer => DataType::Int64,
        store::Column::Float => DataType::Float64,
        store::Column::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

fn settings(project: &Project) -> Settings {
    let query = &project.config.query;
    Settings {
        memory_mib: query.memory_mib,
        timeout: query.timeout.0,
        spill: Some(project.dir.join(".guanlan/spill")),
        calendar: project.calendar.clone(),
        retention: Retention {
            age: project.config.tables.retention.age.0,
            times_live: project.config.tables.retention.times_live,
        },
        ..Settings::default()
    }
}

fn definitions(project: &Project) -> Definitions {
    Definitions {
        cleans: project.cleans.clone(),
        models: project.models.clone(),
        metrics: project.metrics.clone(),
    }
}

impl Lineage for Loaded {
    fn cleans_of(&self, raw: &TableName) -> Vec<String> {
        self.project.cleans.iter().filter(|(_, c)| &c.from == raw).map(|(name, _)| name.clone()).collect()
    }

    fn cleans(&self) -> Vec<String> {
        self.project.cleans.keys().cloned().collect()
    }

    fn is_modelled(&self, table: &TableName) -> bool {
        self.project.models.values().any(|m| references(&m.sql).is_ok_and(|r| r.contains(table)))
    }
}
