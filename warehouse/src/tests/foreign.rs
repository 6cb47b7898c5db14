//! Tables that Guanlan did not write, from delta-rs' reader tests (../shared/data, absent on other machines).

use super::*;
use crate::Error;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/delta");

/// The folder's tables under `raw.`, by lower-cased names without dashes and dots; `None` where the data is absent.
async fn foreign() -> Option<(House, Folder)> {
    if !std::path::Path::new(DATA).is_dir() {
        eprintln!("skipped: {DATA} is absent");
        return None;
    }
    let folder = Folder::new();
    let raw = folder.0.join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let mut found = vec![];
    for place in [DATA.to_owned(), format!("{DATA}/golden")] {
        found.extend(std::fs::read_dir(place).unwrap().map(|e| e.unwrap().path()));
    }
    for path in found {
        let clean = path.file_name().unwrap().to_string_lossy().to_lowercase().replace(['-', '.'], "_");
        if path.join("_delta_log").is_dir() {
            copy(&path, &raw.join(clean));
        }
    }
    let objects = Objects::open(&StoreSpec::Local { path: folder.0.clone() }, &folder.0).unwrap();
    Some((House::on(objects.store(), settings()).await, folder))
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn known_tables_are_read_right() {
    let Some((house, _folder)) = foreign().await else { return };
    let cases: [(&str, &str, &[&str]); 8] = [
        ("simple_table", "select count(*), sum(id) from {}", &["3,21"]),
        // Its log: five rows 0–4 were written, then value = 3 was deleted.
        ("delta_0_8_0", "select count(*), sum(value) from {}", &["4,7"]),
        (
            "delta_0_8_0_partitioned",
            "select year, count(*) from {} group by year order by year",
            &["2020,3", "2021,4"],
        ),
        ("delta_0_8_0_null_partition", "select count(*), count(k) from {}", &["2,1"]),
        ("table_with_dv_small", "select count(*), min(value), max(value) from {}", &["8,1,8"]),
        ("simple_table_with_cdc", "select count(*) > 0 from {}", &["true"]),
        ("python_0_25_5_checkpoint", "select count(*) > 0 from {}", &["true"]),
        ("table_with_deletion_logs", "select count(*) > 0 from {}", &["true"]),
    ];
    for (table, sql, expected) in cases {
        let sql = sql.replace("{}", &format!("raw.{table}"));
        let seen = lines_of(&house.warehouse, &sql).await;
        assert_eq!(
            seen.as_deref().map_err(ToString::to_string),
            Ok(expected.iter().map(|s| s.to_string()).collect::<Vec<_>>().as_slice()),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn every_table_answers_the_same_as_deltalake_or_says_why_not() {
    let Some((house, _folder)) = foreign().await else { return };
    let mut refused = vec![];
    let mut read = 0;
    for table in house.warehouse.names().into_iter().filter(|n| n.zone == crate::Zone::Raw) {
        let ours = lines_of(&house.warehouse, &format!("select count(*) from {table}")).await;
        match ours {
            Ok(ours) => {
                let delta = crate::log::delta_table(&house.store, &table).await.unwrap();
                let context = datafusion::prelude::SessionContext::new();
                context.register_table("t", delta.table_provider().await.unwrap()).unwrap();
                // A column forces the rows to be read rather than counted from statistics.
                let column = delta.table_provider().await.unwrap().schema().field(0).name().clone();
                let sql = format!("select count(*) from (select \"{column}\" from t)");
                let theirs = table_lines(&context.sql(&sql).await.unwrap().collect().await.unwrap());
                assert_eq!(ours, theirs, "{table}");
                read += 1;
            }
            Err(error) => {
                assert!(
                    matches!(
                        error,
                        Error::Unsupported { .. }
                            | Error::Damaged { .. }
                            | Error::Store { .. }
                            | Error::Sql { .. }
                    ),
                    "{table}: {error}"
                );
                refused.push(format!("{table}: {error}"));
            }
        }
    }
    assert!(read >= 15, "read {read}, refused: {refused:#?}");
    // One unreadable table never hides the others.
    assert!(house.warehouse.tables().await.len() >= read);
}
