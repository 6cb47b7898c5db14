//! XES event logs (IEEE 1849), plain or gzipped, in the encoding that the XML declares → one row per event.
//!
//! `case_id`, `activity`, `timestamp`, `resource`, `lifecycle`, then the other attributes of the trace
//! (`case_*`) and of the event (`event_*`) as text. Nested attributes are left out and said; the log's own are not
//! rows. A time without a zone is read in the site's zone; an event whose time cannot be read is set aside.

mod input;
mod time;
mod walk;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};

use super::columns::{TextColumns, unique_names};
use super::sink::{Sink, Stop, crowded, instant_type, too_wide};
use crate::error::SourceError;
use walk::{Attributes, Trace, walk};

/// Reads one log. The first pass learns which attributes there are, so that every batch has the same columns.
pub(crate) fn read(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let mut layout = Layout::default();
    walk(path, |trace| layout.learn(trace))?;
    let mut rows = Rows::new(&layout);
    sink.columns(rows.fields.clone());
    let nested = walk(path, |trace| rows.add(trace, sink))?;
    rows.flush(sink)?;
    rows.tell(nested, sink);
    Ok(())
}

/// Which attribute lands in which text column. The first four columns are always there.
#[derive(Default)]
struct Layout {
    keys: Vec<String>,
    index: HashMap<(bool, String), usize>,
    /// Bytes of the keys: each may be as long as a value, and is kept.
    bytes: usize,
}

const FIXED: [&str; 4] = ["case_id", "activity", "resource", "lifecycle"];

/// The fixed column of a standard attribute.
fn fixed(of_case: bool, key: &str) -> Option<usize> {
    match (of_case, key) {
        (true, "concept:name") => Some(0),
        (false, "concept:name") => Some(1),
        (false, "org:resource") => Some(2),
        (false, "lifecycle:transition") => Some(3),
        _ => None,
    }
}

impl Layout {
    fn learn(&mut self, trace: &Trace) -> Result<(), Stop> {
        let case = trace.attributes.iter().map(|(k, _)| (true, k));
        let events = trace.events.iter().flatten().map(|(k, _)| (false, k));
        for (of_case, key) in case.chain(events) {
            if fixed(of_case, key).is_some()
                || (!of_case && key == "time:timestamp")
                || self.index.contains_key(&(of_case, key.clone()))
            {
                continue;
            }
            self.bytes += key.len();
            if self.bytes > store::limits().record_bytes {
                let most = store::limits().record_bytes >> 20;
                return Err(SourceError::never(format!(
                    "the keys of its attributes take more than {most} MiB (`limits: record_bytes` of guanlan.yaml); this is not an event log with regular attributes"
                ))
                .into());
            }
            self.index.insert((of_case, key.clone()), FIXED.len() + self.keys.len());
            self.keys.push(format!("{}_{}", if of_case { "case" } else { "event" }, snake(key)));
            if self.keys.len() + FIXED.len() + 1 > store::limits().columns {
                let remedy = "this is not an event log with regular attributes: leave some out";
                return Err(too_wide(self.keys.len() + FIXED.len() + 1, remedy).into());
            }
        }
        Ok(())
    }

    fn column(&self, of_case: bool, key: &str) -> Option<usize> {
        fixed(of_case, key).or_else(|| self.index.get(&(of_case, key.to_owned())).copied())
    }
}

/// `Org:Group Name` → `org_group_name`.
fn snake(key: &str) -> String {
    let words: Vec<String> =
        key.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    words.join("_")
}

struct Rows<'l> {
    layout: &'l Layout,
    fields: Vec<FieldRef>,
    text: TextColumns,
    times: TimestampMicrosecondBuilder,
    next: i64,
    timeless: u64,
    local: u64,
}

impl<'l> Rows<'l> {
    fn new(layout: &'l Layout) -> Self {
        let names = unique_names(
            FIXED
                .iter()
                .map(|s| s.to_string())
                .chain(["timestamp".to_string()])
                .chain(layout.keys.iter().cloned()),
        );
        let field = |n: &String, t: DataType| Arc::new(Field::new(n, t, true)) as FieldRef;
        // Order as documented: case_id, activity, timestamp, resource, lifecycle, others.
        let mut fields = vec![
            field(&names[0], DataType::Utf8),
            field(&names[1], DataType::Utf8),
            field(&names[4], instant_type()),
        ];
        fields.extend(names[2..4].iter().chain(&names[5..]).map(|n| field(n, DataType::Utf8)));
        let text = TextColumns::new(FIXED.len() + layout.keys.len());
        Rows {
            layout,
            fields,
            text,
            times: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            next: 1,
            timeless: 0,
            local: 0,
        }
    }

