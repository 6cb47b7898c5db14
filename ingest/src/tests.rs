//! Through the doors that a server uses: real files, real databases, a real warehouse on disk.

mod again;
mod bad_files;
mod files;
mod ledger;
mod lost_columns;
mod mysql;
mod postgres;
mod real_data;
mod rest;
mod speed;
mod sqlite;
mod support;
