//! Bytes of a text file → UTF-8, or a refusal that names the byte.

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{BIG5, Decoder, DecoderResult, Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::error::SourceError;

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
}

/// Decides the encoding: byte order mark, then the pattern of UTF-16, then valid UTF-8, else GB 18030.
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
        (Some(encoding), Some((by_mark, mark))) if by_mark == encoding => Detected { encoding, mark },
        (Some(encoding), Some((by_mark, _))) => {
            return Err(SourceError::never(format!(
                "byte 0: the file starts with the byte order mark of {}, but its definition says encoding: {}; write encoding: auto or {}",
                by_mark.name(),
                encoding.name(),
                by_mark.name()
            )));
        }
        (None, Some((encoding, mark))) => Detected { encoding, mark },
        (explicit, None) => {
            let (at, sample) = first_foreign(file)?;
            Detected { encoding: decide(explicit, at, &sample)?, mark: 0 }
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

fn decide(
    explicit: Option<&'static Encoding>,
    at: u64,
    sample: &[u8],
) -> Result<&'static Encoding, SourceError> {
    let valid = is_utf8_prefix(sample);
    match explicit {
        None if looks_utf16(sample, 1) => Ok(UTF_16LE),
        None if looks_utf16(sample, 0) => Ok(UTF_16BE),
        None if valid => Ok(UTF_8),
        None => Ok(GB18030),
        Some(encoding) if (encoding == GB18030 || encoding == BIG5) && valid && multibyte(sample) >= 8 => {
            let first = at + sample.iter().position(|b| !b.is_ascii()).unwrap_or(0) as u64;
            Err(SourceError::never(format!(
                "byte {first}: the text is UTF-8, but its definition says encoding: {}; write encoding: auto or utf-8",
                encoding.name()
            )))
        }
        Some(encoding) => Ok(encoding),
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

/// A reader that yields UTF-8, or `InvalidData` with the byte offset of the first byte that does not fit.
pub(crate) struct Utf8Reader<R> {
    inner: R,
    decoder: Option<Decoder>,
    name: &'static str,
    /// Bytes read but not yet handed out: a cut character (UTF-8), or undecoded input.
    pending: Vec<u8>,
    /// Decoded text not yet handed out, and how much of it was.
    ready: Vec<u8>,
    taken: usize,
    /// Offset in the file of the first pending byte.
    offset: u64,
    ended: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// Reads on from behind the byte order mark.
    pub(crate) fn new(inner: R, found: Detected) -> Self {
        let decoder = (found.encoding != UTF_8).then(|| found.encoding.new_decoder_without_bom_handling());
        Utf8Reader {
            inner,
            decoder,
            name: found.encoding.name(),
            pending: Vec::new(),
            ready: Vec::new(),
            taken: 0,
            offset: found.mark as u64,
            ended: false,
        }
    }

    fn refuse(&self, at: u64) -> io::Error {
        let message = format!(
            "byte {at}: not valid {}; set `encoding` of the format to the file's real encoding (for example gb18030 or utf-8), or ask for the file again",
            self.name
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    /// UTF-8 passes through unchanged; only a character cut by the buffer's end waits.
    fn pass(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let kept = self.pending.len();
        if out.len() < kept + 4 {
            return self.pass_small(out);
        }
        out[..kept].copy_from_slice(&self.pending);
        let got = kept + self.inner.read(&mut out[kept..])?;
        self.pending.clear();
        match std::str::from_utf8(&out[..got]) {
            Ok(_) => {
                self.offset += got as u64;
                Ok(got)
            }
            Err(e) => {
                let fit = e.valid_up_to();
                if e.error_len().is_some() || got == kept {
                    return Err(self.refuse(self.offset + fit as u64));
                }
                self.pending.extend_from_slice(&out[fit..got]);
                self.offset += fit as u64;
                if fit == 0 { self.pass(out) } else { Ok(fit) }
            }
        }
    }

    /// A caller with a tiny buffer is served from a larger one.
    fn pass_small(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut large = vec![0u8; BLOCK];
        let got = self.pass(&mut large)?;
        large.truncate(got);
        (self.ready, self.taken) = (large, 0);
        Ok(self.hand_out(out))
    }

    fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let n = out.len().min(self.ready.len() - self.taken);
        out[..n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
        self.taken += n;
        n
    }

    /// Decodes one more block into `ready`.
    fn decode(&mut self) -> io::Result<()> {
        let kept = self.pending.len();
        self.pending.resize(kept + BLOCK, 0);
        let got = self.inner.read(&mut self.pending[kept..])?;
        self.pending.truncate(kept + got);
        let last = got == 0;
        let decoder = self.decoder.as_mut().expect("decode is only called with a decoder");
        let room =
            decoder.max_utf8_buffer_length_without_replacement(self.pending.len()).unwrap_or(BLOCK * 4);
        self.ready.resize(room, 0);
        self.taken = 0;
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(&self.pending, &mut self.ready, last);
        self.ready.truncate(written);
        if let DecoderResult::Malformed(bad, after) = result {
            let at = (self.offset + read as u64).saturating_sub(u64::from(bad) + u64::from(after));
            return Err(self.refuse(at));
        }
        self.pending.drain(..read);
        self.offset += read as u64;
        self.ended = last && matches!(result, DecoderResult::InputEmpty);
        Ok(())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken < self.ready.len() || out.is_empty() {
            return Ok(self.hand_out(out));
        }
        if self.decoder.is_none() {
            return self.pass(out);
        }
        while self.taken >= self.ready.len() && !self.ended {
            self.decode()?;
        }
        Ok(self.hand_out(out))
    }
}
