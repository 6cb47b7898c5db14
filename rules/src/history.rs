//! Alerts for those who look: the list, one with its evidence, acknowledging, the state of rules.

use std::collections::BTreeMap;

use access::Principal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use store::{Timestamp, from_micros, micros};
use warehouse::Title;
use warehouse::metric::MetricUnit;

use crate::Rules;
use crate::error::{Error, Result};
use crate::observe::{Evidence, EvidencePoint, Labels};
use crate::template::Told;

/// The largest page.
const MOST: usize = 200;

/// The texts of an alert as they are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) summary: Title,
    pub(crate) description: Option<Title>,
    pub(crate) action: Option<Title>,
}

impl From<Told> for Message {
    fn from(Told { summary, description, action }: Told) -> Self {
        Self { summary, description, action }
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

#[derive(Debug, Clone, Serialize)]
pub struct AlertRow {
    pub id: String,
    pub rule: String,
    pub title: Title,
    pub state: String,
    pub severity: String,
    pub labels: Labels,
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub unit: Option<MetricUnit>,
    pub summary: Title,
    pub started_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub acked: Option<Acked>,
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
    pub id: String,
    pub rule: String,
    pub title: Title,
    pub state: String,
    pub severity: String,
    pub labels: Labels,
    pub value: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub unit: Option<MetricUnit>,
    pub summary: Title,
    pub description: Option<Title>,
    pub action: Option<Title>,
    pub started_at: Timestamp,
    pub fired_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
    pub acked: Option<Acked>,
    pub series: Option<SeriesView>,
    pub rows: Option<RowsView>,
    pub timeline: Vec<Event>,
    pub deliveries: Vec<Delivery>,
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

#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    pub id: String,
    pub channel: String,
    pub kind: String,
    pub state: String,
    pub attempts: i64,
    pub next_at: Option<Timestamp>,
    pub history: Vec<Try>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Try {
    pub at: Timestamp,
    pub status: Option<i64>,
    pub ms: i64,
    pub response: String,
    pub error: String,
}

/// How a rule stands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RuleState {
    pub firing: i64,
    pub pending: i64,
    pub last_evaluated: Option<Timestamp>,
    pub last_error: Option<String>,
}

const COLUMNS: &str = "id, rule, state, severity, title, labels, message, evidence, value, low, high, started_at, \
    fired_at, resolved_at, acked_by, acked_at, ack_note";

/// A stored alert: its row and the parts that only the detail shows.
struct Stored {
    row: AlertRow,
    message: Message,
    evidence: Evidence,
}

fn read(row: &SqliteRow) -> Result<Stored> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let message: Message = serde_json::from_str(&text("message")?).unwrap_or_default();
    let evidence: Evidence = serde_json::from_str(&text("evidence")?).unwrap_or_default();
    let title = text("title")?;
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
        low: row.try_get("low")?,
        high: row.try_get("high")?,
        unit: evidence.unit,
        summary: message.summary.clone(),
        started_at: from_micros(row.try_get("started_at")?),
        fired_at: row.try_get::<Option<i64>, _>("fired_at")?.map(from_micros),
        resolved_at: row.try_get::<Option<i64>, _>("resolved_at")?.map(from_micros),
        acked,
    };
    Ok(Stored { row, message, evidence })
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
        let Stored { row, message, evidence } = read(&found)?;
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
            deliveries: self.deliveries(id).await?,
            id: row.id,
            rule: row.rule,
            title: row.title,
            state: row.state,
            severity: row.severity,
            labels: row.labels,
            value: row.value,
            low: row.low,
            high: row.high,
            unit: row.unit,
            summary: row.summary,
            description: message.description,
            action: message.action,
            started_at: row.started_at,
            fired_at: row.fired_at,
            resolved_at: row.resolved_at,
            acked: row.acked,
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

    /// How every evaluated rule stands.
    pub async fn states(&self) -> Result<BTreeMap<String, RuleState>> {
        let mut states: BTreeMap<String, RuleState> = BTreeMap::new();
        let evaluated: Vec<(String, i64, Option<String>)> =
            sqlx::query_as("SELECT rule, evaluated_at, error FROM rule_states")
                .fetch_all(self.db.pool())
                .await?;
        for (rule, at, error) in evaluated {
            let state = states.entry(rule).or_default();
            (state.last_evaluated, state.last_error) = (Some(from_micros(at)), error);
        }
        let open: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT rule, state, COUNT(*) FROM alerts WHERE state IN ('pending', 'firing') GROUP BY rule, state",
        )
        .fetch_all(self.db.pool())
        .await?;
        for (rule, state, count) in open {
            let entry = states.entry(rule).or_default();
            if state == "firing" { entry.firing = count } else { entry.pending = count }
        }
        Ok(states)
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

    async fn deliveries(&self, alert: &str) -> Result<Vec<Delivery>> {
        type Head = (String, String, String, String, i64, Option<i64>);
        let heads: Vec<Head> = sqlx::query_as(
            "SELECT COALESCE(message, id), channel, kind, state, attempts, next_at FROM deliveries WHERE alert = $1 \
             ORDER BY created_at, id LIMIT 100",
        )
        .bind(alert)
        .fetch_all(self.db.pool())
        .await?;
        let mut all = Vec::with_capacity(heads.len());
        for (id, channel, kind, state, attempts, next_at) in heads {
            type Row = (i64, Option<i64>, i64, String, String);
            let tries: Vec<Row> = sqlx::query_as(
                "SELECT at, status, ms, response, error FROM delivery_attempts WHERE delivery = $1 ORDER BY attempt LIMIT 50",
            )
            .bind(&id)
            .fetch_all(self.db.pool())
            .await?;
            let history = tries
                .into_iter()
                .map(|(at, status, ms, response, error)| Try {
                    at: from_micros(at),
                    status,
                    ms,
                    response,
                    error,
                })
                .collect();
            all.push(Delivery {
                id,
                channel,
                kind,
                state,
                attempts,
                next_at: next_at.map(from_micros),
                history,
            });
        }
        Ok(all)
    }
}
