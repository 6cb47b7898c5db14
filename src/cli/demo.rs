//! `guanlan demo`: one command from nothing to dashboards that move and alerts that fire.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use access::Role;
use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use store::{FolderLease, ScaledClock, SharedClock, SystemClock};

use super::output::{Output, Tone, count};
use super::{server, sync};
use crate::company::{Company, Tell, Wish};
use crate::platform::{Platform, Purpose};
use crate::serve;

pub struct Options {
    pub folder: PathBuf,
    pub seed: u64,
    pub speed: f64,
    pub staff: usize,
    pub port: u16,
    pub prepare_only: bool,
}

/// One login a persona.
const PERSONAS: [(&str, &str, &[Role]); 4] = [
    ("executive", "Executive · 总经理", &[Role::Executive]),
    ("analyst", "Analyst · 分析师", &[Role::Analyst]),
    ("ops", "Operations · 运维", &[Role::Ops]),
    ("admin", "Administrator · 管理员", &[Role::Admin]),
];

pub async fn demo(options: &Options, output: &Output) -> Result<ExitCode> {
    server::log(output, "warn,datafusion=error,deltalake_core=error,buoyant_kernel=error,sqlx=error");
    if !(0.1..=10_000.0).contains(&options.speed) {
        bail!("--speed {} is out of range; choose 0.1 to 10000 simulated seconds a second", options.speed);
    }
    let listener = serve::bind(&format!("127.0.0.1:{}", options.port)).await?;
    let address = listener.local_addr()?.to_string();
    let folder = std::path::absolute(&options.folder)?;
    let real: SharedClock = Arc::new(SystemClock);
    output.say(&output.paint(Tone::Strong, "Guanlan demo: a company of its own"));

    let company = make(options, folder, &address, &real, output).await?;
    let clock: SharedClock = Arc::new(ScaledClock::new(company.now, options.speed));
    let (loader, loaded) = server::load(&company.project, &clock)?;
    let _lease = FolderLease::acquire(&loaded.project.dir, "guanlan demo")?;
    let platform = Platform::open(loaded, clock.clone(), Purpose::Work, Some(options.speed)).await?;
    first_landing(&platform, company, output, options.prepare_only, clock).await?;
    let logins = logins(&platform).await?;
    introduce(&address, &logins, options, output);
    if options.prepare_only {
        return Ok(ExitCode::SUCCESS);
    }
    tokio::spawn(follow_alerts(platform.clone(), *output));
    serve::run(platform, loader, listener).await?;
    Ok(ExitCode::SUCCESS)
}

