//! The one binary. Exit codes: 0 done, 1 it failed, 2 the call or the project is wrong, 3 done but rows were set aside.

mod last_resort;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;

/// Planners and parsers recurse as deep as `store::limits` lets a text be.
const STACK: usize = 8 << 20;
/// Readers of files and passwords that work at the same time; each may take a whole stack.
const BLOCKING: usize = 64;
/// What still runs when everything is done is not waited for longer than this: it is repeated safely.
const END: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    keep_private();
    warehouse::keep_few_regions();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .max_blocking_threads(BLOCKING)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the threads of the program could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The main thread's stack is whatever the shell allows.
    let work = move || {
        let code = runtime.block_on(guanlan::cli::run());
        runtime.shutdown_timeout(END);
        code
    };
    let worker = thread::Builder::new().name("guanlan".into()).stack_size(STACK).spawn(work);
    worker.ok().and_then(|worker| worker.join().ok()).unwrap_or(ExitCode::FAILURE)
}

/// Data, definitions that were served and logs are this account's alone, whoever creates them: libraries do too.
#[expect(unsafe_code, reason = "the standard library cannot set the mask; the call has no precondition")]
fn keep_private() {
    // SAFETY: `umask` takes any number and changes only this process's mask; no other thread runs yet.
    unsafe { libc::umask(0o077) };
}
