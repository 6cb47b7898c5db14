//! Makes a company in a folder without Guanlan and lets it work some days, to look at its systems:
//! `cargo run -p demo --example company -- /tmp/company 30`. Every Monday to Friday is worked.

use std::sync::Arc;

use chrono::{Datelike, NaiveDate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().ok_or("give a folder")?);
    let days: i64 = arguments.next().unwrap_or_default().parse().unwrap_or(0);
    let seed: u64 = arguments.next().unwrap_or_default().parse().unwrap_or(42);
    let date = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).ok_or("no such day");
    let now = date(2026, 11, 24)?.and_hms_opt(1, 0, 0).ok_or("no such hour")?.and_utc();
    let workday = Arc::new(|day: NaiveDate| day.weekday().num_days_from_monday() < 5);
    let settings =
        demo::Settings { seed, start: date(2025, 5, 24)?, now, staff: 2_000, departments: 40, workday };
    std::fs::create_dir_all(&folder)?;
    let mut world = demo::World::create(&folder, settings, &|_, _, _| {}).await?;
    let options = demo::ProjectOptions {
        listen: "127.0.0.1:8080".into(),
        webhook: 9400,
        tickets: 9401,
        random: [7; 64],
    };
    demo::project(&folder, &options)?;
    for hour in 1..=days * 24 {
        for line in world.advance(now + chrono::Duration::hours(hour)).await? {
            println!("{line}");
        }
    }
    Ok(())
}
