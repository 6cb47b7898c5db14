//! The allocator of the program: memory that a query asks for and cannot have ends the query and not the process.
//!
//! The engine's kernels allocate whatever a result takes, in one piece and without asking anybody. Where such a piece
//! is more than the process may hold, the allocation fails on the threads of queries. The standard library then calls
//! `abort`, for which the program has one of its own that unwinds instead, as `-Z oom=panic` does: see
//! [`was_refused`]. Other threads are never refused; when the system gives them nothing, what was held back for them
//! is let go, and they wait for the guard of queries to end one.
#![expect(unsafe_code, reason = "an allocator can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ptr::{self, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Pieces from this size on are looked at before they are given.
const LARGE: usize = 1 << 20;
/// Held back for the threads that are not refused.
const RESERVE: usize = 64 << 20;
/// Freed memory that is not worth giving back.
const KEPT: u64 = 256 << 20;
/// The C library walks all it holds to count it, so that it is not asked each time, in milliseconds.
const FRESH: u64 = 100;
/// How long such a thread waits for memory, in so many looks.
const PAUSE: Duration = Duration::from_millis(10);
const LOOKS: usize = 300;

/// Bytes of all large pieces: what the system counts as resident only once it is touched.
static PIECES: AtomicU64 = AtomicU64::new(0);
static HELD_BACK: AtomicPtr<u8> = AtomicPtr::new(null_mut());

thread_local! {
    static OF_QUERIES: Cell<bool> = const { Cell::new(false) };
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, bounded. To be the program's `#[global_allocator]`.
#[derive(Debug)]
pub struct Guarded;

/// Whether the allocation that this thread asked for last was refused to it as a thread of queries, which its panic
/// may tell; to be asked once. The message of such a panic is [`RAN_OUT`].
pub fn was_refused() -> bool {
    REFUSED.try_with(|refused| refused.replace(false)).unwrap_or(false)
}

/// The panic of a query whose memory was refused.
pub const RAN_OUT: &str = "memory ran out";

/// From now on this thread may be refused: a panic on it is caught and answered.
pub(crate) fn of_queries() {
    OF_QUERIES.set(true);
}

/// Holds memory back again, where it was let go.
pub(crate) fn hold_back() {
    if HELD_BACK.load(Ordering::Relaxed).is_null() {
        // SAFETY: the size of the layout is not zero.
        let reserve = unsafe { System.alloc(reserve()) };
        if !reserve.is_null() {
            let before = HELD_BACK.swap(reserve, Ordering::AcqRel);
            free(before);
        }
    }
}

/// Bytes that the C library holds for the next small pieces and nobody uses, as it was at most [`FRESH`] ago.
pub(super) fn unused() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    static COUNTED: AtomicU64 = AtomicU64::new(0);
    static FOUND: AtomicU64 = AtomicU64::new(0);
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64 + FRESH;
    let counted = COUNTED.load(Ordering::Relaxed);
    if now - counted.min(now) >= FRESH
        && COUNTED.compare_exchange(counted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        FOUND.store(counted_unused(), Ordering::Relaxed);
    }
    FOUND.load(Ordering::Relaxed)
}

#[cfg(target_env = "gnu")]
fn counted_unused() -> u64 {
    // SAFETY: the call only reads the library's own counts.
    unsafe { libc::mallinfo2() }.fordblks as u64
}

#[cfg(not(target_env = "gnu"))]
fn counted_unused() -> u64 {
    0
}

/// Small pieces of all threads come from few regions of addresses, where addresses are bounded: each region keeps what
/// it once took. To be called before there are threads.
pub fn keep_few_regions() {
    #[cfg(target_env = "gnu")]
    if super::address_space().is_some() {
        let cores = std::thread::available_parallelism().map_or(2, NonZeroUsize::get);
        // SAFETY: the call has no precondition; where it fails nothing changes.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, cores.min(64) as i32) };
    }
}

/// Gives memory back to the system that nobody uses, when it is much: the addresses stay.
pub(crate) fn tidy() {
    #[cfg(target_env = "gnu")]
    if unused() > KEPT {
        // SAFETY: the call has no precondition.
        unsafe { libc::malloc_trim(0) };
    }
}

fn reserve() -> Layout {
    Layout::new::<[u8; RESERVE]>()
}

fn let_go() {
    free(HELD_BACK.swap(null_mut(), Ordering::AcqRel));
}

fn free(reserve_at: *mut u8) {
    if !reserve_at.is_null() {
        // SAFETY: only `hold_back` puts a pointer there, made with this layout; swapping gives it to one caller.
        unsafe { System.dealloc(reserve_at, reserve()) };
    }
}

fn is_of_queries() -> bool {
    OF_QUERIES.try_with(Cell::get).unwrap_or(false)
}

/// Whether `more` bytes in one piece are refused to this thread.
fn refuses(more: usize) -> bool {
    let refused =
        more >= LARGE && is_of_queries() && super::crowded(more as u64, PIECES.load(Ordering::Relaxed));
    if refused {
        let _ = REFUSED.try_with(|flag| flag.set(true));
    }
    refused
}

fn count(from: usize, to: usize) {
    let large = |size: usize| if size >= LARGE { size as u64 } else { 0 };
    let (from, to) = (large(from), large(to));
    if to > from {
        PIECES.fetch_add(to - from, Ordering::Relaxed);
    } else if from > to {
        PIECES.fetch_sub(from - to, Ordering::Relaxed);
    }
}

/// What to do when the system gives nothing.
#[cold]
fn again(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let_go();
    let mut made = allocate();
    if !made.is_null() {
        return made;
    }
    if is_of_queries() {
        let _ = REFUSED.try_with(|flag| flag.set(true));
        return null_mut();
    }
    for _ in 0..LOOKS {
        std::thread::sleep(PAUSE);
        made = allocate();
        if !made.is_null() {
            break;
        }
    }
    made
}

fn given(allocate: impl Fn() -> *mut u8, from: usize, to: usize) -> *mut u8 {
    if to > from && refuses(to - from) {
        return ptr::null_mut();
    }
    let mut made = allocate();
    if made.is_null() {
        made = again(allocate);
    }
    if !made.is_null() {
        count(from, to);
    }
    made
}

// SAFETY: every piece comes from the system's allocator with the layout asked for, and goes back to it with that;
// nothing unwinds, and what is allocated on the way is smaller than what is looked at.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        given(|| unsafe { System.alloc(layout) }, 0, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        given(|| unsafe { System.alloc_zeroed(layout) }, 0, layout.size())
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises; a piece that could not grow stays as it is.
        given(|| unsafe { System.realloc(piece, layout, size) }, layout.size(), size)
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(piece, layout) };
    }
}
