//! Texts in, rows out: what is kept, what is set aside, what is said.

mod damage;
mod shapes;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use serde_json::json;

use crate::formats::sink::{Sink, Stop};
use crate::source::{Feed, FilePart};
use crate::spec::CsvSpec;

/// What became of one text.
#[derive(Debug, Default, Clone, PartialEq)]
struct Read {
    names: Vec<String>,
    /// Values, NULL as `∅`, and the line of each row.
    rows: Vec<Vec<String>>,
    lines: Vec<i64>,
    /// Line, reason, text.
    aside: Vec<(i64, String, String)>,
    said: Vec<String>,
    error: Option<String>,
}

/// Reads bytes as a file of a format given as JSON.
fn read(bytes: &[u8], format: serde_json::Value) -> Read {
    let spec: CsvSpec = serde_json::from_value(format).unwrap();
    let (feed, mut pulls) = Feed::channel();
    let folder = std::env::temp_dir();
    let path = folder.join(format!("guanlan-csv-{}", store::new_id(&store::SystemClock)));
    std::fs::write(&path, bytes).unwrap();
    let file = path.clone();
    let thread = std::thread::spawn(move || {
        let part = FilePart { name: "t.csv".into(), again: false };
        let mut sink = Sink::new(feed, part, json!({}), 0);
        super::read(&file, &spec, &mut sink)?;
        sink.finish()
    });
    let mut out = Read::default();
    while let Some(pull) = futures::executor::block_on(pulls.next()) {
        let pull = pull.unwrap();
        out.said.extend(pull.warnings);
        let (batch, width) = (&pull.rows, pull.rows.num_columns() - 3);
        if width > 0 {
            out.names = batch.schema().fields().iter().take(width).map(|f| f.name().clone()).collect();
        }
        let texts: Vec<_> = (0..width).map(|c| batch.column(c).as_string::<i32>()).collect();
        let lines = batch.column(width + 1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let value = |c: &&arrow::array::StringArray| match c.is_null(row) {
                true => "∅".to_owned(),
                false => c.value(row).to_owned(),
            };
            out.rows.push(texts.iter().map(value).collect());
            out.lines.push(lines.value(row));
        }
        if let Some(aside) = pull.rejected {
            let (lines, reasons) = (aside.column(1).as_primitive::<Int64Type>(), aside.column(2));
            let (reasons, texts) = (reasons.as_string::<i32>(), aside.column(3).as_string::<i32>());
            for row in 0..aside.num_rows() {
                out.aside.push((lines.value(row), reasons.value(row).into(), texts.value(row).into()));
            }
        }
    }
    match thread.join().unwrap() {
        Ok(()) => {}
        Err(Stop::Failed(e)) => out.error = Some(e.to_string()),
        Err(Stop::Closed) => panic!("somebody listened"),
    }
    let _ = std::fs::remove_file(path);
    out
}

impl Read {
    /// Rows as one text, `|` between fields and a line each.
    fn table(&self) -> String {
        self.rows.iter().map(|r| r.join("|")).collect::<Vec<_>>().join("\n")
    }

    fn says(&self, what: &str) -> bool {
        self.said.iter().any(|s| s.contains(what))
    }
}
