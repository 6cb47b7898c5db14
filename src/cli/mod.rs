//! The command line. Each command is a file; all print for people on a terminal and as JSON with
//! `--json`. Errors go to standard error with what to do next.

mod build;
mod channel;
mod check;
mod delivery;
mod demo;
mod output;
mod quarantine;
mod query;
mod server;
mod source;
mod sync;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use output::Output;

/// Guanlan (观澜): the data and intelligent-operations layer beside an OA system.
#[derive(Debug, Parser)]
#[command(name = "guanlan", version, about, propagate_version = true)]
struct Cli {
    /// The project folder.
    #[arg(short, long, global = true, default_value = ".", env = "GUANLAN_PROJECT")]
    project: PathBuf,
    /// Print JSON instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a small starter project into a new folder.
    Init { folder: PathBuf },
    /// Validate every definition of the project: file:line:column, what is wrong, what to do.
    Check,
    /// Show what the definitions on disk would change against the ones last served.
    Plan,
    /// Write the JSON Schemas of all definition files, so that editors complete them.
    Schema {
        #[arg(long, default_value = "schemas")]
        out: PathBuf,
    },
    /// Read sources into raw tables, then clean and build what follows.
    Sync {
        /// Only this source.
        source: Option<String>,
        /// Only this stream of the source.
        #[arg(long, requires = "source")]
        stream: Option<String>,
        /// Forget where this stream stands and read all of it again: its rows and columns take the place of those
        /// that are there.
        #[arg(long, value_name = "SOURCE.STREAM", conflicts_with_all = ["source", "stream"])]
        reset: Option<String>,
        /// Stop after the raw tables.
        #[arg(long)]
        raw_only: bool,
    },
    /// Build models: whatever is stale, or one now.
    Build(build::Options),
    /// Look at a source before anything lands.
    #[command(subcommand)]
    Source(source::Command),
    /// Run a query.
    Sql {
        /// The query; `-` reads it from standard input.
        sql: String,
        /// Print CSV.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// The most rows to print (CSV prints all).
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Serve the web UI and API, run schedules, evaluate rules, deliver alerts.
    Serve {
        /// Where to listen, instead of the address in guanlan.yaml.
        #[arg(long)]
        listen: Option<String>,
    },
    /// Simulate a company and serve it: dashboards that move, alerts that fire.
    Demo {
        #[arg(default_value = "demo-company")]
        folder: PathBuf,
        /// The same seed simulates the same company.
        #[arg(long, default_value_t = 7)]
        seed: u64,
        /// Simulated seconds in a real one.
        #[arg(long, default_value_t = 60.0)]
        speed: f64,
        /// Staff of the simulated company.
        #[arg(long, default_value_t = 2000)]
        staff: usize,
        /// Port of the web UI; 0 chooses a free one.
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Stop when the platform is ready instead of serving (builds the folder only).
        #[arg(long)]
        prepare_only: bool,
    },
    /// Users of this project.
    #[command(subcommand)]
    User(user::Command),
    /// Rows that could not land or did not fit their cleaning.
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Messages to receivers: list them, send them again.
    #[command(subcommand)]
    Delivery(delivery::Command),
    /// Whom rules can tell: list, test, open again.
    #[command(subcommand)]
    Channel(channel::Command),
    /// Show the configuration in force, secrets as references.
    Config,
}

/// The call or the project is wrong, which ends with another code than a failure so that scripts can tell.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

/// Something failed or was refused.
const FAILED: u8 = 1;
/// The call or a definition is wrong.
const WRONG: u8 = 2;
/// Done, but rows were set aside or cells changed, more than the definitions accept.
const SET_ASIDE: u8 = 3;

/// Parses the arguments, runs the command, prints its error.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let project = cli.project;
    let done = match cli.command {
        Command::Init { folder } => check::init(&folder, &output),
        Command::Check => check::check(&project, &output).await,
        Command::Plan => check::plan(&project, &output).await,
        Command::Schema { out } => check::schema(&out, &output),
        Command::Config => check::config(&project, &output),
        Command::Sync { source, stream, reset, raw_only } => {
            let wanted = sync::Wanted { source, stream, reset, raw_only };
            sync::sync(&project, wanted, &output).await
        }
        Command::Build(options) => build::build(&project, &options, &output).await,
        Command::Source(command) => source::run(&project, command, &output).await,
        Command::Sql { sql, csv, limit } => query::sql(&project, &sql, csv, limit, &output).await,
        Command::Serve { listen } => server::serve(&project, listen, &output).await,
        Command::Demo { folder, seed, speed, staff, port, prepare_only } => {
            demo::demo(&demo::Options { folder, seed, speed, staff, port, prepare_only }, &output).await
        }
        Command::User(command) => user::run(&project, command, &output).await,
        Command::Quarantine(command) => quarantine::run(&project, command, &output).await,
        Command::Delivery(command) => delivery::run(&project, command, &output).await,
        Command::Channel(command) => channel::run(&project, command, &output).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::from(if error.is::<Wrong>() { WRONG } else { FAILED })
        }
    }
}
