//! What a company is made from, and what `company/world.json` remembers of it.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::company::Company;
use crate::planted::{self, Mischief};
use crate::time::{Calendar, Day, Moment, day, day_of, moment};
use crate::{Error, ledger};

/// How to make a company. `now` is where history ends and live begins.
#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    pub start: NaiveDate,
    pub now: DateTime<Utc>,
    pub staff: usize,
    pub departments: usize,
    /// Which days are worked, holidays and make-up days considered.
    pub workday: Arc<dyn Fn(NaiveDate) -> bool + Send + Sync>,
}

/// The part of the settings that a resumed world reads back.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Remembered {
    seed: u64,
    start: NaiveDate,
    now: DateTime<Utc>,
    staff: usize,
    departments: usize,
    calendar: Calendar,
}

/// Everything the generators need; the same for the same settings.
pub(crate) struct Plan {
    pub(crate) company: Company,
    pub(crate) mischief: Mischief,
    pub(crate) start: Day,
    pub(crate) origin: Moment,
}

/// Days after `now` for which the calendar is asked; later days follow the week.
const AHEAD: i64 = 800;
/// Leaves and working time reach back a little before the start.
const BEHIND: i64 = 120;

impl Settings {
    pub(crate) fn remember(&self) -> Result<Remembered, Error> {
        let (start, today) = (day(self.start), day_of(moment(self.now)));
        if today - start < 40 {
            return Err(Error::Settings(format!(
                "history from {} to {} is too short; begin at least 40 days before now",
                self.start, self.now
            )));
        }
        if self.departments < 10 || self.staff < self.departments * 10 || self.staff > 9_000 {
            let (staff, departments) = (self.staff, self.departments);
            return Err(Error::Settings(format!(
                "{staff} people in {departments} departments; use at least 10 departments of 10 people, and at most 9,000 people"
            )));
        }
        let calendar = Calendar::sample(&*self.workday, start - BEHIND, today + AHEAD);
        Ok(Remembered {
            seed: self.seed,
            start: self.start,
            now: self.now,
            staff: self.staff,
            departments: self.departments,
            calendar,
        })
    }
}

impl Remembered {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("world.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file("read", &path, e))?;
        serde_json::from_str(&text).map_err(|e| Error::damaged(&path, e))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join("world.json");
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::damaged(&path, e))?;
        std::fs::write(&path, text).map_err(|e| Error::file("write", &path, e))
    }

    pub(crate) fn plan(self) -> Plan {
        let (start, origin) = (day(self.start), moment(self.now));
        let company =
            Company::new(self.seed, self.staff, self.departments, self.calendar, start, day_of(origin));
        let budget = |department: usize, month: i64| ledger::budget(&company, department, month);
        let list = planted::schedule(&company, &budget, start, origin);
        Plan { mischief: Mischief(list), company, start, origin }
    }
}
