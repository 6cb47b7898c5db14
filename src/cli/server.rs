//! `guanlan serve`, and how every other command opens the project.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use store::{FolderLease, SharedClock, SystemClock};
use tracing_subscriber::EnvFilter;

use super::Wrong;
use super::output::{Output, Tone};
use crate::platform::{Platform, Purpose};
use crate::project::{Loaded, Loader};
use crate::serve;

/// Loads the definitions, refusing a folder that cannot be served.
pub fn load(project: &Path, clock: &SharedClock) -> Result<(Loader, Loaded)> {
    let folder = std::path::absolute(project)?;
    let mut loader = Loader::new(folder, clock.clone());
    let loaded =
        loader.load().map_err(|unusable| Wrong(format!("this project cannot be used\n{unusable}")))?;
    Ok((loader, loaded))
}

/// Says on standard error what is wrong with the files; work goes on with what is right.
pub fn tell(loaded: &Loaded) {
    for finding in &loaded.findings {
        eprintln!("{}\n", finding.render(loaded.text(&finding.file)));
    }
}

/// Opens a project to look at or to administer, beside a running server.
pub async fn open_for_reading(project: &Path) -> Result<Arc<Platform>> {
    let clock: SharedClock = Arc::new(SystemClock);
    let (_, loaded) = load(project, &clock)?;
    Platform::open(loaded, clock, Purpose::Look, None).await
}

/// Opens a project to change its tables: only one process may.
pub async fn open_for_work(project: &Path, what: &str) -> Result<(Arc<Platform>, FolderLease)> {
    let clock: SharedClock = Arc::new(SystemClock);
    let (_, loaded) = load(project, &clock)?;
    let lease = FolderLease::acquire(&loaded.project.dir, what)?;
    let platform = Platform::open(loaded, clock, Purpose::Work, None).await?;
    Ok((platform, lease))
}

/// Structured logs on standard error: text on a terminal, JSON lines elsewhere. `RUST_LOG` chooses.
pub fn log(output: &Output, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call (a test in the same process) changes nothing.
    let _ = if output.terminal {
        builder.with_target(false).with_ansi(output.colour).try_init()
    } else {
        builder.json().try_init()
    };
}

pub async fn serve(project: &Path, listen: Option<String>, output: &Output) -> Result<ExitCode> {
    log(output, "info,datafusion=warn,deltalake_core=warn,buoyant_kernel=warn,sqlx=warn");
    let clock: SharedClock = Arc::new(SystemClock);
    let (loader, loaded) = load(project, &clock)?;
    let _lease = FolderLease::acquire(&loaded.project.dir, "guanlan serve")?;
    tell(&loaded);
    let address = listen.unwrap_or_else(|| loaded.project.config.listen.clone());
    loaded.project.config.may_listen(&address).map_err(Wrong)?;
    if let Some(tls) = &loaded.project.config.tls {
        tls.acceptor(&loaded.project.dir).map_err(|error| Wrong(error.to_string()))?;
    }
    let listener = serve::bind(&address).await?;
    let platform = Platform::open(loaded, clock, Purpose::Work, None).await?;
    first_user(&platform, output).await?;
    let scheme = if platform.project().project.config.tls.is_some() { "https" } else { "http" };
    output.say(&format!("Guanlan serves {}", output.paint(Tone::Accent, &format!("{scheme}://{address}"))));
    serve::run(platform, loader, listener).await?;
    Ok(ExitCode::SUCCESS)
}

/// A project without users gets one admin with a random password, shown once.
async fn first_user(platform: &Platform, output: &Output) -> Result<()> {
    if !platform.users.list().await?.is_empty() {
        return Ok(());
    }
    let password = platform.users.add("admin", "Admin", &[access::Role::Admin], None).await?;
    output.say(&format!(
        "first start: sign in as {} with {} (shown this once; change it with `guanlan user password admin`)",
        output.paint(Tone::Strong, "admin"),
        output.paint(Tone::Accent, &password)
    ));
    Ok(())
}
