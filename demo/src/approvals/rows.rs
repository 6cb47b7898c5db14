//! What the OA shows of a planned document at some moment.

use super::{Instance, Task};
use crate::company::Company;
use crate::table::Cell;
use crate::time::{Moment, stamp};

impl Instance {
    /// Moments at which the document's own row changes.
    fn changes(&self) -> impl Iterator<Item = Moment> {
        let received = self.tasks.iter().map(|task| task.received);
        let returned = self.returns.iter().map(|(back, _)| *back);
        [self.submitted, self.finished].into_iter().chain(received).chain(returned)
    }

    /// When the last thing happens to it.
    pub(crate) fn ends(&self) -> Moment {
        self.finished
    }

    /// Whether anything of it happens in (after, until].
    pub(crate) fn touched(&self, after: Moment, until: Moment) -> bool {
        let within = |at: Moment| after < at && at <= until;
        self.changes().any(within) || self.tasks.iter().any(|task| task.changes().any(within))
    }

    /// The row of `approval_instances` at `now`, when submitted by then.
    pub(crate) fn row(&self, company: &Company, now: Moment) -> Option<Vec<Cell>> {
        let updated = self.changes().filter(|at| *at <= now).max().filter(|_| self.submitted <= now)?;
        let done = self.finished <= now;
        let with_starter = self.returns.iter().any(|(back, again)| *back <= now && now < *again);
        let status = match () {
            () if done => self.outcome,
            () if with_starter => "B",
            () => "R",
        };
        let node = self.tasks.iter().rev().find(|task| task.received <= now && !done).map(|task| task.node);
        let starter = &company.employees[self.starter];
        Some(vec![
            Cell::Int(self.id),
            Cell::Text(format!("{}-{}", self.process.code()[..2].to_uppercase(), self.id)),
            Cell::Static(self.process.code()),
            Cell::Text(self.title.clone()),
            Cell::Int(self.starter as i64 + 1),
            Cell::Int(starter.department as i64 + 1),
            Cell::Static(self.category),
            self.amount.map_or(Cell::Null, |cents| Cell::Real(cents as f64 / 100.0)),
            self.vendor.map_or(Cell::Null, |vendor| Cell::Shared(company.vendors[vendor].clone())),
            self.invoice.clone().map_or(Cell::Null, Cell::Text),
            Cell::Static(status),
            node.map_or(Cell::Null, Cell::Static),
            Cell::Int(self.returns.iter().filter(|(back, _)| *back <= now).count() as i64),
            Cell::Text(stamp(self.submitted)),
            Cell::Text(stamp(self.due)),
            if done { Cell::Text(stamp(self.finished)) } else { Cell::Null },
            Cell::Text(stamp(updated)),
        ])
    }
}

impl Task {
    fn changes(&self) -> impl Iterator<Item = Moment> {
        [Some(self.received), self.opened, Some(self.finished)].into_iter().flatten()
    }

    pub(crate) fn touched(&self, after: Moment, until: Moment) -> bool {
        self.changes().any(|at| after < at && at <= until)
    }

    /// The row of `approval_tasks` at `now`, when received by then.
    pub(crate) fn row(&self, instance: i64, now: Moment) -> Option<Vec<Cell>> {
        let updated = self.changes().filter(|at| *at <= now).max().filter(|_| self.received <= now)?;
        let past =
            |at: Option<Moment>| at.filter(|at| *at <= now).map_or(Cell::Null, |at| Cell::Text(stamp(at)));
        let done = self.finished <= now;
        Some(vec![
            Cell::Int(self.id),
            Cell::Int(instance),
            Cell::Static(self.node),
            Cell::Int(self.sequence),
            Cell::Int(self.assignee as i64 + 1),
            Cell::Text(stamp(self.received)),
            past(self.opened),
            past(Some(self.finished)),
            if done { Cell::Static(self.result) } else { Cell::Null },
            if done { Cell::Static(self.channel) } else { Cell::Null },
            Cell::Text(stamp(updated)),
        ])
    }
}
