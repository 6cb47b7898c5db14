//! The company at work: made once, then moved forward in steps of any size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::access::{self, Visit};
use crate::attendance::{self, Punch};
use crate::history::{self, Open};
use crate::settings::{Plan, Remembered, Settings};
use crate::table::Bulk;
use crate::time::{DAY, Day, Moment, day_of, moment, stamp, utc};
use crate::{COMPANY, Error, GroundTruth, approvals, drops, oa, tickets};

/// A company whose systems stand in `<dir>/company`.
pub struct World {
    folder: PathBuf,
    plan: Arc<Plan>,
    oa: SqliteConnection,
    desk: SqliteConnection,
    at: Moment,
    /// The ticket system commits first, so it may be ahead after a kill.
    desk_at: Moment,
    open: Open,
    /// The day planned last, with its visits and punches.
    today: Option<(Day, Vec<Visit>, Vec<Punch>)>,
}

impl World {
    /// Writes the systems of a new company with its history into `<dir>/company`. A creation that is
    /// killed leaves nothing behind that would be taken for a company.
    pub async fn create(
        dir: &Path,
        settings: Settings,
        progress: &(dyn Fn(&str, u64, u64) + Send + Sync),
    ) -> Result<Self, Error> {
        let folder = dir.join(COMPANY);
        if folder.exists() {
            return Err(Error::Exists(folder));
        }
        let building = dir.join(".company.partial");
        if building.exists() {
            std::fs::remove_dir_all(&building).map_err(|e| Error::file("remove", &building, e))?;
        }
        std::fs::create_dir_all(&building).map_err(|e| Error::file("create", &building, e))?;
        let remembered = settings.remember()?;
        remembered.write(&building)?;
        let plan = Arc::new(remembered.plan());
        write_truth(&plan, &building)?;
        // The exports and the databases do not wait for each other.
        let (files, drops) = (plan.clone(), building.join("drops"));
        let writing =
            tokio::task::spawn_blocking(move || history::write_drops(&files, &drops, &|_, _, _| {}));
        fill(&plan, &building, progress).await?;
        writing.await.map_err(|e| Error::Settings(format!("writing the exports failed: {e}")))??;
        std::fs::rename(&building, &folder).map_err(|e| Error::file("create", &folder, e))?;
        Self::resume(dir).await
    }

    /// Opens the company in `<dir>/company` where it stopped.
    pub async fn resume(dir: &Path) -> Result<Self, Error> {
        let folder = dir.join(COMPANY);
        let remembered = Remembered::read(&folder)?;
        let planned = tokio::task::spawn_blocking(move || Arc::new(remembered.plan())).await;
        let plan = planned.map_err(|e| Error::damaged(&folder, e))?;
        let mut oa = connect(&folder.join("oa.db")).await?;
        let mut desk = connect(&folder.join("tickets.db")).await?;
        let (at, desk_at) = (clock(&mut oa).await?, clock(&mut desk).await?);
        let open = history::open(&plan, at.min(desk_at));
        Ok(Self { folder, plan, oa, desk, at, desk_at, open, today: None })
    }

    /// How far the company has worked.
    pub fn now(&self) -> DateTime<Utc> {
        utc(self.at)
    }

    /// Works until `to` (whole seconds; going back does nothing) and says what happened.
    pub async fn advance(&mut self, to: DateTime<Utc>) -> Result<Vec<String>, Error> {
        let to = moment(to);
        let mut lines = Vec::new();
        while self.at < to {
            let until = to.min((day_of(self.at + 1) + 1) * DAY - 1);
            self.step(until, &mut lines).await?;
        }
        Ok(lines)
    }

    /// Works until `until`, which lies on the day of the next second.
    async fn step(&mut self, until: Moment, lines: &mut Vec<String>) -> Result<(), Error> {
        let (plan, after) = (self.plan.clone(), self.at);
        self.plan_day(day_of(until));
        for drop in drops::due(&plan.company, &plan.mischief, after, until) {
            drops::write(&self.folder.join("drops"), &drop.name, &drop.bytes(&plan.company, &plan.mischief))?;
            lines.push(format!("{} export {}", stamp(drop.due), drop.name));
        }
        let opened = self.step_desk(until).await?;
        let (papers, steps, visits) = self.step_oa(until).await?;
        if papers + steps + visits + opened > 0 {
            lines.push(format!("{} {papers} documents moved, {steps} approval steps, {visits} page views, {opened} ticket updates", stamp(until)));
        }
        for planted in plan.mischief.0.iter().filter(|p| after < p.from && p.from <= until) {
            lines.push(format!("{} planted: {}", stamp(planted.from), planted.entry.note.en));
        }
        self.at = until;
        self.open.instances.retain(|instance| instance.ends() > until);
        self.open.tickets.retain(|ticket| ticket.ends() > until);
        Ok(())
    }

    /// Plans a day the first time it is entered. Documents of the day the world was opened on are
    /// among the open ones already.
    fn plan_day(&mut self, day: Day) {
        if self.today.as_ref().is_some_and(|(planned, _, _)| *planned == day) {
            return;
        }
        let Plan { company, mischief, .. } = &*self.plan;
        if self.today.is_some() || day > day_of(self.at.min(self.desk_at)) {
            self.open.instances.extend(approvals::plan(company, mischief, day));
            self.open.tickets.extend(tickets::plan(company, day));
        }
        self.today =
            Some((day, access::plan(company, mischief, day), attendance::plan(company, mischief, day)));
    }

