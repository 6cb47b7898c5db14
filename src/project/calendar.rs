//! `calendar.yaml`: the site's own days beside the public notices.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};
use schemars::JsonSchema;
use serde::Deserialize;
use warehouse::{Calendar, Title};

use crate::config::{Site, WeekStart};

/// Days that the built-in calendar does not know, or knows otherwise; these win.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarFile {
    /// Date → name of the holiday.
    #[serde(default)]
    pub holidays: BTreeMap<NaiveDate, Title>,
    /// Weekend days on which the site works.
    #[serde(default)]
    pub workdays: Vec<NaiveDate>,
}

/// The calendar of a site.
pub(crate) fn calendar(site: &Site, own: Option<&CalendarFile>) -> Calendar {
    let week_start = match site.week_start {
        WeekStart::Monday => Weekday::Mon,
        WeekStart::Saturday => Weekday::Sat,
        WeekStart::Sunday => Weekday::Sun,
    };
    let mut calendar =
        Calendar::built_in(site.timezone.0).with_periods(week_start, u32::from(site.fiscal_month));
    if let Some(own) = own {
        let holidays = own.holidays.iter().map(|(day, title)| (*day, title.clone()));
        calendar.extend(holidays, own.workdays.iter().copied());
    }
    calendar
}
