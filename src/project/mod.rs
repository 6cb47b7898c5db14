//! The project folder: definitions on disk, what is wrong with them, and what a change affects.
//!
//! `files` lists the folder, `item` reads one file (through `yaml` and `positions`), `check` finds what
//! is wrong across files, `settle` decides which version of each definition is served, `load` joins
//! them, `watch` repeats that when something changes, `plan` tells what stands downstream, `served`
//! keeps what was served for the next start.
//!
//! A broken file never stops the others: its last good version stays in use, and so does that of
//! whatever depends on it.

mod calendar;
mod check;
mod columns;
mod excerpt;
mod files;
mod finding;
mod graph;
mod item;
mod load;
mod plan;
mod planner;
mod positions;
mod schemas;
mod served;
mod settle;
mod usage;
mod watch;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use dashboards::DashboardSpec;
use ingest::SourceSpec;
use rules::RuleSpec;
use warehouse::Calendar;
use warehouse::clean::CleanSpec;
use warehouse::metric::MetricSpec;
use warehouse::model::ModelSpec;

use crate::config::Config;

pub use calendar::CalendarFile;
pub use columns::Catalogue;
pub(crate) use files::is_name;
pub use files::{Kind, Place};
pub use finding::{Finding, Severity};
pub use load::{Loaded, Loader, Unusable};
pub use plan::{Plan, plan};
pub use schemas::schemas;
pub use served::remember;
pub use usage::Use;
pub use watch::watch;

/// All definitions that are served, each in its last good version.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project folder; relative paths in definitions start here.
    pub dir: PathBuf,
    pub config: Config,
    pub sources: BTreeMap<String, SourceSpec>,
    pub cleans: BTreeMap<String, CleanSpec>,
    pub models: BTreeMap<String, ModelSpec>,
    pub metrics: BTreeMap<String, MetricSpec>,
    pub dashboards: BTreeMap<String, DashboardSpec>,
    pub rules: BTreeMap<String, RuleSpec>,
    /// The built-in calendar with the site's zone and the days of `calendar.yaml`.
    pub calendar: Calendar,
    /// Fingerprint of all served texts; equal texts, equal revision.
    pub revision: String,
    /// Path inside the folder → served text.
    pub files: BTreeMap<String, std::sync::Arc<str>>,
    items: graph::Items,
}

impl Project {
    /// The file that defines something, by its path inside the folder.
    pub fn file(&self, kind: Kind, name: &str) -> Option<&str> {
        self.items.get(&Place::new(kind, name)).map(|item| item.file.as_str())
    }

    /// When a schedule comes next after `t`, on the site's wall clock and calendar.
    pub fn next_run(&self, schedule: &store::Schedule, t: store::Timestamp) -> Option<store::Timestamp> {
        schedule.next_on(t, self.calendar.timezone(), &|day| self.calendar.is_workday(day))
    }

    /// The served text of a definition.
    pub fn text(&self, kind: Kind, name: &str) -> Option<&str> {
        self.items.get(&Place::new(kind, name)).map(|item| &*item.text)
    }
}
