//! A rule as its author writes it: what to ask, when it is worth a warning, whom to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{CronSpec, Problem, Schedule, Secret, Span};
use warehouse::metric::Grain;
use warehouse::{TableName, Title, references};

use crate::address::Address;

/// How often a rule is evaluated that does not say.
const EVERY: Duration = Duration::from_secs(300);

/// One rule: `rules/<name>.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Name shown to readers.
    pub title: Title,
    /// What the rule watches, and what to think of an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Title>,
    /// The number that is watched. Conditions `stale` and `rows` need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// What is worth a warning.
    pub when: Condition,
    /// How often the rule is evaluated. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// Instead of `every`: a crontab expression in the site's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronSpec>,
    /// How much later than its time data comes: nothing is judged before it can be there. A branch that
    /// delivers an hour late wants `delay: 1h`. Default: none.
    #[serde(default)]
    pub delay: Span,
    /// How long the condition must be seen to hold before the alert fires; time in which nobody looked, such as
    /// that of a stopped server, does not count. Default: at once.
    #[serde(default, rename = "for")]
    pub hold: Span,
    /// How long an alert goes on firing after the condition last held. Default: it resolves at once.
    #[serde(default)]
    pub keep_firing_for: Span,
    /// How urgent an alert is.
    pub severity: Severity,
    /// Labels that every alert of this rule carries beside its dimensions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What people read. `{{value}}`, `{{low}}`, `{{high}}`, `{{previous}}`, `{{change}}`, any label and
    /// any column of a row are filled in.
    #[serde(default)]
    pub annotations: Annotations,
    /// Channels of guanlan.yaml that are told.
    #[serde(default)]
    pub notify: Vec<String>,
}

/// The number that a rule watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Name of a metric.
    pub metric: String,
    /// Dimensions to split by: every combination of values is watched on its own.
    #[serde(default)]
    pub by: Vec<String>,
    /// Length of one value in time. Without it the rule watches one value over the last `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
    /// How far back values are read. Default 28d.
    #[serde(default = "four_weeks")]
    pub window: Span,
    /// Dimension → values that are kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Vec<String>>,
}

/// What is worth a warning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The value is greater than a limit.
    Above(Limit),
    /// The value is less than a limit.
    Below(Limit),
    /// The value leaves a corridor.
    Outside(Corridor),
    /// The value differs from an earlier one by a share of it.
    Change(Change),
    /// The value differs from what is usual at this time: median ± deviations · robust spread of the same hours
    /// or days before, wider the fewer they are. Public holidays and make-up workdays count as what they are.
    Seasonal(Seasonal),
    /// A table has not changed for too long.
    Stale(Stale),
    /// A query returns rows: each one is an alert of its own.
    Rows(Rows),
}

/// A limit in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub value: f64,
}

/// Two limits in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Corridor {
    pub low: f64,
    pub high: f64,
}

/// A relative change.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// With a grain, the bucket before, of a week, a month (the same date) or a year before; without, the window
    /// before.
    pub against: Against,
    /// Worth a warning when the value is greater by this share: 0.3 is 30 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<f64>,
    /// Worth a warning when the value is less by this share: 0.3 is 30 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<f64>,
    /// Earlier values less than this (in the metric's unit) are too small to compare to.
    #[serde(default)]
    pub min: f64,
}

/// What a value is compared to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    Previous,
    LastWeek,
    LastMonth,
    LastYear,
}

/// A departure from what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seasonal {
    /// Which earlier values are alike.
    pub season: Season,
    /// Robust standard deviations that are still usual. Default 4, which noise exceeds once in 16,000 values.
    #[serde(default = "four")]
    pub deviations: f64,
    /// Which side is worth a warning. Default both.
    #[serde(default)]
    pub side: Side,
    /// How far back usual is looked for. Default: the ask's window, but at least 12 alike values (12 weeks for
    /// `week`, 6 for `workweek`). From fewer values what is usual is known badly, and the band is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Span>,
    /// With fewer alike values than this nothing is judged. Default 4.
    #[serde(default = "four_points")]
    pub min_points: usize,
    /// A distance from the median (in the metric's unit) that is always usual. Default 0.
    #[serde(default)]
    pub floor: f64,
}

/// Which earlier values are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Season {
    /// The same hour of any day.
    Day,
    /// The same weekday (and hour). A workday that is free, or a weekend that is worked, is compared to
    /// all days of its kind.
    Week,
    /// Workdays among themselves and free days among themselves (and the same hour).
    Workweek,
}

