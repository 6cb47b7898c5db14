//! XES event logs (IEEE 1849), plain or gzipped → one row per event.
//!
//! `case_id`, `activity`, `timestamp`, `resource`, `lifecycle`, then the other attributes of the trace
//! (`case_*`) and of the event (`event_*`) as text. Nested attributes and the log's own are left out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use chrono::{DateTime, NaiveDateTime};
use flate2::read::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::columns::{TextColumns, unique_names};
use super::encoding::unreadable;
use super::sink::{Sink, Stop, instant_type};
use crate::error::SourceError;

/// Decompressed size at which a small file is a bomb rather than a log.
const MAX_BYTES: u64 = 64 << 30;
const ATTRIBUTES: usize = 2_000;

type Attributes = Vec<(String, String)>;

/// One case and its events.
#[derive(Default)]
struct Trace {
    attributes: Attributes,
    events: Vec<Attributes>,
}

/// Reads one log. The first pass learns which attributes there are, so that every batch has the same columns.
pub(crate) fn read(path: &Path, sink: &mut Sink) -> Result<(), Stop> {
    let mut layout = Layout::default();
    walk(path, |trace| layout.learn(trace))?;
    let mut rows = Rows::new(&layout);
    sink.columns(rows.fields.clone());
    let mut cases = 0u64;
    walk(path, |trace| {
        cases += 1;
        rows.add(trace, cases, sink)
    })?;
    rows.flush(sink)?;
    if rows.bad_times > 0 {
        sink.warn(format!(
            "{} events have no readable time:timestamp; their `timestamp` is NULL",
            rows.bad_times
        ));
    }
    Ok(())
}

/// Which attribute lands in which text column. The first four columns are always there.
#[derive(Default)]
struct Layout {
    keys: Vec<String>,
    index: HashMap<(bool, String), usize>,
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
            self.index.insert((of_case, key.clone()), FIXED.len() + self.keys.len());
            self.keys.push(format!("{}_{}", if of_case { "case" } else { "event" }, snake(key)));
            if self.keys.len() > ATTRIBUTES {
                return Err(SourceError::never(format!("more than {ATTRIBUTES} different attributes; this is not an event log with regular attributes")).into());
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
    bad_times: u64,
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
            bad_times: 0,
        }
    }

    fn add(&mut self, trace: &Trace, case: u64, sink: &mut Sink) -> Result<(), Stop> {
        let width = FIXED.len() + self.layout.keys.len();
        let mut of_case: Vec<Option<&str>> = vec![None; width];
        for (key, value) in &trace.attributes {
            if let Some(at) = self.layout.column(true, key) {
                of_case[at] = Some(value);
            }
        }
        let ordinal = case.to_string();
        of_case[0] = of_case[0].or(Some(&ordinal));
        for event in &trace.events {
            let mut row = of_case.clone();
            let mut time = None;
            for (key, value) in event {
                if key == "time:timestamp" {
                    time = micros(value);
                } else if let Some(at) = self.layout.column(false, key) {
                    row[at] = Some(value);
                }
            }
            self.bad_times += u64::from(time.is_none());
            self.times.append_option(time);
            for (i, value) in row.iter().enumerate() {
                self.text.push(i, *value);
            }
            self.text.end_row(self.next);
            self.next += 1;
            if self.text.is_full() {
                self.flush(sink)?;
            }
        }
        Ok(())
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

/// Microseconds UTC of an XES date; one without a zone is taken as UTC.
fn micros(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.timestamp_micros());
    }
    // ISO 8601 also allows +0100 without the colon.
    DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")
        .map(|t| t.timestamp_micros())
        .or_else(|_| {
            NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
                .map(|t| t.and_utc().timestamp_micros())
        })
        .ok()
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, SourceError> {
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = [0u8; 2];
    let got = file.read(&mut magic).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Ok(match got == 2 && magic == [0x1f, 0x8b] {
        true => Box::new(BufReader::with_capacity(
            256 << 10,
            MultiGzDecoder::new(BufReader::new(file)).take(MAX_BYTES),
        )),
        false => Box::new(BufReader::with_capacity(256 << 10, file)),
    })
}

/// Visits every trace of a log; an event outside any trace is a case of its own.
fn walk(path: &Path, mut visit: impl FnMut(&Trace) -> Result<(), Stop>) -> Result<(), Stop> {
    let mut xml = Reader::from_reader(open(path)?);
    let mut state = State::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = xml.read_event_into(&mut buffer);
        let damaged = |e: &dyn std::fmt::Display| {
            SourceError::never(format!(
                "byte {}: not a readable XES log: {e}; ask for the file again",
                xml.buffer_position()
            ))
        };
        match event.map_err(|e| damaged(&e))? {
            Event::Start(tag) => state.open(&tag, false).map_err(|e| damaged(&e))?,
            Event::Empty(tag) => state.open(&tag, true).map_err(|e| damaged(&e))?,
            Event::End(_) => state.close(),
            Event::Eof if state.stack.is_empty() && state.seen_log => return Ok(()),
            Event::Eof if state.seen_log => return Err(damaged(&"the file ends in the middle").into()),
            Event::Eof => return Err(damaged(&"there is no <log> element").into()),
            _ => {}
        }
        if let Some(trace) = state.done.take() {
            visit(&trace)?;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Log,
    Trace,
    Event,
    /// An attribute, a declaration, or anything inside one.
    Other,
}

#[derive(Default)]
struct State {
    stack: Vec<Element>,
    seen_log: bool,
    trace: Trace,
    event: Attributes,
    done: Option<Trace>,
}

impl State {
    fn open(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<(), String> {
        let parent = self.stack.last().copied();
        let element = match (parent, tag.local_name().as_ref()) {
            (None, b"log") => Element::Log,
            (Some(Element::Log), b"trace") => Element::Trace,
            (Some(Element::Log | Element::Trace), b"event") => Element::Event,
            (
                Some(Element::Trace | Element::Event),
                b"string" | b"date" | b"int" | b"float" | b"boolean" | b"id",
            ) => {
                if let Some(attribute) = attribute(tag)? {
                    if parent == Some(Element::Trace) { &mut self.trace.attributes } else { &mut self.event }
                        .push(attribute);
                }
                Element::Other
            }
            (None, _) => return Err("the first element is not <log>".into()),
            _ => Element::Other,
        };
        self.seen_log |= element == Element::Log;
        if self.stack.len() > 256 {
            return Err("elements nested deeper than 256".into());
        }
        self.stack.push(element);
        if empty {
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        match self.stack.pop() {
            Some(Element::Event) => {
                self.trace.events.push(std::mem::take(&mut self.event));
                if self.stack.last() == Some(&Element::Log) {
                    self.done = Some(std::mem::take(&mut self.trace));
                }
            }
            Some(Element::Trace) => self.done = Some(std::mem::take(&mut self.trace)),
            _ => {}
        }
    }
}

/// The key and value of an attribute element.
fn attribute(tag: &BytesStart<'_>) -> Result<Option<(String, String)>, String> {
    let (mut key, mut value) = (None, None);
    for part in tag.attributes() {
        let part = part.map_err(|e| e.to_string())?;
        let text = || {
            part.decode_and_unescape_value(tag.decoder()).map(|v| v.into_owned()).map_err(|e| e.to_string())
        };
        match part.key.as_ref() {
            b"key" => key = Some(text()?),
            b"value" => value = Some(text()?),
            _ => {}
        }
    }
    Ok(key.zip(value))
}
