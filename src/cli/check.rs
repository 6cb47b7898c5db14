//! Commands about the definitions themselves: init, check, plan, schema, config.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use store::{SharedClock, SystemClock};

use super::output::{Output, Tone, count};
use super::server;
use crate::init;
use crate::platform::{Platform, Purpose};
use crate::project::{Catalogue, Finding, Loaded, Loader, schemas};

/// How long `check` waits for the store: without it, it checks what the files alone can tell.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

pub fn init(folder: &Path, output: &Output) -> Result<ExitCode> {
    let name = folder.file_name().and_then(|n| n.to_str()).unwrap_or("company");
    let files = init::init(folder, name).map_err(|error| match error {
        init::Error::Disk { .. } => anyhow::Error::from(error),
        _ => super::Wrong(error.to_string()).into(),
    })?;
    output.data(&json!({"folder": folder, "files": files}));
    output.say(&format!(
        "A starter project is in {}",
        output.paint(Tone::Accent, &folder.display().to_string())
    ));
    for file in &files {
        output.say(&output.paint(Tone::Quiet, &format!("  {}", file.display())));
    }
    let next = format!("next: cd {} && guanlan check && guanlan sync && guanlan serve", folder.display());
    output.say(&next);
    Ok(ExitCode::SUCCESS)
}

pub async fn check(project: &Path, output: &Output) -> Result<ExitCode> {
    let clock: SharedClock = Arc::new(SystemClock);
    let mut loader = Loader::new(std::path::absolute(project)?, clock);
    let mut loaded = loader.load();
    // What was landed already tells which columns a source really delivers. A server does not hold a
    // definition against that: a column may be written down before it first arrives.
    if let Ok(found) = &loaded
        && let Some(catalogue) = landed(found).await
    {
        loader.know(catalogue);
        loaded = loader.load();
    }
    if let Ok(found) = &mut loaded
        && let Some(tls) = &found.project.config.tls
        && let Err(error) = tls.acceptor(&found.project.dir)
    {
        // A machine that only checks definitions need not have the key.
        found.findings.push(Finding::whole("guanlan.yaml", error.to_string()).warning());
    }
    let (findings, text, files): (Vec<Finding>, String, usize) = match loaded {
        Ok(loaded) => (loaded.findings.clone(), loaded.render(), loaded.project.files.len()),
        Err(unusable) => (unusable.findings.clone(), unusable.render(), 0),
    };
    let errors = findings.iter().filter(|f| f.is_error()).count();
    output.data(&json!({"ok": errors == 0, "files": files, "findings": findings}));
    if !output.json {
        if !text.is_empty() {
            output.write(&text);
            output.write("");
        }
        let verdict = if errors == 0 {
            output.paint(Tone::Good, &format!("{files} files are valid"))
        } else {
            output.paint(Tone::Bad, &format!("{errors} to fix"))
        };
        output.write(&verdict);
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::WRONG) })
}

/// The tables that exist, where the project has run before and its store answers in time.
async fn landed(loaded: &Loaded) -> Option<Catalogue> {
    let project = &loaded.project;
    if !project.dir.join(&project.config.metadata.path).exists() {
        return None;
    }
    let open = Platform::open(loaded.clone(), Arc::new(SystemClock), Purpose::Look, None);
    let platform = tokio::time::timeout(STORE_ANSWERS, open).await.ok()?.ok()?;
    let tables = tokio::time::timeout(STORE_ANSWERS, platform.warehouse.tables()).await.ok()?;
    Some(Catalogue::new(tables.into_iter().map(|table| (table.name, table.schema))))
}

/// What the files on disk would change for a server that serves what was last put in force.
pub async fn plan(project: &Path, output: &Output) -> Result<ExitCode> {
    let clock: SharedClock = Arc::new(SystemClock);
    let (_, loaded) = server::load(project, &clock)?;
    let platform = server::open_for_reading(project).await?;
    let mut models = Vec::new();
    for name in platform.project().project.models.keys() {
        models.push(platform.warehouse.due(name).await?);
    }
    let stale: Vec<String> =
        models.iter().filter(|due| due.stale).map(|due| format!("mart.{}", due.model)).collect();
    let again = platform.redone_by_definitions().await?;
    server::tell(&loaded);
    output.data(&json!({"changes": loaded.plan, "again": again, "stale_models": stale, "models": models,
        "findings": loaded.findings}));
    if !output.json {
        output.write(&loaded.plan.to_string());
        for line in &again {
            output.write(&output.paint(Tone::Warn, line));
        }
        for due in &models {
            say_due(due, output);
        }
        if stale.is_empty() && again.is_empty() && loaded.plan.is_empty() {
            output.write(&output.paint(Tone::Good, "every model is up to date"));
        }
    }
    Ok(if loaded.is_good() { ExitCode::SUCCESS } else { ExitCode::from(super::WRONG) })
}

/// A model that is stale, and one that computes every row whenever one row is new.
fn say_due(due: &warehouse::model::Due, output: &Output) {
    let cost = due.cost.map_or_else(String::new, |cost| {
        let (rows, bytes) = (count(cost.rows), cost.bytes as f64 / f64::from(1 << 20));
        format!("; lately {:.1} s, {rows} rows, {bytes:.1} MiB a build", cost.seconds)
    });
    let what = match (due.stale, due.full) {
        (true, true) => output.paint(Tone::Warn, "rebuild in full"),
        (true, false) => output.paint(Tone::Warn, "rebuild"),
        (false, true) => output.paint(Tone::Quiet, "whole at each change"),
        (false, false) => return,
    };
    let reason = if due.reason.is_empty() { String::new() } else { format!(" ({})", due.reason) };
    output.write(&format!("{what} mart.{}{reason}{cost}", due.model));
}

pub fn schema(out: &Path, output: &Output) -> Result<ExitCode> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let mut written = Vec::new();
    for (name, schema) in schemas() {
        let path = out.join(name);
        let text = serde_json::to_string_pretty(&schema)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    output.data(&written);
    for path in &written {
        output.say(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

pub fn config(project: &Path, output: &Output) -> Result<ExitCode> {
    let clock: SharedClock = Arc::new(SystemClock);
    let (_, loaded) = server::load(project, &clock)?;
    output.data(&loaded.project.config);
    if !output.json {
        output.write(&loaded.project.config.show());
    }
    Ok(ExitCode::SUCCESS)
}
