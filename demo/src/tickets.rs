//! Service tickets: a separate system behind a paged REST interface.
//!
//! Its table keeps one row a version of a ticket, only ever appended in order of `updated_at`. Pages
//! counted from the front therefore never shift while a reader turns them.

use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::names;
use crate::table::{Cell, Table};
use crate::time::{DAY, Day, HOUR, Moment, compact_date, stamp};

pub(crate) const TABLE: Table = Table {
    name: "tickets",
    columns: &[
        "id",
        "title",
        "category",
        "priority",
        "status",
        "region",
        "requester_id",
        "department_id",
        "assignee_id",
        "created_at",
        "due_at",
        "first_response_at",
        "solved_at",
        "satisfaction",
        "updated_at",
    ],
};
pub(crate) const SCHEMA: &str = "create table tickets (
    id integer not null, title text not null, category text not null, priority text not null, status text not null,
    region text not null, requester_id integer not null, department_id integer not null, assignee_id integer, created_at text not null,
    due_at text not null, first_response_at text, solved_at text, satisfaction integer, updated_at text not null,
    primary key (updated_at, id)) without rowid";

pub(crate) struct Ticket {
    id: i64,
    title: &'static str,
    category: &'static str,
    priority: &'static str,
    requester: Person,
    assignee: Person,
    created: Moment,
    due: Moment,
    answered: Moment,
    solved: Moment,
    satisfaction: Option<i64>,
}

const HOURS: [f64; 24] = [
    0.02, 0.0, 0.0, 0.0, 0.0, 0.02, 0.05, 0.2, 1.0, 2.0, 1.8, 1.3, 0.4, 1.0, 1.6, 1.5, 1.3, 0.9, 0.3, 0.15,
    0.1, 0.1, 0.05, 0.02,
];

/// Tickets opened on a day, with their whole future.
pub(crate) fn plan(company: &Company, day: Day) -> Vec<Ticket> {
    let mut dice = Dice::new(company.seed, About::Tickets, day, 0);
    let usual = if company.calendar.is_workday(day) { 64.0 } else { 7.0 };
    let count = dice.count(usual * company.employees.len() as f64 / 2_000.0);
    let number = compact_date(day).parse::<i64>().unwrap_or_default() * 1_000;
    let mut begins: Vec<Moment> = (0..count)
        .map(|_| day * DAY + dice.weighted(&HOURS) as i64 * HOUR + dice.between(0, HOUR - 1))
        .collect();
    begins.sort_unstable();
    begins
        .into_iter()
        .enumerate()
        .map(|(n, at)| ticket(company, day, number + n as i64 + 1, at, &mut dice))
        .collect()
}

fn ticket(company: &Company, day: Day, id: i64, created: Moment, dice: &mut Dice) -> Ticket {
    let rank = dice.weighted(&[0.12, 0.5, 0.38]);
    let promise = [4.0, 12.0, 24.0][rank] * 60.0;
    let support = company.departments.iter().position(|d| &*d.name == "信息技术部").unwrap_or(0);
    let home = &company.departments[support];
    let wait = dice.lognormal(28.0, 0.8);
    let answered = company.calendar.add_work(created, wait).max(created + 60);
    let work = dice.lognormal([90.0, 230.0, 420.0][rank], 0.8);
    let solved = company.calendar.add_work(answered, work).max(answered + 60);
    Ticket {
        id,
        title: names::TICKET_WORDS[dice.below(10)],
        category: names::TICKET_CATEGORIES[dice.below(6)],
        priority: ["high", "normal", "low"][rank],
        requester: company.anyone(day, dice),
        assignee: home.first + 2 + dice.below(home.size.saturating_sub(2).clamp(1, 12)),
        created,
        due: company.calendar.add_work(created, promise),
        answered,
        solved,
        satisfaction: dice.chance(0.4).then(|| 1 + dice.weighted(&[0.03, 0.05, 0.14, 0.38, 0.4]) as i64),
    }
}

impl Ticket {
    pub(crate) fn ends(&self) -> Moment {
        self.solved
    }

    /// Moments in (after, until] at which a new version appears.
    pub(crate) fn versions(&self, after: Moment, until: Moment) -> impl Iterator<Item = Moment> {
        [self.created, self.answered, self.solved].into_iter().filter(move |at| after < *at && *at <= until)
    }

    /// The version of the ticket current at `now`, which must not be before it was opened.
    pub(crate) fn row(&self, company: &Company, now: Moment) -> Vec<Cell> {
        let past = |at: Moment| if at <= now { Cell::Text(zoned(at)) } else { Cell::Null };
        let (status, updated) = match now {
            now if now >= self.solved => ("solved", self.solved),
            now if now >= self.answered => ("open", self.answered),
            _ => ("new", self.created),
        };
        let department = company.employees[self.requester].department;
        let answered = self.answered <= now;
        vec![
            Cell::Int(self.id),
            Cell::Static(self.title),
            Cell::Static(self.category),
            Cell::Static(self.priority),
            Cell::Static(status),
            Cell::Static(names::REGIONS[company.departments[department].region]),
            Cell::Int(self.requester as i64 + 1),
            Cell::Int(department as i64 + 1),
            if answered { Cell::Int(self.assignee as i64 + 1) } else { Cell::Null },
            Cell::Text(zoned(self.created)),
            Cell::Text(zoned(self.due)),
            past(self.answered),
            past(self.solved),
            self.satisfaction.filter(|_| self.solved <= now).map_or(Cell::Null, Cell::Int),
            Cell::Text(zoned(updated)),
        ]
    }
}

/// `2026-11-24T09:05:00+08:00`, as this system writes time.
fn zoned(at: Moment) -> String {
    format!("{}+08:00", stamp(at).replace(' ', "T"))
}
