//! Approvals of one day: who asks for what, the way it takes, and how long it waits where.
//!
//! A day's documents are planned whole, with every later event, from the seed alone. What the OA
//! shows at some moment is that plan cut off at the moment (`rows`), so it never depends on when
//! or how often anyone looked.

mod flow;
mod rows;

use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::planted::{Mischief, Paper};
use crate::time::{DAY, Day, HOUR, Moment, compact_date, day_of, month_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Leave,
    Expense,
    Purchase,
    Contract,
    Seal,
}

impl Process {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Expense => "expense",
            Self::Purchase => "purchase",
            Self::Contract => "contract",
            Self::Seal => "seal",
        }
    }

    /// Working hours promised to the starter.
    fn promise(self) -> f64 {
        match self {
            Self::Leave | Self::Seal => 12.0,
            Self::Expense | Self::Purchase => 24.0,
            Self::Contract => 36.0,
        }
    }
}

pub(crate) struct Task {
    pub(crate) id: i64,
    pub(crate) node: &'static str,
    pub(crate) sequence: i64,
    pub(crate) assignee: Person,
    pub(crate) received: Moment,
    /// Never opened by an automatic step or when the starter withdrew first.
    pub(crate) opened: Option<Moment>,
    pub(crate) finished: Moment,
    pub(crate) result: &'static str,
    pub(crate) channel: &'static str,
}

pub(crate) struct Instance {
    pub(crate) id: i64,
    pub(crate) process: Process,
    pub(crate) starter: Person,
    pub(crate) title: String,
    pub(crate) category: &'static str,
    /// Cents.
    pub(crate) amount: Option<i64>,
    pub(crate) vendor: Option<usize>,
    pub(crate) invoice: Option<String>,
    pub(crate) submitted: Moment,
    pub(crate) due: Moment,
    pub(crate) tasks: Vec<Task>,
    /// When the document lay with its starter for correction: returned, resubmitted.
    pub(crate) returns: Vec<(Moment, Moment)>,
    pub(crate) finished: Moment,
    pub(crate) outcome: &'static str,
}

/// Expense categories: name, median in yuan, spread of the logarithm.
pub(crate) const EXPENSES: [(&str, f64, f64); 6] = [
    ("差旅费", 1_800.0, 0.55),
    ("业务招待费", 900.0, 0.45),
    ("市内交通费", 160.0, 0.45),
    ("办公用品", 420.0, 0.5),
    ("培训费", 2_400.0, 0.45),
    ("通讯费", 120.0, 0.3),
];
const EXPENSE_MIX: [f64; 6] = [0.34, 0.16, 0.22, 0.12, 0.05, 0.11];
const PURCHASES: [&str; 4] = ["办公设备", "软件许可", "劳保用品", "维修服务"];
const CONTRACTS: [&str; 3] = ["销售合同", "采购合同", "服务合同"];
const SEALS: [&str; 3] = ["公章", "合同章", "法人章"];

/// Relative number of documents submitted in each hour of a workday.
const HOURS: [f64; 24] = [
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.4, 1.3, 1.5, 1.1, 0.25, 0.8, 1.4, 1.4, 1.2, 0.9, 0.35, 0.15,
    0.12, 0.1, 0.05, 0.0,
];

/// A document before it has found its way: what the starter filled in.
struct Draft {
    at: Moment,
    process: Process,
    starter: Person,
    category: &'static str,
    amount: Option<i64>,
    vendor: Option<usize>,
    invoice: Option<String>,
    title: String,
    workdays: i64,
    planted: bool,
}

/// Everything submitted on `day`, in the order of submission, with its whole future.
pub(crate) fn plan(company: &Company, mischief: &Mischief, day: Day) -> Vec<Instance> {
    let mut dice = Dice::new(company.seed, About::Approvals, day, 0);
    let mut drafts = leaves(company, day, &mut dice);
    let worked = company.calendar.is_workday(day);
    let quiet = if worked { 1.0 } else { 0.04 };
    for (process, usual) in [
        (Process::Expense, 56.0),
        (Process::Purchase, 26.0),
        (Process::Contract, 10.0),
        (Process::Seal, 22.0),
    ] {
        let peak = if process == Process::Expense { peak(company, mischief, day) } else { 1.0 };
        let size = company.employees.len() as f64 / 2_000.0;
        for n in 0..dice.count(usual * quiet * peak * size) {
            drafts.push(draft(company, process, day, n, &mut dice));
        }
    }
    drafts.extend(mischief.papers(day).map(|paper| from_paper(company, paper)));
    drafts.sort_by_key(|draft| draft.at);
    let number = compact_date(day).parse::<i64>().unwrap_or_default() * 10_000;
    let routed = drafts.into_iter().enumerate();
    routed.map(|(n, draft)| flow::run(company, mischief, draft, number + n as i64 + 1)).collect()
}