/// Which side of usual is worth a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Above,
    Below,
    #[default]
    Both,
}

/// A table that is too old.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stale {
    /// The table, such as `raw.crm_orders`.
    pub table: TableName,
    /// How old its newest change, or with `at` its newest time, may be.
    pub longer_than: Span,
    /// Count only the site's working hours.
    #[serde(default)]
    pub working_hours: bool,
    /// A timestamp or date column: what counts is its newest value that is not in the future. Default: when the
    /// table last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Rows that should not be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// A query whose every row is a problem.
    pub sql: String,
    /// Columns that tell one problem from another. As long as a row with the same key is returned, it is
    /// the same problem.
    pub key: Vec<String>,
    /// Column that is shown as the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Timestamp or date column that says when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Critical,
    Warning,
    Info,
}

/// Texts by language. A language without texts gets those of the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zh: Option<Texts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub en: Option<Texts>,
}

/// What people read, in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// One line.
    pub summary: String,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelSpec {
    /// Any receiver of Standard Webhooks (standardwebhooks.com).
    Webhook(WebhookSpec),
}

/// A receiver of Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// http or https address that takes POST, or a reference to it (`env:NAME`, `file:PATH`): one that holds a
    /// token is a secret. Private addresses must be listed in `outbound.allow`.
    pub url: Address,
    /// Reference to the shared secret: `whsec_` and base64 of 24–64 bytes.
    pub secret: Secret,
    /// Waits before each further attempt of a message, followed as written. Default: those of the
    /// specification, 5 s up to 24 h, which leave a channel alone that does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Vec<Span>>,
}

impl RuleSpec {
    /// When the rule is evaluated.
    pub fn schedule(&self) -> Schedule {
        match (&self.cron, self.every) {
            (Some(cron), _) => Schedule::Cron(cron.clone()),
            (None, Some(every)) if !every.0.is_zero() => Schedule::Every(every.0),
            _ => Schedule::Every(EVERY),
        }
    }

    /// The metric that is watched.
    pub fn metric(&self) -> Option<&str> {
        self.ask.as_ref().map(|ask| ask.metric.as_str())
    }

    /// The labels that tell its series apart.
    pub fn series_names(&self) -> Vec<&str> {
        match (&self.when, &self.ask) {
            (Condition::Rows(rows), _) => rows.key.iter().map(String::as_str).collect(),
            (Condition::Stale(_), _) => vec!["table"],
            (_, Some(ask)) => ask.by.iter().map(String::as_str).collect(),
            (_, None) => Vec::new(),
        }
    }

    /// The tables that the rule itself names; those of its metric belong to the metric.
    pub fn tables(&self) -> Vec<TableName> {
        match &self.when {
            Condition::Stale(stale) => vec![stale.table.clone()],
            Condition::Rows(rows) => references(&rows.sql).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Puts a problem with one of [`RuleSpec::tables`] where the rule names them.
    pub fn at_tables(&self, problem: Problem) -> Problem {
        match &self.when {
            Condition::Stale(_) => problem.at_key("when").at_key("stale").at_key("table"),
            Condition::Rows(_) => problem.at_key("when").at_key("rows").at_key("sql"),
            _ => problem,
        }
    }
}

impl Seasonal {
    /// How far back usual is looked for by a rule with this window.
    pub fn reach(&self, window: Span) -> Span {
        self.history.unwrap_or_else(|| Span(window.0.max(self.season.twelve())))
    }
}

impl Season {
    /// How long twelve alike values take to come together.
    fn twelve(self) -> Duration {
        let days = match self {
            Season::Day => 12,
            // Of the two kinds of days the rarer comes twice a week.
            Season::Workweek => 6 * 7,
            Season::Week => 12 * 7,
        };
        Duration::from_secs(days * 86_400)
    }
}

impl Condition {
    /// The key of this condition in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Condition::Above(_) => "above",
            Condition::Below(_) => "below",
            Condition::Outside(_) => "outside",
            Condition::Change(_) => "change",
            Condition::Seasonal(_) => "seasonal",
            Condition::Stale(_) => "stale",
            Condition::Rows(_) => "rows",
        }
    }
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

fn four_weeks() -> Span {
    Span(Duration::from_secs(28 * 86_400))
}

fn four() -> f64 {
    4.0
}

fn four_points() -> usize {
    4
}