    fn add(&mut self, trace: &Trace, sink: &mut Sink) -> Result<(), Stop> {
        let width = FIXED.len() + self.layout.keys.len();
        let mut of_case: Vec<Option<&str>> = vec![None; width];
        for (key, value) in &trace.attributes {
            if let Some(at) = self.layout.column(true, key)
                && let Some(before) = of_case[at].replace(value)
            {
                self.twice(at, before, self.next, sink);
            }
        }
        let ordinal = trace.number.to_string();
        of_case[0] = of_case[0].or(Some(&ordinal));
        for event in &trace.events {
            let number = self.next;
            self.next += 1;
            let mut row = of_case.clone();
            let mut time = None;
            for (key, value) in event {
                if key == "time:timestamp" {
                    time = Some(value.as_str());
                } else if let Some(at) = self.layout.column(false, key)
                    && let Some(before) = row[at].replace(value)
                {
                    self.twice(at, before, number, sink);
                }
            }
            let read = match time.filter(|t| !t.trim().is_empty()) {
                None => {
                    self.timeless += 1;
                    None
                }
                Some(text) => match time::read(text, sink.zone()) {
                    Some(read) => {
                        self.local += u64::from(read.local);
                        if let Some(how) = read.changed {
                            sink.changed("timestamp", how, || format!("event {number}: {text}"));
                        }
                        Some(read.micros)
                    }
                    None => {
                        let shown: String = text.chars().take(60).collect();
                        let reason = format!("`{shown}` is no time; write it as 2026-11-27T08:00:00+08:00");
                        sink.reject(number, reason, &as_json(row[0], event))?;
                        continue;
                    }
                },
            };
            self.times.append_option(read);
            for (i, value) in row.iter().enumerate() {
                self.text.push(i, *value);
            }
            self.text.end_row(number);
            if self.text.is_full() || crowded(self.text.rows.len(), width) {
                self.flush(sink)?;
            }
        }
        Ok(())
    }

    /// An attribute that stands twice in one element: the last value is kept.
    fn twice(&self, at: usize, before: &str, event: i64, sink: &mut Sink) {
        // The time stands between the second and the third text column.
        let name = self.fields[if at < 2 { at } else { at + 1 }].name();
        sink.changed(
            name,
            "the last of several values was kept: the attribute stands more than once",
            || format!("event {event}: {}", before.chars().take(60).collect::<String>()),
        );
    }

    /// What a person should know of the whole log.
    fn tell(&self, nested: u64, sink: &mut Sink) {
        let file = sink.file().to_owned();
        if self.next == 1 {
            sink.warn(format!("`{file}`: the log has no event"));
        }
        if self.timeless > 0 {
            let n = self.timeless;
            sink.warn(format!("`{file}`: {n} events have no time:timestamp; their `timestamp` is NULL"));
        }
        if self.local > 0 {
            let (n, zone) = (self.local, sink.zone());
            sink.warn(format!(
                "`{file}`: {n} times have no zone and were read in the site's, {zone}; when that is wrong, ask for times with a zone"
            ));
        }
        if nested > 0 {
            sink.warn(format!("`{file}`: {nested} attributes inside other attributes or lists are not read"));
        }
    }

    fn flush(&mut self, sink: &mut Sink) -> Result<(), Stop> {
        let (mut columns, numbers) = self.text.take();
        let times: ArrayRef = Arc::new(self.times.finish());
        if numbers.is_empty() {
            return Ok(());
        }
        columns.insert(2, times);
        sink.rows(columns, Int64Array::from(numbers))
    }
}

/// An event that was set aside, whole.
fn as_json(case: Option<&str>, event: &Attributes) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("case_id".into(), case.into());
    for (key, value) in event {
        fields.insert(key.clone(), value.as_str().into());
    }
    serde_json::Value::Object(fields).to_string()
}
