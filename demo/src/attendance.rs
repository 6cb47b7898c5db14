//! Punches of one workday: in, out, and at half past ten a row for whoever did not come.

use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::planted::Mischief;
use crate::table::Cell;
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, date_text, stamp};

pub(crate) struct Punch {
    pub(crate) person: Person,
    day: Day,
    /// When the row first shows.
    first: Moment,
    arrived: Option<Moment>,
    left: Option<Moment>,
    /// Status in the morning, and after an early departure.
    status: (&'static str, &'static str),
    device: &'static str,
}

/// All punches of a day; none on days off.
pub(crate) fn plan(company: &Company, mischief: &Mischief, day: Day) -> Vec<Punch> {
    if !company.calendar.is_workday(day) {
        return Vec::new();
    }
    let gaps: Vec<f64> =
        (0..company.departments.len()).map(|d| mischief.missing_punches(d, day * DAY)).collect();
    let there = (0..company.employees.len()).filter(|person| company.employed(*person, day));
    there.map(|person| punch(company, person, day, gaps[company.employees[person].department])).collect()
}

fn punch(company: &Company, person: Person, day: Day, gap: f64) -> Punch {
    let mut dice = Dice::new(company.seed, About::Attendance, person as i64, day);
    let begin = day * DAY;
    let nobody = |status| Punch {
        person,
        day,
        first: begin + 10 * HOUR + 30 * MINUTE,
        arrived: None,
        left: None,
        status: (status, status),
        device: "",
    };
    if company.on_leave(person, day).is_some() {
        return nobody("leave");
    }
    if dice.chance(0.012) || (gap > 0.0 && dice.chance(gap)) {
        return nobody("absent");
    }
    let late = dice.chance(0.05);
    let arrived = begin
        + if late {
            9 * HOUR + MINUTE + dice.between(0, 45 * MINUTE)
        } else {
            9 * HOUR - (dice.lognormal(11.0, 0.7) * 60.0) as i64
        };
    let early = dice.chance(0.015);
    let left = begin
        + if early {
            dice.between(15 * HOUR, 18 * HOUR - 1)
        } else {
            18 * HOUR + (dice.lognormal(25.0, 0.9) * 60.0) as i64
        };
    let morning = if late { "late" } else { "normal" };
    Punch {
        person,
        day,
        first: arrived,
        arrived: Some(arrived),
        left: (!dice.chance(0.01)).then_some(left),
        status: (morning, if early { "early" } else { morning }),
        device: if dice.chance(company.employees[person].mobile * 0.5) { "mobile" } else { "machine" },
    }
}

impl Punch {
    pub(crate) fn touched(&self, after: Moment, until: Moment) -> bool {
        [Some(self.first), self.left].into_iter().flatten().any(|at| after < at && at <= until)
    }

    /// The row of `attendance` at `now`, once there is one.
    pub(crate) fn row(&self, now: Moment) -> Option<Vec<Cell>> {
        if now < self.first {
            return None;
        }
        let left = self.left.filter(|at| *at <= now);
        let text = |at: Option<Moment>| at.map_or(Cell::Null, |at| Cell::Text(stamp(at)));
        Some(vec![
            Cell::Int(self.day * 10_000 + self.person as i64 + 1),
            Cell::Text(date_text(self.day)),
            Cell::Int(self.person as i64 + 1),
            text(self.arrived),
            text(left),
            Cell::Static(if left.is_some() { self.status.1 } else { self.status.0 }),
            if self.device.is_empty() { Cell::Null } else { Cell::Static(self.device) },
            Cell::Text(stamp(left.unwrap_or(self.first))),
        ])
    }
}