async fn make(
    options: &Options,
    folder: PathBuf,
    address: &str,
    clock: &SharedClock,
    output: &Output,
) -> Result<Company> {
    let wish = Wish { folder, seed: options.seed, staff: options.staff, listen: address.to_owned() };
    let bar = if output.terminal && !output.json { ProgressBar::new(100) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("  {bar:32} {percent:>3}%  {msg}") {
        bar.set_style(style);
    }
    let company = Company::open(&wish, clock, &|what, done, total| {
        bar.set_length(total.max(1));
        bar.set_position(done);
        bar.set_message(what.to_owned());
    })
    .await?;
    bar.finish_and_clear();
    output.say(&format!(
        "  simulated: {} staff, 18 months, seed {}",
        count(options.staff as u64),
        options.seed
    ));
    Ok(company)
}

/// Lands and builds the history before the doors open, and only then lets time run.
async fn first_landing(
    platform: &Arc<Platform>,
    company: Company,
    output: &Output,
    prepare_only: bool,
    clock: SharedClock,
) -> Result<()> {
    let tell: Tell = {
        let (hub, output) = (platform.hub.clone(), *output);
        Arc::new(move |kind, line| {
            if kind == "webhook" {
                output.say(&format!("  {} {line}", output.paint(Tone::Accent, "webhook")));
            } else {
                hub.tell("demo", json!({"text": line}));
            }
        })
    };
    let stop =
        if prepare_only { tokio_util::sync::CancellationToken::new() } else { platform.stopping.clone() };
    company.run(clock, stop.clone(), tell)?;
    let bars = sync::Bars::new(output);
    let mut failures = Vec::new();
    let mut rows = 0;
    let names: Vec<String> = platform.project().project.sources.keys().cloned().collect();
    for name in names {
        match platform.sync(&name, None, &bars).await {
            Ok(Some(report)) => {
                rows += report.streams.iter().map(|s| s.rows).sum::<u64>();
                failures.extend(
                    report
                        .streams
                        .iter()
                        .filter_map(|s| Some(format!("{name}.{}: {}", s.stream, s.error.as_ref()?))),
                );
            }
            Ok(None) => {}
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    bars.clear();
    output.say(&format!("  landed: {} rows", count(rows)));
    let bar = sync::spinner(output, "cleaning and building");
    let refined = platform.refine().await?;
    bar.finish_and_clear();
    failures.extend(refined.failures);
    output.say(&format!("  cleaned and built: {} tables", refined.done.len()));
    for failure in &failures {
        eprintln!("{}: {failure}", output.paint(Tone::Bad, "error"));
    }
    if prepare_only {
        stop.cancel();
    }
    Ok(())
}

/// Fresh random passwords at each start, since only their hashes are kept.
async fn logins(platform: &Platform) -> Result<Vec<(&'static str, &'static str, String)>> {
    let known = platform.users.list().await?;
    let mut logins = Vec::new();
    for (name, display, roles) in PERSONAS {
        let password = if known.iter().any(|u| u.name == name) {
            platform.users.set_password(name, None).await?
        } else {
            platform.users.add(name, display, roles, None).await?
        };
        logins.push((name, display, password));
    }
    Ok(logins)
}

fn introduce(address: &str, logins: &[(&str, &str, String)], options: &Options, output: &Output) {
    let people: Vec<_> =
        logins.iter().map(|(user, _, password)| json!({"user": user, "password": password})).collect();
    output.data(&json!({"address": format!("http://{address}"), "logins": people, "speed": options.speed}));
    if output.json {
        return;
    }
    output.write("");
    output.write(&format!("  open {}", output.paint(Tone::Accent, &format!("http://{address}"))));
    for (user, display, password) in logins {
        output.write(&format!(
            "  {user:10} {}  {}",
            output.paint(Tone::Strong, password),
            output.paint(Tone::Quiet, display)
        ));
    }
    output.write(&output.paint(
        Tone::Quiet,
        &format!(
            "  one real second is {} simulated; files to edit are in {}/project; Ctrl-C ends it",
            options.speed,
            options.folder.display()
        ),
    ));
    output.write("");
}

/// Prints what the platform does, as it does it.
async fn follow_alerts(platform: Arc<Platform>, output: Output) {
    let (_, mut events) = platform.hub.since(None);
    loop {
        let event = match events.recv().await {
            Ok(event) => event,
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => continue,
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        };
        let at = platform.clock.now().with_timezone(&platform.warehouse.timezone()).format("%m-%d %H:%M");
        let data = &event.data;
        let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
        match event.kind {
            "job" if data["outcome"] == "ok" => output.say(&format!(
                "  {} {} {} rows",
                output.paint(Tone::Quiet, &at.to_string()),
                text("table"),
                count(data["rows"].as_u64().unwrap_or_default())
            )),
            "job" => {
                output.say(&format!("  {at} {} {}", output.paint(Tone::Bad, &text("table")), text("message")))
            }
            "alert" => {
                let tone = if data["state"] == "firing" { Tone::Bad } else { Tone::Good };
                let summary = data["summary"]["en"].as_str().unwrap_or_default();
                output.say(&format!(
                    "  {at} {} {} {summary}",
                    output.paint(tone, &text("state")),
                    text("rule")
                ));
            }
            _ => {}
        }
    }
}
