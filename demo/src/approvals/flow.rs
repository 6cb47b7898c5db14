//! The way of one document: nodes, waiting, returns, rejections, escalation, withdrawal.

use super::{Draft, Instance, Process, Task};
use crate::company::{self, Company, Person};
use crate::dice::{About, Dice};
use crate::planted::Mischief;
use crate::time::{DAY, HOUR, MINUTE, Moment, day_of, hour_of};

pub(super) const MANAGER: &str = "部门经理审批";
const REVIEW: &str = "财务审核";
/// A task that waited two working days goes to the superior.
const ESCALATE_AFTER: f64 = 16.0 * 60.0;

pub(super) fn run(company: &Company, mischief: &Mischief, draft: Draft, id: i64) -> Instance {
    let due = company.calendar.add_work(draft.at, draft.process.promise() * 60.0);
    let mut way = Way {
        company,
        mischief,
        dice: Dice::new(company.seed, About::Instance, id, 0),
        draft,
        id,
        tasks: vec![],
        returns: vec![],
    };
    let (finished, outcome) = way.walk();
    let Way { draft, tasks, returns, .. } = way;
    Instance {
        id,
        process: draft.process,
        starter: draft.starter,
        title: draft.title,
        category: draft.category,
        amount: draft.amount,
        vendor: draft.vendor,
        invoice: draft.invoice,
        submitted: draft.at,
        due,
        tasks,
        returns,
        finished,
        outcome,
    }
}

struct Way<'a> {
    company: &'a Company,
    mischief: &'a Mischief,
    dice: Dice,
    draft: Draft,
    id: i64,
    tasks: Vec<Task>,
    returns: Vec<(Moment, Moment)>,
}

