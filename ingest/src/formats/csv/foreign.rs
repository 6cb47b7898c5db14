//! Files that are something else whatever their name says: read as text they would land as rows of noise.

use std::io::{Read, Seek, SeekFrom};

use crate::error::SourceError;
use crate::formats::encoding::unreadable;

/// First bytes, what the file then is, and what reads it.
const KINDS: [(&[u8], &str, &str); 9] = [
    (
        b"PK\x03\x04",
        "a workbook or a ZIP archive",
        "read a workbook with `format: { xlsx: {} }`, unpack an archive",
    ),
    (b"\xD0\xCF\x11\xE0", "a workbook of Excel 97 or a locked one", "read it with `format: { xlsx: {} }`"),
    (b"PAR1", "a Parquet file", "read it with `format: { parquet: {} }`"),
    (b"\x1F\x8B", "compressed with gzip", "unpack it first"),
    (b"BZh", "compressed with bzip2", "unpack it first"),
    (b"\xFD7zXZ", "compressed with xz", "unpack it first"),
    (b"7z\xBC\xAF", "a 7-Zip archive", "unpack it first"),
    (b"%PDF", "a PDF document", "ask for the table itself"),
    (b"SQLite format 3", "an SQLite database", "read it with `kind: { sqlite: {} }`"),
];

/// # Errors
/// The file is no delimited text; the message says what it is and what reads it.
pub(super) fn refuse<R: Read + Seek>(file: &mut R) -> Result<(), SourceError> {
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    file.by_ref().take(512).read_to_end(&mut head).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    match what(&head) {
        Some((what, remedy)) => {
            Err(SourceError::never(format!("this is {what}, not delimited text; {remedy}")))
        }
        None => Ok(()),
    }
}

fn what(head: &[u8]) -> Option<(&'static str, &'static str)> {
    if let Some((_, what, remedy)) = KINDS.iter().find(|(start, ..)| head.starts_with(start)) {
        return Some((what, remedy));
    }
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start().to_ascii_lowercase();
    let tag = |name: &[u8]| text.starts_with(name);
    if tag(b"<!doctype html") || tag(b"<html") || tag(b"<table") || tag(b"<head") {
        return Some((
            "a web page",
            "download the file itself: a page often stands for a sign-in that ran out",
        ));
    }
    tag(b"<?xml").then_some(("an XML document", "ask for the table as CSV or as a workbook"))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, word) in [
            (&b"PK\x03\x04rest"[..], "xlsx"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\xef\xbb\xbf <!DOCTYPE HTML>", "web page"),
        ] {
            let refused = refuse(&mut Cursor::new(bytes)).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
        assert!(refuse(&mut Cursor::new(b"id,<html>\n")).is_ok());
        assert!(refuse(&mut Cursor::new(b"")).is_ok());
    }
}
