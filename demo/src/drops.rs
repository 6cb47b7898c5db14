//! The folder where the CRM and finance drop their exports: which file is due when, and its bytes.
//!
//! Past months are one file each, days of the present month one file each, and from the moment live
//! begins one file an hour: orders all day, the ledger in office hours.

use std::io::Write;
use std::path::Path;

use crate::company::Company;
use crate::planted::Mischief;
use crate::time::{
    DAY, Day, HOUR, MINUTE, Moment, compact_date, date, day_of, hour_of, month_of, month_start,
};
use crate::{Error, ledger, orders};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Feed {
    Orders,
    Ledger,
}

/// One file: what it holds, [from, to), and when it appears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drop {
    pub(crate) name: String,
    pub(crate) due: Moment,
    feed: Feed,
    from: Moment,
    to: Moment,
}

const ORDER_HOURS: [i64; 14] = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 24];
const LEDGER_HOURS: [i64; 9] = [10, 11, 12, 13, 14, 15, 16, 17, 18];

/// Files of the history: everything before the day of `now`.
pub(crate) fn history(company: &Company, start: Day, now: Moment) -> Vec<Drop> {
    let today = day_of(now);
    let mut drops = Vec::new();
    let mut add = |feed: Feed, label: String, from: Day, to: Day| {
        let name = format!("{}_{label}.csv", if feed == Feed::Orders { "orders" } else { "ledger" });
        drops.push(Drop { name, due: to * DAY, feed, from: from * DAY, to: to * DAY });
    };
    for month in month_of(start)..month_of(today) {
        let from = month_start(month).max(start);
        let label = compact_date(from)[..6].to_owned();
        add(Feed::Orders, label.clone(), from, month_start(month + 1));
        add(Feed::Ledger, label, from, month_start(month + 1));
    }
    for day in month_start(month_of(today)).max(start)..today {
        add(Feed::Orders, compact_date(day), day, day + 1);
        if company.calendar.is_workday(day) {
            add(Feed::Ledger, compact_date(day), day, day + 1);
        }
    }
    drops
}

/// Hourly files that become due in (after, until].
pub(crate) fn due(company: &Company, mischief: &Mischief, after: Moment, until: Moment) -> Vec<Drop> {
    let mut drops: Vec<Drop> =
        (day_of(after) - 1..=day_of(until)).flat_map(|day| of_day(company, mischief, day)).collect();
    drops.retain(|drop| after < drop.due && drop.due <= until);
    drops.sort_by(|a, b| (a.due, &a.name).cmp(&(b.due, &b.name)));
    drops
}

fn of_day(company: &Company, mischief: &Mischief, day: Day) -> Vec<Drop> {
    let mut drops = Vec::new();
    let mut from = day * DAY;
    for hour in ORDER_HOURS {
        let to = day * DAY + hour * HOUR;
        let name = format!("orders_{}_{hour:02}.csv", compact_date(day));
        drops.push(Drop { name, due: to + 3 * MINUTE, feed: Feed::Orders, from, to });
        from = to;
    }
    let scheduled = ledger_times(company, day);
    for (index, to) in scheduled.iter().enumerate() {
        let due = to + ledger::EXPORT_MINUTE;
        if !mischief.ledger_stopped(due) {
            let begin = if index == 0 { day * DAY } else { scheduled[index - 1] };
            let from = undelivered(company, mischief, begin);
            let name = format!("ledger_{}_{:02}.csv", compact_date(day), hour_of(*to));
            drops.push(Drop { name, due, feed: Feed::Ledger, from, to: *to });
        }
    }
    drops
}

fn ledger_times(company: &Company, day: Day) -> Vec<Moment> {
    let hours = if company.calendar.is_workday(day) { LEDGER_HOURS.as_slice() } else { &[] };
    hours.iter().map(|hour| day * DAY + hour * HOUR).collect()
}

/// Where a file begins when the ones before it never came: the first after a stop brings it all.
fn undelivered(company: &Company, mischief: &Mischief, begin: Moment) -> Moment {
    let mut from = begin;
    for day in (day_of(begin) - 15..=day_of(begin)).rev() {
        let times = ledger_times(company, day);
        for (index, to) in times.iter().enumerate().rev().filter(|(_, to)| **to <= begin) {
            if !mischief.ledger_stopped(to + ledger::EXPORT_MINUTE) {
                return from;
            }
            from = if index == 0 { day * DAY } else { times[index - 1] };
        }
    }
    from
}

impl Drop {
    pub(crate) fn bytes(&self, company: &Company, mischief: &Mischief) -> Vec<u8> {
        match self.feed {
            Feed::Orders => encoding_rs::GB18030
                .encode(&orders::export(company, mischief, self.from, self.to))
                .0
                .into_owned(),
            Feed::Ledger => ledger::export(company, mischief, self.from, self.to).into_bytes(),
        }
    }
}

/// Budget workbooks of the years touched by the history and the next month and a half.
pub(crate) fn budgets(company: &Company, start: Day, now: Moment) -> Result<Vec<(String, Vec<u8>)>, Error> {
    use chrono::Datelike;
    let (first, last) = (date(start).year(), date(day_of(now) + 45).year());
    let book = |year: i32| Ok((format!("budget_{year}.xlsx"), ledger::workbook(company, i64::from(year))?));
    (first..=last).map(book).collect()
}

/// Writes a file so that a reader sees all of it or nothing. A file that is there already is whole
/// and, being a function of the seed, has the same bytes.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(());
    }
    let partial = folder.join(format!(".{name}.partial"));
    let save = || {
        let mut file = std::fs::File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, &path)
    };
    save().map_err(|e| Error::file("write", &path, e))
}
