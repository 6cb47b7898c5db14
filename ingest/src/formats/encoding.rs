//! Bytes of a text file → UTF-8. Bytes that are no characters are refused by name, or marked for a reader
//! that sets their rows aside.

mod guess;
mod reader;

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{BIG5, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::error::SourceError;
pub(crate) use reader::{Bad, Undecoded, Utf8Reader};

/// How much text after the first non-ASCII byte decides the encoding.
const SAMPLE: usize = 1 << 20;
const BLOCK: usize = 64 << 10;

/// The encoding that a definition names; `None` for `auto`.
///
/// # Errors
/// Nobody knows an encoding of this name.
pub(crate) fn named(label: &str) -> Result<Option<&'static Encoding>, String> {
    if label.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    let known = Encoding::for_label_no_replacement(label.trim().as_bytes());
    // GB 18030 contains GBK and GB 2312: decoding them as the larger set never loses a character.
    let known = known.map(|e| if e == encoding_rs::GBK { GB18030 } else { e });
    known.map(Some).ok_or_else(|| format!("`{label}` is not a known text encoding"))
}

/// What the beginning of a file says about its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detected {
    pub(crate) encoding: &'static Encoding,
    /// Length of the byte order mark, to be skipped.
    pub(crate) mark: usize,
    /// What speaks against it, when it was guessed: the next likely encoding, from how many characters.
    doubt: Option<(Option<&'static Encoding>, usize)>,
}

impl Detected {
    fn sure(encoding: &'static Encoding, mark: usize) -> Self {
        Detected { encoding, mark, doubt: None }
    }

    /// What a person should know of an uncertain guess.
    pub(crate) fn doubt(&self) -> Option<String> {
        let (next, characters) = self.doubt?;
        let name = self.encoding.name().to_lowercase();
        let next =
            next.map_or(String::new(), |e| format!(", {} is the next likely", e.name().to_lowercase()));
        let characters =
            if characters == 1 { "1 character".into() } else { format!("{characters} characters") };
        Some(format!(
            "its encoding is a guess from {characters}: {name}{next}; look at its texts and write `encoding: {name}` in the format to confirm, or the right one"
        ))
    }
}

/// Decides the encoding: byte order mark, then the pattern of UTF-16, then valid UTF-8, else the likeliest of
/// GB 18030, Big5 and others.
/// An explicit encoding wins unless the text plainly contradicts it.
///
/// # Errors
/// The file cannot be read, or it is plainly not in the explicit encoding.
pub(crate) fn detect<R: Read + Seek>(file: &mut R, label: &str) -> Result<Detected, SourceError> {
    let explicit = named(label).map_err(SourceError::never)?;
    let mut head = [0u8; 4];
    let got = fill(file, &mut head).map_err(unreadable)?;
    let marked = Encoding::for_bom(&head[..got]);
    let found = match (explicit, marked) {
        (Some(encoding), Some((by_mark, mark))) if by_mark == encoding => Detected::sure(encoding, mark),
        (Some(encoding), Some((by_mark, _))) => {
            return Err(SourceError::never(format!(
                "byte 0: the file starts with the byte order mark of {}, but its definition says encoding: {}; write encoding: auto or {}",
                by_mark.name(),
                encoding.name(),
                by_mark.name()
            )));
        }
        (None, Some((encoding, mark))) => Detected::sure(encoding, mark),
        (explicit, None) => {
            let (at, sample) = first_foreign(file)?;
            decide(explicit, at, &sample)?
        }
    };
    file.seek(SeekFrom::Start(found.mark as u64)).map_err(unreadable)?;
    Ok(found)
}

/// The first block with a byte outside ASCII (or a zero byte) and what follows it, with the offset of
/// that byte. Plain ASCII is skipped at memory speed, so that a foreign name on row 5 000 000 counts.
fn first_foreign<R: Read + Seek>(file: &mut R) -> Result<(u64, Vec<u8>), SourceError> {
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut block = vec![0u8; BLOCK];
    let mut start = 0u64;
    loop {
        let got = fill(file, &mut block).map_err(unreadable)?;
        if got == 0 {
            return Ok((start, Vec::new()));
        }
        if !block[..got].is_ascii() || block[..got].contains(&0) {
            let at = block[..got].iter().position(|b| !b.is_ascii() || *b == 0).unwrap_or(0);
            // The byte before tells the two halves of UTF-16 apart: start on an even offset.
            let from = at & !1;
            block.truncate(got);
            let mut sample = block.split_off(from);
            let mut more = vec![0u8; SAMPLE];
            let extra = fill(file, &mut more).map_err(unreadable)?;
            sample.extend_from_slice(&more[..extra]);
            return Ok((start + from as u64, sample));
        }
        start += got as u64;
    }
}

fn decide(explicit: Option<&'static Encoding>, at: u64, sample: &[u8]) -> Result<Detected, SourceError> {
    let valid = is_utf8_prefix(sample);
    match explicit {
        None if looks_utf16(sample, 1) => Ok(Detected::sure(UTF_16LE, 0)),
        None if looks_utf16(sample, 0) => Ok(Detected::sure(UTF_16BE, 0)),
        None if valid => Ok(Detected::sure(UTF_8, 0)),
        None => {
            let found = guess::guess(sample);
            let doubt = (!found.sure).then_some((found.runner_up, found.characters));
            Ok(Detected { encoding: found.encoding, mark: 0, doubt })
        }
        Some(encoding) if (encoding == GB18030 || encoding == BIG5) && valid && multibyte(sample) >= 8 => {
            let first = at + sample.iter().position(|b| !b.is_ascii()).unwrap_or(0) as u64;
            Err(SourceError::never(format!(
                "byte {first}: the text is UTF-8, but its definition says encoding: {}; write encoding: auto or utf-8",
                encoding.name()
            )))
        }
        Some(encoding) => Ok(Detected::sure(encoding, 0)),
    }
}

/// Whether the sample is UTF-8, forgiving a character cut at its end.
fn is_utf8_prefix(sample: &[u8]) -> bool {
    match std::str::from_utf8(sample) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none() && sample.len() - e.valid_up_to() < 4,
    }
}

/// Characters outside ASCII in valid UTF-8.
fn multibyte(sample: &[u8]) -> usize {
    sample.iter().filter(|b| **b >= 0xC0).count()
}

/// UTF-16 of mostly Latin text has a zero in every second byte; `odd` is 1 for little-endian.
fn looks_utf16(sample: &[u8], odd: usize) -> bool {
    let part = &sample[..sample.len().min(4096)];
    let zeros = |parity: usize| part.iter().skip(parity).step_by(2).filter(|b| **b == 0).count();
    part.len() >= 8 && zeros(odd) * 5 > part.len() && zeros(1 - odd) * 50 < part.len()
}

fn fill<R: Read>(file: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

pub(crate) fn unreadable(e: io::Error) -> SourceError {
    match e.kind() {
        io::ErrorKind::PermissionDenied => {
            SourceError::never(format!("cannot be read: {e}; grant the guanlan user read access"))
        }
        io::ErrorKind::NotFound => {
            SourceError::later("is gone; it was deleted or moved while it was read".to_string())
        }
        io::ErrorKind::InvalidData => SourceError::never(e.to_string()),
        _ => SourceError::later(format!("cannot be read: {e}")),
    }
}
