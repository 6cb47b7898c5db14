//! Compound files (`.xls`, and encrypted workbooks of every kind): what is inside, and how large its sheets would
//! become. The reader of old workbooks holds each sheet as a full rectangle: two cells in opposite corners of a sheet
//! are 16 million cells in memory, so the corners are measured before.

use std::collections::HashSet;

/// Bytes of one entry of the directory.
const ENTRY: usize = 128;
/// Values from here on end a chain.
const LAST: u32 = 0xFFFF_FFFA;
/// Cells of all sheets together, as rectangles.
const CELLS: u64 = 12_000_000;

/// A compound file.
pub(super) struct Compound<'b> {
    bytes: &'b [u8],
    sector: usize,
    fat: Vec<u32>,
    mini_fat: Vec<u32>,
    mini: Vec<u8>,
    cutoff: u64,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    start: u32,
    size: u64,
}

impl<'b> Compound<'b> {
    /// Reads the directory; `None` when it is damaged.
    pub(super) fn open(bytes: &'b [u8]) -> Option<Self> {
        if !bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
            return None;
        }
        let shift = u16_at(bytes, 30)?;
        if !(7..=16).contains(&shift) {
            return None;
        }
        let mut file = Compound {
            bytes,
            sector: 1 << shift,
            fat: Vec::new(),
            mini_fat: Vec::new(),
            mini: Vec::new(),
            cutoff: u64::from(u32_at(bytes, 56)?),
            entries: Vec::new(),
        };
        let mut fat_sectors: Vec<u32> = (0..109).filter_map(|i| u32_at(bytes, 76 + i * 4)).collect();
        let (mut next, mut left) = (u32_at(bytes, 68)?, bytes.len() / file.sector);
        while next < LAST && left > 0 {
            let words = words(file.at(next)?);
            let (more, link) = words.split_at(words.len().checked_sub(1)?);
            fat_sectors.extend(more);
            next = link[0];
            left -= 1;
        }
        // A table that says more than the file has sectors is a trap: the same sector over and over.
        let sectors = bytes.len() / file.sector + 1;
        for id in fat_sectors.into_iter().filter(|id| *id < LAST) {
            let sector = words(file.at(id)?);
            file.fat.extend(sector);
            if file.fat.len() > sectors * 2 + (1 << 16) {
                return None;
            }
        }
        let directory = file.chain(u32_at(bytes, 48)?, u64::MAX)?;
        for entry in directory.chunks_exact(ENTRY) {
            let length = usize::from(u16_at(entry, 64)?).min(64);
            let units: Vec<u16> =
                entry[..length].chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
            let name = String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned();
            file.entries.push(Entry {
                name,
                start: u32_at(entry, 116)?,
                size: u64::from(u32_at(entry, 120)?),
            });
        }
        file.mini_fat = file.chain(u32_at(bytes, 60)?, u64::MAX).map(|c| words(&c)).unwrap_or_default();
        let root = file.entries.first().map(|root| (root.start, root.size));
        file.mini = root.and_then(|(start, size)| file.chain(start, size)).unwrap_or_default();
        Some(file)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|e| e.name == name)
    }

    fn at(&self, sector: u32) -> Option<&'b [u8]> {
        let from = (sector as usize).checked_add(1)?.checked_mul(self.sector)?;
        self.bytes.get(from..(from + self.sector).min(self.bytes.len())).filter(|s| !s.is_empty())
    }

    fn chain(&self, start: u32, size: u64) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let (mut next, mut seen) = (start, HashSet::new());
        while next < LAST && (out.len() as u64) < size {
            if !seen.insert(next) {
                return None;
            }
            out.extend_from_slice(self.at(next)?);
            next = *self.fat.get(next as usize)?;
        }
        out.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        Some(out)
    }

    fn stream(&self, name: &str) -> Option<Vec<u8>> {
        let entry = self.entries.iter().find(|e| e.name == name)?;
        if entry.size >= self.cutoff {
            return self.chain(entry.start, entry.size);
        }
        let mut out = Vec::new();
        let (mut next, mut left) = (entry.start, self.mini_fat.len() + 1);
        while next < LAST && (out.len() as u64) < entry.size && left > 0 {
            let from = next as usize * 64;
            out.extend_from_slice(self.mini.get(from..(from + 64).min(self.mini.len()))?);
            next = *self.mini_fat.get(next as usize)?;
            left -= 1;
        }
        Some(out)
    }

    /// Whether the sheets fit into memory as rectangles.
    ///
    /// # Errors
    /// They do not; in words.
    pub(super) fn measure(&self) -> Result<(), String> {
        let name = if self.has("Workbook") { "Workbook" } else { "Book" };
        let Some(stream) = self.stream(name) else {
            return Err("its sectors run in a circle or are missing".into());
        };
        let cells = cells_of(&stream);
        match cells > CELLS {
            true => Err(format!(
                "its sheets span {cells} cells, more than {CELLS}; save it as xlsx, or remove the cells far from the table"
            )),
            false => Ok(()),
        }
    }
}

