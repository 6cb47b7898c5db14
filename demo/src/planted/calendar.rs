//! When what is planted: the quick cases on the first live day, the slow ones in the first week or
//! two, some again later, and a few in the past so that charts have a story.

use super::{Entry, Note, Planted, Trouble};
use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, day_of, utc};

/// Everything planted for a company whose live phase begins at `now`.
pub(crate) fn schedule(
    company: &Company,
    budgets: &dyn Fn(usize, i64) -> i64,
    start: Day,
    now: Moment,
) -> Vec<Planted> {
    let morning = day_of(now) * DAY + 9 * HOUR + 5 * MINUTE;
    let first = company.calendar.workday(day_of(now) + i64::from(now > morning), 0);
    let mut plan = Plan { company, budgets, list: vec![], phase: "live", taken: vec![] };
    let day = |n: usize| company.calendar.workday(first, n);
    plan.first_day(first, now);
    plan.attendance_gap(day(1), 1, "华南");
    plan.backlog_surge(at(day(1), 10, 0), at(day(4), 12, 0));
    plan.order_slump(3, day(2), day(5));
    plan.users_drop(day(3), day(4));
    plan.budget_overrun(at(day(2), 14, 0), "品牌部");
    plan.ledger_stops(at(day(5), 10, 30), at(day(6), 12, 30));
    plan.failed_logins(at(day(6), 15, 20), 18);
    plan.duplicate_invoice(at(day(7), 10, 40));
    plan.unusual_expense(at(day(8), 11, 15), 4, 5_680_000);
    plan.split_purchase(day(9));
    plan.bulk_export(at(day(10), 23, 10), 5, 64_000);
    plan.attendance_gap(day(12), 1, "华北");
    plan.approver_away(at(day(13), 9, 0), at(day(15), 18, 0), "华中");

    plan.phase = "history";
    let past = |days_ago: i64| company.calendar.workday(day_of(now) - days_ago, 0);
    plan.backlog_surge(at(past(110), 10, 0), at(past(107), 18, 0));
    plan.budget_overrun(at(past(95), 11, 0), "市场部");
    plan.attendance_gap(past(90), 1, "西南");
    plan.split_purchase(past(85));
    plan.unusual_expense(at(past(80), 16, 5), 0, 4_260_000);
    plan.duplicate_invoice(at(past(77), 14, 30));
    plan.order_slump(2, past(75), past(75) + 4);
    plan.failed_logins(at(past(72), 9, 50), 21);
    plan.users_drop(past(68), past(68) + 1);
    plan.bulk_export(at(past(66), 22, 40), 4, 52_000);
    let mut list = plan.list;
    list.retain(|planted| planted.entry.phase == "live" || day_of(planted.from) > start + 15);
    list
}

pub(super) fn at(day: Day, hour: i64, minute: i64) -> Moment {
    day * DAY + hour * HOUR + minute * MINUTE
}

pub(super) struct Plan<'a> {
    pub(super) company: &'a Company,
    /// Budget in cents of (department, month).
    pub(super) budgets: &'a dyn Fn(usize, i64) -> i64,
    pub(super) list: Vec<Planted>,
    pub(super) phase: &'static str,
    /// People who already play a part: each case has its own.
    taken: Vec<Person>,
}

/// What is told of a case, and the alert that is expected.
pub(super) struct Story {
    /// The rule; also the kind of the case.
    pub(super) rule: &'static str,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) until: Moment,
    pub(super) zh: String,
    pub(super) en: String,
}

impl Plan<'_> {
    pub(super) fn add(&mut self, trouble: Trouble, span: (Moment, Moment), story: Story) {
        let alike =
            |planted: &&Planted| planted.entry.kind == story.rule && planted.entry.phase == self.phase;
        let entry = Entry {
            id: format!("{}_{}_{}", self.phase, story.rule, self.list.iter().filter(alike).count() + 1),
            kind: story.rule.to_owned(),
            phase: self.phase.to_owned(),
            from: utc(span.0),
            to: utc(span.1),
            until: utc(story.until),
            rule: story.rule.to_owned(),
            also: vec![],
            labels: story.labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            note: Note { zh: story.zh, en: story.en },
        };
        self.list.push(Planted { trouble, from: span.0, to: span.1, entry });
    }

    /// Someone ordinary who is at work around that day and plays no other part.
    pub(super) fn someone(&mut self, day: Day) -> Person {
        let mut dice = Dice::new(self.company.seed, About::Planted, day, self.list.len() as i64);
        for _ in 0..500 {
            let person = self.company.anyone(day, &mut dice);
            let department = &self.company.departments[self.company.employees[person].department];
            let there = (day..day + 8)
                .all(|d| self.company.employed(person, d) && self.company.on_leave(person, d).is_none());
            if there && person > department.deputy() && !self.taken.contains(&person) {
                self.taken.push(person);
                return person;
            }
        }
        self.company.anyone(day, &mut dice)
    }

    pub(super) fn label(&self, person: Person) -> String {
        let employee = &self.company.employees[person];
        format!("{} {}", employee.name, employee.number)
    }

    /// A department by name when it exists, else the last one.
    pub(super) fn department(&self, name: &str) -> usize {
        let found = self.company.departments.iter().position(|d| &*d.name == name);
        found.unwrap_or(self.company.departments.len() - 1)
    }
}
