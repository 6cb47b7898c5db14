//! Refuses damaged archives and zip bombs before a spreadsheet reader opens them.
//!
//! The archive is walked by the library that the spreadsheet reader itself uses, so that both see the same parts
//! whatever an archive says twice; each part is unpacked into nothing and counted. Declared sizes are not believed.

use std::io::{Cursor, Read, Seek, Write};

use bytes::Bytes;
use zip::ZipArchive;

/// Parts of an archive.
const PARTS: usize = 20_000;
/// Unpacked size of all parts together.
const TOTAL: u64 = 2 << 30;
/// Above this size the packing ratio counts too: XML packs 10 to 40 times, bombs 1000 times.
const FREE: u64 = 128 << 20;
const RATIO: u64 = 200;
/// The strings of a workbook are held in memory, and so is all of an OpenDocument sheet.
const HELD: u64 = 256 << 20;
/// Tags of a part that is held in memory: each makes a string, a style, a cell.
const TAGS_HELD: u64 = 12 << 20;
/// Tags of styles, of the list of sheets and of relations: each makes a large entry in memory.
const TAGS_SMALL: u64 = 600_000;
const SMALL: u64 = 64 << 20;
/// Merged regions of a sheet.
const REGIONS: u64 = 1_000_000;

/// What an archive holds.
pub(crate) struct Contents {
    names: Vec<String>,
}

impl Contents {
    pub(crate) fn has(&self, start: &str) -> bool {
        self.names.iter().any(|n| n.starts_with(start))
    }

    pub(crate) fn parts(&self) -> usize {
        self.names.len()
    }
}

/// Unpacks every part into nothing, counting.
///
/// # Errors
/// What is wrong with the archive, in words.
pub(crate) fn check(zip: &Bytes) -> Result<Contents, String> {
    let mut archive = ZipArchive::new(Cursor::new(zip.clone()))
        .map_err(|_| "the archive has no end: it is cut off or not an xlsx file".to_owned())?;
    if archive.len() > PARTS {
        return Err(format!("its archive has {} parts, more than {PARTS}", archive.len()));
    }
    let mut total = 0u64;
    let mut names = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let (name, size) = part(&mut archive, i, zip.len() as u64, total)?;
        total += size;
        names.push(name);
    }
    Ok(Contents { names })
}

fn part<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    i: usize,
    packed: u64,
    before: u64,
) -> Result<(String, u64), String> {
    let mut part = archive.by_index(i).map_err(|e| match e {
        zip::result::ZipError::UnsupportedArchive(why) => {
            format!("one of its parts cannot be unpacked: {why}")
        }
        e => format!("the archive's directory is damaged: {e}"),
    })?;
    let name: String = String::from_utf8_lossy(part.name_raw()).chars().take(200).collect();
    let mut count = Count::of(&name);
    let unsafe_size = |size: u64| {
        format!(
            "it unpacks to more than is safe ({} MiB from {} MiB in part `{name}`); save it without what it does not need, or as CSV",
            (before + size) >> 20,
            packed >> 20
        )
    };
    let mut block = vec![0u8; 64 << 10];
    loop {
        let got = match part.read(&mut block) {
            Ok(0) => break,
            Ok(got) => got,
            // Pictures and other extras are not read: their damage is nobody's.
            Err(_) if !is_read(&name) => break,
            Err(_) => return Err(format!("its part `{name}` is damaged or cut off")),
        };
        count.write_all(&block[..got]).map_err(|e| e.to_string())?;
        let all = before + count.bytes;
        if all >= TOTAL || (all > FREE && all / packed.max(1) > RATIO) || count.bytes > count.most {
            return Err(unsafe_size(count.bytes));
        }
        if count.regions > REGIONS {
            return Err(format!("its part `{name}` has more than {REGIONS} merged regions; save it as CSV"));
        }
        if count.tags > count.most_tags {
            return Err(format!(
                "its part `{name}` has more than {} entries; save it as CSV",
                count.most_tags
            ));
        }
        let most = store::limits().value_bytes as u64;
        if count.marked && (count.text > most || count.item > most) {
            return Err(format!(
                "its part `{name}` has a value larger than {} MiB (`limits: value_bytes` of guanlan.yaml)",
                most >> 20
            ));
        }
    }
    Ok((name, count.bytes))
}

/// Parts that are read: damage in another one does not matter.
fn is_read(name: &str) -> bool {
    [".xml", ".rels", ".bin", "mimetype"].iter().any(|end| name.to_lowercase().ends_with(end))
        && !name.contains("media/")
}

