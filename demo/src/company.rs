//! Who works where: departments, staff, approvers, vendors, leaves. All of it follows from the seed.

use std::sync::Arc;

use crate::dice::{About, Dice};
use crate::names;
use crate::time::{Calendar, Day, day_of, month_of, month_start};

/// Index into `Company::employees`; the number shown in the OA is one higher.
pub(crate) type Person = usize;

pub(crate) struct Department {
    pub(crate) name: Arc<str>,
    pub(crate) region: usize,
    /// Its people are `first..first + size`; the first two are manager and deputy.
    pub(crate) first: Person,
    pub(crate) size: usize,
}

impl Department {
    pub(crate) fn manager(&self) -> Person {
        self.first
    }

    pub(crate) fn deputy(&self) -> Person {
        self.first + 1
    }
}

pub(crate) struct Employee {
    pub(crate) number: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) department: usize,
    pub(crate) title: &'static str,
    pub(crate) entry: Day,
    pub(crate) left: Option<Day>,
    /// Median working minutes before this person opens a task.
    pub(crate) pace: f64,
    /// Share of the work done on a phone.
    pub(crate) mobile: f64,
    /// Chance to use the OA on a workday.
    pub(crate) activity: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leave {
    pub(crate) person: Person,
    pub(crate) from: Day,
    pub(crate) to: Day,
    /// Workday on which it was asked for.
    pub(crate) asked: Day,
    pub(crate) kind: &'static str,
    pub(crate) workdays: i64,
}

pub(crate) struct Company {
    pub(crate) seed: u64,
    pub(crate) departments: Vec<Department>,
    pub(crate) employees: Vec<Employee>,
    pub(crate) vendors: Vec<Arc<str>>,
    pub(crate) calendar: Calendar,
}

/// Functional departments every process needs, by index in `names::DEPARTMENTS`.
pub(crate) const BOARD: usize = 0;
pub(crate) const FINANCE: usize = 1;
pub(crate) const PEOPLE: usize = 2;
pub(crate) const LEGAL: usize = 3;
pub(crate) const PURCHASING: usize = 4;
pub(crate) const ADMINISTRATION: usize = 5;
/// Chief executive and one vice president a region: the first people of the board office.
const OFFICERS: usize = 1 + names::REGIONS.len();

impl Company {
    /// Staff joins between `start` and `now`, and leaves until a year after `now`.
    pub(crate) fn new(
        seed: u64,
        staff: usize,
        departments: usize,
        calendar: Calendar,
        start: Day,
        now: Day,
    ) -> Self {
        let departments = lay_out(staff, departments);
        let mut employees = Vec::with_capacity(staff);
        for (index, department) in departments.iter().enumerate() {
            for person in department.first..department.first + department.size {
                let rank = person - department.first;
                employees.push(hire(seed, person, index, rank, start, now));
            }
        }
        let vendors = (0..120)
            .map(|n| {
                let place = names::VENDOR_PLACES[n % 12];
                let name = names::VENDOR_NAMES[(n / 12) % 10];
                let kind = names::VENDOR_KINDS[Dice::new(seed, About::Vendors, n as i64, 0).below(4)];
                Arc::from(format!("{place}{name}{kind}"))
            })
            .collect();
        Self { seed, departments, employees, vendors, calendar }
    }

    pub(crate) fn region_of(&self, person: Person) -> usize {
        self.departments[self.employees[person].department].region
    }

    pub(crate) fn employed(&self, person: Person, day: Day) -> bool {
        let employee = &self.employees[person];
        employee.entry <= day && employee.left.is_none_or(|left| day < left)
    }

    pub(crate) fn chief(&self) -> Person {
        self.departments[BOARD].first
    }

    pub(crate) fn vice_president(&self, region: usize) -> Person {
        self.departments[BOARD].first + 1 + region
    }

    pub(crate) fn is_officer(&self, person: Person) -> bool {
        person < OFFICERS
    }

    /// The leave this person begins in `month`, if any: at most one a month.
    pub(crate) fn leave(&self, person: Person, month: i64) -> Option<Leave> {
        let mut dice = Dice::new(self.seed, About::Leave, person as i64, month);
        if self.is_officer(person) || !dice.chance(0.45) {
            return None;
        }
        let first = self.calendar.workday(month_start(month) + dice.between(0, 27), 0);
        if month_of(first) != month || !self.employed(person, first) {
            return None;
        }
        let workdays = [1, 2, 3, 5][dice.weighted(&[0.5, 0.2, 0.15, 0.15])];
        let kind = ["年假", "事假", "病假", "调休"][dice.weighted(&[0.5, 0.15, 0.15, 0.2])];
        let notice = if kind == "病假" { 0 } else { dice.between(1, 6) };
        let mut asked = first - notice;
        while !self.calendar.is_workday(asked) {
            asked -= 1;
        }
        let to = self.calendar.workday(first, workdays as usize - 1);
        Some(Leave { person, from: first, to, asked, kind, workdays })
    }

