//! What one user may have open at a time, so that one person's programs leave places for everyone else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Requests and event streams of each user.
#[derive(Debug)]
pub struct Turns {
    requests: usize,
    streams: usize,
    users: Mutex<HashMap<String, Open>>,
}

#[derive(Debug, Default)]
struct Open {
    requests: usize,
    /// Oldest first.
    streams: VecDeque<(u64, CancellationToken)>,
    opened: u64,
}

impl Turns {
    /// At most so many requests and event streams of one user.
    pub fn new(requests: usize, streams: usize) -> Arc<Self> {
        Arc::new(Self { requests: requests.max(1), streams: streams.max(1), users: Mutex::default() })
    }

    /// A turn for one request; `None` when the user has too many under way.
    pub fn request(self: &Arc<Self>, user: &str) -> Option<RequestTurn> {
        let mut users = self.users();
        let open = users.entry(user.to_owned()).or_default();
        if open.requests >= self.requests {
            return None;
        }
        open.requests += 1;
        Some(RequestTurn { turns: self.clone(), user: user.to_owned() })
    }

    /// A place for one event stream. The user's oldest ends when there are too many: a browser that lost its
    /// connection must not be shut out by the streams that it left behind.
    pub fn stream(self: &Arc<Self>, user: &str) -> StreamTurn {
        let mut users = self.users();
        let open = users.entry(user.to_owned()).or_default();
        if open.streams.len() >= self.streams
            && let Some((_, oldest)) = open.streams.pop_front()
        {
            oldest.cancel();
        }
        open.opened += 1;
        let (id, ended) = (open.opened, CancellationToken::new());
        open.streams.push_back((id, ended.clone()));
        StreamTurn { turns: self.clone(), user: user.to_owned(), id, ended }
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, user: &str, change: impl FnOnce(&mut Open)) {
        let mut users = self.users();
        let Some(open) = users.get_mut(user) else { return };
        change(open);
        if open.requests == 0 && open.streams.is_empty() {
            users.remove(user);
        }
    }
}

/// One request under way.
#[derive(Debug)]
pub struct RequestTurn {
    turns: Arc<Turns>,
    user: String,
}

impl Drop for RequestTurn {
    fn drop(&mut self) {
        self.turns.change(&self.user, |open| open.requests -= 1);
    }
}

/// One open event stream.
#[derive(Debug)]
pub struct StreamTurn {
    turns: Arc<Turns>,
    user: String,
    id: u64,
    ended: CancellationToken,
}

impl StreamTurn {
    /// Ends when a newer stream of the user took this one's place.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for StreamTurn {
    fn drop(&mut self) {
        self.turns.change(&self.user, |open| open.streams.retain(|(id, _)| *id != self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_s_requests_are_bounded_and_cost_nobody_else() {
        let turns = Turns::new(2, 1);
        let held: Vec<_> = (0..2).map(|_| turns.request("li").unwrap()).collect();
        assert!(turns.request("li").is_none() && turns.request("wang").is_some());
        drop(held);
        assert!(turns.request("li").is_some());
        assert!(turns.users().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn a_new_stream_ends_the_user_s_oldest() {
        let turns = Turns::new(1, 2);
        let (first, second, other) = (turns.stream("li"), turns.stream("li"), turns.stream("wang"));
        let third = turns.stream("li");
        assert!(first.ended().is_cancelled());
        assert!(![&second, &third, &other].iter().any(|s| s.ended().is_cancelled()));
        drop((first, second, third, other));
        assert!(turns.users().is_empty());
    }
}
