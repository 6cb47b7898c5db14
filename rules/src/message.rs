//! What goes over the wire: `{type, timestamp, data}`. Pure.
//!
//! One alert: `data` is the alert. Several of one rule at once: one digest, or several when one would be too
//! large. `data` of a digest names the rule and lists its alerts under `alerts`, every one of them in one of the
//! parts: `count` in this part, `total` in all, `part` of `parts`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Bytes of a body; the specification advises less than 20 KB.
const LONGEST: usize = 19_000;
/// Bytes of one alert in a digest, before its labels are shortened.
const LONGEST_SHORT: usize = 2_000;
/// Characters of a label, and labels, of an alert that is too large in short.
const LABEL: usize = 30;
const LABELS: usize = 20;
/// Larger groups than this become a digest; so do all that waited while a channel was down.
pub(crate) const SINGLES: usize = 5;

/// Whether so many alerts of one rule are told in one message.
pub(crate) fn is_digest(alerts: usize, after_outage: bool) -> bool {
    alerts > if after_outage { 1 } else { SINGLES }
}

/// Which part of a storm a digest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) part: usize,
    pub(crate) parts: usize,
    pub(crate) total: usize,
}

/// How many of these payloads of one rule and type, in their order, go into each message.
pub(crate) fn parts(payloads: &[&Value]) -> Vec<usize> {
    if payloads.len() < 2 || digest(payloads, None).len() <= LONGEST {
        return vec![payloads.len()];
    }
    let shared = shared_labels(payloads);
    // With three numbers of a part and its commas.
    let room = LONGEST.saturating_sub(envelope(payloads, &[], &shared, None).to_string().len() + 120);
    let mut all = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for payload in payloads {
        let size = in_short(&payload["data"], &shared).to_string().len() + 1;
        if count > 0 && bytes + size > room {
            all.push(count);
            (count, bytes) = (0, 0);
        }
        count += 1;
        bytes += size;
    }
    all.push(count);
    all
}

/// The body of one message for these payloads of one rule and type, oldest first, at least one.
pub(crate) fn body(payloads: &[&Value], part: Option<Part>) -> String {
    match payloads {
        [] => Value::Null.to_string(),
        [one] if part.is_none_or(|part| part.parts == 1) => shortened(wrap(one, one["data"].clone())),
        _ => digest(payloads, part),
    }
}

fn wrap(first: &Value, data: Value) -> Value {
    json!({"type": first["type"], "timestamp": first["timestamp"], "data": data})
}

/// Rather all of them in short than some of them whole.
fn digest(payloads: &[&Value], part: Option<Part>) -> String {
    let shared = BTreeMap::new();
    let whole: Vec<Value> = payloads.iter().map(|p| without_texts(&p["data"])).collect();
    let text = envelope(payloads, &whole, &shared, part).to_string();
    if text.len() <= LONGEST {
        return text;
    }
    let shared = shared_labels(payloads);
    let short: Vec<Value> = payloads.iter().map(|p| in_short(&p["data"], &shared)).collect();
    envelope(payloads, &short, &shared, part).to_string()
}

fn envelope(
    payloads: &[&Value],
    alerts: &[Value],
    shared: &BTreeMap<String, Value>,
    part: Option<Part>,
) -> Value {
    let Some(first) = payloads.first() else { return Value::Null };
    let data = &first["data"];
    let title = |language: &str| data["title"][language].as_str().unwrap_or_default();
    let Part { part, parts, total } = part.unwrap_or(Part { part: 1, parts: 1, total: payloads.len() });
    let (zh, en) = match parts {
        1 => (String::new(), String::new()),
        _ => (format!("（第 {part}/{parts} 部分）"), format!(" (part {part} of {parts})")),
    };
    let mut digest = json!({
        "rule": data["rule"], "title": data["title"], "state": data["state"], "severity": data["severity"],
        "count": alerts.len(), "listed": alerts.len(), "total": total, "part": part, "parts": parts,
        "summary": {
            "zh": format!("{}：{total} 条{zh}", title("zh")),
            "en": format!("{}: {total} alerts{en}", title("en")),
        },
        "description": data["description"], "action": data["action"],
        "alerts": alerts,
    });
    if !shared.is_empty() {
        digest["labels"] = json!(shared);
    }
    // Texts that fill a message by themselves go before alerts do.
    for name in ["description", "action"] {
        if digest[name].to_string().len() > LONGEST / 4 {
            digest[name] = Value::Null;
        }
    }
    wrap(first, digest)
}

/// Labels that all alerts of a storm have alike; they are said once.
fn shared_labels(payloads: &[&Value]) -> BTreeMap<String, Value> {
    let labels = |payload: &Value| payload["data"]["labels"].as_object().cloned().unwrap_or_default();
    let Some((first, rest)) = payloads.split_first() else { return BTreeMap::new() };
    let alike = |name: &str, value: &Value| rest.iter().all(|p| p["data"]["labels"].get(name) == Some(value));
    labels(first).into_iter().filter(|(name, value)| alike(name, value)).collect()
}

/// Which alert it is and what was seen.
fn in_short(data: &Value, shared: &BTreeMap<String, Value>) -> Value {
    let mut labels = data["labels"].as_object().cloned().unwrap_or_default();
    labels.retain(|name, value| shared.get(name) != Some(value));
    let short = json!({"id": data["id"], "labels": labels, "value": data["value"]});
    if short.to_string().len() <= LONGEST_SHORT {
        return short;
    }
    json!({"id": data["id"], "labels": few(&labels), "value": data["value"]})
}

