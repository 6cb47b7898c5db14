//! Refuses damaged archives and zip bombs before a spreadsheet reader opens them.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// Unpacked size of all entries together.
const TOTAL: u64 = 2 << 30;
/// Above this size the packing ratio counts too: XML packs 10 to 40 times, bombs 1000 times.
const FREE: u64 = 128 << 20;
const RATIO: u64 = 200;
/// The strings of a workbook are held in memory.
const STRINGS: u64 = 384 << 20;

/// Unpacks every entry into nothing, counting. Declared sizes are not believed.
///
/// # Errors
/// What is wrong with the archive, in words.
pub(crate) fn check(zip: &[u8]) -> Result<(), String> {
    let (mut at, entries) =
        directory(zip).ok_or("the archive has no end: it is cut off or not an xlsx file")?;
    let mut total = 0u64;
    for _ in 0..entries {
        let head = zip
            .get(at..at + 46)
            .filter(|h| h.starts_with(b"PK\x01\x02"))
            .ok_or("the archive's directory is damaged")?;
        let (method, packed) = (u16_at(head, 10), u32_at(head, 20) as usize);
        let (name_len, extra, comment) =
            (u16_at(head, 28) as usize, u16_at(head, 30) as usize, u16_at(head, 32) as usize);
        let local = u32_at(head, 42) as usize;
        let name =
            String::from_utf8_lossy(zip.get(at + 46..at + 46 + name_len).unwrap_or_default()).into_owned();
        at += 46 + name_len + extra + comment;
        let size = unpacked(zip, local, packed, method, TOTAL - total)
            .ok_or_else(|| format!("its part `{name}` is damaged or cut off"))?;
        total += size;
        let bomb = total >= TOTAL
            || (total > FREE && total / zip.len().max(1) as u64 > RATIO)
            || (name.ends_with("sharedStrings.xml") && size > STRINGS);
        if bomb {
            return Err(format!(
                "it unpacks to more than is safe ({} MiB from {} MiB in part `{name}`)",
                total >> 20,
                zip.len() >> 20
            ));
        }
    }
    Ok(())
}

/// Offset and number of entries of the central directory.
fn directory(zip: &[u8]) -> Option<(usize, usize)> {
    let from = zip.len().saturating_sub(22 + 65_535);
    let end = (from..=zip.len().checked_sub(22)?).rev().find(|i| zip[*i..].starts_with(b"PK\x05\x06"))?;
    let tail = &zip[end..];
    Some((u32_at(tail, 16) as usize, u16_at(tail, 10) as usize))
}

/// Unpacked size of one entry, counted up to `limit`; `None` when it cannot be unpacked.
fn unpacked(zip: &[u8], local: usize, packed: usize, method: u16, limit: u64) -> Option<u64> {
    let head = zip.get(local..local + 30).filter(|h| h.starts_with(b"PK\x03\x04"))?;
    let from = local + 30 + u16_at(head, 26) as usize + u16_at(head, 28) as usize;
    let data = zip.get(from..from.checked_add(packed)?)?;
    match method {
        0 => Some(packed as u64),
        8 => std::io::copy(&mut DeflateDecoder::new(data).take(limit), &mut std::io::sink()).ok(),
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
