//! Measurements, run by hand: `cargo test -p ingest speed -- --ignored --nocapture`.

use std::io::Write;

use serde_json::json;

use super::support::{House, spec};

/// Highest resident memory of this process in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement of 10 M rows, about half a minute"]
async fn ten_million_csv_rows_stay_within_half_a_gibibyte() {
    let house = House::new().await;
    house.folder.write("drops/big.csv", "");
    let path = house.folder.0.join("drops/big.csv");
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&path).unwrap());
    writeln!(file, "id,customer,region,amount,ordered_at,note").unwrap();
    for i in 0u64..10_000_000 {
        let (c, a) = (i * 7919 % 200_003, i * 31 % 1_000_000);
        let region = ["east", "west", "north", "south"][(i % 4) as usize];
        let (day, second) = (i % 28 + 1, i % 60);
        writeln!(file, "{i},C{c},{region},{}.{:02},2026-03-{day:02} 10:20:{second:02},ok", a / 100, a % 100)
            .unwrap();
    }
    drop(file);
    if let Some(kept) = std::env::var_os("GUANLAN_KEEP_CSV") {
        std::fs::copy(&path, kept).unwrap();
    }
    let csv = spec(json!({"kind": {"files": {"path": "drops"}},
        "streams": {"o": {"glob": "*.csv", "format": {"csv": {}}}}}));
    let started = std::time::Instant::now();
    let report = house.sync_one(&csv).await;
    let seconds = started.elapsed().as_secs_f64();
    let mib = std::fs::metadata(&path).unwrap().len() >> 20;
    eprintln!("{mib} MiB of CSV in {seconds:.1} s, peak memory {} MiB", peak_mib());
    assert_eq!((report.rows, report.error.is_none()), (10_000_000, true));
    assert!(peak_mib() < 512, "{} MiB", peak_mib());
}
