//! `guanlan channel`: whom rules can tell, whether they can be reached, and opening one that its receiver closed.

use std::path::Path;
use std::process::ExitCode;

use access::{Event, Principal};
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::output::Output;
use super::{FAILED, Wrong, delivery, server};
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Channels with their state and what waits for them.
    List,
    /// Send one test message now; exit code 1 when it is not accepted.
    Test { name: String },
    /// Open a channel again that was closed because its receiver answered 410.
    Reopen { name: String },
}

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    let live = platform.project();
    let channels = &live.project.config.channels;
    match command {
        Command::List => list(&platform, output).await,
        Command::Test { name } => {
            let test = platform.rules.test_channel(channels, &name).await.map_err(wrong)?;
            record(&platform, "channel.test", &name).await?;
            output.data(&test);
            let status = test.status.map(|s| format!("{s}, ")).unwrap_or_default();
            if test.accepted {
                output.say(&format!("{name}: accepted ({status}{} ms)", test.ms));
                return Ok(ExitCode::SUCCESS);
            }
            output.say(&format!("{name}: not accepted ({status}{} ms): {}", test.ms, test.error));
            if !test.response.is_empty() {
                output.say(&test.response);
            }
            Ok(ExitCode::from(FAILED))
        }
        Command::Reopen { name } => {
            let reopened = platform.rules.reopen_channel(channels, &name).await.map_err(wrong)?;
            record(&platform, "channel.reopen", &name).await?;
            output.data(&json!({"channel": name, "reopened": reopened}));
            let ways = delivery::send_or_leave(&platform).await?;
            output.say(&match reopened {
                true => format!(
                    "{name} is open again; {ways}. What was given up goes out with: guanlan delivery resend --dead {name}"
                ),
                false => format!("{name} was open"),
            });
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn wrong(error: rules::Error) -> anyhow::Error {
    match error {
        rules::Error::NoChannel { .. } => Wrong(error.to_string()).into(),
        error => error.into(),
    }
}

async fn record(platform: &Platform, action: &str, name: &str) -> Result<()> {
    platform.audit.record(Event::new(&Principal::cli().user, action, name, "ok")).await?;
    Ok(())
}

async fn list(platform: &Platform, output: &Output) -> Result<ExitCode> {
    let channels = platform.rules.channels(&platform.project().project.config.channels).await?;
    output.data(&channels);
    if !output.json {
        let rows: Vec<Vec<String>> = channels
            .into_iter()
            .map(|c| {
                let why = if c.reason.is_empty() { c.last_error } else { c.reason };
                let (waiting, dead) = (c.waiting.to_string(), c.dead.to_string());
                vec![c.name, c.kind.into(), c.address, c.state.into(), waiting, dead, why]
            })
            .collect();
        output.table(&["channel", "kind", "address", "state", "waiting", "given up", "last error"], &rows);
    }
    Ok(ExitCode::SUCCESS)
}
