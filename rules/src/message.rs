//! What goes over the wire: `{type, timestamp, data}`. Pure.
//!
//! One alert: `data` is the alert. Several of one rule at once: one digest, whose `data` names the rule,
//! counts them and lists them under `alerts`.

use serde_json::{Value, json};

/// Bytes of a body; the specification advises less than 20 KB.
const LONGEST: usize = 19_000;
/// Larger groups than this become a digest; so do all that waited while a channel was down.
const SINGLES: usize = 5;

/// Whether so many alerts of one rule are told in one message.
pub(crate) fn is_digest(alerts: usize, after_outage: bool) -> bool {
    alerts > if after_outage { 1 } else { SINGLES }
}

/// The body of one message for these payloads of one rule and type, oldest first, at least one.
pub(crate) fn body(payloads: &[&Value]) -> String {
    let Some((first, rest)) = payloads.split_first() else { return Value::Null.to_string() };
    let wrap = |data: Value| json!({"type": first["type"], "timestamp": first["timestamp"], "data": data});
    if rest.is_empty() {
        return shortened(wrap(first["data"].clone()));
    }
    let count = payloads.len();
    let data = &first["data"];
    let title = |language: &str| data["title"][language].as_str().unwrap_or_default().to_owned();
    let digest = |alerts: &[Value]| {
        wrap(json!({
            "rule": data["rule"], "title": data["title"], "state": data["state"], "severity": data["severity"],
            "count": count, "listed": alerts.len(),
            "summary": {
                "zh": format!("{}：{count} 条", title("zh")),
                "en": format!("{}: {count} alerts", title("en")),
            },
            "description": data["description"], "action": data["action"],
            "alerts": alerts,
        }))
        .to_string()
    };
    let whole = digest(&payloads.iter().map(|p| without_texts(&p["data"])).collect::<Vec<_>>());
    if whole.len() <= LONGEST {
        return whole;
    }
    // Rather all of them in short than some of them whole; of very many, the first that fit.
    let short: Vec<Value> = payloads.iter().map(|p| in_short(&p["data"])).collect();
    let (mut fits, mut over) = (0, count + 1);
    while over - fits > 1 {
        let middle = fits + (over - fits) / 2;
        if digest(&short[..middle]).len() <= LONGEST { fits = middle } else { over = middle }
    }
    digest(&short[..fits])
}

/// Which alert it is and what was seen.
fn in_short(data: &Value) -> Value {
    json!({"id": data["id"], "labels": data["labels"], "value": data["value"]})
}

/// An alert in a digest; what all of them share is said once.
fn without_texts(data: &Value) -> Value {
    let mut data = data.clone();
    if let Some(fields) = data.as_object_mut() {
        for shared in ["rule", "title", "severity", "description", "action", "state"] {
            fields.shift_remove(shared);
        }
    }
    data
}

/// A single alert whose long texts go before it would be too large.
fn shortened(mut message: Value) -> String {
    for name in ["description", "action", "labels"] {
        let text = message.to_string();
        if text.len() <= LONGEST {
            return text;
        }
        message["data"][name] = Value::Null;
    }
    message.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(n: usize, description: &str) -> Value {
        json!({"type": "alert.firing", "timestamp": "2026-03-02T01:00:00Z", "channel": "ops", "alert": format!("a{n}"),
            "data": {"id": format!("a{n}"), "rule": "r", "title": {"zh": "积压", "en": "Backlog"}, "state": "firing",
                "severity": "critical", "labels": {"process": format!("p{n}")}, "summary": {"zh": "x", "en": "x"},
                "description": {"zh": description, "en": description}, "action": null}})
    }

    #[test]
    fn one_alert_is_its_own_message_without_our_bookkeeping() {
        let one: Value = serde_json::from_str(&body(&[&payload(1, "d")])).unwrap();
        assert_eq!(one["data"]["id"], "a1");
        assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>(), ["type", "timestamp", "data"]);
    }

    #[test]
    fn several_alerts_are_one_digest_that_fits() {
        let all: Vec<Value> = (0..500).map(|n| payload(n, "long ".repeat(300).as_str())).collect();
        let text = body(&all.iter().collect::<Vec<_>>());
        assert!(text.len() <= LONGEST, "{}", text.len());
        let digest: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(digest["data"]["count"], 500);
        let listed = digest["data"]["alerts"].as_array().unwrap();
        assert!(listed.len() > 50 && listed.len() as u64 == digest["data"]["listed"].as_u64().unwrap());
        assert_eq!(listed[0]["labels"]["process"], "p0");
        assert_eq!(digest["data"]["summary"]["zh"], "积压：500 条");
    }

    #[test]
    fn a_single_alert_with_huge_texts_still_fits() {
        let text = body(&[&payload(1, &"长".repeat(9000))]);
        assert!(text.len() <= LONGEST);
        assert!(text.contains("\"a1\""));
    }
}
