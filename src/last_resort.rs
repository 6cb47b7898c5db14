//! What happens when memory runs out: a query ends, not the process.
#![expect(
    unsafe_code,
    reason = "the standard library offers no stable way to go on after a failed allocation"
)]

use std::panic::resume_unwind;

use warehouse::{Guarded, RAN_OUT, was_refused};

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

/// Takes the place of the C library's `abort`, with which the standard library ends the process after an allocation
/// failed. Where the allocator refused it to a thread of queries, whose panics are answered, the stack is unwound
/// instead: callers of a failed allocation are compiled for that, since `-Z oom=panic` does the same. Should a later
/// toolchain not let it pass, the process ends as before; `doors::memory_that_a_query_cannot_have_ends_the_query` tells.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn abort() -> ! {
    if was_refused() {
        resume_unwind(Box::new(RAN_OUT));
    }
    // SAFETY: neither call has a precondition; the second ends the process where the signal is handled or blocked.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        libc::raise(libc::SIGABRT);
        libc::_exit(134)
    }
}
