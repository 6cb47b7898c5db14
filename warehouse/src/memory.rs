//! What the process holds of memory, and how much it may: queries end before the system ends the process.

mod allocator;

use std::fs;
use std::sync::OnceLock;

pub use allocator::{Guarded, RAN_OUT, keep_few_regions, was_refused};
pub(crate) use allocator::{hold_back, of_queries, tidy};

use store::limits;

/// How much may be held, in bytes; a bound that nobody gives is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ceiling {
    resident: Option<u64>,
    /// Addresses, which `ulimit -v` bounds: an allocation beyond it ends the process.
    space: Option<u64>,
    page: u64,
}

/// What of a bound queries may reserve: sorts and hash tables hold up to twice that while they grow, and what plans and
/// functions hold is reserved by nobody.
const RESERVED: u64 = 5;

/// Whether `more` bytes beside what the process holds would be more than it may hold. False where the system does
/// not tell.
pub(crate) fn full(more: u64) -> bool {
    crowded(more, 0)
}

/// The same, where pieces of so many bytes were given that may not have been touched yet.
fn crowded(more: u64, pieces: u64) -> bool {
    static CEILING: OnceLock<Ceiling> = OnceLock::new();
    let ceiling = CEILING.get_or_init(ceiling);
    let Some((space, resident)) = pages() else { return false };
    let over =
        |pages: u64, most: Option<u64>| most.is_some_and(|m| (pages * ceiling.page).saturating_add(more) > m);
    // Freed small pieces keep their addresses, in which the next ones find room.
    let taken = || space.saturating_sub(allocator::unused() / ceiling.page);
    over(resident.max(pieces / ceiling.page), ceiling.resident)
        || (over(space, ceiling.space) && over(taken(), ceiling.space))
}

/// Bytes that all queries together may reserve, of the `wanted` ones, under the bounds of this process.
pub(crate) fn affordable(wanted: usize) -> usize {
    let given = [Some(limits().resident_bytes).filter(|b| *b > 0), address_space(), cgroup()];
    match given.into_iter().flatten().min() {
        Some(least) => wanted.min((least / RESERVED) as usize),
        None => wanted,
    }
}

fn ceiling() -> Ceiling {
    let resident = match limits().resident_bytes {
        0 => {
            let free = available().map(|free| free + status("VmRSS:").unwrap_or(0));
            [free, cgroup()].into_iter().flatten().min().map(|most| most / 4 * 3)
        }
        bytes => Some(bytes),
    };
    // Stacks and the allocator's arenas are address space that nothing touches, so more of it may be taken.
    let space = address_space().map(|most| most / 8 * 7);
    let page = match (status("VmSize:"), pages()) {
        (Some(bytes), Some((pages, _))) if pages > 0 => (bytes / pages).next_power_of_two().max(4096),
        _ => 4096,
    };
    Ceiling { resident, space, page }
}

/// Pages of address space, and those of them in memory.
fn pages() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut fields = text.split_ascii_whitespace().map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

fn status(key: &str) -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, key)
}

fn available() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// `Key:   123 kB`, in bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kb| kb << 10)
}

fn address_space() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn cgroup() -> Option<u64> {
    let most = |path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let found =
        most("/sys/fs/cgroup/memory.max").or_else(|| most("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    // The old hierarchy writes "no limit" as a number near 2^63.
    found.filter(|bytes| *bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_is_held() {
        let Some((space, resident)) = pages() else { return };
        assert!(space >= resident && resident > 0);
        assert!(!full(0));
        assert!(ceiling().resident.is_none() || full(1 << 60));
        assert_eq!(kilobytes("VmSize:\t  12 kB\nVmRSS:\t   3 kB\n", "VmRSS:"), Some(3 << 10));
    }

    #[test]
    fn a_pool_never_takes_more_than_it_was_given() {
        assert!(affordable(1 << 20) <= 1 << 20);
    }
}
