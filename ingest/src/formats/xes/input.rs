//! The bytes of a log, plain or gzipped, as UTF-8 text of bounded parts.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;

use crate::error::SourceError;
use crate::formats::encoding::{Utf8Reader, detect, named, unreadable};

/// Unpacked size up to which any packing ratio is believed; above it real logs pack 10 to 60 times, bombs 1000 times.
const FREE: u64 = 256 << 20;
const RATIO: u64 = 400;
/// Where the declaration of the encoding stands.
const HEAD: u64 = 1024;

/// Text that refuses to go on when more than one value's worth has passed since the last mark.
pub(super) struct Guarded<R> {
    inner: R,
    since: Rc<Cell<u64>>,
    most: u64,
}

impl<R: BufRead> Read for Guarded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Guarded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since.get() > self.most {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "a value or tag larger than {} MiB; leave it out of the log, or raise `limits: value_bytes` of guanlan.yaml",
                    self.most >> 20
                ),
            ));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.since.set(self.since.get() + n as u64);
        self.inner.consume(n);
    }
}

/// Unpacked bytes, watched for bombs.
struct Unpacked<R> {
    inner: R,
    packed: u64,
    bytes: u64,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.bytes += n as u64;
        if self.bytes > FREE && self.bytes / self.packed.max(1) > RATIO {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "it unpacks to more than is safe ({} MiB from {} KiB); unpack it first when it is right",
                    self.bytes >> 20,
                    self.packed >> 10
                ),
            ));
        }
        Ok(n)
    }
}

type Bytes = Chain<Cursor<Vec<u8>>, Box<dyn Read>>;
pub(super) type Input = Guarded<BufReader<Utf8Reader<Bytes>>>;

/// Opens a log. The second value is set to 0 whenever a part has been read whole.
pub(super) fn open(path: &Path) -> Result<(Input, Rc<Cell<u64>>), SourceError> {
    let mut file = File::open(path).map_err(unreadable)?;
    let packed = file.metadata().map_err(unreadable)?.len();
    let mut magic = [0u8; 2];
    let got = file.read(&mut magic).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let file = BufReader::with_capacity(64 << 10, file);
    let mut bytes: Box<dyn Read> = match got == 2 && magic == [0x1f, 0x8b] {
        true => Box::new(Unpacked { inner: MultiGzDecoder::new(file), packed, bytes: 0 }),
        false => Box::new(file),
    };
    let mut head = Vec::new();
    bytes.by_ref().take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    let found =
        detect(&mut Cursor::new(&head), &declared(&head)?).map_err(|e| e.about("its XML declaration"))?;
    head.drain(..found.mark);
    let text = Utf8Reader::new(Cursor::new(head).chain(bytes), found);
    let since = Rc::new(Cell::new(0));
    let inner = BufReader::with_capacity(256 << 10, text);
    Ok((Guarded { inner, since: since.clone(), most: store::limits().value_bytes as u64 }, since))
}

/// The name of the encoding by byte order mark, by the pattern of UTF-16, or as the XML declaration says.
fn declared(head: &[u8]) -> Result<String, SourceError> {
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return Ok(encoding.name().to_owned());
    }
    let encoding = match head {
        [b'<', 0, ..] => UTF_16LE.name(),
        [0, b'<', ..] => UTF_16BE.name(),
        _ => {
            let text = String::from_utf8_lossy(head);
            let declaration =
                text.trim_start().strip_prefix("<?xml").and_then(|t| t.split_once("?>")).map(|(d, _)| d);
            let label = declaration.and_then(|d| {
                let rest = d[d.find("encoding")? + 8..].trim_start().strip_prefix('=')?.trim_start();
                let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
                rest[1..].split(quote).next()
            });
            match label.map(named) {
                // The text is ASCII so far: it cannot be the UTF-16 that it says.
                Some(Ok(Some(e))) if e != UTF_16LE && e != UTF_16BE => e.name(),
                Some(Err(e)) => {
                    return Err(SourceError::never(format!(
                        "its XML declaration names an encoding: {e}; correct the declaration, or save the log as UTF-8"
                    )));
                }
                _ => "utf-8",
            }
        }
    };
    Ok(encoding.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_names_the_encoding() {
        let encoding = |head: &[u8]| declared(head).map(|e| e.to_lowercase()).map_err(|e| e.to_string());
        let is = |name: &str| Ok(name.to_owned());
        assert_eq!(encoding(b"<log>"), is("utf-8"));
        assert_eq!(encoding(b"<?xml version=\"1.0\" encoding=\"GB2312\" ?><log>"), is("gb18030"));
        assert_eq!(encoding(b"<?xml version='1.0' encoding = 'big5'?>"), is("big5"));
        assert_eq!(encoding(b"<\0l\0"), is("utf-16le"));
        assert_eq!(encoding(b"<?xml version='1.0' encoding='utf-16'?>"), is("utf-8"));
        assert!(encoding(b"<?xml version='1.0' encoding='martian'?>").unwrap_err().contains("martian"));
    }
}
