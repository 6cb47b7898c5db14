//! What a file that is called a spreadsheet really is: programs write HTML, text and XML under the name `.xls`.

use super::ole::Compound;
use crate::formats::zip_guard::Contents;

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// An archive: xlsx, xlsb, ods, or something else that is packed.
    Zip,
    /// An old workbook, or an encrypted one.
    Compound,
    Html,
    /// SpreadsheetML of 2003.
    Xml2003,
    /// Lines cut by tabs, commas, semicolons or bars.
    Delimited,
    /// An old workbook without a container (before Excel 5).
    Bare,
    /// Something that no spreadsheet reader reads, and what to do with it.
    Other(&'static str),
}

/// Looks at a file.
pub(super) fn nature(bytes: &[u8]) -> Nature {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let known: [(&[u8], Nature); 12] = [
        (b"PK", Nature::Zip),
        (&[0xD0, 0xCF, 0x11, 0xE0], Nature::Compound),
        (&[0x09, 0x08], Nature::Bare),
        (&[0x09, 0x04], Nature::Bare),
        (&[0x09, 0x02], Nature::Bare),
        (b"%PDF", Nature::Other("it is a PDF; ask for the table as a workbook or CSV")),
        (b"PAR1", Nature::Other("it is a Parquet file; write `format: { parquet: {} }`")),
        (&[0x1f, 0x8b], Nature::Other("it is packed with gzip; unpack it first")),
        (b"Rar!", Nature::Other("it is a RAR archive; unpack it first")),
        (b"7z\xBC\xAF", Nature::Other("it is a 7z archive; unpack it first")),
        (b"\x89PNG", Nature::Other("it is a picture; ask for the table as a workbook or CSV")),
        (b"\xFF\xD8\xFF", Nature::Other("it is a picture; ask for the table as a workbook or CSV")),
    ];
    if let Some((_, nature)) = known.iter().find(|(magic, _)| starts(magic)) {
        return *nature;
    }
    let head = readable(&bytes[..bytes.len().min(64 << 10)]);
    let trimmed = head.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_ascii_lowercase();
    let begins = |words: &[&str]| words.iter().any(|w| trimmed.starts_with(w));
    if trimmed.starts_with('<') {
        return if trimmed.contains("urn:schemas-microsoft-com:office:spreadsheet") || begins(&["<workbook"]) {
            Nature::Xml2003
        } else if begins(&[
            "<!doctype html",
            "<html",
            "<table",
            "<meta",
            "<head",
            "<body",
            "<div",
            "<style",
            "<!--",
        ]) || trimmed.contains("<table")
        {
            Nature::Html
        } else {
            Nature::Other("it is XML of a kind that is not read here; save it as xlsx or CSV")
        };
    }
    if begins(&["mime-version:", "from: ", "content-type: multipart"]) {
        return Nature::Other(
            "it is a web archive (MHTML); open it in a spreadsheet program and save it as xlsx",
        );
    }
    if trimmed.starts_with("id;p") {
        return Nature::Other("it is a SYLK file; open it in a spreadsheet program and save it as xlsx");
    }
    if trimmed.starts_with('{') || (trimmed.starts_with('[') && trimmed.contains('{')) {
        return Nature::Other("it is JSON; write `format: { json: {} }`");
    }
    if is_delimited(&head) {
        return Nature::Delimited;
    }
    Nature::Other(if bytes.contains(&0) || head.is_empty() {
        "it is no workbook of a known kind"
    } else {
        "it is plain text without columns; if it is a table, write `format: { csv: {} }` with its `delimiter`"
    })
}

/// The beginning of a file as text, as far as signs of ASCII go.
fn readable(head: &[u8]) -> String {
    let wide = head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]);
    let bytes: Vec<u8> =
        if wide { head[2..].iter().copied().filter(|b| *b != 0).collect() } else { head.to_vec() };
    if !wide && bytes.contains(&0) {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first lines are cut alike by one sign.
fn is_delimited(head: &str) -> bool {
    let lines: Vec<&str> = head.lines().filter(|l| !l.trim().is_empty()).take(5).collect();
    ['\t', ',', ';', '|'].iter().any(|by| {
        let cuts = |line: &&str| line.matches(*by).count();
        let first = lines.first().map_or(0, cuts);
        let alike = lines.iter().filter(|l| cuts(l) == first).count();
        first > 0 && if lines.len() == 1 { *by == '\t' } else { alike * 2 > lines.len() }
    })
}

/// Why a compound file cannot be read; nothing when it is an old workbook.
pub(super) fn of_compound(file: Option<&Compound<'_>>) -> Option<String> {
    let file = file?;
    let other =
        |what: &str| Some(format!("it is {what}, not a workbook; ask for the table as a workbook or CSV"));
    if file.has("EncryptedPackage") || file.has("EncryptionInfo") {
        return Some(LOCKED.into());
    }
    if file.has("Workbook") || file.has("Book") {
        return None;
    }
    if file.has("WordDocument") {
        return other("a Word document");
    }
    if file.has("PowerPoint Document") {
        return other("a presentation");
    }
    other("a compound file without a workbook inside (perhaps an e-mail or a setup file)")
}

/// Why an archive cannot be read; nothing when it is a workbook.
pub(super) fn of_archive(contents: &Contents) -> Option<String> {
    let other =
        |what: &str| Some(format!("it is {what}, not a workbook; ask for the table as a workbook or CSV"));
    if contents.has("xl/")
        || contents.has("content.xml")
        || contents.has("[Content_Types].xml") && !contents.has("word/") && !contents.has("ppt/")
    {
        return None;
    }
    if contents.has("word/") {
        return other("a Word document");
    }
    if contents.has("ppt/") {
        return other("a presentation");
    }
    if contents.has("Index/") {
        return other("a Numbers document");
    }
    Some(format!("it is an archive of {} files; unpack it first", contents.parts()))
}

/// What to do with an encrypted workbook.
pub(super) const LOCKED: &str = "it is protected with a password, and so encrypted; open it with the password and save a copy without one";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_what_they_hold() {
        let cases: [(&[u8], Nature); 9] = [
            (b"a,b\n1,2\n", Nature::Delimited),
            (b"\xb5\xa5\xba\xc5\t\xbd\xf0\xb6\xee\n001\t12.50\n", Nature::Delimited),
            (b"\xff\xfea\0\t\0b\0\n\0", Nature::Delimited),
            (b"\n <HTML><body>", Nature::Html),
            (b"<?xml version=\"1.0\"?><x><table></table></x>", Nature::Html),
            (
                b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">",
                Nature::Xml2003,
            ),
            (b"PK\x03\x04", Nature::Zip),
            (&[0xD0, 0xCF, 0x11, 0xE0, 0xA1], Nature::Compound),
            (&[0x09, 0x08, 0x10, 0x00], Nature::Bare),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(nature(bytes), wanted, "{}", String::from_utf8_lossy(bytes));
        }
        let told = |bytes: &[u8]| match nature(bytes) {
            Nature::Other(what) => what,
            other => panic!("{other:?}"),
        };
        assert!(told(b"this is no workbook").contains("plain text"));
        assert!(told(b"{\"a\":1}").contains("json"));
        assert!(told(b"%PDF-1.7").contains("PDF"));
        assert!(told(&[0, 1, 2, 3]).contains("no workbook"));
    }
}
