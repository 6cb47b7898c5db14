//! `guanlan delivery`: messages to receivers, above all those that were given up, and sending them again.

use std::path::Path;
use std::process::ExitCode;

use access::{Event, Principal};
use anyhow::Result;
use clap::Subcommand;
use rules::{DeliveryFilter, Sent};
use store::FolderLease;

use super::output::Output;
use super::{Wrong, server};
use crate::platform::Platform;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Messages, newest first.
    List {
        /// waiting, accepted, dead (given up) or muted.
        #[arg(long)]
        state: Option<String>,
        #[arg(long)]
        channel: Option<String>,
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Goes on after a page: the `next` that it ended with.
        #[arg(long)]
        before: Option<String>,
    },
    /// Send messages again, under their ids.
    Resend {
        /// Ids as `list` shows them.
        #[arg(required_unless_present = "dead")]
        ids: Vec<String>,
        /// Every message of this channel that was given up.
        #[arg(long, value_name = "CHANNEL", conflicts_with = "ids")]
        dead: Option<String>,
    },
}

const STATES: [&str; 4] = ["waiting", "accepted", "dead", "muted"];

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    let platform = server::open_for_reading(project).await?;
    match command {
        Command::List { state, channel, limit, before } => {
            if let Some(state) = state.as_deref().filter(|state| !STATES.contains(state)) {
                return Err(Wrong(format!("no state {state}: use {}", STATES.join(", "))).into());
            }
            let filter = DeliveryFilter { state, channel, limit: Some(limit), before, alert: None };
            list(&platform, &filter, output).await
        }
        Command::Resend { ids, dead } => resend(&platform, ids, dead, output).await,
    }
}

async fn list(platform: &Platform, filter: &DeliveryFilter, output: &Output) -> Result<ExitCode> {
    let page = platform.rules.deliveries(filter).await?;
    output.data(&page);
    if output.json {
        return Ok(ExitCode::SUCCESS);
    }
    let zone = platform.project().project.calendar.timezone();
    let rows: Vec<Vec<String>> = page
        .deliveries
        .iter()
        .map(|sent| {
            vec![
                sent.created_at.with_timezone(&zone).format("%m-%d %H:%M:%S").to_string(),
                sent.channel.clone(),
                sent.kind.clone(),
                sent.rule.clone().unwrap_or_default(),
                sent.alerts.to_string(),
                sent.state.clone(),
                sent.attempts.to_string(),
                sent.status.map(|s| s.to_string()).unwrap_or_default(),
                sent.id.clone(),
                sent.error.chars().take(80).collect(),
            ]
        })
        .collect();
    output.table(
        &["when", "channel", "kind", "rule", "alerts", "state", "tries", "status", "id", "error"],
        &rows,
    );
    if let Some(next) = page.next {
        output.say(&format!("more: --before {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn resend(
    platform: &Platform,
    ids: Vec<String>,
    dead: Option<String>,
    output: &Output,
) -> Result<ExitCode> {
    let ids = match dead {
        Some(channel) => dead_of(platform, &channel).await?,
        None => ids,
    };
    let mut sent: Vec<Sent> = Vec::with_capacity(ids.len());
    for id in &ids {
        let again = platform.rules.resend(id).await.map_err(|error| Wrong(error.to_string()))?;
        let event = Event::new(&Principal::cli().user, "delivery.resend", &again.id, "ok");
        platform.audit.record(event).await?;
        sent.push(again);
    }
    output.data(&sent);
    let ways = send_or_leave(platform).await?;
    output.say(&format!("{} to be sent again; {ways}", sent.len()));
    Ok(ExitCode::SUCCESS)
}

/// Every message of a channel that was given up, page by page.
async fn dead_of(platform: &Platform, channel: &str) -> Result<Vec<String>> {
    let mut filter = DeliveryFilter {
        state: Some("dead".into()),
        channel: Some(channel.to_owned()),
        limit: Some(200),
        ..DeliveryFilter::default()
    };
    let mut ids = Vec::new();
    loop {
        let page = platform.rules.deliveries(&filter).await?;
        // A test that failed has nothing left to say.
        ids.extend(page.deliveries.into_iter().filter(|d| !d.alert.is_empty()).map(|d| d.id));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return Ok(ids),
        }
    }
}

/// A running server sends what is due; without one it is done here.
pub(super) async fn send_or_leave(platform: &Platform) -> Result<&'static str> {
    match FolderLease::acquire(&platform.folder, "guanlan delivery") {
        Ok(_lease) => {
            platform.deliver().await?;
            Ok("see guanlan delivery list for what came of it")
        }
        Err(_) => {
            platform.deliver_now().await?;
            Ok("the running server sends within a minute")
        }
    }
}