    async fn step_desk(&mut self, until: Moment) -> Result<usize, Error> {
        let mut versions: Vec<(Moment, usize)> = Vec::new();
        for (index, ticket) in self.open.tickets.iter().enumerate() {
            versions.extend(ticket.versions(self.desk_at, until).map(|at| (at, index)));
        }
        versions.sort_unstable();
        let mut rows = Bulk::new(&tickets::TABLE);
        for (at, index) in &versions {
            rows.extend(self.open.tickets[*index].row(&self.plan.company, *at));
        }
        if until > self.desk_at {
            let mut tx = self.desk.begin().await?;
            rows.flush(&mut tx, true).await?;
            set_clock(&mut tx, until).await?;
            tx.commit().await?;
            self.desk_at = until;
        }
        Ok(versions.len())
    }

    async fn step_oa(&mut self, until: Moment) -> Result<(usize, usize, usize), Error> {
        let (after, company) = (self.at, &self.plan.company);
        let (mut papers, mut steps, mut seen) = (0, 0, 0);
        let mut bulks =
            [&oa::INSTANCES, &oa::TASKS, &oa::ATTENDANCE, &oa::ACCESS, &oa::EMPLOYEES].map(Bulk::new);
        for instance in self.open.instances.iter().filter(|instance| instance.touched(after, until)) {
            papers += 1;
            bulks[0].extend(instance.row(company, until).into_iter().flatten());
            for task in instance.tasks.iter().filter(|task| task.touched(after, until)) {
                steps += 1;
                bulks[1].extend(task.row(instance.id, until).into_iter().flatten());
            }
        }
        if let Some((day, visits, punches)) = &self.today {
            for punch in punches.iter().filter(|punch| punch.touched(after, until)) {
                bulks[2].extend(punch.row(until).into_iter().flatten());
            }
            for (place, visit) in visits.iter().enumerate().filter(|(_, v)| after < v.at && v.at <= until) {
                seen += 1;
                bulks[3].extend(visit.row(company, *day, place));
            }
        }
        self.staff_changes(until, &mut bulks[4]);
        let mut tx = self.oa.begin().await?;
        for bulk in &mut bulks {
            bulk.flush(&mut tx, true).await?;
        }
        set_clock(&mut tx, until).await?;
        tx.commit().await?;
        Ok((papers, steps, seen))
    }

    /// Joins, exits and leaves show in the morning; planted absences when they happen.
    fn staff_changes(&self, until: Moment, rows: &mut Bulk) {
        let Plan { company, mischief, start, .. } = &*self.plan;
        let within = |at: Moment| self.at < at && at <= until;
        let planted = mischief.absences().any(|(_, from, to)| within(from) || within(to));
        if !planted && !within(day_of(until) * DAY + oa::MORNING) {
            return;
        }
        for person in 0..company.employees.len() {
            if let Some(standing) =
                oa::standing(company, mischief, *start, person, until).filter(|s| within(s.updated))
            {
                rows.extend(standing.row(company));
            }
        }
    }
}

fn write_truth(plan: &Plan, folder: &Path) -> Result<(), Error> {
    let path = folder.join("ground_truth.json");
    let entries: Vec<_> = plan.mischief.0.iter().map(|planted| planted.entry.clone()).collect();
    let text = serde_json::to_string_pretty(&GroundTruth(entries)).map_err(|e| Error::damaged(&path, e))?;
    std::fs::write(&path, text).map_err(|e| Error::file("write", &path, e))
}

/// Makes both databases up to the origin. Until they are whole nothing is synced: a creation that
/// fails is begun again.
async fn fill(
    plan: &Arc<Plan>,
    folder: &Path,
    progress: &(dyn Fn(&str, u64, u64) + Send + Sync),
) -> Result<(), Error> {
    let fast = |name: &str| {
        SqliteConnectOptions::new()
            .filename(folder.join(name))
            .create_if_missing(true)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-65536")
    };
    let mut oa = fast("oa.db").connect().await?;
    let mut desk = fast("tickets.db").connect().await?;
    for statement in oa::SCHEMA {
        sqlx::query(statement).execute(&mut oa).await?;
    }
    sqlx::query(tickets::SCHEMA).execute(&mut desk).await?;
    sqlx::query(oa::SCHEMA[6]).execute(&mut desk).await?;
    history::load(plan, &mut oa, &mut desk, progress).await?;
    for statement in oa::INDEXES {
        sqlx::query(statement).execute(&mut oa).await?;
    }
    for mut db in [oa, desk] {
        set_clock(&mut db, plan.origin).await?;
        sqlx::query("pragma journal_mode = wal").execute(&mut db).await?;
        db.close().await?;
    }
    Ok(())
}

async fn connect(path: &Path) -> Result<SqliteConnection, Error> {
    let options = SqliteConnectOptions::new().filename(path).journal_mode(SqliteJournalMode::Wal);
    let options = options.synchronous(SqliteSynchronous::Normal).busy_timeout(Duration::from_secs(20));
    Ok(options.connect().await?)
}

async fn clock(db: &mut SqliteConnection) -> Result<Moment, Error> {
    Ok(sqlx::query_scalar("select at from world_clock where name = 'now'").fetch_one(db).await?)
}

async fn set_clock(db: &mut SqliteConnection, at: Moment) -> Result<(), Error> {
    let set = "insert or replace into world_clock (name, at) values ('now', ?)";
    sqlx::query(set).bind(at).execute(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
