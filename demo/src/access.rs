//! The OA's page and query log of one day: logins, views, queries, exports, on PC and phone.

use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::names;
use crate::planted::{Mischief, Trouble};
use crate::table::Cell;
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, stamp, weekday};

pub(crate) struct Visit {
    pub(crate) at: Moment,
    person: Person,
    mobile: bool,
    action: &'static str,
    page: &'static str,
    rows: Option<i64>,
    millis: i64,
    /// Address outside the company, for attacks.
    foreign: bool,
}

/// When sessions begin on a workday.
const HOURS: [f64; 24] = [
    0.02, 0.0, 0.0, 0.0, 0.0, 0.02, 0.05, 0.3, 1.3, 2.2, 1.7, 1.2, 0.5, 1.0, 1.6, 1.5, 1.3, 1.0, 0.5, 0.3,
    0.25, 0.2, 0.1, 0.05,
];

/// A day's log in order of time; its place there is the row's number.
pub(crate) fn plan(company: &Company, mischief: &Mischief, day: Day) -> Vec<Visit> {
    let worked = company.calendar.is_workday(day);
    let mood = if worked { [1.03, 1.02, 1.0, 1.0, 0.95, 1.0, 1.0][weekday(day) as usize] } else { 0.09 };
    let mut visits = Vec::with_capacity(4_000);
    for person in 0..company.employees.len() {
        let mut dice = Dice::new(company.seed, About::Access, person as i64, day);
        let likely = company.employees[person].activity * mood * mischief.activity(day * DAY + 12 * HOUR);
        if !dice.chance(likely) || !company.employed(person, day) {
            continue;
        }
        for _ in 0..=usize::from(dice.chance(0.2)) {
            session(company, person, day, &mut dice, &mut visits);
        }
    }
    for planted in mischief.log_trouble(day) {
        match planted.trouble {
            Trouble::FailedLogins { person, tries } => attack(person, planted.from, tries, &mut visits),
            Trouble::BulkExport { person, files, rows } => {
                export(person, planted.from, files, rows, &mut visits)
            }
            _ => {}
        }
    }
    // Ties keep the order of the staff, so numbers are the same every time.
    visits.sort_by_key(|visit| visit.at);
    visits
}

fn session(company: &Company, person: Person, day: Day, dice: &mut Dice, visits: &mut Vec<Visit>) {
    let mut at = day * DAY + dice.weighted(&HOURS) as i64 * HOUR + dice.between(0, HOUR - 1);
    let office = (8 * HOUR..19 * HOUR).contains(&at.rem_euclid(DAY));
    let mobile = dice.chance(company.employees[person].mobile + if office { 0.0 } else { 0.3 });
    let visit = |at, action, page, rows, millis| Visit {
        at,
        person,
        mobile,
        action,
        page,
        rows,
        millis,
        foreign: false,
    };
    if dice.chance(0.03) {
        visits.push(visit(at, "login_failed", "/login", None, 90));
        at += dice.between(4, 40);
    }
    visits.push(visit(at, "login", "/login", None, dice.between(60, 260)));
    let end_of_day = (day + 1) * DAY - 1;
    for _ in 0..1 + dice.count(0.35) {
        at += dice.between(5, 240);
        if at > end_of_day {
            return;
        }
        let page = names::PAGES[dice.weighted(&names::PAGES.map(|(_, weight)| weight))].0;
        let report = page.starts_with("/report");
        let (action, rows) = match dice.unit() {
            draw if report && draw < 0.15 => ("export", Some(dice.lognormal(350.0, 0.8) as i64)),
            draw if report => ("query", Some((draw * 900.0) as i64 + 1)),
            _ => ("view", None),
        };
        let millis = dice.lognormal(if report { 620.0 } else { 140.0 }, 0.6) as i64 + 8;
        visits.push(visit(at, action, page, rows, millis));
    }
}

fn attack(person: Person, from: Moment, tries: usize, visits: &mut Vec<Visit>) {
    let gap = 4 * MINUTE / tries.max(1) as i64;
    visits.extend((0..tries as i64).map(|n| Visit {
        at: from + n * gap,
        person,
        mobile: false,
        action: "login_failed",
        page: "/login",
        rows: None,
        millis: 80 + n % 7,
        foreign: true,
    }));
}

fn export(person: Person, from: Moment, files: usize, rows: i64, visits: &mut Vec<Visit>) {
    let plain = |at, action, page, rows, millis| Visit {
        at,
        person,
        mobile: false,
        action,
        page,
        rows,
        millis,
        foreign: true,
    };
    visits.push(plain(from - 50, "login", "/login", None, 150));
    for n in 0..files as i64 {
        visits.push(plain(
            from + n * 4 * MINUTE,
            "export",
            "/report/customers",
            Some(rows + n * 137),
            9_000 + n * 311,
        ));
    }
}

impl Visit {
    /// The row of `access_log`; `place` is its rank within the day.
    pub(crate) fn row(&self, company: &Company, day: Day, place: usize) -> [Cell; 9] {
        let department = company.employees[self.person].department;
        let ip = match () {
            () if self.foreign => format!("203.0.113.{}", 20 + self.person % 200),
            () if self.mobile => format!("100.64.{}.{}", self.person / 250 % 250, self.person % 250 + 1),
            () => format!(
                "10.{}.{}.{}",
                company.departments[department].region + 1,
                department + 1,
                self.person % 250 + 1
            ),
        };
        [
            Cell::Int(day * 100_000 + place as i64 + 1),
            Cell::Text(stamp(self.at)),
            Cell::Int(self.person as i64 + 1),
            Cell::Static(if self.mobile { "mobile" } else { "pc" }),
            Cell::Static(self.action),
            Cell::Static(self.page),
            self.rows.map_or(Cell::Null, Cell::Int),
            Cell::Text(ip),
            Cell::Int(self.millis),
        ]
    }
}