impl Way<'_> {
    /// Walks all nodes; returns when it ended and how (as the OA codes it).
    fn walk(&mut self) -> (Moment, &'static str) {
        let mut at = self.draft.at;
        let withdrawn = !self.draft.planted && self.dice.chance(0.015);
        for node in self.nodes() {
            if self.automatic(node) {
                at = self.record(node, self.company.chief(), at, None, at + 2, "agree", "auto");
                continue;
            }
            loop {
                let assignee = self.assignee(node, at);
                if withdrawn {
                    return (self.withdraw(node, assignee, at), "W");
                }
                at = self.handle(node, assignee, at);
                match self.judge() {
                    "reject" => return (self.settle("reject", at), "J"),
                    "return" => at = self.hand_back(at),
                    _ => break,
                }
            }
        }
        (at, "A")
    }

    fn yuan(&self) -> i64 {
        self.draft.amount.unwrap_or_default() / 100
    }

    fn nodes(&self) -> Vec<&'static str> {
        let mut nodes = vec![MANAGER];
        match self.draft.process {
            Process::Leave => nodes.extend((self.draft.workdays >= 3).then_some("人事备案")),
            Process::Expense => {
                nodes.push(REVIEW);
                nodes.extend((self.yuan() >= 5_000).then_some("分管领导审批"));
                nodes.push("出纳付款");
            }
            Process::Purchase => {
                nodes.push("采购审核");
                nodes.extend((self.yuan() >= 10_000).then_some("分管领导审批"));
                nodes.extend((self.yuan() >= 50_000).then_some("总经理审批"));
            }
            Process::Contract => {
                nodes.extend(["法务审核", REVIEW, "分管领导审批"]);
                nodes.extend((self.yuan() >= 500_000).then_some("总经理审批"));
            }
            Process::Seal => nodes.push("印章管理员"),
        }
        nodes
    }

    /// Short leaves and small expenses pass some nodes without a person.
    fn automatic(&mut self, node: &str) -> bool {
        match (self.draft.process, node) {
            (Process::Leave, MANAGER) => self.draft.workdays <= 1 && self.dice.chance(0.35),
            (Process::Expense, REVIEW) => self.yuan() < 300 && self.dice.chance(0.8),
            (Process::Expense, "出纳付款") => self.dice.chance(0.5),
            _ => false,
        }
    }

    fn assignee(&mut self, node: &str, at: Moment) -> Person {
        let company = self.company;
        let starter = self.draft.starter;
        let department = &company.departments[company.employees[starter].department];
        let boss = match node {
            MANAGER if starter == department.manager() => company.vice_president(department.region),
            MANAGER => department.manager(),
            REVIEW => return company.clerk(company::FINANCE, 6, at, &mut self.dice),
            "出纳付款" => return company.clerk(company::FINANCE, 2, at, &mut self.dice),
            "人事备案" => return company.clerk(company::PEOPLE, 4, at, &mut self.dice),
            "采购审核" => return company.clerk(company::PURCHASING, 4, at, &mut self.dice),
            "法务审核" => return company.clerk(company::LEGAL, 4, at, &mut self.dice),
            "印章管理员" => return company.clerk(company::ADMINISTRATION, 2, at, &mut self.dice),
            "分管领导审批" => company.vice_president(department.region),
            _ => company.chief(),
        };
        match self.mischief.away(boss, at) {
            Some(_) => boss,
            None => company.acting(boss, at),
        }
    }

    /// One person's task from receipt to decision; returns the moment of the decision.
    fn handle(&mut self, node: &'static str, assignee: Person, received: Moment) -> Moment {
        let company = self.company;
        let employee = &company.employees[assignee];
        let waits = self.dice.lognormal(employee.pace, 0.9);
        let held_up = self.held_up(node, assignee, received);
        let escalates = held_up.is_none() && (waits > ESCALATE_AFTER || self.dice.chance(0.006));
        if escalates && assignee != company.chief() {
            let at = company.calendar.add_work(received, ESCALATE_AFTER);
            self.record(node, assignee, received, None, at, "transfer", "auto");
            let superior = if company.is_officer(assignee) {
                company.chief()
            } else {
                company.vice_president(company.region_of(assignee))
            };
            let waits = self.dice.lognormal(60.0, 0.6);
            let opened = company.calendar.add_work(at, waits);
            return self.decide(node, superior, at, opened);
        }
        let opened = match held_up {
            Some(free) => company.calendar.add_work(free, self.dice.uniform(5.0, 14.0 * 60.0)),
            None => {
                self.evening(assignee, received).unwrap_or_else(|| company.calendar.add_work(received, waits))
            }
        };
        // Nobody opens anything while the work stands still, also when it began before.
        let opened = match self.held_up(node, assignee, opened) {
            Some(free) => company.calendar.add_work(free, self.dice.uniform(5.0, 14.0 * 60.0)),
            None => opened,
        };
        self.decide(node, assignee, received, opened)
    }

    /// Planted hold-ups: when the person or the review works again.
    fn held_up(&self, node: &str, assignee: Person, at: Moment) -> Option<Moment> {
        let stalled = || {
            self.mischief
                .review_stalled(at)
                .filter(|_| node == REVIEW && self.draft.process == Process::Expense)
        };
        self.mischief.away(assignee, at).or_else(stalled)
    }

    /// What comes in late in the day is sometimes dealt with on the phone the same evening.
    fn evening(&mut self, assignee: Person, received: Moment) -> Option<Moment> {
        let worked = self.company.calendar.is_workday(day_of(received));
        let keen = self.company.employees[assignee].mobile * 0.6;
        let late = worked && (16..22).contains(&hour_of(received)) && self.dice.chance(keen);
        let earliest = (received + 20 * MINUTE).max(day_of(received) * DAY + 19 * HOUR);
        late.then(|| earliest + self.dice.between(0, 2 * HOUR))
    }

    fn decide(&mut self, node: &'static str, assignee: Person, received: Moment, opened: Moment) -> Moment {
        let touch = (self.dice.lognormal(4.0, 0.7) * 60.0) as i64 + 15;
        let office = self.company.calendar.is_workday(day_of(opened)) && (9..18).contains(&hour_of(opened));
        let channel = if !office || self.dice.chance(self.company.employees[assignee].mobile) {
            "mobile"
        } else {
            "pc"
        };
        self.record(node, assignee, received, Some(opened), opened + touch, "agree", channel)
    }

    /// The last decision: mostly yes. Planted papers always pass, so that their story is told.
    fn judge(&mut self) -> &'static str {
        let draw = self.dice.unit();
        match () {
            () if self.draft.planted => "agree",
            () if draw < 0.015 => "reject",
            () if draw < 0.055 && self.returns.len() < 2 => "return",
            () => "agree",
        }
    }

    fn settle(&mut self, result: &'static str, at: Moment) -> Moment {
        if let Some(task) = self.tasks.last_mut() {
            task.result = result;
        }
        at
    }

    /// Back to the starter, who corrects it and submits again.
    fn hand_back(&mut self, at: Moment) -> Moment {
        self.settle("return", at);
        let minutes = self.dice.lognormal(150.0, 0.8);
        let again = self.company.calendar.add_work(at, minutes).max(at + MINUTE);
        self.returns.push((at, again));
        again
    }

    fn withdraw(&mut self, node: &'static str, assignee: Person, received: Moment) -> Moment {
        let at = received + self.dice.between(3 * MINUTE, 90 * MINUTE);
        self.record(node, assignee, received, None, at, "cancel", "pc")
    }

    #[expect(clippy::too_many_arguments, reason = "one line of the task table")]
    fn record(
        &mut self,
        node: &'static str,
        assignee: Person,
        received: Moment,
        opened: Option<Moment>,
        finished: Moment,
        result: &'static str,
        channel: &'static str,
    ) -> Moment {
        let sequence = self.tasks.len() as i64 + 1;
        let id = self.id * 100 + sequence;
        self.tasks.push(Task { id, node, sequence, assignee, received, opened, finished, result, channel });
        finished
    }
}
