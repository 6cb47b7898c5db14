//! Through the doors that a server uses: real files, real databases, a real warehouse on disk.

mod bad_files;
mod csv;
mod files;
mod lost_columns;
mod mysql;
mod pollock;
mod postgres;
mod real_data;
mod rest;
mod speed;
mod sqlite;
mod support;
