//! One file through one format, without a warehouse.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;

use super::support::Folder;
use crate::formats;
use crate::formats::sink::{Sink, Stop};
use crate::ledger::Changed;
use crate::source::{Feed, FilePart};
use crate::spec::FormatSpec;

/// What reading a file gave.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) columns: Vec<String>,
    /// Rows as text without the columns that every table has; NULL is `∅`.
    pub(crate) rows: Vec<Vec<String>>,
    /// Row number, reason and text.
    pub(crate) rejected: Vec<(i64, String, String)>,
    pub(crate) warnings: Vec<String>,
    pub(crate) changed: Vec<Changed>,
    pub(crate) error: Option<String>,
}

impl Read {
    pub(crate) fn changed(&self, column: &str) -> Option<&Changed> {
        self.changed.iter().find(|c| c.column == column)
    }
}

pub(crate) fn format(json: serde_json::Value) -> FormatSpec {
    serde_json::from_value(json).unwrap()
}

/// Reads bytes as a file of this name.
pub(crate) fn read(name: &str, bytes: impl AsRef<[u8]>, format: serde_json::Value) -> Read {
    let folder = Folder::new();
    folder.write(name, bytes);
    read_path(&folder.0.join(name), name, &self::format(format))
}

pub(crate) fn read_path(path: &Path, name: &str, format: &FormatSpec) -> Read {
    let (feed, mut pulls) = Feed::channel();
    let part = FilePart { name: name.to_owned(), again: false };
    let sink = Sink::new(feed, part, serde_json::json!({}), 0).in_zone(chrono_tz::Asia::Shanghai);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut sink = sink;
            match formats::read(path, format, &mut sink).and_then(|()| sink.finish()) {
                Err(Stop::Failed(e)) => Some(e.to_string()),
                _ => None,
            }
        });
        let mut read = Read::default();
        while let Some(pull) = futures::executor::block_on(pulls.next()) {
            let pull = pull.unwrap();
            take_rows(&pull.rows, &mut read);
            if let Some(rejected) = &pull.rejected {
                let number = rejected.column(1).as_primitive::<arrow::datatypes::Int64Type>();
                let (reason, text) =
                    (rejected.column(2).as_string::<i32>(), rejected.column(3).as_string::<i32>());
                read.rejected.extend(
                    (0..rejected.num_rows())
                        .map(|i| (number.value(i), reason.value(i).to_owned(), text.value(i).to_owned())),
                );
            }
            read.warnings.extend(pull.warnings);
            read.changed.extend(pull.changed);
        }
        read.error = reader.join().expect("a reader does not panic");
        read
    })
}

fn take_rows(rows: &RecordBatch, read: &mut Read) {
    let width = rows.num_columns() - 3;
    read.columns = rows.schema().fields().iter().take(width).map(|f| f.name().clone()).collect();
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<_> = rows.columns()[..width]
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
        .collect();
    read.rows.extend(
        (0..rows.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>()),
    );
    assert!(rows.columns().iter().all(|c| c.len() == rows.num_rows()));
}
