//! The one binary. Exit codes: 0 done, 1 it failed, 2 the call or the project is wrong.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    guanlan::cli::run().await
}
