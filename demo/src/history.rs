//! The past: everything from the start until now, written in one go.

use std::path::Path;
use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;

use crate::approvals::{self, Instance};
use crate::settings::Plan;
use crate::table::{Bulk, Cell};
use crate::tickets::{self, Ticket};
use crate::time::{DAY, Day, HOUR, Moment, day_of};
use crate::{Error, access, attendance, drops, oa};

/// One planned day on its way to the databases.
struct Load {
    day: Day,
    instances: Vec<Cell>,
    tasks: Vec<Cell>,
    punches: Vec<Cell>,
    visits: Vec<Cell>,
    tickets: Vec<Cell>,
}

/// Documents and tickets that are not finished yet.
#[derive(Default)]
pub(crate) struct Open {
    pub(crate) instances: Vec<Instance>,
    pub(crate) tickets: Vec<Ticket>,
}

/// Fills both databases up to the origin of `plan`.
pub(crate) async fn load(
    plan: &Arc<Plan>,
    oa: &mut SqliteConnection,
    desk: &mut SqliteConnection,
    progress: &(dyn Fn(&str, u64, u64) + Send + Sync),
) -> Result<(), Error> {
    let (sender, mut days) = mpsc::channel::<Load>(4);
    let planner = plan.clone();
    let planning = tokio::task::spawn_blocking(move || {
        for day in planner.start..=day_of(planner.origin) {
            if sender.blocking_send(load_day(&planner, day)).is_err() {
                return; // The writer failed and says so itself.
            }
        }
    });
    let mut bulks = [&oa::INSTANCES, &oa::TASKS, &oa::ATTENDANCE, &oa::ACCESS].map(Bulk::new);
    let mut desk_bulk = Bulk::new(&tickets::TABLE);
    let mut tx = oa.begin().await?;
    let mut desk_tx = desk.begin().await?;
    staff(plan, &mut tx).await?;
    let total = (day_of(plan.origin) - plan.start + 1) as u64;
    while let Some(load) = days.recv().await {
        for (bulk, cells) in bulks.iter_mut().zip([load.instances, load.tasks, load.punches, load.visits]) {
            bulk.extend(cells);
            bulk.flush(&mut tx, false).await?;
        }
        desk_bulk.extend(load.tickets);
        desk_bulk.flush(&mut desk_tx, false).await?;
        progress("company days", (load.day - plan.start + 1) as u64, total);
    }
    for bulk in &mut bulks {
        bulk.flush(&mut tx, true).await?;
    }
    desk_bulk.flush(&mut desk_tx, true).await?;
    desk_tx.commit().await?;
    tx.commit().await?;
    planning.await.map_err(|e| Error::Settings(format!("planning the history failed: {e}")))
}

async fn staff(plan: &Plan, tx: &mut SqliteConnection) -> Result<(), Error> {
    let mut departments = Bulk::new(&oa::DEPARTMENTS);
    departments.extend(oa::department_rows(&plan.company, plan.start));
    departments.flush(tx, true).await?;
    let mut employees = Bulk::new(&oa::EMPLOYEES);
    for person in 0..plan.company.employees.len() {
        if let Some(standing) = oa::standing(&plan.company, &plan.mischief, plan.start, person, plan.origin) {
            employees.extend(standing.row(&plan.company));
        }
    }
    employees.flush(tx, true).await
}

fn load_day(plan: &Plan, day: Day) -> Load {
    let Plan { company, mischief, origin: now, .. } = plan;
    let now = *now;
    let mut load =
        Load { day, instances: vec![], tasks: vec![], punches: vec![], visits: vec![], tickets: vec![] };
    for instance in approvals::plan(company, mischief, day) {
        load.instances.extend(instance.row(company, now).into_iter().flatten());
        load.tasks.extend(instance.tasks.iter().filter_map(|task| task.row(instance.id, now)).flatten());
    }
    for punch in attendance::plan(company, mischief, day) {
        load.punches.extend(punch.row(now).into_iter().flatten());
    }
    let visits = access::plan(company, mischief, day);
    load.visits.reserve(visits.len() * 9);
    for (place, visit) in visits.iter().enumerate().filter(|(_, visit)| visit.at <= now) {
        load.visits.extend(visit.row(company, day, place));
    }
    // Of past tickets only the version current now is kept.
    for ticket in tickets::plan(company, day) {
        if ticket.versions(i64::MIN, now).next().is_some() {
            load.tickets.extend(ticket.row(company, now));
        }
    }
    load
}

/// Writes the past exports and the budget workbooks.
pub(crate) fn write_drops(
    plan: &Plan,
    folder: &Path,
    progress: &(dyn Fn(&str, u64, u64) + Send + Sync),
) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|e| Error::file("create", folder, e))?;
    let mut files = drops::history(&plan.company, plan.start, plan.origin);
    let midnight = day_of(plan.origin) * DAY;
    files.extend(drops::due(&plan.company, &plan.mischief, midnight + HOUR, plan.origin));
    let total = files.len() as u64;
    for (n, drop) in files.iter().enumerate() {
        drops::write(folder, &drop.name, &drop.bytes(&plan.company, &plan.mischief))?;
        progress("exports", n as u64 + 1, total);
    }
    for (name, bytes) in drops::budgets(&plan.company, plan.start, plan.origin)? {
        drops::write(folder, &name, &bytes)?;
    }
    Ok(())
}

/// What was begun in the last months and is still open: planned again from the seed.
pub(crate) fn open(plan: &Plan, at: Moment) -> Open {
    /// No document lives longer: every wait is cut off, and escalates after two days.
    const MEMORY: i64 = 90;
    let mut open = Open::default();
    for day in (day_of(at) - MEMORY).max(plan.start)..=day_of(at) {
        open.instances.extend(
            approvals::plan(&plan.company, &plan.mischief, day).into_iter().filter(|i| i.ends() > at),
        );
        open.tickets
            .extend(tickets::plan(&plan.company, day).into_iter().filter(|ticket| ticket.ends() > at));
    }
    open
}
