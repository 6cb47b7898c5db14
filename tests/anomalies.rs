//! The simulated company's first month, hour by hour, through the real line: every planted anomaly
//! raises its alert in time, and at most two alerts have no anomaly behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Timelike, Utc};
use guanlan::company::{Company, Tell, Wish, ground_truth};
use guanlan::platform::{Platform, Purpose};
use guanlan::project::Loader;
use rules::{AlertFilter, AlertRow};
use serde::Deserialize;
use store::{ManualClock, SharedClock};

use crate::support::Folder;

const DAYS: i64 = 30;
const MOST_FALSE: usize = 2;

#[derive(Debug, Deserialize)]
struct Planted {
    id: String,
    kind: String,
    phase: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    rule: String,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Planted {
    fn explains(&self, alert: &AlertRow) -> bool {
        let at = alert.fired_at.unwrap_or(alert.started_at);
        (self.rule == alert.rule || self.also.contains(&alert.rule))
            && (self.from..=self.until).contains(&at)
            && self.labels.iter().all(|(name, value)| alert.labels.get(name).is_none_or(|v| v == value))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_anomaly_is_found_in_the_first_month() {
    let folder = Folder::new("anomalies");
    let manual = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH, 7));
    let clock: SharedClock = manual.clone();
    let wish =
        Wish { folder: folder.path().join("company"), seed: 7, staff: 2000, listen: "127.0.0.1:0".into() };
    let mut company = Company::open(&wish, &clock, &|_, _, _| {}).await.unwrap();
    manual.set(company.now);
    let loaded = Loader::new(&company.project, clock.clone()).load().unwrap();
    assert!(loaded.findings.is_empty(), "{}", loaded.render());
    let platform = Platform::open(loaded, clock.clone(), Purpose::Work, None).await.unwrap();
    let silent: Tell = Arc::new(|_, _| {});
    company.open_doors(&platform.stopping, silent).unwrap();

    let start = company.now;
    let mut now = start;
    while now < start + chrono::Duration::days(DAYS) {
        turn(&platform, &now).await;
        // Every two hours while people work, else every four: rules see enough, the test stays short.
        let local = now + chrono::Duration::hours(8);
        let at_work =
            (8..21).contains(&local.hour()) && platform.warehouse.calendar().is_workday(local.date_naive());
        now += chrono::Duration::hours(if at_work { 2 } else { 4 });
        company.advance(now).await.unwrap();
        manual.set(now);
    }
    turn(&platform, &now).await;
    platform.stopping.cancel();
    compare(&wish.folder, &alerts(&platform).await);
}

/// One turn of the line: read, clean, build, judge.
async fn turn(platform: &Arc<Platform>, now: &DateTime<Utc>) {
    let names: Vec<String> = platform.project().project.sources.keys().cloned().collect();
    for name in names {
        let report = platform.sync(&name, None, &ingest::Quiet).await.unwrap();
        let failed: Vec<_> =
            report.iter().flat_map(|r| &r.streams).filter_map(|s| s.error.as_ref()).collect();
        assert!(failed.is_empty(), "{now}: {failed:?}");
    }
    let refined = platform.refine().await.unwrap();
    assert!(refined.failures.is_empty(), "{now}: {:?}", refined.failures);
    let pass = platform.evaluate(None).await.unwrap();
    let failed: Vec<_> = pass.rules.iter().filter(|r| r.error.is_some()).collect();
    assert!(failed.is_empty(), "{now}: {failed:?}");
}

async fn alerts(platform: &Arc<Platform>) -> Vec<AlertRow> {
    let mut all = Vec::new();
    let mut filter = AlertFilter { limit: Some(200), ..AlertFilter::default() };
    loop {
        let page = platform.rules.alerts(&filter).await.unwrap();
        all.extend(page.alerts);
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return all,
        }
    }
}

fn compare(folder: &std::path::Path, alerts: &[AlertRow]) {
    let text = std::fs::read_to_string(ground_truth(folder)).unwrap();
    let planted: Vec<Planted> = serde_json::from_str(&text).unwrap();
    let live: Vec<&Planted> = planted.iter().filter(|p| p.phase == "live").collect();
    let mut kinds: Vec<&str> = live.iter().map(|p| p.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(kinds.len() >= 12, "twelve kinds are planted: {kinds:?}");
    let missed: Vec<&str> =
        live.iter().filter(|p| !alerts.iter().any(|a| p.explains(a))).map(|p| p.id.as_str()).collect();
    let unexplained: Vec<String> = alerts
        .iter()
        .filter(|a| !planted.iter().any(|p| p.explains(a)))
        .map(|a| format!("{} {:?} {}", a.rule, a.fired_at, a.summary.en))
        .collect();
    println!("{} alerts, {} planted, missed {missed:?}, false {unexplained:#?}", alerts.len(), live.len());
    assert!(missed.is_empty(), "missed: {missed:?}");
    assert!(unexplained.len() <= MOST_FALSE, "false alerts: {unexplained:#?}");
}
