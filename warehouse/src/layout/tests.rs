//! The decisions played through without a store.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Seeded, so that a failure replays.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// Most are short, a few are long.
    fn long_tailed(&mut self, usual: u64) -> u64 {
        let u = (self.below(1_000_000) + 1) as f64 / 1_000_001.0;
        ((usual as f64) * (1.0 / u).powf(0.8) * 0.5) as u64
    }
}

/// Appends commits and merges after every `every`-th; answers bytes written a byte landed, and the most files.
fn appended(commits: u64, every: u64, size: impl Fn(u64) -> u64) -> (f64, usize) {
    let mut files: Vec<Part> = vec![];
    let (mut landed, mut written, mut most) = (0u64, 0u64, 0usize);
    for n in 0..commits {
        let bytes = size(n);
        landed += bytes;
        written += bytes;
        files.push(Part { rows: 5, bytes, rested: Duration::ZERO });
        if n % every == every - 1 {
            most = most.max(files.len());
            while let Some(run) = merge(&files, false) {
                let all: Vec<Part> = run.iter().map(|p| files[*p]).collect();
                let bytes = all.iter().map(|p| p.bytes).sum();
                written += bytes;
                let gone: BTreeSet<usize> = run.into_iter().collect();
                let mut place = 0;
                files.retain(|_| {
                    place += 1;
                    !gone.contains(&(place - 1))
                });
                files.push(Part { rows: all.iter().map(|p| p.rows).sum(), bytes, rested: Duration::ZERO });
            }
        }
    }
    (written as f64 / landed as f64, most.max(files.len()))
}

#[test]
fn a_byte_of_a_hundred_thousand_commits_is_written_at_most_five_times() {
    for every in [1, 7, 60, 400] {
        for (name, size) in
            [("2 KiB", 2_000u64), ("4 KiB and a bit", 4_200), ("60 KB", 60_000), ("1 MB", 1 << 20)]
        {
            let (times, files) = appended(100_000, every, |n| size + n % 700);
            assert!(times <= 5.0, "{name}, merged after {every}: {times} bytes a byte");
            assert!(
                files as u64 <= 5 * WAYS as u64 + every + 100_000 * size / LARGE,
                "{name}: {files} files"
            );
        }
    }
}

struct File {
    ids: BTreeSet<u64>,
    written: u64,
}

impl File {
    fn part(&self, now: u64) -> Part {
        let rows = self.ids.len() as u64;
        Part { rows, bytes: rows * 60 + 2_000, rested: Duration::from_secs(now - self.written) }
    }
}

/// A keyed table of documents: each comes, is opened and is finished, most within hours, some after days. Answers
/// rows written again by landings and by merging, a row changed, and the most files.
fn changed(a_day: u64, known: u64, days: u64, whole: bool) -> (f64, f64, usize) {
    let mut random = Random(a_day);
    let mut events: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    const STEP: u64 = 300;
    let end = days * DAY;
    for n in 0..a_day * (days + 10) {
        // Ten days before the first commit already have documents that are still open.
        let at = n * DAY / a_day;
        let opened = at + random.long_tailed(2 * 3600).min(6 * DAY);
        let finished = opened + random.long_tailed(600);
        for moment in [at, opened, finished] {
            if let Some(moment) = moment.checked_sub(10 * DAY).filter(|m| *m < end) {
                events.entry(moment / STEP).or_default().push(n);
            }
        }
    }
    // What was landed whole, in the order of its key.
    let before: Vec<u64> = (0..10 * a_day).collect();
    let old: Vec<u64> = (1_000_000_000..1_000_000_000 + known).collect();
    let mut files: Vec<File> = vec![];
    if whole {
        files.push(File { ids: before.iter().chain(&old).copied().collect(), written: 0 });
    } else {
        let all: Vec<u64> = old.into_iter().chain(before).collect();
        let (bulk, tail) = all.split_at(all.len().saturating_sub(TAIL));
        files.extend(bulk.chunks(BULK).map(|ids| File { ids: ids.iter().copied().collect(), written: 0 }));
        let mut rest = tail;
        for size in halves(tail.len()) {
            let (ids, more) = rest.split_at(size);
            files.push(File { ids: ids.iter().copied().collect(), written: 0 });
            rest = more;
        }
    }
    let start = 100 * DAY;
    let (mut rows, mut again, mut merged, mut most) = (0u64, 0u64, 0u64, 0usize);
    for (step, ids) in events {
        let now = start + step * STEP;
        let ids: BTreeSet<u64> = ids.into_iter().collect();
        rows += ids.len() as u64;
        let (touched, rest): (Vec<File>, Vec<File>) =
            files.into_iter().partition(|f| ids.iter().any(|id| f.ids.contains(id)));
        files = rest;
        let mut shared: Vec<u64> = vec![];
        let cut = |files: &mut Vec<File>, ids: &[u64], size: u64| {
            files.extend(
                ids.chunks(size as usize).map(|c| File { ids: c.iter().copied().collect(), written: now }),
            );
        };
        for file in touched {
            let size = file.ids.len() as u64;
            let stays: Vec<u64> = file.ids.difference(&ids).copied().collect();
            again += stays.len() as u64;
            if whole || size <= room(ids.len() as u64) {
                shared.extend(stays);
            } else {
                cut(&mut files, &stays, piece(size, ids.len() as u64));
            }
        }
        let size = if whole { u64::MAX >> 1 } else { room(ids.len() as u64) };
        cut(&mut files, &shared, size);
        files.push(File { ids, written: now });
        most = most.max(files.len());
        if step % 6 == 0 {
            let next = |files: &[File]| match whole {
                true => (files.len() >= 4).then(|| (0..files.len()).collect()),
                false => merge(&files.iter().map(|f| f.part(now)).collect::<Vec<_>>(), true),
            };
            while let Some(run) = next(&files) {
                let run: BTreeSet<usize> = run.into_iter().collect();
                let mut one = File { ids: BTreeSet::new(), written: 0 };
                let mut kept = vec![];
                for (place, mut file) in files.into_iter().enumerate() {
                    if run.contains(&place) {
                        one.written = one.written.max(file.written);
                        one.ids.append(&mut file.ids);
                    } else {
                        kept.push(file);
                    }
                }
                merged += one.ids.len() as u64;
                kept.push(one);
                files = kept;
            }
        }
    }
    (again as f64 / rows as f64, merged as f64 / rows as f64, most)
}

#[test]
fn a_changed_row_takes_few_rows_along() {
    for (a_day, known) in [(300, 100_000), (2_000, 100_000), (300, 1_000_000)] {
        let (again, merged, files) = changed(a_day, known, 6, false);
        println!(
            "{a_day} a day beside {known}: {again:.1} rows again, {merged:.1} merged a row, {files} files at most"
        );
        assert!(again <= 20.5 && merged <= 17.0, "{again} + {merged}");
        assert!(files < 600 + (known as usize / BULK), "{files} files");
    }
    let (again, merged, _) = changed(300, 100_000, 6, true);
    println!("one file for all: {again:.1} rows again, {merged:.1} merged a row");
    assert!(again > 1_000.0);
}

#[test]
fn sizes_of_pieces_add_up() {
    for rows in [0, 1, 31, 64, 65, 1000, TAIL] {
        assert_eq!(halves(rows).iter().sum::<usize>(), rows);
    }
    assert_eq!((room(4), piece(1_600, 4), piece(100_000, 4)), (16, 50, 3_125));
}
