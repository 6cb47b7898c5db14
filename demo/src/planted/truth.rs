//! `company/ground_truth.json`: what was planted, so that alerts can be judged against it.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Error;

/// A text in both languages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub zh: String,
    pub en: String,
}

/// One planted case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    /// One of the twelve kinds, such as `split_purchase`.
    pub kind: String,
    /// `live` (after the demo begins) or `history`.
    pub phase: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// An alert of `rule` with these labels is explained by this case when it fires in `from..=until`.
    pub until: DateTime<Utc>,
    /// The rule of the demo project expected to fire.
    pub rule: String,
    /// Other rules that may rightly speak up as well.
    pub also: Vec<String>,
    /// Labels the alert carries at least (department, region, employee, process, vendor, …).
    pub labels: BTreeMap<String, String>,
    pub note: Note,
}

/// All planted cases of a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroundTruth(pub Vec<Entry>);

impl GroundTruth {
    /// Reads `company/ground_truth.json` below the demo folder.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("company/ground_truth.json");
        let text = std::fs::read_to_string(&path).map_err(|e| Error::file("read", &path, e))?;
        serde_json::from_str(&text).map_err(|e| Error::damaged(&path, e))
    }

    /// The case that explains an alert, if any. Labels of the alert that a case does not name are
    /// ignored; a consequence (`also`) needs no labels at all.
    pub fn explains(
        &self,
        rule: &str,
        labels: &BTreeMap<String, String>,
        fired_at: DateTime<Utc>,
    ) -> Option<&Entry> {
        self.0.iter().find(|entry| {
            let named =
                entry.rule == rule && entry.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
            let follows = entry.also.iter().any(|other| other == rule);
            (named || follows) && entry.from <= fired_at && fired_at <= entry.until
        })
    }

    /// Cases that should have fired once live ran until `now`.
    pub fn due(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(move |entry| entry.phase == "live" && entry.until <= now)
    }
}