    pub(crate) fn on_leave(&self, person: Person, day: Day) -> Option<Leave> {
        let month = month_of(day);
        [month, month - 1]
            .into_iter()
            .filter_map(|m| self.leave(person, m))
            .find(|l| l.from <= day && day <= l.to)
    }

    /// Who acts for `person` at that time: a colleague named as delegate while on leave, else the
    /// vice president, who is never away.
    pub(crate) fn acting(&self, person: Person, at: i64) -> Person {
        let day = day_of(at);
        if self.on_leave(person, day).is_none() {
            return person;
        }
        let delegate = self.delegate(person);
        match self.on_leave(delegate, day) {
            None => delegate,
            Some(_) => self.vice_president(self.region_of(person)),
        }
    }

    pub(crate) fn delegate(&self, person: Person) -> Person {
        let department = &self.departments[self.employees[person].department];
        if person == department.manager() { department.deputy() } else { department.manager() }
    }

    /// One of the first clerks of a functional department who is at work that day.
    pub(crate) fn clerk(&self, department: usize, pool: usize, at: i64, dice: &mut Dice) -> Person {
        let home = &self.departments[department];
        let skip = if department == BOARD { OFFICERS } else { 2 };
        let pool = pool.min(home.size.saturating_sub(skip)).max(1);
        let begin = dice.below(pool);
        let clerk = |n: usize| (home.first + skip + (begin + n) % pool).min(home.first + home.size - 1);
        let at_work = |p: &Person| self.employed(*p, day_of(at)) && self.on_leave(*p, day_of(at)).is_none();
        (0..pool).map(clerk).find(at_work).unwrap_or_else(|| home.manager())
    }

    /// Anyone employed that day, for the start of an ordinary document.
    pub(crate) fn anyone(&self, day: Day, dice: &mut Dice) -> Person {
        for _ in 0..50 {
            let person = dice.below(self.employees.len());
            if !self.is_officer(person) && self.employed(person, day) && self.on_leave(person, day).is_none()
            {
                return person;
            }
        }
        OFFICERS
    }
}

/// Sizes in proportion to their weights, at least two people each, `staff` in all.
fn lay_out(staff: usize, count: usize) -> Vec<Department> {
    let entry = |index: usize| {
        let (name, region, weight) = names::DEPARTMENTS[index % names::DEPARTMENTS.len()];
        match index / names::DEPARTMENTS.len() {
            0 => (name.to_owned(), region, weight),
            more => (format!("{name}{}组", more + 1), region, weight),
        }
    };
    let total: f64 = (0..count).map(|index| entry(index).2).sum();
    let mut departments = Vec::with_capacity(count);
    let mut first = 0;
    let mut reached = 0.0;
    for index in 0..count {
        let (name, region, weight) = entry(index);
        reached += weight;
        let floor = if index == BOARD { OFFICERS + 2 } else { 3 };
        let end = ((reached / total * staff as f64).round() as usize).max(first + floor);
        departments.push(Department { name: name.into(), region, first, size: end - first });
        first = end;
    }
    departments
}

fn hire(seed: u64, person: Person, department: usize, rank: usize, start: Day, now: Day) -> Employee {
    let mut dice = Dice::new(seed, About::Staff, person as i64, 0);
    let name = format!("{}{}", dice.pick(&names::SURNAMES), dice.pick(&names::GIVEN));
    // Approvers (managers, deputies and the first clerks of each department) stay for good, so that
    // no process ever depends on someone who is gone.
    let stays = rank < 12;
    let entry = if !stays && dice.chance(0.07) {
        dice.between(start, now - 1)
    } else {
        start - dice.between(30, 3600)
    };
    let left = (!stays && dice.chance(0.05))
        .then(|| dice.between(start + 60, now + 365))
        .filter(|left| *left > entry + 20);
    let title = match rank {
        0 => "部门经理",
        1 => "副经理",
        _ => *dice.pick(&names::TITLES),
    };
    Employee {
        number: Arc::from(format!("GL{:05}", 10_000 + person * 7 % 89_989)),
        name: Arc::from(name),
        department,
        title,
        entry,
        left,
        pace: dice.lognormal(140.0, 0.5).clamp(30.0, 360.0),
        mobile: dice.uniform(0.15, 0.65),
        activity: dice.uniform(0.40, 0.70),
    }
}
