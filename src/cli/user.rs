//! `guanlan user`: accounts of this project. A password is random, shown once, and never a default.

use std::path::Path;
use std::process::ExitCode;

use access::{Event, Principal, Role};
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::platform::Platform;

use super::Wrong;
use super::output::{Output, Tone};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a user and print their password once.
    Add {
        name: String,
        /// admin, analyst, executive or ops; repeat for several.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// The name that pages show.
        #[arg(long)]
        display: Option<String>,
    },
    /// List users.
    List,
    /// Give a user a new random password and end their sessions.
    Password { name: String },
    /// Replace a user's roles; they hold from the next request on.
    Roles {
        name: String,
        /// admin, analyst, executive or ops; repeat for several.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
    },
    /// Disable a user and end their sessions.
    Disable { name: String },
    /// Let a disabled user sign in again.
    Enable { name: String },
}

pub async fn run(project: &Path, command: Command, output: &Output) -> Result<ExitCode> {
    let platform = super::server::open_for_reading(project).await?;
    let users = &platform.users;
    match command {
        Command::Add { name, roles, display } => {
            let roles = parse(&roles)?;
            let password = users.add(&name, display.as_deref().unwrap_or(&name), &roles, None).await?;
            record(&platform, "user.add", &name).await?;
            shown_once(output, &name, &password);
        }
        Command::Password { name } => {
            let password = users.set_password(&name, None).await?;
            platform.sessions.end_all(&name).await?;
            record(&platform, "user.password", &name).await?;
            shown_once(output, &name, &password);
            if users.get(&name).await?.is_some_and(|user| user.disabled) {
                output.say(&format!(
                    "{name} is disabled; `guanlan user enable {name}` lets them sign in again"
                ));
            }
        }
        Command::Roles { name, roles } => {
            let roles = parse(&roles)?;
            users.set_roles(&name, &roles).await?;
            record(&platform, "user.roles", &name).await?;
            let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
            output.data(&json!({"user": name, "roles": roles}));
            output.say(&format!("{name} is now {}", names.join(", ")));
        }
        Command::Disable { name } => {
            users.disable(&name).await?;
            platform.sessions.end_all(&name).await?;
            record(&platform, "user.disable", &name).await?;
            output.data(&json!({"user": name, "disabled": true}));
            output.say(&format!("{name} can no longer sign in"));
        }
        Command::Enable { name } => {
            users.enable(&name).await?;
            record(&platform, "user.enable", &name).await?;
            output.data(&json!({"user": name, "disabled": false}));
            output.say(&format!("{name} can sign in again"));
        }
        Command::List => {
            let list = users.list().await?;
            output.data(&list);
            if !output.json {
                let rows: Vec<Vec<String>> = list
                    .iter()
                    .map(|u| {
                        let roles: Vec<String> = u.roles.iter().map(ToString::to_string).collect();
                        vec![
                            u.name.clone(),
                            u.display.clone(),
                            roles.join(", "),
                            if u.disabled { "disabled".into() } else { "active".into() },
                        ]
                    })
                    .collect();
                output.table(&["user", "name", "roles", "state"], &rows);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is done on the machine itself is told in the audit like what is done over the web.
async fn record(platform: &Platform, action: &str, subject: &str) -> Result<()> {
    platform.audit.record(Event::new(&Principal::cli().user, action, subject, "ok")).await?;
    Ok(())
}

fn parse(roles: &[String]) -> Result<Vec<Role>> {
    roles.iter().map(|r| r.parse::<Role>().map_err(|e| Wrong(e).into())).collect()
}

fn shown_once(output: &Output, name: &str, password: &str) {
    output.data(&json!({"user": name, "password": password}));
    output.say(&format!("{}  {}", output.paint(Tone::Strong, name), output.paint(Tone::Accent, password)));
    output.say(&output.paint(Tone::Quiet, "The password is shown this once; only its hash is kept."));
}