/// Expenses come in at the end of the month, more so of the quarter.
fn peak(company: &Company, mischief: &Mischief, day: Day) -> f64 {
    // Word of the standstill spreads, and people hand in what they have.
    if mischief.review_stalled(day * DAY + 15 * HOUR).is_some() {
        return 1.8;
    }
    let quarter_end = (month_of(day) + 1) % 3 == 0;
    match company.calendar.month_position(day) {
        (_, 0..=1) if quarter_end => 1.6,
        (_, 0..=2) => 1.4,
        (0..=1, _) => 0.8,
        _ => 1.0,
    }
}

fn time_of_day(day: Day, dice: &mut Dice) -> Moment {
    day * DAY + dice.weighted(&HOURS) as i64 * HOUR + dice.between(0, HOUR - 1)
}

fn leaves(company: &Company, day: Day, dice: &mut Dice) -> Vec<Draft> {
    let month = month_of(day);
    let mut drafts = Vec::new();
    for person in 0..company.employees.len() {
        for leave in [month, month + 1].into_iter().filter_map(|m| company.leave(person, m)) {
            if leave.asked == day {
                let at = if leave.kind == "病假" {
                    day * DAY + dice.between(7 * HOUR, 9 * HOUR)
                } else {
                    time_of_day(day, dice)
                };
                drafts.push(Draft {
                    at,
                    process: Process::Leave,
                    starter: leave.person,
                    category: leave.kind,
                    amount: None,
                    vendor: None,
                    invoice: None,
                    title: format!("{}请{}{}天", company.employees[person].name, leave.kind, leave.workdays),
                    workdays: leave.workdays,
                    planted: false,
                });
            }
        }
    }
    drafts
}

fn draft(company: &Company, process: Process, day: Day, n: usize, dice: &mut Dice) -> Draft {
    let at = time_of_day(day, dice);
    let starter = company.anyone(day, dice);
    let name = &company.employees[starter].name;
    let (category, amount, vendor) = match process {
        Process::Expense => {
            let (category, median, sigma) = EXPENSES[dice.weighted(&EXPENSE_MIX)];
            (category, Some(cents(dice.lognormal(median, sigma))), None)
        }
        Process::Purchase => {
            let yuan = dice.lognormal(6_000.0, 0.9);
            (*dice.pick(&PURCHASES), Some(cents(yuan)), Some(vendor_for(company, starter, day, n)))
        }
        Process::Contract => {
            let yuan = dice.lognormal(120_000.0, 1.0);
            (*dice.pick(&CONTRACTS), Some(cents(yuan)), Some(dice.below(company.vendors.len())))
        }
        Process::Seal | Process::Leave => (*dice.pick(&SEALS), None, None),
    };
    let invoice = (process == Process::Expense).then(|| invoice_number(day, n));
    let title = match process {
        Process::Expense => format!("{name}的{category}报销"),
        Process::Purchase => format!("{category}采购申请"),
        Process::Contract => format!("{category}审批"),
        Process::Seal | Process::Leave => format!("{category}用印申请"),
    };
    Draft { at, process, starter, category, amount, vendor, invoice, title, workdays: 0, planted: false }
}

/// Each person buys from other vendors within any week, so that only planted purchases look split.
fn vendor_for(company: &Company, starter: Person, day: Day, n: usize) -> usize {
    (starter as i64 * 7 + day * 13 + n as i64 % 3).rem_euclid(company.vendors.len() as i64) as usize
}

/// Number of the `n`-th ordinary expense of a day: unique for ever.
fn invoice_number(day: Day, n: usize) -> String {
    format!(
        "{:08}{:012}",
        31_000_000 + (day * 7919 + n as i64 * 104_729).rem_euclid(999_983),
        day * 1_000 + n as i64
    )
}

/// Invoice number that a planted duplicate of `day` uses again.
pub(crate) fn borrowed_invoice(day: Day) -> String {
    invoice_number(day, 0)
}

fn cents(yuan: f64) -> i64 {
    (yuan * 100.0).round() as i64
}

fn from_paper(company: &Company, paper: &Paper) -> Draft {
    let name = &company.employees[paper.starter].name;
    let (category, title) = match paper.process {
        Process::Expense => {
            let category = EXPENSES[paper.category].0;
            (category, format!("{name}的{category}报销"))
        }
        _ => (PURCHASES[paper.category], format!("{}采购申请", PURCHASES[paper.category])),
    };
    let invoice = (paper.process == Process::Expense).then(|| match paper.invoice_of {
        Some(day) => borrowed_invoice(day),
        None => invoice_number(day_of(paper.at), 900 + (paper.at % 97) as usize),
    });
    Draft {
        at: paper.at,
        process: paper.process,
        starter: paper.starter,
        category,
        amount: Some(paper.amount),
        vendor: paper.vendor,
        invoice,
        title,
        workdays: 0,
        planted: true,
    }
}
