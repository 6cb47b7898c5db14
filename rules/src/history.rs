//! Alerts for those who look: the list, one with its evidence, acknowledging. What was read from tables is shown
//! to those who may read these tables.

use access::{Permission, Principal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use store::{Timestamp, from_micros, micros};
use warehouse::metric::MetricUnit;
use warehouse::{TableName, Title};

use crate::Rules;
use crate::error::{Error, Result};
use crate::names::{Labels, names_of};
use crate::observe::{Evidence, EvidencePoint};
use crate::outgoing::Delivery;
use crate::template::Told;

/// The largest page.
const MOST: usize = 200;

/// The texts of an alert as they are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) summary: Title,
    pub(crate) description: Option<Title>,
    pub(crate) action: Option<Title>,
    /// Why it fires, with its figures.
    #[serde(default)]
    pub(crate) reason: Option<Title>,
}

impl From<Told> for Message {
    fn from(Told { summary, description, action }: Told) -> Self {
        Self { summary, description, action, reason: None }
    }
}

/// Which alerts. Pages go back in time by `before`, the `next` of the page before.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertFilter {
    /// `firing`, `resolved`, `pending` or `all`; firing and resolved when absent.
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub rule: Option<String>,
    #[serde(default)]
    pub severity: Option<String>,
    #[serde(default)]
    pub limit: Option<usize>,
    #[serde(default)]
    pub before: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct AlertPage {
    pub alerts: Vec<AlertRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An alert in a list. `summary` and `value` are the newest while it fires; `fired_value` is what it fired at,
/// `resolved_value` what was seen when it was over.
#[derive(Debug, Clone, Serialize)]
pub struct AlertRow {
    pub id: String,
    pub rule: String,
    pub title: Title,
    pub state: String,
    pub severity: String,
    pub labels: Labels,
    pub value: Option<f64>,
    /// When `value` was seen.
    pub value_at: Option<Timestamp>,
    pub fired_value: Option<f64>,
    pub resolved_value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub unit: Option<MetricUnit>,
    pub summary: Title,
    pub started_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub acked: Option<Acked>,
    /// The reader may not read the tables that it was read from, so labels, values and texts are left out.
    pub hidden: bool,
    #[serde(skip)]
    origin: Origin,
    /// Names of labels that come from the data.
    #[serde(skip)]
    names: Vec<String>,
}

/// Where what an alert shows was read from.
#[derive(Debug, Clone, PartialEq)]
enum Origin {
    /// A metric or the age of a table.
    Public,
    /// Rows of these tables.
    Tables(Vec<TableName>),
    /// Rows of tables that were not noted.
    Unknown,
}

impl Origin {
    fn of(evidence: &Evidence) -> Self {
        match &evidence.tables {
            Some(tables) => Origin::Tables(tables.clone()),
            None if evidence.row.is_empty() || evidence.unit == Some(MetricUnit::Minutes) => Origin::Public,
            None => Origin::Unknown,
        }
    }

    fn is_open_to(&self, who: &Principal) -> bool {
        let zones = access::zones(who);
        match self {
            Origin::Public => true,
            Origin::Tables(tables) => tables.iter().all(|table| zones.contains(&table.zone.as_str())),
            Origin::Unknown => zones.contains(&"raw") && zones.contains(&"clean"),
        }
    }
}

impl AlertRow {
    /// The alert as far as `who` may read what it was read from.
    pub fn for_reader(mut self, who: &Principal) -> Self {
        if !self.origin.is_open_to(who) {
            self.hidden = true;
            self.labels.retain(|name, _| !self.names.contains(name));
            (self.value, self.fired_value, self.resolved_value) = (None, None, None);
            (self.low, self.high) = (None, None);
            self.summary = self.title.clone();
        }
        self
    }
}

impl AlertPage {
    /// The page as far as `who` may read what its alerts were read from.
    pub fn for_reader(mut self, who: &Principal) -> Self {
        self.alerts = self.alerts.into_iter().map(|alert| alert.for_reader(who)).collect();
        self
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Acked {
    pub by: String,
    pub at: Timestamp,
    pub note: String,
}

/// One alert with why it fired, what happened since, and how it was told.
#[derive(Debug, Clone, Serialize)]
pub struct AlertDetail {
    #[serde(flatten)]
    pub row: AlertRow,
    /// The summary as it was when the alert fired.
    pub fired_summary: Option<Title>,
    /// Why it fired, with its figures.
    pub reason: Option<Title>,
    pub description: Option<Title>,
    pub action: Option<Title>,
    /// The moment that `series` and `rows` show.
    pub evidence_at: Option<Timestamp>,
    pub series: Option<SeriesView>,
    pub rows: Option<RowsView>,
    pub timeline: Vec<Event>,
    pub deliveries: Vec<Delivery>,
}

impl std::ops::Deref for AlertDetail {
    type Target = AlertRow;

    fn deref(&self) -> &AlertRow {
        &self.row
    }
}

impl AlertDetail {
    /// The alert as far as `who` may read it: rows by the tables they come from, answers of receivers by the
    /// right to act on alerts.
    pub fn for_reader(mut self, who: &Principal) -> Self {
        self.row = self.row.for_reader(who);
        if self.row.hidden {
            (self.fired_summary, self.reason) = (None, None);
            (self.description, self.action) = (None, None);
            (self.series, self.rows) = (None, None);
        }
        if !access::decide(who, Permission::ActOnAlerts) {
            for attempt in self.deliveries.iter_mut().flat_map(|delivery| &mut delivery.history) {
                attempt.response.clear();
                attempt.error.clear();
            }
        }
        self
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct SeriesView {
    pub metric: Option<String>,
    pub unit: Option<MetricUnit>,
    pub points: Vec<EvidencePoint>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RowsView {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub at: Timestamp,
    pub state: String,
    pub note: String,
}

/// How a rule stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RuleState {
    pub firing: i64,
    pub pending: i64,
    pub last_evaluated: Option<Timestamp>,
    pub last_error: Option<String>,
    /// Since when it cannot be evaluated.
    pub failing_since: Option<Timestamp>,
}

const COLUMNS: &str = "id, rule, series, state, severity, title, labels, message, summary_now, evidence, value, \
    value_at, fired_value, resolved_value, low, high, started_at, fired_at, resolved_at, evidence_at, acked_by, \
    acked_at, ack_note";

/// A stored alert: its row and the parts that only the detail shows.
struct Stored {
    row: AlertRow,
    message: Message,
    evidence: Evidence,
    evidence_at: Option<Timestamp>,
}

fn read(row: &SqliteRow) -> Result<Stored> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let moment = |name: &str| row.try_get::<Option<i64>, _>(name).map(|at| at.map(from_micros));
    let message: Message = serde_json::from_str(&text("message")?).unwrap_or_default();
    let evidence: Evidence = serde_json::from_str(&text("evidence")?).unwrap_or_default();
    let title = text("title")?;
    let now: Option<String> = row.try_get("summary_now")?;
    let now = now.and_then(|text| serde_json::from_str(&text).ok());
    let evidence_at = moment("evidence_at")?;
    let acked =
        match (row.try_get::<Option<String>, _>("acked_by")?, row.try_get::<Option<i64>, _>("acked_at")?) {
            (Some(by), Some(at)) => {
                let note = row.try_get::<Option<String>, _>("ack_note")?.unwrap_or_default();
                Some(Acked { by, at: from_micros(at), note })
            }
            _ => None,
        };
    let row = AlertRow {
        id: text("id")?,
        rule: text("rule")?,
        title: serde_json::from_str(&title).unwrap_or(Title { zh: title.clone(), en: title }),
        state: text("state")?,
        severity: text("severity")?,
        labels: serde_json::from_str(&text("labels")?).unwrap_or_default(),
        value: row.try_get("value")?,
        value_at: moment("value_at")?,
        fired_value: row.try_get("fired_value")?,
        resolved_value: row.try_get("resolved_value")?,
        low: row.try_get("low")?,
        high: row.try_get("high")?,
        unit: evidence.unit,
        summary: now.unwrap_or_else(|| message.summary.clone()),
        started_at: from_micros(row.try_get("started_at")?),
        fired_at: moment("fired_at")?,
        resolved_at: moment("resolved_at")?,
        acked,
        hidden: false,
        origin: Origin::of(&evidence),
        names: names_of(&text("series")?),
    };
    Ok(Stored { row, message, evidence, evidence_at })
}

impl Rules {
    /// A page of alerts, newest first.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<AlertPage> {
        let limit = filter.limit.unwrap_or(50).clamp(1, MOST);
        let state = filter.state.as_deref().unwrap_or("told");
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM alerts WHERE ($1 = 'all' OR state = $1 OR ($1 = 'told' AND state <> 'pending')) \
             AND ($2 IS NULL OR rule = $2) AND ($3 IS NULL OR severity = $3) AND ($4 IS NULL OR id < $4) \
             ORDER BY id DESC LIMIT $5"
        )))
        .bind(state)
        .bind(&filter.rule)
        .bind(&filter.severity)
        .bind(&filter.before)
        .bind(limit as i64)
        .fetch_all(self.db.pool())
        .await?;
        let alerts = rows.iter().map(|r| read(r).map(|s| s.row)).collect::<Result<Vec<_>>>()?;
        let next = (alerts.len() == limit).then(|| alerts.last().map(|a| a.id.clone())).flatten();
        Ok(AlertPage { alerts, next })
    }

    /// One alert; `None` when there is none with this id.
    pub async fn alert(&self, id: &str) -> Result<Option<AlertDetail>> {
        let found = sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} FROM alerts WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await?;
        let Some(found) = found else { return Ok(None) };
        let Stored { row, message, evidence, evidence_at } = read(&found)?;
        let series = (!evidence.points.is_empty()).then(|| SeriesView {
            metric: evidence.metric.clone(),
            unit: evidence.unit,
            points: evidence.points.clone(),
        });
        let rows = (!evidence.row.is_empty()).then(|| RowsView {
            columns: evidence.row.keys().cloned().collect(),
            rows: vec![evidence.row.values().cloned().collect()],
        });
        Ok(Some(AlertDetail {
            timeline: self.timeline(id).await?,
            deliveries: self.deliveries_of(id).await?,
            row,
            fired_summary: Some(message.summary),
            reason: message.reason,
            description: message.description,
            action: message.action,
            evidence_at,
            series,
            rows,
        }))
    }

    /// Notes that someone looks after an alert.
    ///
    /// # Errors
    /// There is no such alert.
    pub async fn ack(&self, id: &str, who: &Principal, note: &str) -> Result<()> {
        let now = self.clock.now();
        let note: String = note.chars().take(1_000).collect();
        let mut tx = self.db.begin().await?;
        let changed =
            sqlx::query("UPDATE alerts SET acked_by = $1, acked_at = $2, ack_note = $3 WHERE id = $4")
                .bind(&who.user)
                .bind(micros(now))
                .bind(&note)
                .bind(id)
                .execute(&mut *tx)
                .await?;
        if changed.rows_affected() == 0 {
            return Err(Error::NoAlert(id.to_owned()));
        }
        self.event(&mut tx, id, now, "acknowledged", &format!("{}: {note}", who.user)).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn timeline(&self, alert: &str) -> Result<Vec<Event>> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT at, state, note FROM alert_events WHERE alert = $1 ORDER BY at, id LIMIT 200",
        )
        .bind(alert)
        .fetch_all(self.db.pool())
        .await?;
        Ok(rows.into_iter().map(|(at, state, note)| Event { at: from_micros(at), state, note }).collect())
    }
}