/// Counts what a part would cost: bytes, tags, the longest text and the longest cell.
struct Count {
    bytes: u64,
    tags: u64,
    /// Bytes since the last tag began.
    text: u64,
    /// Bytes since a cell or string began; none outside.
    item: u64,
    inside: bool,
    regions: u64,
    /// The beginning of the tag at hand, until its end.
    tag: Option<([u8; 24], usize)>,
    marked: bool,
    most: u64,
    most_tags: u64,
}

impl Count {
    fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        let marked = name.ends_with(".xml") || name.ends_with(".rels");
        let held = name.contains("sharedstrings") || name.ends_with("content.xml");
        let small = ["styles", "workbook", ".rels", "content_types", "manifest", "meta"]
            .iter()
            .any(|s| name.contains(s));
        Count {
            bytes: 0,
            tags: 0,
            text: 0,
            item: 0,
            inside: false,
            regions: 0,
            tag: None,
            marked,
            // Binary strings take fewer bytes each.
            most: match (held, small) {
                (true, _) => {
                    if marked {
                        HELD
                    } else {
                        HELD / 2
                    }
                }
                (false, true) if marked => SMALL,
                _ => u64::MAX,
            },
            most_tags: if held {
                TAGS_HELD
            } else if small && marked {
                TAGS_SMALL
            } else {
                u64::MAX
            },
        }
    }

    fn end_of_tag(&mut self, tag: &[u8]) {
        let closing = tag.first() == Some(&b'/');
        let name = tag.strip_prefix(b"/").unwrap_or(tag);
        let name =
            name.split(|b| b.is_ascii_whitespace() || *b == b'/' || *b == b'>').next().unwrap_or_default();
        let name = name.rsplit(|b| *b == b':').next().unwrap_or_default();
        self.regions += u64::from(name == b"mergeCell");
        if matches!(name, b"c" | b"si" | b"table-cell" | b"covered-table-cell") {
            self.item = 0;
            self.inside = !closing;
        } else if matches!(name, b"row" | b"table-row" | b"sheetData") {
            self.item = 0;
            self.inside = false;
        }
    }
}

impl Write for Count {
    fn write(&mut self, block: &[u8]) -> std::io::Result<usize> {
        self.bytes += block.len() as u64;
        if !self.marked {
            return Ok(block.len());
        }
        let mut rest = block;
        while !rest.is_empty() {
            let (part, ended) = match &mut self.tag {
                None => match rest.iter().position(|b| *b == b'<') {
                    Some(at) => (at + 1, false),
                    None => (rest.len(), false),
                },
                Some((name, length)) => match rest.iter().position(|b| *b == b'>') {
                    Some(at) => {
                        let room = (name.len() - *length).min(at);
                        name[*length..*length + room].copy_from_slice(&rest[..room]);
                        *length += room;
                        (at + 1, true)
                    }
                    None => {
                        let room = (name.len() - *length).min(rest.len());
                        name[*length..*length + room].copy_from_slice(&rest[..room]);
                        *length += room;
                        (rest.len(), false)
                    }
                },
            };
            self.text += part as u64;
            if self.inside {
                self.item += part as u64;
            }
            if ended {
                if let Some((name, length)) = self.tag.take() {
                    self.end_of_tag(&name[..length]);
                }
            } else if self.tag.is_none() && rest[part - 1] == b'<' {
                self.tag = Some(([0; 24], 0));
                self.tags += 1;
                self.text = 0;
            }
            // A text too long is told by the caller before it grows further.
            rest = &rest[part..];
        }
        Ok(block.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(name: &str, text: &str) -> Count {
        let mut count = Count::of(name);
        // In small blocks: tags are cut anywhere.
        text.as_bytes().chunks(3).for_each(|c| count.write_all(c).unwrap());
        count
    }

    #[test]
    fn texts_cells_and_tags_are_counted_across_blocks() {
        let count = counted("xl/worksheets/sheet1.xml", "<row><x:c r=\"A1\"><is><t>abc</t><t>defg");
        assert_eq!((count.tags, count.text, count.inside), (6, 6, true));
        assert_eq!(count.item, "<is><t>abc</t><t>defg".len() as u64);
        let count = counted("xl/worksheets/sheet1.xml", "<c><v>1</v></c><mergeCells>");
        assert!(!count.inside && count.item == 0);
        assert_eq!(counted("xl/media/image1.png", "<<<").tags, 0);
    }
}
