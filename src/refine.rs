//! Cleaning and building whatever is stale, here and now or by the queue.

use anyhow::Result;
use futures::{StreamExt, stream};
use warehouse::clean::CleanReport;
use warehouse::model::BuildReport;
use warehouse::{TableName, Warehouse, Zone};

use crate::jobs;
use crate::platform::Platform;

/// Tables that are cleaned or built at a time: one computes while the other reads or commits, and memory is shared
/// by no more.
const TOGETHER: usize = 2;

/// What building the stale models came to.
#[derive(Debug, Default)]
pub struct Built {
    pub published: Vec<TableName>,
    pub failed: Vec<String>,
    /// How often to try again, if some failed for a reason that may pass by itself.
    pub attempts: Option<u32>,
}

/// What cleaning and building everything that is stale came to, a line each.
#[derive(Debug, Default)]
pub struct Refined {
    pub done: Vec<String>,
    pub failures: Vec<String>,
    /// Every cleaning that read something.
    pub cleaned: Vec<(String, CleanReport)>,
    /// More rows went to quarantine than the streams that they came by accept.
    pub set_aside: bool,
}

impl Built {
    fn add(&mut self, model: &str, outcome: warehouse::Result<Option<BuildReport>>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(report)) if report.published => {
                self.published.push(TableName { zone: Zone::Mart, name: model.to_owned() });
            }
            Ok(Some(report)) => {
                let fate = match report.version {
                    Some(_) => "keeps its last good version",
                    None => "is not published",
                };
                self.failed.push(format!("mart.{model} {fate}: {}", report.message()));
            }
            Err(error) => {
                self.attempts = self.attempts.max(jobs::attempts(&error));
                self.failed.push(format!("mart.{model}: {error}"));
            }
        }
    }
}

impl Platform {
    /// Cleans and builds whatever is stale here and now rather than through the queue, for commands that
    /// report it.
    pub async fn refine(&self) -> Result<Refined> {
        let live = self.project();
        let mut refined = Refined::default();
        let names: Vec<String> = live.project.cleans.keys().cloned().collect();
        let mut cleans =
            stream::iter(names).map(|name| clean(self.warehouse.clone(), name)).buffered(TOGETHER);
        while let Some((name, cleaned)) = cleans.next().await {
            let spec = &live.project.cleans[&name];
            match cleaned {
                Ok(report) if report.already => {}
                Ok(report) => {
                    let stays = report.rejected - report.superseded;
                    refined.set_aside |= !live.accepted(&spec.from).holds(stays, report.read);
                    refined.done.push(format!("clean.{name}: {}", accounted(&report)));
                    refined.cleaned.push((name, report));
                }
                Err(error) => refined.failures.push(format!("clean.{name}: {error}")),
            }
        }
        let built = self.build_stale().await?;
        refined.done.extend(built.published.iter().map(|table| format!("{table}: published")));
        refined.failures.extend(built.failed);
        Ok(refined)
    }

    /// Builds the models whose inputs changed, each after those it reads. A model that fails keeps its last
    /// good version and does not stop the others.
    pub async fn build_stale(&self) -> Result<Built> {
        let live = self.project();
        let models: Vec<_> = live.project.models.values().cloned().collect();
        let waves = warehouse::model::order(&models).map_err(|p| anyhow::anyhow!(p.message))?;
        let mut built = Built::default();
        for wave in waves {
            let names: Vec<String> = wave.into_iter().map(|model| model.name.clone()).collect();
            let mut builds =
                stream::iter(names).map(|name| build(self.warehouse.clone(), name)).buffered(TOGETHER);
            while let Some((model, outcome)) = builds.next().await {
                built.add(&model, outcome);
            }
        }
        Ok(built)
    }
}

async fn clean(warehouse: Warehouse, name: String) -> (String, warehouse::Result<CleanReport>) {
    let cleaned = warehouse.clean(&name).await;
    (name, cleaned)
}

/// Builds a model if it is stale.
async fn build(warehouse: Warehouse, name: String) -> (String, warehouse::Result<Option<BuildReport>>) {
    let built = match warehouse.is_stale(&name).await {
        Ok(false) => Ok(None),
        Ok(true) => warehouse.build(&name).await.map(Some),
        Err(error) => Err(error),
    };
    (name, built)
}

/// A cleaning in one line: what it read and where that went.
pub fn accounted(report: &CleanReport) -> String {
    let mut line = format!("{} read, {} kept, {} quarantined", report.read, report.kept, report.rejected);
    if report.skipped > 0 {
        line += &format!(", {} more skipped as no data", report.skipped);
    }
    if report.rejected > 0 {
        line += &format!(" ({})", warehouse::clean::told(&report.quarantined));
    }
    if report.superseded + report.corrected > 0 {
        let left = report.superseded + report.corrected;
        line += &format!("; {left} of the quarantine corrected by a later row");
    }
    for cell in &report.adjusted {
        let cells = if cell.count == 1 { "1 cell" } else { &format!("{} cells", cell.count) };
        line += &format!("; `{}`: {cells} {} (first: {})", cell.column, cell.how, cell.first);
    }
    line
}
