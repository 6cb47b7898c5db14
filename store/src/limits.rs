//! How much of anything the house takes from a caller or a file. Every bound stands here with its reason and is
//! checked before work that grows with the size; `limits:` of `guanlan.yaml` raises what a company may need raised.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bounds in force. What is larger is refused or set aside by name, never read half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest single value of a source (a cell, an attribute, a text), in bytes. One value is held in memory whole.
    pub value_bytes: usize,
    /// Largest record of a source (a row, a line, a JSON object), in bytes, for the same reason.
    pub record_bytes: usize,
    /// Most columns of a table: each costs builders, statistics and a place in every batch.
    pub columns: usize,
    /// Largest batch on its way into a table, in bytes: some are in flight at once.
    pub batch_bytes: usize,
    /// Most terms (operators, values, names) of one SQL statement, formula or condition.
    pub terms: usize,
    /// Deepest nesting of one SQL statement, formula or condition: planners recurse as deep.
    pub depth: usize,
    /// Longest SQL statement, in bytes.
    pub statement_bytes: usize,
    /// Most filters, dimensions or metrics of one metric question.
    pub filters: usize,
    /// Most values of all filters of one metric question together.
    pub filter_values: usize,
    /// Most tiles of one page: a page asks all of them at once, and its answer holds them all.
    pub tiles: usize,
    /// Largest definition file of a project, in bytes.
    pub definition_bytes: u64,
    /// Largest value that a function of a query may make, in bytes.
    pub result_bytes: usize,
    /// Memory that the process may hold before the dearest query is ended, in bytes; 0 takes three quarters of
    /// what the system or its limits give.
    pub resident_bytes: u64,
    /// Queries of one user at the same time; more wait their turn.
    pub queries_per_user: usize,
    /// Open connections from one address.
    pub connections_per_address: usize,
    /// Open event streams of one user.
    pub streams_per_user: usize,
    /// Seconds in which a request's head, and then its body, must have come.
    pub request_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            value_bytes: 16 << 20,
            record_bytes: 16 << 20,
            columns: 2_000,
            batch_bytes: 24 << 20,
            terms: 2_000,
            depth: 100,
            statement_bytes: 256 << 10,
            filters: 32,
            filter_values: 2_000,
            tiles: 200,
            definition_bytes: 1 << 20,
            result_bytes: 16 << 20,
            resident_bytes: 0,
            queries_per_user: 4,
            connections_per_address: 64,
            streams_per_user: 8,
            request_seconds: 15,
        }
    }
}

static IN_FORCE: OnceLock<Limits> = OnceLock::new();

/// The bounds of this process: those of its project, or the defaults.
pub fn limits() -> &'static Limits {
    IN_FORCE.get_or_init(Limits::default)
}

impl Limits {
    /// Puts the bounds of a project in force, once, before anything is read. Answers false when others are.
    pub fn install(self) -> bool {
        IN_FORCE.set(self).is_ok() || *limits() == self
    }
}
