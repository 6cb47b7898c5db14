//! What rules remember, in the metadata database, and the same as `system` tables.

use arrow::datatypes::{DataType, TimeUnit};
use warehouse::SystemTable;

pub(crate) const STEPS: &[&str] = &["
CREATE TABLE alerts (
  id TEXT PRIMARY KEY, rule TEXT NOT NULL, series TEXT NOT NULL, state TEXT NOT NULL, severity TEXT NOT NULL,
  title TEXT NOT NULL, labels TEXT NOT NULL, message TEXT NOT NULL, evidence TEXT NOT NULL,
  value DOUBLE PRECISION, low DOUBLE PRECISION, high DOUBLE PRECISION,
  started_at BIGINT NOT NULL, fired_at BIGINT, held_at BIGINT NOT NULL, known_at BIGINT NOT NULL, resolved_at BIGINT,
  acked_by TEXT, acked_at BIGINT, ack_note TEXT);
CREATE INDEX alerts_open ON alerts (state, rule, series);
CREATE INDEX alerts_started ON alerts (started_at);
CREATE TABLE alert_events (id TEXT PRIMARY KEY, alert TEXT NOT NULL, at BIGINT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL);
CREATE INDEX alert_events_alert ON alert_events (alert, at);
CREATE TABLE rule_states (rule TEXT PRIMARY KEY, evaluated_at BIGINT NOT NULL, error TEXT);
CREATE TABLE deliveries (
  id TEXT PRIMARY KEY, alert TEXT NOT NULL, channel TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  attempts BIGINT NOT NULL, next_at BIGINT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
CREATE INDEX deliveries_alert ON deliveries (alert);
CREATE TABLE delivery_attempts (
  delivery TEXT NOT NULL, attempt BIGINT NOT NULL, at BIGINT NOT NULL, status BIGINT, ms BIGINT NOT NULL,
  response TEXT NOT NULL, error TEXT NOT NULL, PRIMARY KEY (delivery, attempt));
", "
CREATE TABLE messages (
  id TEXT PRIMARY KEY, channel TEXT NOT NULL, body TEXT NOT NULL, attempts BIGINT NOT NULL, created_at BIGINT NOT NULL);
ALTER TABLE deliveries ADD COLUMN message TEXT;
ALTER TABLE deliveries ADD COLUMN error TEXT;
CREATE INDEX deliveries_message ON deliveries (message);
CREATE TABLE closed_channels (
  channel TEXT PRIMARY KEY, target TEXT NOT NULL, closed_at BIGINT NOT NULL, reason TEXT NOT NULL);
", "
ALTER TABLE alerts ADD COLUMN held_since BIGINT;
ALTER TABLE alerts ADD COLUMN fired_value DOUBLE PRECISION;
ALTER TABLE alerts ADD COLUMN resolved_value DOUBLE PRECISION;
ALTER TABLE alerts ADD COLUMN value_at BIGINT;
ALTER TABLE alerts ADD COLUMN summary_now TEXT;
ALTER TABLE alerts ADD COLUMN evidence_at BIGINT;
UPDATE alerts SET held_since = started_at, evidence_at = COALESCE(fired_at, started_at);
ALTER TABLE rule_states ADD COLUMN looked_at BIGINT;
ALTER TABLE rule_states ADD COLUMN failing_since BIGINT;
ALTER TABLE messages ADD COLUMN attempts_before BIGINT NOT NULL DEFAULT 0;
CREATE INDEX deliveries_created ON deliveries (created_at, id);
CREATE INDEX deliveries_state ON deliveries (state, channel);
CREATE INDEX deliveries_channel ON deliveries (channel, updated_at);
"];

/// `system.alerts`, `system.alert_events`, `system.deliveries`, `system.delivery_attempts`.
pub fn system_tables() -> Vec<SystemTable> {
    let text = DataType::Utf8;
    let whole = DataType::Int64;
    let real = DataType::Float64;
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    // Newest first: a reader sees only so many rows.
    let table = |name: &str, columns: &[(&str, &DataType)], newest: &str| {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let typed: Vec<(&str, DataType)> =
            columns.iter().map(|(name, kind)| (*name, (*kind).clone())).collect();
        SystemTable::new(name, &typed, &format!("SELECT {} FROM {name} ORDER BY {newest}", names.join(", ")))
    };
    vec![
        table(
            "alerts",
            &[
                ("id", &text),
                ("rule", &text),
                ("series", &text),
                ("state", &text),
                ("severity", &text),
                ("labels", &text),
                ("message", &text),
                ("value", &real),
                ("fired_value", &real),
                ("resolved_value", &real),
                ("low", &real),
                ("high", &real),
                ("started_at", &at),
                ("fired_at", &at),
                ("resolved_at", &at),
                ("acked_by", &text),
                ("acked_at", &at),
            ],
            "started_at DESC, id DESC",
        ),
        table(
            "alert_events",
            &[("alert", &text), ("at", &at), ("state", &text), ("note", &text)],
            "at DESC, id DESC",
        ),
        table(
            "deliveries",
            &[
                ("id", &text),
                ("message", &text),
                ("alert", &text),
                ("channel", &text),
                ("kind", &text),
                ("state", &text),
                ("attempts", &whole),
                ("error", &text),
                ("next_at", &at),
                ("created_at", &at),
                ("updated_at", &at),
            ],
            "created_at DESC, id DESC",
        ),
        table(
            "delivery_attempts",
            &[
                ("delivery", &text),
                ("attempt", &whole),
                ("at", &at),
                ("status", &whole),
                ("ms", &whole),
                ("response", &text),
                ("error", &text),
            ],
            "at DESC, delivery DESC, attempt DESC",
        ),
    ]
}
