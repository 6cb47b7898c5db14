//! The binary's own room: the only place that knows HTTP, the command line and the project's
//! configuration. It wires the rooms together and holds no domain logic.
//!
//! Reading order: `flow` (what follows what), `jobs` (the list of all jobs), `platform` (the parts),
//! `project` (definitions on disk), then the doors: `http`, `cli`.

pub mod config;
pub mod init;
pub mod project;

pub mod events;
pub mod flow;
pub mod jobs;
pub mod platform;
pub mod quarantine;
pub mod refine;

pub mod cells;
pub mod company;
pub mod serve;
mod troubles;

pub mod cli;
pub mod http;
