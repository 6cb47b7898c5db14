//! When what is planted: the quick cases on the first live day, the slow ones in the first week or
//! two, some again later, and a few in the past so that charts have a story.

use std::collections::BTreeMap;

use super::{Entry, Note, Paper, Planted, Trouble};
use crate::approvals::{Process, borrowed_invoice};
use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::names;
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, day_of, utc};

/// Everything planted for a company whose live phase begins at `now`.
pub(crate) fn schedule(company: &Company, budgets: &dyn Fn(usize, i64) -> i64, start: Day, now: Moment) -> Vec<Planted> {
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

fn at(day: Day, hour: i64, minute: i64) -> Moment {
    day * DAY + hour * HOUR + minute * MINUTE
}

struct Plan<'a> {
    company: &'a Company,
    /// Budget in cents of (department, month).
    budgets: &'a dyn Fn(usize, i64) -> i64,
    list: Vec<Planted>,
    phase: &'static str,
    /// People who already play a part: each case has its own.
    taken: Vec<Person>,
}

impl Plan<'_> {
    fn first_day(&mut self, day: Day, now: Moment) {
        // A world that begins in the middle of the morning has its first day all the same: `day` is
        // then the next workday.
        self.approver_away(at(day, 9, 0).max(now + 1), at(self.company.calendar.workday(day, 3), 18, 0), "华东");
        self.failed_logins(at(day, 9, 12), 26);
        self.duplicate_invoice(at(day, 9, 40));
        self.unusual_expense(at(day, 10, 24), 1, 4_860_000);
        self.split_purchase(day);
        self.bulk_export(at(day, 22, 25), 6, 80_000);
    }

    fn add(&mut self, trouble: Trouble, span: (Moment, Moment), until: Moment, rule: &str, labels: &[(&str, String)], note: (String, String)) {
        let same = self.list.iter().filter(|planted| planted.entry.kind == rule && planted.entry.phase == self.phase).count();
        let entry = Entry {
            id: format!("{}_{}_{}", self.phase, rule, same + 1),
            kind: rule.to_owned(),
            phase: self.phase.to_owned(),
            from: utc(span.0),
            to: utc(span.1),
            until: utc(until),
            rule: rule.to_owned(),
            also: vec![],
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect::<BTreeMap<_, _>>(),
            note: Note { zh: note.0, en: note.1 },
        };
        self.list.push(Planted { trouble, from: span.0, to: span.1, entry });
    }

    /// Someone ordinary who is at work around that day and plays no other part.
    fn someone(&mut self, day: Day) -> Person {
        let mut dice = Dice::new(self.company.seed, About::Planted, day, self.list.len() as i64);
        for _ in 0..500 {
            let person = self.company.anyone(day, &mut dice);
            let department = &self.company.departments[self.company.employees[person].department];
            let there = (day..day + 8).all(|d| self.company.employed(person, d) && self.company.on_leave(person, d).is_none());
            if there && person > department.deputy() && !self.taken.contains(&person) {
                self.taken.push(person);
                return person;
            }
        }
        self.company.anyone(day, &mut dice)
    }

    fn label(&self, person: Person) -> String {
        let employee = &self.company.employees[person];
        format!("{} {}", employee.name, employee.number)
    }

    /// A department by name when it exists, else the last one.
    fn department(&self, name: &str) -> usize {
        let found = self.company.departments.iter().position(|d| &*d.name == name);
        found.unwrap_or(self.company.departments.len() - 1)
    }

    fn failed_logins(&mut self, from: Moment, tries: usize) {
        let person = self.someone(day_of(from));
        let who = self.label(person);
        let note = (format!("{who} 的账号四分钟内登录失败 {tries} 次"), format!("{tries} failed logins on the account of {who} within four minutes"));
        self.add(Trouble::FailedLogins { person, tries }, (from, from + 4 * MINUTE), from + 4 * HOUR, "failed_logins", &[("employee", who)], note);
    }

    fn duplicate_invoice(&mut self, from: Moment) {
        let company = self.company;
        let mut source = day_of(from) - 12;
        while !company.calendar.is_workday(source) {
            source -= 1;
        }
        let starter = self.someone(day_of(from));
        let amount = 68_000 + (from / 60 % 900) * 100;
        let paper = Paper { at: from, process: Process::Expense, starter, category: 1, amount, vendor: None, invoice_of: Some(source) };
        let invoice = borrowed_invoice(source);
        let note = (format!("发票 {invoice} 被重复报销"), format!("Invoice {invoice} is claimed a second time"));
        self.add(Trouble::Papers(vec![paper]), (from, from + HOUR), from + 6 * HOUR, "duplicate_invoice", &[("invoice", invoice)], note);
    }

    fn unusual_expense(&mut self, from: Moment, category: usize, amount: i64) {
        let starter = self.someone(day_of(from));
        let name = crate::approvals::EXPENSES[category].0;
        let paper = Paper { at: from, process: Process::Expense, starter, category, amount, vendor: None, invoice_of: None };
        let who = self.label(starter);
        let yuan = amount / 100;
        let note = (format!("{who} 报销{name} {yuan} 元，远超平常"), format!("{who} claims {yuan} yuan of {name}, far above the usual"));
        self.add(Trouble::Papers(vec![paper]), (from, from + HOUR), from + 6 * HOUR, "unusual_expense", &[("employee", who), ("category", name.to_owned())], note);
    }

    /// Four purchases just under the limit of 10,000 yuan, same requester and vendor, in one afternoon.
    fn split_purchase(&mut self, day: Day) {
        let starter = self.someone(day);
        let vendor = (starter * 31 + 17) % self.company.vendors.len();
        let papers: Vec<Paper> = [(13, 35, 985_000), (14, 10, 962_000), (15, 20, 978_000), (16, 5, 940_000)]
            .map(|(hour, minute, amount)| Paper { at: at(day, hour, minute), process: Process::Purchase, starter, category: 0, amount, vendor: Some(vendor), invoice_of: None })
            .into();
        let who = self.label(starter);
        let vendor = self.company.vendors[vendor].to_string();
        let note = (format!("{who} 向{vendor}拆单采购 4 笔，合计 38650 元"), format!("{who} splits 38,650 yuan into four purchases from {vendor}"));
        self.add(Trouble::Papers(papers), (at(day, 13, 35), at(day, 16, 5)), at(day, 22, 0), "split_purchase", &[("employee", who), ("vendor", vendor)], note);
    }

    fn bulk_export(&mut self, from: Moment, files: usize, rows: i64) {
        let person = self.someone(day_of(from));
        let who = self.label(person);
        let note = (format!("{who} 深夜批量导出 {files} 次，每次约 {rows} 行"), format!("{who} exports about {rows} rows {files} times late at night"));
        self.add(Trouble::BulkExport { person, files, rows }, (from, from + 25 * MINUTE), from + 6 * HOUR, "off_hours_export", &[("employee", who)], note);
    }

    /// The manager of the region's sales department is away; nobody stands in.
    fn approver_away(&mut self, from: Moment, to: Moment, region: &str) {
        let department = self.department(&format!("{region}销售部"));
        let home = &self.company.departments[department];
        let person = home.manager();
        let who = self.label(person);
        // Papers of the department make sure that something waits.
        let papers = (0..4)
            .map(|n| Paper {
                at: from + (9 + 17 * n) * MINUTE,
                process: Process::Expense,
                starter: home.first + 2 + (n as usize % (home.size - 2)),
                category: 2,
                amount: 18_600 + n * 3_100,
                vendor: None,
                invoice_of: None,
            })
            .collect();
        let note = (format!("审批人 {who} 休假且未设代理"), format!("Approver {who} is on leave without a delegate"));
        self.add(Trouble::ApproverAway { person }, (from, to), to + 2 * HOUR, "approver_on_leave", &[("employee", who)], note);
        let planted = Planted { trouble: Trouble::Papers(papers), ..self.list[self.list.len() - 1].clone() };
        self.list.push(planted);
    }

    fn attendance_gap(&mut self, day: Day, days: usize, region: &str) {
        let department = self.department(&format!("{region}交付部"));
        let name = self.company.departments[department].name.to_string();
        let last = self.company.calendar.workday(day, days);
        let note = (format!("{name}考勤机故障，多数人无打卡记录"), format!("The punch clock of {name} fails: most people have no record"));
        self.add(Trouble::AttendanceGap { department, missing: 0.75 }, (day * DAY, (last + 1) * DAY), (last + 1) * DAY, "attendance_gap", &[("department", name)], note);
    }

    fn backlog_surge(&mut self, from: Moment, to: Moment) {
        let note = ("财务审核停滞，报销单积压".to_owned(), "Expense review stands still and expenses pile up".to_owned());
        let until = to + 30 * HOUR;
        self.add(Trouble::BacklogSurge, (from, to), until, "backlog_surge", &[("process", "expense".to_owned())], note);
    }

    fn order_slump(&mut self, region: usize, from: Day, to: Day) {
        let name = names::REGIONS[region].to_owned();
        let note = (format!("{name}订单量骤降约七成"), format!("Orders in {name} fall by about 70 percent"));
        let span = (from * DAY, (to + 1) * DAY);
        self.add(Trouble::OrderSlump { region, share: 0.28 }, span, span.1 + DAY, "order_slump", &[("region", name)], note);
    }

    fn users_drop(&mut self, from: Day, to: Day) {
        let note = ("单点登录异常，活跃用户减半".to_owned(), "Single sign-on fails for many: active users halve".to_owned());
        let span = (from * DAY, (to + 1) * DAY);
        self.add(Trouble::UsersDrop { share: 0.42 }, span, span.1 + DAY, "active_users_drop", &[], note);
    }

    fn budget_overrun(&mut self, from: Moment, department: &str) {
        let department = self.department(department);
        let name = self.company.departments[department].name.to_string();
        let budget = (self.budgets)(department, crate::time::month_of(day_of(from)));
        let postings = (0..6).map(|n| (from + n * 23 * MINUTE, budget * 23 / 100)).collect();
        let note = (format!("{name}当月费用远超预算"), format!("{name} spends far more than the budget of the month"));
        let until = (day_of(from) + 2) * DAY;
        self.add(Trouble::BudgetOverrun { department, postings }, (from, from + 2 * HOUR), until, "budget_overrun", &[("department", name)], note);
    }

    fn ledger_stops(&mut self, from: Moment, to: Moment) {
        let note = ("财务总账停止推送".to_owned(), "The finance ledger feed stops".to_owned());
        self.add(Trouble::LedgerStops, (from, to), to + HOUR, "ledger_feed_stopped", &[("table", "raw.finance_ledger".to_owned())], note);
    }
}
