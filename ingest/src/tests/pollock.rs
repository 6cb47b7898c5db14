//! CSV files polluted in known ways, read through a sync and scored against the table that they held.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use super::real_data::land_each;
use super::support::{House, shared_data};
use crate::formats::columns::unique_names;

/// Header and rows of an expected file.
fn expected(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(path).unwrap();
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// How a set of files was read.
#[derive(Debug, Default)]
struct Score {
    right: usize,
    /// Not right, and an error, rows set aside or a warning say so.
    loud: usize,
    silent: Vec<String>,
    /// Data rows that came as expected, of all.
    rows: usize,
    of: usize,
}

async fn score(files: &Path, wanted: &Path) -> Score {
    let house = House::new().await;
    let mut score = Score::default();
    for (name, report) in land_each(&house, files, &json!({"csv": {}})).await {
        let Ok(true) = wanted.join(&name).try_exists() else { continue };
        let table = expected(&wanted.join(&name));
        let names = unique_names(table[0].iter().map(String::as_str));
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        if report.error.is_none() && report.version.is_some() {
            let snapshot = house.warehouse.snapshot(&report.table).await.unwrap().unwrap();
            let fields = snapshot.schema.fields().iter().map(|f| f.name().clone());
            columns = fields.filter(|n| !["_file", "_row", "_loaded_at"].contains(&n.as_str())).collect();
            let list: Vec<String> = columns.iter().map(|c| format!("\"{c}\"")).collect();
            rows = house.sql(&format!("select {} from {} order by _row", list.join(","), report.table)).await;
        }
        let mut left = HashMap::<&[String], usize>::new();
        rows.iter().for_each(|row| *left.entry(row).or_default() += 1);
        for row in &table[1..] {
            if let Some(count) = left.get_mut(row.as_slice()).filter(|n| **n > 0) {
                *count -= 1;
                score.rows += 1;
            }
        }
        score.of += table.len() - 1;
        if columns == names && rows == table[1..] {
            score.right += 1;
        } else if report.error.is_some() || report.rejected_rows > 0 || !report.warnings.is_empty() {
            score.loud += 1;
        } else {
            score.silent.push(name);
        }
    }
    score
}

#[tokio::test(flavor = "multi_thread")]
async fn polluted_files_are_read_right_or_say_so() {
    let (Some(files), Some(wanted)) = (shared_data("csv/pollock"), shared_data("csv/pollock_expected"))
    else {
        return;
    };
    let score = score(&files, &wanted).await;
    eprintln!("{score:?}");
    assert!(score.silent.is_empty(), "{score:?}");
    // Polluted rows are set aside, and nothing else is.
    assert!(score.rows * 1000 >= score.of * 982, "{score:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_files_of_many_dialects_land_or_say_why_not() {
    let Some(folder) = shared_data("csv/sniffer") else { return };
    let house = House::new().await;
    let known: [(&str, usize, u64); 16] = [
        ("18-12-06.CSV", 11, 1299),
        ("AL5083-emissivity.csv", 2, 139),
        ("Auto_Tone_sub205_over.csv", 8, 280),
        ("Feb-2016.csv", 3, 23),
        ("erionite.csv", 4, 18),
        ("fr_hypo1.csv", 6, 424),
        ("NBA_scores_out.csv", 19, 18),
        ("O18_air.csv", 2, 1001),
        ("S39.csv", 9, 5664),
        ("Table embedded in the second record.csv", 2, 3),
        ("file_escape_char_0x5C.csv", 9, 83),
        ("file_field_delimiter_0x2C_0x20.csv", 9, 83),
        ("file_field_delimiter_0x9.csv", 9, 83),
        ("file_preamble.csv", 9, 83),
        ("vissim_data_conf2473_i7_v1987.csv", 8, 101),
        ("Auto_Tone_sub315_day1.csv", 8, 280),
    ];
    let reports = land_each(&house, &folder, &json!({"csv": {}})).await;
    for (name, report) in &reports {
        eprintln!(
            "{name}: {} kept, {} aside {:?} {:?}",
            report.rows, report.rejected_rows, report.error, report.warnings
        );
    }
    for (name, columns, rows) in known {
        let (_, report) = reports.iter().find(|(n, _)| n == name).unwrap();
        let snapshot = house.warehouse.snapshot(&report.table).await.unwrap().unwrap();
        assert_eq!((snapshot.schema.fields().len() - 3, report.rows), (columns, rows), "{name}: {report:?}");
    }
}
