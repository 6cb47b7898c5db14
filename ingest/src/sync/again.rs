//! Doing over: what a changed definition reads again, and what people ask for.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use futures::{StreamExt, TryStreamExt, stream};
use store::new_id;
use warehouse::{Landing, LoadMark};

use super::asked::{self, Asked};
use super::intake::unlike;
use super::{Ingest, cursors, identity, known};
use crate::error::Error;
use crate::spec::SourceSpec;

/// Files that one retry reads again; a quarantine of more reads the whole stream.
const FILES: usize = 10_000;

impl Ingest {
    /// Which streams of a source the next sync reads again from their start, each with why: their definition differs
    /// from the one that read what is there, or someone asked for it.
    ///
    /// # Errors
    /// The log or the metadata database cannot be read.
    pub async fn pending(&self, source: &str, spec: &SourceSpec) -> Result<Vec<(String, String)>, Error> {
        let mut pending = Vec::new();
        for (name, of) in &spec.streams {
            let stream = format!("{source}/{name}");
            match asked::find(&self.db, source, name).await? {
                Some(Asked::All) => pending.push((name.clone(), "a reset was asked for".to_owned())),
                Some(Asked::Files(files)) => {
                    pending.push((name.clone(), format!("{} files, as was asked for", files.len())));
                }
                None => {
                    let mark = self.warehouse.mark(&SourceSpec::table(source, name), &stream).await?;
                    let Some(mark) = mark else { continue };
                    let cursor = cursors::unpack(&self.db, &stream, mark.cursor).await?;
                    if let Some(changed) = unlike(of, &identity::options(spec, of), &cursor) {
                        pending.push((name.clone(), format!("{changed} changed")));
                    }
                }
            }
        }
        Ok(pending)
    }

    /// Asks for a stream to be forgotten: the next sync reads all of it again, and its rows and columns take the place
    /// of those that are there. What is there stays until then.
    ///
    /// # Errors
    /// No such stream, or the metadata database cannot be written.
    pub async fn ask_reset(&self, source: &str, spec: &SourceSpec, stream: &str) -> Result<(), Error> {
        known(source, spec, stream)?;
        Ok(asked::ask(&self.db, &*self.parts.clock, source, stream, &Asked::All).await?)
    }

    /// Asks for the rows in a stream's quarantine to be read again by the definition now in force: the next sync reads
    /// the files they came from, or all of a stream that has no files. Answers the files; none means all.
    ///
    /// # Errors
    /// No such stream, or its quarantine cannot be read.
    pub async fn ask_retry(
        &self,
        source: &str,
        spec: &SourceSpec,
        stream: &str,
    ) -> Result<BTreeSet<String>, Error> {
        let of = known(source, spec, stream)?;
        let mut files = BTreeSet::new();
        if of.glob.is_some()
            && let Some(mut rows) = self.warehouse.rows(&SourceSpec::rejected_table(source, stream)).await?
        {
            while let Some(batch) = rows.try_next().await? {
                let named = batch.column_by_name("_file").and_then(|c| c.as_string_opt::<i32>());
                files.extend(named.iter().flat_map(|n| n.iter()).flatten().map(str::to_owned));
                if files.len() > FILES {
                    files.clear();
                    break;
                }
            }
        }
        let what = if files.is_empty() { Asked::All } else { Asked::Files(files.clone()) };
        asked::ask(&self.db, &*self.parts.clock, source, stream, &what).await?;
        Ok(files)
    }

    /// Empties the quarantine of a stream; how many rows that were. A row that is read again is judged again.
    ///
    /// # Errors
    /// No such stream, or the quarantine cannot be written.
    pub async fn discard_rejected(
        &self,
        source: &str,
        spec: &SourceSpec,
        stream: &str,
    ) -> Result<u64, Error> {
        known(source, spec, stream)?;
        let table = SourceSpec::rejected_table(source, stream);
        let Some(snapshot) = self.warehouse.snapshot(&table).await? else { return Ok(0) };
        let rows = snapshot.rows().unwrap_or(0);
        if rows == 0 {
            return Ok(0);
        }
        let mark = self.warehouse.mark(&table, "quarantine/discard").await?;
        let mark = LoadMark {
            stream: "quarantine/discard".into(),
            seq: mark.map_or(0, |m| m.seq) + 1,
            cursor: serde_json::Value::Null,
            operation: new_id(&*self.parts.clock),
        };
        let empty = arrow::record_batch::RecordBatch::new_empty(crate::formats::sink::rejected_schema());
        self.warehouse.land(&table, stream::iter([Ok(empty)]).boxed(), Landing::Replace, mark).await?;
        Ok(rows)
    }
}
