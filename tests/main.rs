//! One test binary for the whole line (each binary links DataFusion). `walk` tells the story; the
//! others look at one station each, through the doors a user uses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod anomalies;
mod architecture;
mod bad_input;
mod doors;
mod fuzz;
mod ledger;
mod numbers;
mod support;
mod telling;
mod walk;
