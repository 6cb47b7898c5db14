//! The planted cases: what each does to the company, and the alert it should raise.

use super::calendar::{Plan, Story, at};
use super::{Paper, Trouble};
use crate::approvals::{Process, borrowed_invoice};
use crate::names;
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, day_of};

impl Plan<'_> {
    pub(super) fn first_day(&mut self, day: Day, now: Moment) {
        // A world that begins in the middle of the morning has its first day all the same: `day` is
        // then the next workday.
        self.approver_away(
            at(day, 9, 0).max(now + 1),
            at(self.company.calendar.workday(day, 3), 18, 0),
            "华东",
        );
        self.failed_logins(at(day, 9, 12), 26);
        self.duplicate_invoice(at(day, 9, 40));
        self.unusual_expense(at(day, 10, 24), 1, 4_860_000);
        self.split_purchase(day);
        self.bulk_export(at(day, 22, 25), 6, 80_000);
    }

    pub(super) fn failed_logins(&mut self, from: Moment, tries: usize) {
        let person = self.someone(day_of(from));
        let who = self.label(person);
        let (zh, en) = (
            format!("{who} 的账号四分钟内登录失败 {tries} 次"),
            format!("{tries} failed logins on the account of {who} within four minutes"),
        );
        let story =
            Story { rule: "failed_logins", labels: vec![("employee", who)], until: from + 8 * HOUR, zh, en };
        self.add(Trouble::FailedLogins { person, tries }, (from, from + 4 * MINUTE), story);
    }

    pub(super) fn duplicate_invoice(&mut self, from: Moment) {
        let company = self.company;
        let mut source = day_of(from) - 12;
        while !company.calendar.is_workday(source) {
            source -= 1;
        }
        let starter = self.someone(day_of(from));
        let amount = 68_000 + (from / 60 % 900) * 100;
        let paper = Paper {
            at: from,
            process: Process::Expense,
            starter,
            category: 1,
            amount,
            vendor: None,
            invoice_of: Some(source),
        };
        let invoice = borrowed_invoice(source);
        let (zh, en) =
            (format!("发票 {invoice} 被重复报销"), format!("Invoice {invoice} is claimed a second time"));
        let story = Story {
            rule: "duplicate_invoice",
            labels: vec![("invoice", invoice)],
            until: from + 6 * HOUR,
            zh,
            en,
        };
        self.add(Trouble::Papers(vec![paper]), (from, from + HOUR), story);
    }

    pub(super) fn unusual_expense(&mut self, from: Moment, category: usize, amount: i64) {
        let starter = self.someone(day_of(from));
        let name = crate::approvals::EXPENSES[category].0;
        let paper = Paper {
            at: from,
            process: Process::Expense,
            starter,
            category,
            amount,
            vendor: None,
            invoice_of: None,
        };
        let who = self.label(starter);
        let yuan = amount / 100;
        let (zh, en) = (
            format!("{who} 报销{name} {yuan} 元，远超平常"),
            format!("{who} claims {yuan} yuan of {name}, far above the usual"),
        );
        let story = Story {
            rule: "unusual_expense",
            labels: vec![("employee", who), ("category", name.to_owned())],
            until: from + 6 * HOUR,
            zh,
            en,
        };
        self.add(Trouble::Papers(vec![paper]), (from, from + HOUR), story);
    }

    /// Four purchases just under the limit of 10,000 yuan, same requester and vendor, in one afternoon.
    pub(super) fn split_purchase(&mut self, day: Day) {
        let starter = self.someone(day);
        let vendor = (starter * 31 + 17) % self.company.vendors.len();
        let papers: Vec<Paper> = [(13, 35, 985_000), (14, 10, 962_000), (15, 20, 978_000), (16, 5, 940_000)]
            .map(|(hour, minute, amount)| Paper {
                at: at(day, hour, minute),
                process: Process::Purchase,
                starter,
                category: 0,
                amount,
                vendor: Some(vendor),
                invoice_of: None,
            })
            .into();
        let who = self.label(starter);
        let vendor = self.company.vendors[vendor].to_string();
        let (zh, en) = (
            format!("{who} 向{vendor}拆单采购 4 笔，合计 38650 元"),
            format!("{who} splits 38,650 yuan into four purchases from {vendor}"),
        );
        let story = Story {
            rule: "split_purchase",
            labels: vec![("employee", who), ("vendor", vendor)],
            until: at(day, 22, 0),
            zh,
            en,
        };
        self.add(Trouble::Papers(papers), (at(day, 13, 35), at(day, 16, 5)), story);
    }

    pub(super) fn bulk_export(&mut self, from: Moment, files: usize, rows: i64) {
        let person = self.someone(day_of(from));
        let who = self.label(person);
        let (zh, en) = (
            format!("{who} 深夜批量导出 {files} 次，每次约 {rows} 行"),
            format!("{who} exports about {rows} rows {files} times late at night"),
        );
        let story = Story {
            rule: "off_hours_export",
            labels: vec![("employee", who)],
            until: from + 10 * HOUR,
            zh,
            en,
        };
        self.add(Trouble::BulkExport { person, files, rows }, (from, from + 25 * MINUTE), story);
    }

    /// The manager of the region's sales department is away; nobody stands in.
    pub(super) fn approver_away(&mut self, from: Moment, to: Moment, region: &str) {
        let department = self.department(&format!("{region}销售部"));
        let home = &self.company.departments[department];
        let (person, first, others) = (home.manager(), home.first, home.size - 2);
        let who = self.label(person);
        // Papers of the department make sure that something waits.
        let papers = (0..4)
            .map(|n| Paper {
                at: from + (9 + 17 * n) * MINUTE,
                process: Process::Expense,
                starter: first + 2 + n as usize % others,
                category: 2,
                amount: 18_600 + n * 3_100,
                vendor: None,
                invoice_of: None,
            })
            .collect();
        let (zh, en) = (
            format!("审批人 {who} 休假且未设代理"),
            format!("Approver {who} is on leave without a delegate"),
        );
        let story = Story {
            rule: "approver_on_leave",
            labels: vec![("employee", who)],
            until: to + 2 * HOUR,
            zh,
            en,
        };
        self.add(Trouble::ApproverAway { person, papers }, (from, to), story);
    }

    pub(super) fn attendance_gap(&mut self, day: Day, days: usize, region: &str) {
        let department = self.department(&format!("{region}交付部"));
        let name = self.company.departments[department].name.to_string();
        let last = self.company.calendar.workday(day, days);
        let (zh, en) = (
            format!("{name}考勤机故障，多数人无打卡记录"),
            format!("The punch clock of {name} fails: most people have no record"),
        );
        let story = Story {
            rule: "attendance_gap",
            labels: vec![("department", name)],
            until: (last + 1) * DAY,
            zh,
            en,
        };
        self.add(Trouble::AttendanceGap { department, missing: 0.75 }, (day * DAY, (last + 1) * DAY), story);
    }

    pub(super) fn backlog_surge(&mut self, from: Moment, to: Moment) {
        let (zh, en) = (
            "财务审核停滞，报销单积压".to_owned(),
            "Expense review stands still and expenses pile up".to_owned(),
        );
        let until = to + 30 * HOUR;
        let story =
            Story { rule: "backlog_surge", labels: vec![("process", "expense".to_owned())], until, zh, en };
        self.add(Trouble::BacklogSurge, (from, to), story);
    }

    pub(super) fn order_slump(&mut self, region: usize, from: Day, to: Day) {
        let name = names::REGIONS[region].to_owned();
        let (zh, en) =
            (format!("{name}订单量骤降约八成"), format!("Orders in {name} fall by about 80 percent"));
        let span = (from * DAY, (to + 1) * DAY);
        let story =
            Story { rule: "order_slump", labels: vec![("region", name)], until: span.1 + DAY, zh, en };
        self.add(Trouble::OrderSlump { region, share: 0.2 }, span, story);
    }

    pub(super) fn users_drop(&mut self, from: Day, to: Day) {
        let (zh, en) = (
            "单点登录异常，活跃用户减半".to_owned(),
            "Single sign-on fails for many: active users halve".to_owned(),
        );
        let span = (from * DAY, (to + 1) * DAY);
        let story = Story { rule: "active_users_drop", labels: vec![], until: span.1 + DAY, zh, en };
        self.add(Trouble::UsersDrop { share: 0.42 }, span, story);
    }

    pub(super) fn budget_overrun(&mut self, from: Moment, department: &str) {
        let department = self.department(department);
        let name = self.company.departments[department].name.to_string();
        let budget = (self.budgets)(department, crate::time::month_of(day_of(from)));
        let postings = (0..6).map(|n| (from + n * 23 * MINUTE, budget * 23 / 100)).collect();
        let (zh, en) = (
            format!("{name}当月费用远超预算"),
            format!("{name} spends far more than the budget of the month"),
        );
        let until = (day_of(from) + 2) * DAY;
        let story = Story { rule: "budget_overrun", labels: vec![("department", name)], until, zh, en };
        self.add(Trouble::BudgetOverrun { department, postings }, (from, from + 2 * HOUR), story);
    }

    pub(super) fn ledger_stops(&mut self, from: Moment, to: Moment) {
        let (zh, en) = ("财务总账停止推送".to_owned(), "The finance ledger feed stops".to_owned());
        let story = Story {
            rule: "ledger_feed_stopped",
            labels: vec![("table", "raw.finance_ledger".to_owned())],
            until: to + HOUR,
            zh,
            en,
        };
        self.add(Trouble::LedgerStops, (from, to), story);
    }
}
