//! Which connections may be open. Whoever sends nothing makes room for whoever does: when an address, or the
//! server, has no place left, the connection that has waited longest for a request's head is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::peer::Network;

/// Every open connection, by the order in which it came.
#[derive(Debug)]
pub struct Connections {
    all: usize,
    per_address: usize,
    /// Proxies, which stand for everyone behind them.
    proxies: Vec<Network>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Counts admissions and ends of requests: who has the lowest number has waited longest.
    moment: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    /// Requests that are being answered; a connection without one waits.
    answering: usize,
    waiting_since: u64,
    closed: CancellationToken,
}

impl Connections {
    /// At most `all` at once, and `per_address` from one address that is none of the `proxies`.
    pub fn new(all: usize, per_address: usize, proxies: &[Network]) -> Arc<Self> {
        Arc::new(Self {
            all: all.max(1),
            per_address: per_address.max(1),
            proxies: proxies.to_vec(),
            open: Mutex::default(),
        })
    }

    /// A place for a connection; `None` when all places are taken by requests that are being answered.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut open = self.open();
        let own = open.entries.values().filter(|e| e.address == address).count();
        if own >= self.per_address && !self.proxies.iter().any(|network| network.holds(address)) {
            open.evict(|e| e.address == address)?;
        } else if open.entries.len() >= self.all {
            // Nobody's many connections shall cost another's only one.
            let crowded = open.crowded();
            open.evict(|e| Some(e.address) == crowded).or_else(|| open.evict(|_| true))?;
        }
        let id = open.tick();
        let closed = CancellationToken::new();
        open.entries.insert(id, Entry { address, answering: 0, waiting_since: id, closed: closed.clone() });
        Some(Place { id, closed, connections: self.clone() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Closes the connection among `of` that has waited longest.
    fn evict(&mut self, of: impl Fn(&Entry) -> bool) -> Option<()> {
        let waiting = self.entries.iter().filter(|(_, e)| e.answering == 0 && of(e));
        let (&id, _) = waiting.min_by_key(|(_, e)| e.waiting_since)?;
        self.entries.remove(&id)?.closed.cancel();
        Some(())
    }

    /// The address that has most connections waiting.
    fn crowded(&self) -> Option<IpAddr> {
        let mut waiting = HashMap::<IpAddr, usize>::new();
        for entry in self.entries.values().filter(|e| e.answering == 0) {
            *waiting.entry(entry.address).or_default() += 1;
        }
        waiting.into_iter().max_by_key(|(_, n)| *n).map(|(address, _)| address)
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    id: u64,
    closed: CancellationToken,
    connections: Arc<Connections>,
}

impl Place {
    /// Ends when another needed the place.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// A request has come whole: until the guard is dropped, the place is not given to another.
    pub fn answering(self: &Arc<Self>) -> Answering {
        if let Some(entry) = self.connections.open().entries.get_mut(&self.id) {
            entry.answering += 1;
        }
        Answering(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().entries.remove(&self.id);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Answering(Arc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut open = self.0.connections.open();
        let now = open.tick();
        if let Some(entry) = open.entries.get_mut(&self.0.id) {
            entry.answering -= 1;
            entry.waiting_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn the_one_that_waited_longest_makes_room_and_only_at_its_own_address() {
        let all = Connections::new(10, 2, &[]);
        let other = all.admit(address(2)).unwrap();
        let (first, second) = (all.admit(address(1)).unwrap(), all.admit(address(1)).unwrap());
        let third = all.admit(address(1)).unwrap();
        assert!(first.closed().is_cancelled());
        assert!(![&other, &second, &third].iter().any(|p| p.closed().is_cancelled()));
    }

    #[test]
    fn a_proxy_stands_for_everyone_behind_it() {
        let all = Connections::new(10, 1, &["10.0.0.0/24".parse().unwrap()]);
        let many: Vec<Place> = (0..5).map(|_| all.admit(address(1)).unwrap()).collect();
        assert!(!many.iter().any(|place| place.closed().is_cancelled()));
    }

    #[test]
    fn a_request_that_is_being_answered_keeps_its_place() {
        let all = Connections::new(10, 1, &[]);
        let place = Arc::new(all.admit(address(1)).unwrap());
        let answering = place.answering();
        assert!(all.admit(address(1)).is_none(), "nobody waits, so nobody makes room");
        drop(answering);
        assert!(all.admit(address(1)).is_some());
        assert!(place.closed().is_cancelled());
    }

    #[test]
    fn the_crowd_makes_room_when_the_server_is_full() {
        let all = Connections::new(4, 3, &[]);
        let alone = all.admit(address(1)).unwrap();
        let crowd: Vec<Place> = (0..3).map(|_| all.admit(address(2)).unwrap()).collect();
        let next = all.admit(address(3)).unwrap();
        assert!(crowd[0].closed().is_cancelled() && !alone.closed().is_cancelled());
        drop((next, crowd));
        assert_eq!(all.open().entries.len(), 1, "places are given back");
    }
}
