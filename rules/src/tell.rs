//! What is to be told of one step of one alert, and to whom: one effect a channel, in the transaction that
//! changed the alert.

use serde_json::{Value, json};
use store::{Effect, Timestamp, Transaction, micros};
use warehouse::metric::MetricUnit;
use warehouse::{TableName, Title, Zone};

use crate::episode::{Ending, Episode, State};
use crate::error::Result;
use crate::history::Message;
use crate::judge::Reading;
use crate::names::Labels;
use crate::record::Write;
use crate::spec::Severity;
use crate::{AlertChanged, EFFECT_KIND, Rules};

/// One step of an alert with everything that its message says.
pub(crate) struct Telling {
    pub(crate) id: String,
    pub(crate) rule: String,
    pub(crate) title: Title,
    pub(crate) state: State,
    pub(crate) severity: Severity,
    pub(crate) labels: Labels,
    pub(crate) unit: Option<MetricUnit>,
    /// Where its row was read from.
    pub(crate) tables: Option<Vec<TableName>>,
    /// What was seen at this step, and of when it is.
    pub(crate) value: Option<f64>,
    pub(crate) value_at: Option<Timestamp>,
    pub(crate) fired_value: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) message: Message,
    pub(crate) started_at: Timestamp,
    pub(crate) fired_at: Option<Timestamp>,
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) ending: Option<Ending>,
    pub(crate) now: Timestamp,
}

impl Telling {
    pub(crate) fn fired(write: &Write<'_>, episode: &Episode, reading: &Reading, message: Message) -> Self {
        Self {
            id: episode.id.clone(),
            rule: write.rule.to_owned(),
            title: write.spec.title.clone(),
            state: episode.state,
            severity: write.spec.severity,
            labels: write.labels(),
            unit: write.seen.evidence.unit,
            tables: write.seen.evidence.tables.clone(),
            value: reading.value,
            value_at: reading.at.or(Some(write.now)),
            fired_value: reading.value,
            low: reading.low,
            high: reading.high,
            message,
            started_at: episode.started_at,
            fired_at: episode.fired_at,
            resolved_at: None,
            ending: None,
            now: write.now,
        }
    }

    /// What watchers hear. They may not all read what the alert was read from, so then only its title.
    pub(crate) fn changed(&self) -> AlertChanged {
        let open = is_for_everyone(self.tables.as_deref());
        AlertChanged {
            id: self.id.clone(),
            rule: self.rule.clone(),
            state: self.state,
            severity: self.severity,
            summary: if open { self.message.summary.clone() } else { self.title.clone() },
        }
    }

    fn data(&self) -> Value {
        json!({
            "id": self.id, "rule": self.rule, "title": self.title, "state": self.state,
            "severity": self.severity, "labels": self.labels,
            "value": self.value, "value_at": self.value_at, "fired_value": self.fired_value,
            "low": self.low, "high": self.high, "unit": self.unit,
            "summary": self.message.summary, "reason": self.message.reason,
            "description": self.message.description, "action": self.message.action,
            "started_at": self.started_at, "fired_at": self.fired_at, "resolved_at": self.resolved_at,
            "ending": self.ending.map(Ending::as_str), "note": self.ending.map(Ending::note),
        })
    }
}

/// Whether everyone who may read alerts may read these tables: marts are what all roles read.
pub(crate) fn is_for_everyone(tables: Option<&[TableName]>) -> bool {
    tables.is_none_or(|tables| tables.iter().all(|table| table.zone == Zone::Mart))
}

impl Rules {
    /// Records one effect a channel, under an id that this step of this episode always has. No dot in it:
    /// the signature of a webhook separates its parts by dots.
    pub(crate) async fn tell(
        &self,
        tx: &mut Transaction,
        telling: &Telling,
        channels: &[String],
    ) -> Result<()> {
        let (now, state) = (telling.now, telling.state.as_str());
        let kind = format!("alert.{state}");
        for channel in channels {
            let id = format!("{}-{state}-{channel}", telling.id);
            let payload = json!({
                "channel": channel, "alert": telling.id, "rule": telling.rule,
                "type": kind, "timestamp": now, "data": telling.data(),
            });
            sqlx::query(
                "INSERT INTO deliveries (id, alert, channel, kind, state, attempts, next_at, created_at, updated_at) \
                 VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $5, $5) ON CONFLICT (id) DO NOTHING",
            )
            .bind(&id)
            .bind(&telling.id)
            .bind(channel)
            .bind(&kind)
            .bind(micros(now))
            .execute(&mut **tx)
            .await?;
            let effect = Effect { id, kind: EFFECT_KIND.to_owned(), payload, due: now };
            self.outbox.put(tx, &effect).await?;
        }
        Ok(())
    }

    /// The channels that an alert's firing was recorded for, whatever its rule says by now.
    pub(crate) async fn told(&self, tx: &mut Transaction, alert: &str) -> Result<Vec<String>> {
        let channels: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT channel FROM deliveries WHERE alert = $1 AND kind = 'alert.firing' ORDER BY channel",
        )
        .bind(alert)
        .fetch_all(&mut **tx)
        .await?;
        Ok(channels.into_iter().map(|(channel,)| channel).collect())
    }
}