/// Cells of all sheets of a workbook's stream, each sheet as the rectangle around its cells. Several sheets may begin
/// at one place: each counts, as the reader holds each.
fn cells_of(stream: &[u8]) -> u64 {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some((kind, data, next)) = record(stream, at) {
        if kind == 0x0085 {
            starts.extend(u32_at(data, 0).map(|start| start as usize));
        }
        at = next;
    }
    if starts.is_empty() {
        starts.push(0);
    }
    let (mut cells, mut walked) = (0u64, 0usize);
    for start in starts {
        let (area, end) = sheet(stream, start);
        cells += area;
        walked += end.saturating_sub(start);
        if cells > CELLS || walked > stream.len().saturating_mul(4) {
            return cells.max(CELLS + 1);
        }
    }
    cells
}

/// The record at a place: its kind, its data, and where the next one is.
fn record(stream: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let (kind, length) = (u16_at(stream, at)?, usize::from(u16_at(stream, at.checked_add(2)?)?));
    let data = stream.get(at + 4..(at + 4 + length).min(stream.len())).unwrap_or_default();
    Some((kind, data, at + 4 + length))
}

/// The rectangle around the cells of the sheet that begins at a place, and where it ends.
fn sheet(stream: &[u8], start: usize) -> (u64, usize) {
    let mut corners: Option<(u64, u64, u64, u64)> = None;
    let mut at = start;
    while let Some((kind, data, next)) = record(stream, at) {
        at = next;
        match kind {
            // The end of a sheet.
            0x000A => break,
            // Cells: formula, number, label, string, boolean, RK, and several RK in a row.
            0x0006 | 0x0203 | 0x0003 | 0x0204 | 0x0004 | 0x00FD | 0x00D6 | 0x0205 | 0x0005 | 0x027E
            | 0x007E | 0x0002 | 0x00BD | 0x0406 | 0x0206 => {
                let (Some(row), Some(column)) = (u16_at(data, 0), u16_at(data, 2)) else { continue };
                let (row, column) = (u64::from(row), u64::from(column));
                let end = match kind {
                    0x00BD => {
                        u16_at(data, data.len().saturating_sub(2)).map_or(column, u64::from).max(column)
                    }
                    _ => column,
                };
                corners = Some(match corners {
                    None => (row, row, column, end),
                    Some((a, b, c, d)) => (a.min(row), b.max(row), c.min(column), d.max(end)),
                });
            }
            _ => {}
        }
    }
    (area(corners), at)
}

fn area(corners: Option<(u64, u64, u64, u64)>) -> u64 {
    corners.map_or(0, |(a, b, c, d)| (b - a + 1) * (d - c + 1))
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_corners_of_a_sheet_are_all_its_cells() {
        let record = |kind: u16, data: &[u8]| {
            [kind.to_le_bytes().as_slice(), &(data.len() as u16).to_le_bytes(), data].concat()
        };
        let number = |row: u16, column: u16| {
            record(0x0203, &[row.to_le_bytes().as_slice(), &column.to_le_bytes(), &[0; 10]].concat())
        };
        let (begin, end) = (record(0x0809, &[0; 16]), record(0x000A, &[]));
        let sheet = [begin.clone(), number(0, 0), number(65_535, 255), end.clone()].concat();
        assert_eq!(cells_of(&sheet), CELLS.max(65_536 * 256));
        // Two sheets at one place count twice.
        let at = |start: u32| record(0x0085, &[start.to_le_bytes().as_slice(), &[0; 6]].concat());
        let small = [begin.clone(), number(0, 0), number(999, 9), end.clone()].concat();
        let globals = 2 * at(0).len() as u32 + end.len() as u32;
        let book = [at(globals), at(globals), end.clone(), small].concat();
        assert_eq!(cells_of(&book), 2 * 10_000);
        // Several numbers in a row: the last column stands at the end.
        let several = record(0x00BD, &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0]);
        assert_eq!(cells_of(&[begin, several, end].concat()), 8);
        assert!(Compound::open(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1]).is_none());
    }
}
