//! The OA database: its schema, and the staff table's rows.

use crate::company::{Company, Person};
use crate::names;
use crate::planted::Mischief;
use crate::table::{Cell, Table};
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, date_text, day_of, month_of, stamp};

pub(crate) const DEPARTMENTS: Table = Table {
    name: "departments",
    columns: &["id", "name", "region", "manager_id", "deputy_id", "updated_at"],
};
pub(crate) const EMPLOYEES: Table = Table {
    name: "employees",
    columns: &[
        "id",
        "work_no",
        "name",
        "department_id",
        "title",
        "status",
        "entry_date",
        "left_date",
        "leave_from",
        "leave_to",
        "delegate_id",
        "updated_at",
    ],
};
pub(crate) const INSTANCES: Table = Table {
    name: "approval_instances",
    columns: &[
        "id",
        "number",
        "process",
        "title",
        "starter_id",
        "department_id",
        "category",
        "amount",
        "vendor",
        "invoice_no",
        "status",
        "node",
        "returns",
        "submitted_at",
        "due_at",
        "finished_at",
        "updated_at",
    ],
};
pub(crate) const TASKS: Table = Table {
    name: "approval_tasks",
    columns: &[
        "id",
        "instance_id",
        "node",
        "seq",
        "assignee_id",
        "received_at",
        "opened_at",
        "finished_at",
        "result",
        "channel",
        "updated_at",
    ],
};
pub(crate) const ATTENDANCE: Table = Table {
    name: "attendance",
    columns: &["id", "day", "employee_id", "check_in", "check_out", "status", "device", "updated_at"],
};
pub(crate) const ACCESS: Table = Table {
    name: "access_log",
    columns: &["id", "at", "employee_id", "device", "action", "page", "rows", "ip", "duration_ms"],
};

pub(crate) const SCHEMA: [&str; 7] = [
    "create table departments (id integer primary key, name text not null, region text not null, manager_id integer not null,
     deputy_id integer not null, updated_at text not null)",
    "create table employees (id integer primary key, work_no text not null, name text not null, department_id integer not null,
     title text not null, status text not null, entry_date text not null, left_date text, leave_from text, leave_to text,
     delegate_id integer, updated_at text not null)",
    "create table approval_instances (id integer primary key, number text not null, process text not null, title text not null,
     starter_id integer not null, department_id integer not null, category text, amount real, vendor text, invoice_no text,
     status text not null, node text, returns integer not null, submitted_at text not null, due_at text not null, finished_at text,
     updated_at text not null)",
    "create table approval_tasks (id integer primary key, instance_id integer not null, node text not null, seq integer not null,
     assignee_id integer not null, received_at text not null, opened_at text, finished_at text, result text, channel text,
     updated_at text not null)",
    "create table attendance (id integer primary key, day text not null, employee_id integer not null, check_in text, check_out text,
     status text not null, device text, updated_at text not null)",
    "create table access_log (id integer primary key, at text not null, employee_id integer not null, device text not null,
     action text not null, page text not null, rows integer, ip text not null, duration_ms integer not null)",
    "create table world_clock (name text primary key, at integer not null)",
];
/// Made after the history is in, because that is faster.
pub(crate) const INDEXES: [&str; 4] = [
    "create index approval_instances_updated on approval_instances(updated_at)",
    "create index approval_tasks_updated on approval_tasks(updated_at)",
    "create index attendance_updated on attendance(updated_at)",
    "create index employees_updated on employees(updated_at)",
];

/// Staff changes show in the morning.
pub(crate) const MORNING: i64 = 8 * HOUR + 30 * MINUTE;

pub(crate) fn department_rows(company: &Company, start: Day) -> impl Iterator<Item = Cell> {
    company.departments.iter().enumerate().flat_map(move |(index, department)| {
        [
            Cell::Int(index as i64 + 1),
            Cell::Shared(department.name.clone()),
            Cell::Static(names::REGIONS[department.region]),
            Cell::Int(department.manager() as i64 + 1),
            Cell::Int(department.deputy() as i64 + 1),
            Cell::Text(stamp(start * DAY)),
        ]
    })
}

/// What the staff table says about one person at some moment.
pub(crate) struct Standing {
    person: Person,
    away: Option<(Day, Day, Option<Person>)>,
    gone: bool,
    pub(crate) updated: Moment,
}

/// None before the person joined. `start` bounds the search for past leaves.
pub(crate) fn standing(
    company: &Company,
    mischief: &Mischief,
    start: Day,
    person: Person,
    now: Moment,
) -> Option<Standing> {
    let today = day_of(now - MORNING);
    let employee = &company.employees[person];
    if employee.entry > today {
        return None;
    }
    let morning = |day: Day| day * DAY + MORNING;
    let mut updated = morning(employee.entry);
    let gone = employee.left.is_some_and(|left| left <= today);
    if let Some(left) = employee.left.filter(|_| gone) {
        updated = updated.max(morning(left));
    }
    let mut away = None;
    for leave in (month_of(start)..=month_of(today)).filter_map(|month| company.leave(person, month)) {
        if leave.from <= today {
            updated = updated.max(morning(leave.from));
        }
        if leave.to < today {
            updated = updated.max(morning(leave.to + 1));
        } else if leave.from <= today {
            away = Some((leave.from, leave.to, Some(company.delegate(person))));
        }
    }
    for (_, from, to) in mischief.absences().filter(|(who, from, _)| *who == person && *from <= now) {
        updated = updated.max(if to <= now { to } else { from });
        if now < to {
            away = Some((day_of(from), day_of(to), None));
        }
    }
    Some(Standing { person, away: away.filter(|_| !gone), gone, updated })
}

impl Standing {
    pub(crate) fn row(&self, company: &Company) -> Vec<Cell> {
        let employee = &company.employees[self.person];
        let text = |day: Option<Day>| day.map_or(Cell::Null, |day| Cell::Text(date_text(day)));
        vec![
            Cell::Int(self.person as i64 + 1),
            Cell::Shared(employee.number.clone()),
            Cell::Shared(employee.name.clone()),
            Cell::Int(employee.department as i64 + 1),
            Cell::Static(employee.title),
            Cell::Static(if self.gone { "left" } else { "active" }),
            text(Some(employee.entry)),
            text(employee.left.filter(|_| self.gone)),
            text(self.away.map(|(from, _, _)| from)),
            text(self.away.map(|(_, to, _)| to)),
            self.away
                .and_then(|(_, _, delegate)| delegate)
                .map_or(Cell::Null, |person| Cell::Int(person as i64 + 1)),
            Cell::Text(stamp(self.updated)),
        ]
    }
}
