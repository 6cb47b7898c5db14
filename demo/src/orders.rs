//! CRM orders, and the mess in which the CRM exports them: GB18030, Chinese headers, amounts and
//! dates in several spellings, full-width digits, a few rows that cannot be right.

use crate::company::{Company, Person};
use crate::dice::{About, Dice};
use crate::names;
use crate::planted::Mischief;
use crate::time::{Day, HOUR, MINUTE, Moment, compact_date, date_text, day_of, hour_of, month_of, stamp};

pub(crate) const HEADER: &str = "订单编号,下单时间,客户名称,区域,销售员,产品线,数量,金额,状态,更新时间";
const HOURS: [f64; 24] = [
    0.15, 0.05, 0.03, 0.02, 0.02, 0.05, 0.15, 0.5, 1.2, 2.0, 2.4, 2.1, 1.3, 1.5, 2.1, 2.2, 1.9, 1.5, 1.1,
    1.2, 1.4, 1.2, 0.7, 0.3,
];
/// Orders of the whole company on a workday.
const PER_WORKDAY: f64 = 330.0;

pub(crate) struct Order {
    pub(crate) number: String,
    pub(crate) at: Moment,
    region: usize,
    seller: Person,
    customer: String,
    product: &'static str,
    quantity: i64,
    /// Cents.
    amount: i64,
}

/// Orders of the hour that begins at `hour`, in order of time.
pub(crate) fn plan(company: &Company, mischief: &Mischief, hour: Moment) -> Vec<Order> {
    let day = day_of(hour);
    let rate = rate(company, day) * HOURS[hour_of(hour) as usize] / HOURS.iter().sum::<f64>();
    let mut orders = Vec::new();
    for (region, share) in names::REGION_SHARE.iter().enumerate() {
        let mut dice = Dice::new(company.seed, About::Orders, hour / HOUR, region as i64);
        for n in 0..dice.count(rate * share * mischief.orders(region, hour)) {
            orders.push(order(company, region, hour, n, &mut dice));
        }
    }
    orders.sort_by(|a, b| (a.at, &a.number).cmp(&(b.at, &b.number)));
    orders
}

/// Orders expected on a day: fewer on days off, more before the year ends, slow growth.
fn rate(company: &Company, day: Day) -> f64 {
    let usual = if company.calendar.is_workday(day) { PER_WORKDAY } else { PER_WORKDAY * 0.45 };
    let season = [0.92, 0.85, 1.0, 1.0, 1.03, 1.06, 0.98, 0.98, 1.04, 1.02, 1.06, 1.1]
        [month_of(day).rem_euclid(12) as usize];
    let grown = 1.0 + 0.12 * (day - 20_000) as f64 / 365.0;
    usual * season * grown.clamp(0.5, 3.0)
}

fn order(company: &Company, region: usize, hour: Moment, n: usize, dice: &mut Dice) -> Order {
    let at = hour + dice.between(0, HOUR - 1);
    let (product, scale) = *dice.pick(&names::PRODUCTS);
    let quantity = 1 + dice.count(2.0) as i64;
    let amount = (dice.lognormal(4_200.0 * scale, 0.8) * quantity as f64 * 100.0).round() as i64;
    let customer = format!("{}{}分公司", dice.pick(&names::CUSTOMERS), names::VENDOR_PLACES[dice.below(12)]);
    let sellers = company.departments.iter().find(|d| d.region == region && d.name.ends_with("销售部"));
    let home = sellers.unwrap_or(&company.departments[0]);
    let seller = home.first + dice.below(home.size);
    let number = format!("SO{}{:02}{region}{n:03}", compact_date(day_of(hour)), hour_of(hour));
    Order { number, at, region, seller, customer, product, quantity, amount }
}

/// Lines of one export for the hours in [from, to), header first, before encoding.
pub(crate) fn export(company: &Company, mischief: &Mischief, from: Moment, to: Moment) -> String {
    let mut text = format!("{HEADER}\r\n");
    let mut hour = from;
    while hour < to {
        for (n, order) in plan(company, mischief, hour).iter().enumerate() {
            let mut dice = Dice::new(company.seed, About::OrderMess, hour / HOUR, n as i64);
            text.push_str(&line(company, order, &mut dice));
            text.push_str("\r\n");
        }
        // Now and then an order of some hours ago comes again with a newer state.
        let mut dice = Dice::new(company.seed, About::OrderMess, hour / HOUR, -1);
        let before = hour - dice.between(2, 30) * HOUR;
        if let Some(order) = plan(company, mischief, before).first().filter(|_| dice.chance(0.12)) {
            let state = if dice.chance(0.3) { "已取消" } else { "已发货" };
            text.push_str(&format_line(
                company,
                order,
                stamp(order.at),
                yuan(order.amount),
                state,
                hour + MINUTE * 3,
            ));
            text.push_str("\r\n");
        }
        hour += HOUR;
    }
    text
}

fn line(company: &Company, order: &Order, dice: &mut Dice) -> String {
    let at = match dice.unit() {
        draw if draw < 0.70 => stamp(order.at),
        draw if draw < 0.95 => stamp(order.at).replace('-', "/")[..16].to_owned(),
        draw if draw < 0.997 => chinese_date(order.at),
        draw if draw < 0.9985 => format!("{}-13-45", &date_text(day_of(order.at))[..4]),
        _ => "待补".to_owned(),
    };
    let amount = match dice.unit() {
        draw if draw < 0.55 => yuan(order.amount),
        draw if draw < 0.75 => format!("\"￥{}\"", grouped(order.amount)),
        draw if draw < 0.88 => format!("{}万", order.amount as f64 / 1_000_000.0),
        draw if draw < 0.94 => full_width(&yuan(order.amount)),
        draw if draw < 0.997 => format!("\"{}\"", grouped(order.amount)),
        draw if draw < 0.9985 => "待定".to_owned(),
        _ => "见合同".to_owned(),
    };
    let state = if dice.chance(0.02) { "已取消" } else { "已确认" };
    let mut line = format_line(company, order, at, amount, state, order.at);
    if dice.chance(0.0008) {
        line.push_str(",加急,请电话联系");
    }
    line
}

fn format_line(
    company: &Company,
    order: &Order,
    at: String,
    amount: String,
    state: &str,
    updated: Moment,
) -> String {
    let region = names::REGIONS[order.region];
    let seller = &company.employees[order.seller].name;
    let Order { number, customer, product, quantity, .. } = order;
    format!(
        "{number},{at},{customer}, {region},{seller},{product},{quantity},{amount},{state},{}",
        stamp(updated)
    )
}

fn chinese_date(at: Moment) -> String {
    let date = date_text(day_of(at));
    format!("{}年{}月{}日", &date[..4], &date[5..7], &date[8..])
}

fn yuan(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// `12345678` cents as `123,456.78`.
pub(crate) fn grouped(cents: i64) -> String {
    let plain = yuan(cents);
    let (whole, fraction) = plain.split_at(plain.len() - 3);
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + fraction
}

fn full_width(text: &str) -> String {
    text.chars()
        .map(|c| char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c))
        .collect()
}
