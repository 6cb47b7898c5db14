//! XML → cases and their events, in bounded parts.

use std::io::ErrorKind;
use std::path::Path;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::input;
use crate::error::SourceError;
use crate::formats::encoding::unreadable;
use crate::formats::sink::Stop;

pub(super) type Attributes = Vec<(String, String)>;

/// What an attribute costs besides its texts.
const SLOT: usize = 64;

/// A case and its events, or the next part of a case too large to be held whole.
#[derive(Default)]
pub(super) struct Trace {
    /// 1-based place of the case in the log.
    pub(super) number: u64,
    pub(super) attributes: Attributes,
    pub(super) events: Vec<Attributes>,
}

/// Visits every case of a log; an event outside any is a case of its own. Answers how many attributes were nested
/// and so left out.
pub(super) fn walk(path: &Path, mut visit: impl FnMut(&Trace) -> Result<(), Stop>) -> Result<u64, Stop> {
    let (text, since) = input::open(path)?;
    let mut xml = Reader::from_reader(text);
    let mut state = State::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let event = xml.read_event_into(&mut buffer);
        since.set(0);
        let damaged = |e: &dyn std::fmt::Display| {
            SourceError::never(format!(
                "byte {}: not a readable XES log: {e}; ask for the file again",
                xml.buffer_position()
            ))
        };
        match event {
            Ok(Event::Start(tag)) => state.open(&tag, false).map_err(|e| e.told(&damaged))?,
            Ok(Event::Empty(tag)) => state.open(&tag, true).map_err(|e| e.told(&damaged))?,
            Ok(Event::End(_)) => state.close(),
            Ok(Event::Eof) if state.stack.is_empty() && state.seen_log => return Ok(state.nested),
            Ok(Event::Eof) if state.seen_log => return Err(damaged(&"the file ends in the middle").into()),
            Ok(Event::Eof) => return Err(damaged(&"there is no <log> element").into()),
            Ok(_) => {}
            // A wrong encoding or a part too large says its own remedy.
            Err(quick_xml::Error::Io(e)) if e.kind() == ErrorKind::InvalidData => {
                return Err(SourceError::never(format!("near byte {}: {e}", xml.buffer_position())).into());
            }
            Err(quick_xml::Error::Io(e))
                if e.kind() != ErrorKind::InvalidInput && e.kind() != ErrorKind::UnexpectedEof =>
            {
                return Err(unreadable(std::io::Error::new(e.kind(), e.to_string())).into());
            }
            Err(e) => return Err(damaged(&e).into()),
        }
        if state.bytes > store::limits().record_bytes && state.part() {
            visit(&state.trace)?;
            state.trace.events.clear();
            state.bytes = 0;
        }
        if let Some(trace) = state.done.take() {
            visit(&trace)?;
        }
    }
}

/// Why an element cannot be taken.
enum Wrong {
    Damaged(String),
    /// With what to do.
    Refused(String),
}

impl Wrong {
    fn told(self, damaged: &dyn Fn(&dyn std::fmt::Display) -> SourceError) -> SourceError {
        match self {
            Wrong::Damaged(what) => damaged(&what),
            Wrong::Refused(what) => SourceError::never(what),
        }
    }
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Wrong::Damaged(what)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Log,
    Trace,
    Event,
    /// An attribute of a trace or event.
    Attribute,
    /// A declaration, an attribute of the log, or anything inside them or inside an attribute.
    Other,
}

#[derive(Default)]
struct State {
    stack: Vec<Element>,
    seen_log: bool,
    trace: Trace,
    event: Attributes,
    done: Option<Trace>,
    cases: u64,
    nested: u64,
    /// Size of the case at hand.
    bytes: usize,
    /// Sizes of the event and of the case's own attributes.
    event_bytes: usize,
    case_bytes: usize,
    /// Events of the case at hand went on already.
    parted: bool,
}

impl State {
    fn open(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<(), Wrong> {
        let parent = self.stack.last().copied();
        let element = match (parent, tag.local_name().as_ref()) {
            (None, b"log") => Element::Log,
            (None, b"ocel" | b"OCEL") => return Err(Wrong::Refused(OBJECT_CENTRIC.into())),
            (None, name) => {
                return Err(Wrong::Damaged(format!(
                    "the first element is <{}>, not <log>",
                    String::from_utf8_lossy(name).chars().take(60).collect::<String>()
                )));
            }
            (Some(Element::Log), b"objects" | b"events" | b"object-types" | b"event-types") => {
                return Err(Wrong::Refused(OBJECT_CENTRIC.into()));
            }
            (Some(Element::Log), b"trace") => {
                self.cases += 1;
                (self.bytes, self.case_bytes, self.parted) = (0, 0, false);
                self.trace.number = self.cases;
                Element::Trace
            }
            (Some(parent @ (Element::Log | Element::Trace)), b"event") => {
                if parent == Element::Log {
                    self.cases += 1;
                    self.trace.number = self.cases;
                }
                self.bytes += SLOT;
                self.event_bytes = 0;
                Element::Event
            }
            (
                Some(parent @ (Element::Trace | Element::Event)),
                b"string" | b"date" | b"int" | b"float" | b"boolean" | b"id",
            ) => {
                if let Some(attribute) = attribute(tag)? {
                    self.bytes += attribute.0.len() + attribute.1.len() + SLOT;
                    self.take(parent, attribute)?;
                }
                Element::Attribute
            }
            (Some(Element::Attribute), b"values") => Element::Attribute,
            (Some(Element::Trace | Element::Event | Element::Attribute), _) => {
                self.nested += 1;
                Element::Attribute
            }
            _ => Element::Other,
        };
        self.seen_log |= element == Element::Log;
        if self.stack.len() > 256 {
            return Err(Wrong::Damaged("elements nested deeper than 256".into()));
        }
        self.stack.push(element);
        if empty {
            self.close();
        }
        Ok(())
    }

    fn take(&mut self, parent: Element, attribute: (String, String)) -> Result<(), Wrong> {
        let of_event = parent == Element::Event;
        let size = if of_event { &mut self.event_bytes } else { &mut self.case_bytes };
        *size += attribute.0.len() + attribute.1.len() + SLOT;
        if *size > store::limits().record_bytes {
            return Err(too_large(if of_event { "an event" } else { "the attributes of a case" }));
        }
        if of_event {
            self.event.push(attribute);
            return Ok(());
        }
        if self.parted {
            return Err(too_large("a case that names its attributes behind its events"));
        }
        self.trace.attributes.push(attribute);
        Ok(())
    }

    /// Whether the events so far can go on before their case ends.
    fn part(&mut self) -> bool {
        let inside = self.stack.last() == Some(&Element::Trace);
        if inside && !self.trace.events.is_empty() {
            self.parted = true;
            return true;
        }
        false
    }

    fn close(&mut self) {
        match self.stack.pop() {
            Some(Element::Event) => {
                self.trace.events.push(std::mem::take(&mut self.event));
                if self.stack.last() == Some(&Element::Log) {
                    self.finish();
                }
            }
            Some(Element::Trace) => self.finish(),
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.done = Some(std::mem::take(&mut self.trace));
        self.bytes = 0;
    }
}

const OBJECT_CENTRIC: &str = "it is an object-centric log (OCEL), whose events belong to several objects at once; flatten it to XES by one type of object (pm4py: ocel_flattening), or read its JSON or SQLite form as tables";

fn too_large(what: &str) -> Wrong {
    let most = store::limits().record_bytes >> 20;
    Wrong::Refused(format!(
        "the log has {what} of more than {most} MiB; raise `limits: record_bytes` of guanlan.yaml when that is right"
    ))
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