/// The first labels, each cut.
fn few(labels: &serde_json::Map<String, Value>) -> serde_json::Map<String, Value> {
    let cut = |text: &str| text.chars().take(LABEL).collect::<String>();
    labels
        .iter()
        .take(LABELS)
        .map(|(name, value)| (cut(name), cut(value.as_str().unwrap_or_default()).into()))
        .collect()
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

/// A single alert whose long texts go before it would be too large; its labels are cut, never left out.
fn shortened(mut message: Value) -> String {
    for name in ["description", "action"] {
        let text = message.to_string();
        if text.len() <= LONGEST {
            return text;
        }
        message["data"][name] = Value::Null;
    }
    if message.to_string().len() > LONGEST
        && let Some(labels) = message["data"]["labels"].as_object().map(few)
    {
        message["data"]["labels"] = labels.into();
    }
    message.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(n: usize, description: &str) -> Value {
        json!({"type": "alert.firing", "timestamp": "2026-03-02T01:00:00Z", "channel": "ops", "alert": format!("a{n}"),
            "data": {"id": format!("a{n}"), "rule": "r", "title": {"zh": "积压", "en": "Backlog"}, "state": "firing",
                "severity": "critical", "labels": {"process": format!("p{n}"), "team": "ops"},
                "summary": {"zh": "x", "en": "x"},
                "description": {"zh": description, "en": description}, "action": null}})
    }

    fn bodies(all: &[Value]) -> Vec<String> {
        let all: Vec<&Value> = all.iter().collect();
        let counts = parts(&all);
        assert_eq!(counts.iter().sum::<usize>(), all.len());
        let mut rest = all.as_slice();
        let mut bodies = Vec::new();
        for (at, count) in counts.iter().enumerate() {
            let (now, later) = rest.split_at(*count);
            rest = later;
            bodies.push(body(now, Some(Part { part: at + 1, parts: counts.len(), total: all.len() })));
        }
        bodies
    }

    #[test]
    fn one_alert_is_its_own_message_without_our_bookkeeping() {
        let one: Value = serde_json::from_str(&body(&[&payload(1, "d")], None)).unwrap();
        assert_eq!(one["data"]["id"], "a1");
        assert_eq!(one.as_object().unwrap().keys().collect::<Vec<_>>(), ["type", "timestamp", "data"]);
    }

    #[test]
    fn a_storm_is_told_whole_in_as_many_messages_as_it_takes() {
        let all: Vec<Value> = (0..1500).map(|n| payload(n, "long ".repeat(300).as_str())).collect();
        let bodies = bodies(&all);
        assert!((2..20).contains(&bodies.len()), "{}", bodies.len());
        let mut told = vec![];
        for (at, text) in bodies.iter().enumerate() {
            assert!(text.len() <= LONGEST, "{}", text.len());
            let data = &serde_json::from_str::<Value>(text).unwrap()["data"];
            assert_eq!((&data["total"], &data["part"]), (&json!(1500), &json!(at + 1)));
            assert_eq!(data["count"], data["listed"]);
            assert_eq!(data["labels"]["team"], "ops", "what all share is said once");
            let listed = data["alerts"].as_array().unwrap();
            assert_eq!(data["count"], listed.len());
            told.extend(listed.iter().map(|a| a["labels"]["process"].as_str().unwrap().to_owned()));
        }
        assert_eq!(told, (0..1500).map(|n| format!("p{n}")).collect::<Vec<_>>());
        assert!(bodies[0].contains(&format!("积压：1500 条（第 1/{} 部分）", bodies.len())));
    }

    #[test]
    fn a_few_alerts_are_one_digest_with_all_that_is_known_of_them() {
        let all: Vec<Value> = (0..20).map(|n| payload(n, "d")).collect();
        let [one] = &bodies(&all)[..] else { panic!("one digest") };
        let data = &serde_json::from_str::<Value>(one).unwrap()["data"];
        assert_eq!((&data["count"], &data["summary"]["zh"]), (&json!(20), &json!("积压：20 条")));
        assert_eq!(data["alerts"][3]["labels"], json!({"process": "p3", "team": "ops"}));
        assert_eq!(data["alerts"][3]["summary"]["en"], "x");
    }

    #[test]
    fn alerts_with_huge_labels_and_texts_still_fit_and_are_all_told() {
        let text = body(&[&payload(1, &"长".repeat(9000))], None);
        assert!(text.len() <= LONGEST && text.contains("\"a1\""));
        let huge = |n: usize| {
            let mut one = payload(n, &"长".repeat(9000));
            let labels: serde_json::Map<String, Value> =
                (0..40).map(|k| (format!("k{k}"), format!("{n}{}", "长".repeat(300)).into())).collect();
            one["data"]["labels"] = labels.into();
            one
        };
        let alone: Value = serde_json::from_str(&body(&[&huge(1)], None)).unwrap();
        assert!(alone.to_string().len() <= LONGEST && alone["data"]["labels"]["k0"].is_string());
        let all: Vec<Value> = (0..50).map(huge).collect();
        let bodies = bodies(&all);
        assert!(bodies.iter().all(|b| b.len() <= LONGEST), "{:?}", bodies.iter().map(String::len).max());
        let count: usize = bodies.iter().map(|b| b.matches("\"id\":").count()).sum();
        assert_eq!(count, 50);
    }
}
