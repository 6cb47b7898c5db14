//! Finance: budgets by department and month, and the ledger that uses them up.

use crate::company::Company;
use crate::dice::{About, Dice};
use crate::names;
use crate::orders::grouped;
use crate::planted::Mischief;
use crate::time::{DAY, Day, HOUR, MINUTE, Moment, compact_date, day_of, month_of, month_start, stamp};

pub(crate) const HEADER: &str = "凭证号,记账时间,部门,科目,摘要,往来单位,借方金额";
const ACCOUNTS: [(&str, &str, f64); 6] = [
    ("660201", "差旅费", 0.28),
    ("660202", "办公费", 0.14),
    ("660203", "业务招待费", 0.12),
    ("660204", "市场推广费", 0.18),
    ("660205", "外包服务费", 0.2),
    ("660206", "折旧与摊销", 0.08),
];
/// Share of a month's budget that ordinary spending reaches, at most and at least.
const SPENT: (f64, f64) = (0.72, 0.88);

/// Budget of a department in a month (numbered as in `time::month_of`), in cents: whole hundreds of
/// yuan, more at the end of a quarter.
pub(crate) fn budget(company: &Company, department: usize, month: i64) -> i64 {
    let year = month.div_euclid(12);
    let mut dice = Dice::new(company.seed, About::Budget, department as i64, year);
    let head = dice.uniform(900.0, 1_700.0) * company.departments[department].size as f64;
    let season = if (month + 1) % 3 == 0 { 1.25 } else { 1.0 };
    (head * season / 100.0).round() as i64 * 10_000
}

/// How much of a month falls on a day; nothing on days off.
fn weight(company: &Company, day: Day) -> f64 {
    if !company.calendar.is_workday(day) {
        return 0.0;
    }
    match company.calendar.month_position(day) {
        (_, 0..=2) => 2.2,
        (0..=1, _) => 0.7,
        _ => 1.0,
    }
}

struct Posting {
    at: Moment,
    department: usize,
    account: usize,
    cents: i64,
}

fn day_postings(company: &Company, mischief: &Mischief, day: Day) -> Vec<Posting> {
    let share = weight(company, day);
    let month = month_of(day);
    let mut postings = Vec::new();
    let whole: f64 = (month_start(month)..month_start(month + 1)).map(|d| weight(company, d)).sum();
    for department in 0..company.departments.len() {
        for (at, cents) in mischief.postings(department, day * DAY, (day + 1) * DAY) {
            postings.push(Posting { at, department, account: 3, cents });
        }
        if share == 0.0 {
            continue;
        }
        let mut dice = Dice::new(company.seed, About::Ledger, department as i64, month);
        let spent = dice.uniform(SPENT.0, SPENT.1);
        let total = budget(company, department, month) as f64 * spent * share / whole;
        let mut dice = Dice::new(company.seed, About::LedgerDay, department as i64, day);
        let count = 1 + dice.count(1.1 * share);
        let parts: Vec<f64> = (0..count).map(|_| dice.uniform(0.4, 1.6)).collect();
        let all: f64 = parts.iter().sum();
        for part in parts {
            let at = day * DAY + dice.between(9 * HOUR, 18 * HOUR - 1);
            let account = dice.weighted(&ACCOUNTS.map(|(_, _, weight)| weight));
            postings.push(Posting { at, department, account, cents: (total * part / all).round() as i64 });
        }
    }
    postings.sort_by_key(|posting| (posting.at, posting.department));
    postings
}

/// Lines of one export for postings in [from, to), header first; comes with a byte order mark.
pub(crate) fn export(company: &Company, mischief: &Mischief, from: Moment, to: Moment) -> String {
    let mut text = format!("\u{feff}{HEADER}\r\n");
    for day in day_of(from)..=day_of(to - 1) {
        for (n, posting) in day_postings(company, mischief, day).iter().enumerate() {
            if from <= posting.at && posting.at < to {
                text.push_str(&line(company, posting, day, n));
                text.push_str("\r\n");
            }
        }
    }
    text
}

fn line(company: &Company, posting: &Posting, day: Day, n: usize) -> String {
    let (code, account, _) = ACCOUNTS[posting.account];
    let department = &company.departments[posting.department].name;
    let vendor = &company.vendors[(day as usize * 31 + n * 7) % company.vendors.len()];
    let voucher = format!("JZ{}{:04}", compact_date(day), n + 1);
    // The last column is text with thousands separators, as the ledger prints it.
    let amount = if (day as usize * 31 + n).is_multiple_of(499) {
        "#N/A".to_owned()
    } else {
        format!("\"{}\"", grouped(posting.cents))
    };
    format!(
        "{voucher},{},{department},{code} {account},{department}{account},{vendor},{amount}",
        stamp(posting.at)
    )
}

/// The yearly budget workbook: a title over everything, a header in two rows with merged cells,
/// regions merged down their departments, amounts in 万元.
pub(crate) fn workbook(company: &Company, year: i64) -> Result<Vec<u8>, rust_xlsxwriter::XlsxError> {
    use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook};
    let mut book = Workbook::new();
    // Fixed, so that the same company gives the same bytes.
    let made = ExcelDateTime::from_ymd(year as u16 - 1, 12, 15)?;
    book.set_properties(&DocProperties::new().set_title("部门费用预算").set_creation_datetime(&made));
    let bold = Format::new().set_bold().set_align(FormatAlign::Center).set_align(FormatAlign::VerticalCenter);
    let money = Format::new().set_num_format("#,##0.00");
    let sheet = book.add_worksheet().set_name("预算")?;
    sheet.merge_range(0, 0, 0, 14, &format!("{year}年度部门费用预算（单位：万元）"), &bold)?;
    for (column, word) in ["年度", "区域", "部门"].into_iter().enumerate() {
        sheet.merge_range(1, column as u16, 2, column as u16, word, &bold)?;
    }
    for (quarter, word) in ["第一季度", "第二季度", "第三季度", "第四季度"].into_iter().enumerate()
    {
        let column = 3 + quarter as u16 * 3;
        sheet.merge_range(1, column, 1, column + 2, word, &bold)?;
    }
    for month in 0..12u16 {
        sheet.write_with_format(2, 3 + month, format!("{}月", month + 1), &bold)?;
    }
    let mut row = 3u32;
    for (region, name) in names::REGIONS.iter().enumerate() {
        let members: Vec<usize> =
            (0..company.departments.len()).filter(|d| company.departments[*d].region == region).collect();
        let last = row + (members.len() as u32).saturating_sub(1);
        match members.len() {
            0 => continue,
            1 => drop(sheet.write_with_format(row, 1, *name, &bold)?),
            _ => drop(sheet.merge_range(row, 1, last, 1, name, &bold)?),
        }
        for department in members {
            sheet.write(row, 0, year as f64)?;
            sheet.write(row, 2, &*company.departments[department].name)?;
            for month in 0..12i64 {
                let cents = budget(company, department, year * 12 + month);
                sheet.write_with_format(row, 3 + month as u16, cents as f64 / 1_000_000.0, &money)?;
            }
            row += 1;
        }
    }
    book.save_to_buffer()
}

/// When the ledger exports what came in until then.
pub(crate) const EXPORT_MINUTE: i64 = 7 * MINUTE;
