//! What every source must keep: read on from any committed cursor, and nothing is lost or doubled.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use arrow::util::display::FormatOptions;
use futures::StreamExt;

use crate::error::SourceError;
use crate::source::{Cursor, Source};
use crate::sources::sql::seen::Fingerprints;
use crate::spec::StreamSpec;

/// Rows with how often they came, whatever their order. `_loaded_at` does not count.
pub(crate) type Rows = BTreeMap<u64, i64>;

fn add(rows: &mut Rows, batch: &RecordBatch, times: i64) {
    let options = FormatOptions::default();
    let marks = Fingerprints::of(batch, &options).unwrap();
    for row in 0..batch.num_rows() {
        *rows.entry(marks.row(row)).or_insert(0) += times;
    }
}

/// Everything behind a cursor: the rows up to each boundary, and the cursor there.
pub(crate) async fn drain(
    source: &dyn Source,
    stream: &StreamSpec,
    after: Option<Cursor>,
) -> Result<Vec<(Rows, Cursor)>, SourceError> {
    let mut pulls = source.read(stream, after.clone()).await?;
    let (mut at, mut groups, mut open) = (after, Vec::new(), Rows::new());
    let mut ended = true;
    while let Some(pull) = pulls.next().await {
        let pull = pull?;
        add(&mut open, &pull.rows, 1);
        ended = pull.commit;
        if pull.commit {
            let cursor = source.fold(at.as_ref(), pull.cursor);
            at = Some(cursor.clone());
            groups.push((std::mem::take(&mut open), cursor));
        }
    }
    assert!(ended, "a stream must end with a landing boundary");
    Ok(groups)
}

/// Reads a stream, then again from every cursor, and compares.
pub(crate) async fn resumes_anywhere(source: &dyn Source, stream: &StreamSpec, rows: i64) -> Vec<Cursor> {
    let groups = drain(source, stream, None).await.unwrap();
    let mut all = Rows::new();
    groups.iter().flat_map(|(g, _)| g).for_each(|(row, n)| *all.entry(*row).or_insert(0) += n);
    assert_eq!(all.values().sum::<i64>(), rows, "rows of the first read");
    let mut landed = Rows::new();
    for (group, cursor) in &groups {
        group.iter().for_each(|(row, n)| *landed.entry(*row).or_insert(0) += n);
        let mut sum = landed.clone();
        for (rest, _) in drain(source, stream, Some(cursor.clone())).await.unwrap() {
            rest.iter().for_each(|(row, n)| *sum.entry(*row).or_insert(0) += n);
        }
        assert!(
            sum == all,
            "resuming from {} changes the rows",
            &cursor.to_string()[..cursor.to_string().len().min(80)]
        );
    }
    groups.into_iter().map(|(_, cursor)| cursor).collect()
}
