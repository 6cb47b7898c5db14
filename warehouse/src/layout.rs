//! Into how many files a table's rows are laid, and which of them are merged: decisions without effects.
//!
//! **Rows that are only added** come in many small files. Files of one size class are merged as soon as there are
//! [`WAYS`] of them, so that a byte is written once a class and never again and again with every few rows.
//!
//! **Rows that change by their key** are written again with all rows of their file, because every reader of Delta
//! understands that. What changed lately changes again soon, and what rested stays at rest. So fresh files stay as
//! small as a change is ([`CLASSES`]) and grow together only by resting; a large file that is touched is cut, in the
//! order of its key, into [`PIECES`]: the next change near by finds a small one.

use std::time::Duration;

/// Files of a class that are merged together.
pub(crate) const WAYS: usize = 16;
/// Pieces into which a touched file is cut.
const PIECES: u64 = 32;
/// A file of this size stays as it is: large enough to scan fast.
const LARGE: u64 = 16 << 20;
/// The most bytes of one merge.
const MERGED: u64 = 256 << 20;
/// Rows that are never worth a file of their own.
const LEAST: u64 = 16;
/// Rows of a file of rows that lie in the order of their key and have not changed yet.
pub(crate) const BULK: usize = 65_536;
/// The last rows in that order, which are the likeliest to change where keys count up: they are laid in ever
/// smaller files.
pub(crate) const TAIL: usize = 32_768;
/// The same in bytes held in memory.
pub(crate) const TAIL_BYTES: usize = 32 << 20;

const DAY: u64 = 86_400;
/// How long a file of a keyed table has rested, and up to how many rows it may grow then.
const CLASSES: [(u64, u64); 5] =
    [(DAY, 16), (3 * DAY, 64), (14 * DAY, 512), (90 * DAY, 8192), (u64::MAX, BULK as u64)];
/// Files of a class of a keyed table that are never too many: beyond that the class takes more rows a file.
const CROWD: u64 = 96;
/// Smallest number of files of a keyed table that are merged.
const FEW: usize = 4;

/// What a decision knows of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub rows: u64,
    pub bytes: u64,
    /// Since its newest row was written.
    pub rested: Duration,
}

/// Rows up to which the rests of touched files share a file, when `changed` rows come.
pub(crate) fn room(changed: u64) -> u64 {
    LEAST.max(changed / 2)
}

/// Rows of each piece into which a touched file of `rows` is cut.
pub(crate) fn piece(rows: u64, changed: u64) -> u64 {
    room(changed).max(rows / PIECES)
}

/// Sizes of the files in which the last `rows` rows of an order are laid: each half of what is left.
pub(crate) fn halves(mut rows: usize) -> Vec<usize> {
    let mut sizes = vec![];
    while rows > 2 * LEAST as usize {
        sizes.push(rows / 2);
        rows -= rows / 2;
    }
    sizes.push(rows);
    sizes
}

/// The files (by their place) that are merged into one next; `None` when the table is well laid.
pub(crate) fn merge(parts: &[Part], keyed: bool) -> Option<Vec<usize>> {
    if keyed { merge_rested(parts) } else { merge_class(parts) }
}

/// 16 files of a class together are one of the next.
fn class(bytes: u64) -> u32 {
    bytes.max(1).ilog2() / WAYS.ilog2()
}

/// The smallest class that is full, and with it every class that its merging would fill.
fn merge_class(parts: &[Part]) -> Option<Vec<usize>> {
    let mut classes: Vec<Vec<usize>> = vec![vec![]; class(u64::MAX) as usize + 1];
    for (place, part) in parts.iter().enumerate().filter(|(_, p)| p.bytes < LARGE) {
        classes[class(part.bytes) as usize].push(place);
    }
    let full = classes.iter().position(|places| places.len() >= WAYS)?;
    let bytes_of = |places: &[usize]| places.iter().map(|p| parts[*p].bytes).sum::<u64>();
    let mut chosen: Vec<usize> = vec![];
    let mut bytes = 0;
    for place in &classes[full] {
        if bytes + parts[*place].bytes > MERGED {
            break;
        }
        bytes += parts[*place].bytes;
        chosen.push(*place);
    }
    for (at, parts_of) in classes.iter().enumerate().skip(full + 1) {
        let more = bytes_of(parts_of);
        if at as u32 != class(bytes) || parts_of.len() + 1 < WAYS || bytes + more > MERGED {
            continue;
        }
        bytes += more;
        chosen.extend(parts_of);
    }
    chosen.sort_unstable();
    Some(chosen)
}

/// Neighbours in time of one class of rest, as many as a file of the class may hold.
fn merge_rested(parts: &[Part]) -> Option<Vec<usize>> {
    let mut from = 0;
    for (until, rows) in CLASSES {
        let rests = from..until;
        from = until;
        let mut class: Vec<usize> =
            (0..parts.len()).filter(|p| rests.contains(&parts[*p].rested.as_secs())).collect();
        class.sort_by_key(|p| std::cmp::Reverse(parts[*p].rested));
        let all: u64 = class.iter().map(|p| parts[*p].rows).sum();
        let most = rows.max(all / CROWD);
        let small = |p: &usize| parts[*p].rows * 2 <= most && parts[*p].bytes < LARGE;
        let (mut run, mut held, mut bytes): (Vec<usize>, u64, u64) = (vec![], 0, 0);
        for place in class.into_iter().filter(small) {
            let part = parts[place];
            if held + part.rows > most || bytes + part.bytes > MERGED {
                if run.len() >= FEW {
                    break;
                }
                (run, held, bytes) = (vec![], 0, 0);
            }
            run.push(place);
            held += part.rows;
            bytes += part.bytes;
        }
        if run.len() >= WAYS / 2 || (run.len() >= FEW && held * 2 > most) {
            run.sort_unstable();
            return Some(run);
        }
    }
    None
}

#[cfg(test)]
#[path = "layout/tests.rs"]
mod tests;
