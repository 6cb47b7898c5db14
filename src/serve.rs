//! Runs a platform: the HTTP door, the job runner, the watcher over the project folder, and the
//! bridges from each room's own changes to what viewers are told. Ends in order on a signal.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::json;
use store::Outcome;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::broadcast::error::RecvError;

use crate::http;
use crate::platform::Platform;
use crate::project::{self, Loader};

/// How long a stop waits for requests and jobs under way.
const DRAIN: Duration = Duration::from_secs(30);
/// How often schedules are looked after.
const KEEP_SCHEDULES: Duration = Duration::from_secs(60);

/// Binds the address, naming what to do when it is taken.
pub async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "cannot listen on {address}: the port is in use by another program. \
             Stop that program, or choose another address with --listen 127.0.0.1:PORT or `listen:` in guanlan.yaml"
        ),
        std::io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "cannot listen on {address}: not permitted. Choose a port above 1023 with --listen or `listen:` in guanlan.yaml"
        ),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}. Write an address and a port, such as 127.0.0.1:8080"),
    })
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(platform: Arc<Platform>, loader: Loader, listener: TcpListener) -> Result<()> {
    let stopping = platform.stopping.clone();
    // Before there are threads: a certificate that cannot be read is an error, not a half-started server.
    let answering = answer(platform.clone(), listener)?;
    let doors = doors()?;
    doors.spawn({
        let stopping = stopping.clone();
        let warehouse = platform.warehouse.clone();
        async move {
            wait_for_signal().await;
            tracing::info!("stopping: finishing what is under way");
            stopping.cancel();
            warehouse.cancel_all();
        }
    });
    platform.keep_schedules().await?;
    platform.retire_rules().await?;
    // What changed while the server was down is picked up like any other change.
    platform.follow(crate::flow::Happened::Reloaded).await?;

    let runner = platform.runner();
    let jobs = tokio::spawn({
        let stopping = stopping.clone();
        async move { runner.run(stopping).await }
    });
    let watcher = tokio::spawn(watch(platform.clone(), loader));
    let bridges = tokio::spawn(bridge(platform.clone()));
    let keeper = tokio::spawn(keep_schedules(platform.clone()));

    let served = doors.spawn(answering);
    let served = tokio::select! {
        served = served => served.context("the HTTP server ended"),
        () = async { stopping.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!(seconds = DRAIN.as_secs(), "requests still open after the drain time are cut off");
            Ok(())
        }
    };
    stopping.cancel();
    if tokio::time::timeout(DRAIN, jobs).await.is_err() {
        tracing::warn!("jobs still running are left to the next start, which repeats them safely");
    }
    for task in [watcher, bridges, keeper] {
        task.abort();
    }
    doors.shutdown_background();
    served
}

/// The doors have threads of their own: whoever asks whether the server works is answered, whatever it works on.
fn doors() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("doors")
        .enable_all()
        .build()
        .context("the threads of the HTTP server could not be started")
}

/// Answers requests until the platform stops.
fn answer(platform: Arc<Platform>, listener: TcpListener) -> Result<impl Future<Output = ()> + Send> {
    let config = platform.project().project.config.clone();
    let tls = config.tls.as_ref().map(|tls| tls.acceptor(&platform.folder)).transpose()?;
    let listener = listener.into_std().context("the listening socket")?;
    Ok(async move {
        let router = http::router(platform.clone());
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let (limits, proxies) = (&config.limits, &config.trusted_proxies);
                http::serve(listener, router, tls, limits, proxies, platform.stopping.clone()).await
            }
            Err(error) => tracing::error!(error = %error, "the listening socket could not be used"),
        }
    })
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Looks after schedules in real time: one that lost its next run to a full disk goes on by itself.
async fn keep_schedules(platform: Arc<Platform>) {
    let mut ticks = tokio::time::interval(KEEP_SCHEDULES);
    loop {
        ticks.tick().await;
        if let Err(error) = platform.keep_schedules().await {
            tracing::warn!(error = %error, "the schedules could not be looked after; it is tried again");
        }
    }
}

/// Serves valid changes of the folder within two seconds; of an invalid one the last good version
/// stays, and the problem is told in the log and in the UI.
async fn watch(platform: Arc<Platform>, loader: Loader) {
    let mut changes = std::pin::pin!(project::watch(loader));
    while let Some(next) = changes.next().await {
        let findings = match &next {
            Ok(loaded) => &loaded.findings,
            Err(unusable) => &unusable.findings,
        };
        for finding in findings {
            tracing::warn!(
                definition.file = %finding.file,
                definition.line = finding.line,
                definition.column = finding.column,
                "{}; the last good version stays in force",
                finding.message
            );
        }
        let Ok(loaded) = next else { continue };
        let revision = loaded.project.revision.clone();
        match platform.reload(loaded).await {
            Ok(()) => tracing::info!(project.revision = %revision, "project reloaded"),
            Err(error) => tracing::error!(error = %error, "the changed project could not be put in force"),
        }
    }
}

/// Forwards the rooms' own changes to the hub.
async fn bridge(platform: Arc<Platform>) {
    let mut tables = platform.warehouse.changes();
    let mut alerts = platform.rules.changes();
    let mut jobs = platform.queue.finished();
    loop {
        tokio::select! {
            change = tables.recv() => match change {
                Ok(change) => platform.hub.tell(
                    "table",
                    json!({"name": change.table.to_string(), "version": change.version}),
                ),
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "table changes told too late to list"),
                Err(RecvError::Closed) => return,
            },
            change = alerts.recv() => match change {
                Ok(change) => platform.hub.tell("alert", json!(change)),
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "alert changes told too late to list"),
                Err(RecvError::Closed) => return,
            },
            // A sync tells of its streams itself; what fails further right is told here.
            job = jobs.recv() => match job {
                Ok(job) if job.outcome == Outcome::Failed && matches!(&*job.kind, "clean" | "build") => {
                    platform.hub.tell("job", json!({"kind": job.kind, "key": job.key, "table": job.key,
                        "outcome": "failed", "message": job.message}));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "ends of jobs told too late to list"),
                Err(RecvError::Closed) => return,
            },
        }
    }
}
