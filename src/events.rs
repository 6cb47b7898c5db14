//! What the server tells its viewers: names of things that changed, never rows. A bounded ring keeps
//! the latest events so that a browser that lost its connection resumes where it was.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::{Permission, Principal};
use serde_json::Value;
use tokio::sync::broadcast;

const KEPT_EVENTS: usize = 1024;
const QUEUED_EVENTS: usize = 256;

/// One change: `kind` is the SSE event name, `data` names what changed.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: u64,
    pub kind: &'static str,
    pub data: Value,
}

impl Event {
    /// Who may hear of it: whoever may read the thing it names.
    pub fn permitted(&self, who: &Principal) -> bool {
        let need = match self.kind {
            "table" | "demo" => Permission::ReadDashboards,
            "alert" | "delivery" => Permission::ReadAlerts,
            "job" => Permission::ReadSources,
            "project" => Permission::ReadStatus,
            _ => return false,
        };
        access::decide(who, need)
    }
}

/// The hub that every station reports to and every viewer listens at. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Mutex<Ring>>,
    sender: broadcast::Sender<Arc<Event>>,
}

struct Ring {
    next: u64,
    kept: VecDeque<Arc<Event>>,
}

impl Default for Hub {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(QUEUED_EVENTS);
        Self { inner: Arc::new(Mutex::new(Ring { next: 1, kept: VecDeque::new() })), sender }
    }
}

impl Hub {
    /// Tells everyone. The lock is held while sending so that ids arrive in order.
    pub fn tell(&self, kind: &'static str, data: Value) {
        let mut ring = self.ring();
        let event = Arc::new(Event { id: ring.next, kind, data });
        ring.next += 1;
        ring.kept.push_back(event.clone());
        if ring.kept.len() > KEPT_EVENTS {
            ring.kept.pop_front();
        }
        // No listener is no error: nobody is looking at the moment.
        let _ = self.sender.send(event);
    }

    /// Each step leaves the ring whole, so one that a panic interrupted elsewhere is still good.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events after `last`, and a receiver for those that follow. `None` when some have been
    /// forgotten already, so the caller must ask for everything anew.
    pub fn since(&self, last: Option<u64>) -> (Option<Vec<Arc<Event>>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring();
        let receiver = self.sender.subscribe();
        let Some(last) = last else { return (Some(Vec::new()), receiver) };
        let oldest = ring.kept.front().map_or(ring.next, |e| e.id);
        // A restarted server counts from one again: a larger id belongs to the server before.
        if last.saturating_add(1) < oldest || last >= ring.next {
            return (None, receiver);
        }
        (Some(ring.kept.iter().filter(|e| e.id > last).cloned().collect()), receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returning_viewer_gets_what_it_missed_or_is_told_to_start_over() {
        let hub = Hub::default();
        for n in 0..3 {
            hub.tell("table", n.into());
        }
        let ids = |last| hub.since(last).0.map(|e| e.iter().map(|e| e.id).collect::<Vec<_>>());
        assert_eq!(ids(Some(1)), Some(vec![2, 3]));
        assert_eq!(ids(Some(3)), Some(vec![]));
        assert_eq!(ids(None), Some(vec![]));
        assert_eq!(ids(Some(9)), None, "an id of an earlier server");
        assert_eq!(ids(Some(u64::MAX)), None, "what a client claims does not end the server");
        for n in 0..KEPT_EVENTS {
            hub.tell("table", n.into());
        }
        assert_eq!(ids(Some(1)), None, "forgotten");
    }
}
