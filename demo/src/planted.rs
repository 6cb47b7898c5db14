//! The trouble planted in an otherwise calm company, and how it bends the ordinary statistics.
//!
//! What is planted follows from the seed, the calendar and the moment live begins; generators ask
//! here, so that a planted thing is part of the same pure plan as everything else.

mod calendar;
mod cases;
mod truth;

pub(crate) use calendar::schedule;
pub use truth::{Entry, GroundTruth, Note};

use crate::company::Person;
use crate::time::{Day, Moment, day_of};

/// A document that someone submits as part of a planted case.
#[derive(Clone, Debug)]
pub(crate) struct Paper {
    pub(crate) at: Moment,
    pub(crate) process: crate::approvals::Process,
    pub(crate) starter: Person,
    pub(crate) category: usize,
    /// Cents.
    pub(crate) amount: i64,
    pub(crate) vendor: Option<usize>,
    /// Day whose first ordinary expense lends its invoice number.
    pub(crate) invoice_of: Option<Day>,
}

#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Expense review stands still.
    BacklogSurge,
    /// Documents that together tell the story: split purchase, duplicate invoice, unusual expense.
    Papers(Vec<Paper>),
    /// Extra postings: moment and cents.
    BudgetOverrun {
        department: usize,
        postings: Vec<(Moment, i64)>,
    },
    /// On leave without a delegate, while these documents come in.
    ApproverAway {
        person: Person,
        papers: Vec<Paper>,
    },
    BulkExport {
        person: Person,
        files: usize,
        rows: i64,
    },
    FailedLogins {
        person: Person,
        tries: usize,
    },
    /// Remaining share of ordinary activity.
    UsersDrop {
        share: f64,
    },
    LedgerStops,
    /// Remaining share of ordinary orders.
    OrderSlump {
        region: usize,
        share: f64,
    },
    /// Share of people without a punch.
    AttendanceGap {
        department: usize,
        missing: f64,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Planted {
    pub(crate) trouble: Trouble,
    pub(crate) from: Moment,
    pub(crate) to: Moment,
    pub(crate) entry: Entry,
}

impl Planted {
    fn holds(&self, at: Moment) -> bool {
        self.from <= at && at < self.to
    }

    fn papers(&self) -> &[Paper] {
        match &self.trouble {
            Trouble::Papers(papers) | Trouble::ApproverAway { papers, .. } => papers,
            _ => &[],
        }
    }
}

/// All planted trouble, with the questions that the generators ask.
pub(crate) struct Mischief(pub(crate) Vec<Planted>);

impl Mischief {
    /// While expense review stands still: when it starts again.
    pub(crate) fn review_stalled(&self, at: Moment) -> Option<Moment> {
        self.0.iter().find(|p| matches!(p.trouble, Trouble::BacklogSurge) && p.holds(at)).map(|p| p.to)
    }

    /// End of an absence without delegate.
    pub(crate) fn away(&self, person: Person, at: Moment) -> Option<Moment> {
        let hit = |p: &&Planted| {
            matches!(p.trouble, Trouble::ApproverAway { person: who, .. } if who == person) && p.holds(at)
        };
        self.0.iter().find(hit).map(|p| p.to)
    }

    /// Absences without delegate that begin or end, for the staff table.
    pub(crate) fn absences(&self) -> impl Iterator<Item = (Person, Moment, Moment)> {
        self.0.iter().filter_map(|p| match p.trouble {
            Trouble::ApproverAway { person, .. } => Some((person, p.from, p.to)),
            _ => None,
        })
    }

    pub(crate) fn papers(&self, day: Day) -> impl Iterator<Item = &Paper> {
        self.0.iter().flat_map(Planted::papers).filter(move |paper| day_of(paper.at) == day)
    }

    pub(crate) fn postings(&self, department: usize, from: Moment, to: Moment) -> Vec<(Moment, i64)> {
        let mut found = Vec::new();
        for planted in &self.0 {
            if let Trouble::BudgetOverrun { department: hit, postings } = &planted.trouble
                && *hit == department
            {
                found.extend(postings.iter().filter(|(at, _)| from <= *at && *at < to));
            }
        }
        found
    }

    pub(crate) fn activity(&self, at: Moment) -> f64 {
        self.0.iter().filter(|p| p.holds(at)).fold(1.0, |share, p| match p.trouble {
            Trouble::UsersDrop { share: left } => share * left,
            _ => share,
        })
    }

    pub(crate) fn orders(&self, region: usize, at: Moment) -> f64 {
        self.0.iter().filter(|p| p.holds(at)).fold(1.0, |share, p| match p.trouble {
            Trouble::OrderSlump { region: hit, share: left } if hit == region => share * left,
            _ => share,
        })
    }

    pub(crate) fn missing_punches(&self, department: usize, at: Moment) -> f64 {
        self.0.iter().filter(|p| p.holds(at)).fold(0.0, |share: f64, p| match p.trouble {
            Trouble::AttendanceGap { department: hit, missing } if hit == department => share.max(missing),
            _ => share,
        })
    }

    pub(crate) fn ledger_stopped(&self, at: Moment) -> bool {
        self.0.iter().any(|p| matches!(p.trouble, Trouble::LedgerStops) && p.holds(at))
    }

    /// Exports and failed logins of a day, as (moment, person, trouble).
    pub(crate) fn log_trouble(&self, day: Day) -> impl Iterator<Item = &Planted> {
        self.0.iter().filter(move |p| {
            matches!(p.trouble, Trouble::BulkExport { .. } | Trouble::FailedLogins { .. })
                && day_of(p.from) == day
        })
    }
}
