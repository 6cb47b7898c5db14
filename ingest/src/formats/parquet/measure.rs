//! What reading a Parquet file would cost, from its footer and the heads of its pages, before anything is unpacked.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use parquet::file::metadata::ParquetMetaData;

use super::thrift::{PageHead, is_sound};
use crate::error::SourceError;
use crate::formats::encoding::unreadable;

const FOOTER_BYTES: u64 = 64 << 20;
/// One page, and the largest pages of all columns of a row group together: they are in memory at the same time.
const PAGE_BYTES: u64 = 256 << 20;
const PAGES_BYTES: u64 = 512 << 20;
/// Values of a list column that may be packed into less than a byte each.
const DENSE_VALUES: u64 = 4 << 20;
/// Rows that a file may pack into few bytes: more than any constant column does.
const DENSE_ROWS: u64 = 100_000_000;
const ROWS_PER_BYTE: u64 = 10_000;

/// Checks the footer before it is parsed.
///
/// # Errors
/// It is cut off, encrypted, too large, or declares more than it holds.
pub(super) fn footer(mut file: &File) -> Result<(), SourceError> {
    let damaged = |what: &str| SourceError::never(format!("damaged Parquet: {what}; ask for the file again"));
    let size = file.metadata().map_err(unreadable)?.len();
    if size < 12 {
        return Err(damaged("the file is too small"));
    }
    let mut tail = [0u8; 8];
    file.seek(SeekFrom::Start(size - 8)).map_err(unreadable)?;
    file.read_exact(&mut tail).map_err(unreadable)?;
    match &tail[4..] {
        b"PAR1" => {}
        b"PARE" => {
            return Err(SourceError::never(
                "it is an encrypted Parquet file, which is not read; write it without encryption",
            ));
        }
        _ => return Err(damaged("it does not end as a Parquet file: it is cut off or something else")),
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if length > FOOTER_BYTES {
        return Err(SourceError::never(format!(
            "its footer takes {} MiB, more than {} MiB; write fewer columns or row groups into one file",
            length >> 20,
            FOOTER_BYTES >> 20
        )));
    }
    let Some(start) = (size - 8).checked_sub(length) else { return Err(damaged("its footer is cut off")) };
    let mut bytes = vec![0u8; length as usize];
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    file.read_exact(&mut bytes).map_err(unreadable)?;
    match is_sound(&bytes) {
        true => Ok(()),
        false => Err(damaged("its footer contradicts itself")),
    }
}

/// Checks columns, rows and the pages of every row group.
///
/// # Errors
/// Something of it is larger than is read; in words that name column, limit and remedy.
pub(super) fn pages(file: &File, meta: &ParquetMetaData) -> Result<(), SourceError> {
    let size = file.metadata().map_err(unreadable)?.len();
    let rows = u64::try_from(meta.file_metadata().num_rows()).unwrap_or(u64::MAX);
    if rows > DENSE_ROWS && rows / size.max(1) > ROWS_PER_BYTE {
        return Err(SourceError::never(format!(
            "it declares {rows} rows in {size} bytes, more than any table packs; ask for the file again"
        )));
    }
    for (g, group) in meta.row_groups().iter().enumerate() {
        let mut all = 0u64;
        for column in group.columns() {
            let name = column.column_path().string();
            let cost = chunk(file, size, column.byte_range(), &name)?;
            all += cost.dictionary + cost.page;
            if cost.page.max(cost.dictionary) > PAGE_BYTES || all > PAGES_BYTES {
                let (what, most) = if all > PAGES_BYTES && cost.page.max(cost.dictionary) <= PAGE_BYTES {
                    (
                        format!("the largest pages of row group {} take {} MiB together", g + 1, all >> 20),
                        PAGES_BYTES,
                    )
                } else {
                    (
                        format!(
                            "a page of column `{name}` unpacks to {} MiB",
                            cost.page.max(cost.dictionary) >> 20
                        ),
                        PAGE_BYTES,
                    )
                };
                return Err(SourceError::never(format!(
                    "{what}, more than {} MiB; write the file with pages of 1 MiB or smaller row groups",
                    most >> 20
                )));
            }
            let repeated = column.column_descr().max_rep_level() > 0;
            let group_rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let thin = cost.unpacked < cost.values;
            if repeated && thin && cost.values > DENSE_VALUES.saturating_add(group_rows.saturating_mul(64)) {
                return Err(SourceError::never(format!(
                    "the lists of column `{name}` have {} values in {} KiB, more than is safe to write out; write them as a column of rows",
                    cost.values,
                    cost.unpacked >> 10
                )));
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Cost {
    dictionary: u64,
    page: u64,
    unpacked: u64,
    values: u64,
}

/// Walks the heads of a column's pages in one row group.
fn chunk(mut file: &File, size: u64, (start, length): (u64, u64), name: &str) -> Result<Cost, SourceError> {
    let damaged = |what: &str| {
        SourceError::never(format!("damaged Parquet: {what} of column `{name}`; ask for the file again"))
    };
    let end = start.checked_add(length).filter(|end| *end <= size).ok_or_else(|| damaged("the place"))?;
    let mut cost = Cost::default();
    let mut at = start;
    let mut window = Vec::new();
    while at < end {
        let mut head = None;
        for room in [256u64, 64 << 10, 16 << 20] {
            let room = room.min(end - at);
            window.resize(room as usize, 0);
            file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
            file.read_exact(&mut window).map_err(unreadable)?;
            head = PageHead::parse(&window);
            if head.is_some() || room == end - at {
                break;
            }
        }
        let head = head.ok_or_else(|| damaged("the head of a page"))?;
        let most = if head.dictionary { &mut cost.dictionary } else { &mut cost.page };
        *most = (*most).max(head.unpacked);
        cost.unpacked += head.unpacked;
        cost.values += if head.dictionary { 0 } else { head.values };
        at = at.checked_add(head.length + head.packed).ok_or_else(|| damaged("the length of a page"))?;
    }
    Ok(cost)
}
