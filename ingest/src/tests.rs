//! Through the doors that a server uses: real files, real databases, a real warehouse on disk.

mod again;
mod bad_files;
mod csv;
mod files;
mod fuzz_files;
mod hostile;
mod json_files;
mod ledger;
mod logs;
mod lost_columns;
mod mysql;
mod parquet_files;
mod pollock;
mod postgres;
mod reading;
mod real_data;
mod rest;
mod rest_answers;
mod sheets;
mod speed;
mod sqlite;
mod sqlite_values;
mod support;
mod ways_out;
