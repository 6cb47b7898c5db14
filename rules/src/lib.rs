//! Metric → alert → delivery.
//!
//! A rule asks a metric (or a query, or a table's freshness), judges every series, and keeps one
//! episode for one trouble. What is to be told is recorded in the transaction that changed the episode
//! and delivered from the outbox, so that a kill between the two loses and repeats nothing.
//!
//! Never here: definitions of numbers (it asks metrics), HTTP routes.
//!
//! Reading order: `spec` (the YAML) and `check`, `series` → `judge` → `episode` (pure), `template`,
//! `observe` and `rows` → `evaluate` → `record` → `tell`, `bind` → `deliver` with `webhook`, `history`, `outgoing`
//! and `channels` for those who look, `health` for those who watch the watcher, and `backtest` for those who
//! write rules.

mod address;
mod check;
mod error;
mod spec;

mod episode;
mod judge;
mod names;
mod series;
mod spread;

mod number;
mod reason;
mod template;

mod backtest;
mod evaluate;
mod failing;
mod observe;
mod record;
mod rows;
mod tables;
mod tell;
mod watch;

mod bind;
mod deliver;
mod message;
mod pace;
mod webhook;

mod channels;
mod health;
mod history;
mod outgoing;

#[cfg(test)]
mod site;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;

use access::Outbound;
use serde::Serialize;
use store::{Metadata, Outbox, SharedClock};
use tokio::sync::broadcast;
use warehouse::{Title, Warehouse};

pub use address::Address;
pub use backtest::{Backtest, WouldBe};
pub use channels::{ChannelState, ChannelTest, check_channel};
pub use check::check;
pub use deliver::Delivered;
pub use episode::{Ending, Episode, Patience, State, Transition, advance};
pub use error::{Error, Result};
pub use evaluate::{Pass, RuleOutcome};
pub use health::{Trouble, troubles};
pub use history::{AlertDetail, AlertFilter, AlertPage, AlertRow, RuleState};
pub use judge::{Reading, Unknown, Verdict, judge};
pub use observe::{Evidence, EvidencePoint};
pub use outgoing::{Delivery, DeliveryFilter, DeliveryPage, Sent, Try};
pub use series::{Axis, Bucket, Nature, Series, Values};
pub use spec::{
    Against, Annotations, Ask, Change, ChannelSpec, Condition, Corridor, Limit, Rows, RuleSpec, Season,
    Seasonal, Severity, Side, Stale, Texts, WebhookSpec,
};
pub use tables::system_tables;
pub use webhook::sign;

/// The kind of outbox effects that this room delivers.
pub const EFFECT_KIND: &str = "alert";
/// Changes that wait for a slow listener before it is told that it missed some.
const CHANGES: usize = 256;

/// An alert that fired or resolved, for those who watch.
#[derive(Debug, Clone, Serialize)]
pub struct AlertChanged {
    pub id: String,
    pub rule: String,
    pub state: State,
    pub severity: Severity,
    pub summary: Title,
}

/// The rule evaluator and its memory.
pub struct Rules {
    warehouse: Warehouse,
    db: Metadata,
    outbox: Outbox,
    outbound: Outbound,
    clock: SharedClock,
    /// Relative paths of secret files start here.
    base: PathBuf,
    changes: broadcast::Sender<AlertChanged>,
    /// How each channel is spoken to.
    paces: Mutex<HashMap<String, pace::Pace>>,
}

impl Rules {
    pub async fn open(
        warehouse: Warehouse,
        db: Metadata,
        outbox: Outbox,
        outbound: Outbound,
        clock: SharedClock,
        base: impl Into<PathBuf>,
    ) -> Result<Self> {
        db.migrate("rules", tables::STEPS).await?;
        let (changes, _) = broadcast::channel(CHANGES);
        Ok(Self {
            warehouse,
            db,
            outbox,
            outbound,
            clock,
            base: base.into(),
            changes,
            paces: Mutex::default(),
        })
    }

    /// Alerts as they fire and resolve.
    pub fn changes(&self) -> broadcast::Receiver<AlertChanged> {
        self.changes.subscribe()
    }
}
