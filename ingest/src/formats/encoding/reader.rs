//! Decoding while reading; bytes that are no characters are refused by name, or marked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, UTF_8};

use super::{BLOCK, Detected};
use crate::error::SourceError;

/// Bytes that are no character of the file's encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    /// Where the replacement character stands in the text, and where the last one that this stands for ends.
    pub(crate) at: u64,
    pub(crate) until: u64,
    /// Offset in the file.
    byte: u64,
    bytes: Vec<u8>,
}

impl Bad {
    /// Why a row with them is set aside.
    pub(crate) fn reason(&self, encoding: &str) -> String {
        let hex: Vec<String> = self.bytes.iter().map(|b| format!("{b:02X}")).collect();
        let (what, hex) = match hex.is_empty() {
            true => ("text that ends inside a character", String::new()),
            false => ("bytes that are no character", format!(" ({})", hex.join(" "))),
        };
        format!("{what} of {encoding}: byte {} of the file{hex}", self.byte)
    }

    /// Why a whole file is refused.
    pub(crate) fn refusal(&self, encoding: &str) -> SourceError {
        SourceError::never(refusal(self.byte, encoding))
    }
}

/// The places of a text that stand for bytes that are no characters, those not yet passed.
pub(crate) type Undecoded = Rc<RefCell<VecDeque<Bad>>>;

/// Places that are remembered one by one; more of them are remembered as one stretch.
const BAD_PLACES: usize = 64 << 10;
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

fn refusal(at: u64, encoding: &str) -> String {
    format!(
        "byte {at}: not valid {encoding}; set `encoding` of the format to the file's real encoding (for example gb18030 or utf-8), or ask for the file again"
    )
}

/// A reader that yields UTF-8. Bytes that are no characters are `InvalidData` with the first one's offset, or
/// U+FFFD with their places told beside the text.
pub(crate) struct Utf8Reader<R> {
    inner: R,
    decoder: Option<Decoder>,
    name: &'static str,
    /// Places of undecodable bytes; `None` refuses them.
    undecoded: Option<Undecoded>,
    /// Input that is not decoded yet: a cut character.
    pending: Vec<u8>,
    /// Decoded text not yet handed out, and how much of it was.
    ready: Vec<u8>,
    taken: usize,
    /// Offset in the file of the first pending byte.
    offset: u64,
    /// Bytes of text before `ready`.
    told: u64,
    ended: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// Reads on from behind the byte order mark; bytes that are no characters end the reading.
    pub(crate) fn new(inner: R, found: Detected) -> Self {
        let decoder = (found.encoding != UTF_8).then(|| found.encoding.new_decoder_without_bom_handling());
        Utf8Reader {
            inner,
            decoder,
            name: found.encoding.name(),
            undecoded: None,
            pending: Vec::new(),
            ready: Vec::new(),
            taken: 0,
            offset: found.mark as u64,
            told: 0,
            ended: false,
        }
    }

    /// The same, but bytes that are no characters become U+FFFD and are told.
    pub(crate) fn lenient(inner: R, found: Detected) -> (Self, Undecoded) {
        let undecoded = Undecoded::default();
        (Utf8Reader { undecoded: Some(undecoded.clone()), ..Utf8Reader::new(inner, found) }, undecoded)
    }

    /// Marks undecodable bytes at the end of `ready`, or refuses them.
    fn mark(&mut self, byte: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(undecoded) = &self.undecoded else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, refusal(byte, self.name)));
        };
        let at = self.told + self.ready.len() as u64;
        let until = at + REPLACEMENT.len() as u64;
        self.ready.extend_from_slice(REPLACEMENT);
        let mut places = undecoded.borrow_mut();
        let full = places.len() >= BAD_PLACES;
        match places.back_mut() {
            Some(last) if full || last.until == at => last.until = until,
            _ => places.push_back(Bad { at, until, byte, bytes: bytes.to_vec() }),
        }
        Ok(())
    }

    /// Reads one more block behind what is pending; `true` at the end.
    fn load(&mut self) -> io::Result<bool> {
        let kept = self.pending.len();
        self.pending.resize(kept + BLOCK, 0);
        let got = loop {
            match self.inner.read(&mut self.pending[kept..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.pending.truncate(kept + got);
        self.told += self.ready.len() as u64;
        self.ready.clear();
        self.taken = 0;
        Ok(got == 0)
    }

    /// UTF-8 of one block; a character cut by its end waits.
    fn check(&mut self) -> io::Result<()> {
        let last = self.load()?;
        let pending = std::mem::take(&mut self.pending);
        if std::str::from_utf8(&pending).is_ok() {
            self.offset += pending.len() as u64;
            self.ended = last;
            self.ready = pending;
            return Ok(());
        }
        let mut at = 0;
        for chunk in pending.utf8_chunks() {
            self.ready.extend_from_slice(chunk.valid().as_bytes());
            at += chunk.valid().len();
            let bad = chunk.invalid();
            let cut = at + bad.len() == pending.len()
                && std::str::from_utf8(bad).is_err_and(|e| e.error_len().is_none());
            if bad.is_empty() {
                continue;
            }
            if cut && !last {
                break;
            }
            self.mark(self.offset + at as u64, bad)?;
            at += bad.len();
        }
        self.offset += at as u64;
        self.pending = pending[at..].to_vec();
        self.ended = last;
        Ok(())
    }

    /// Decodes one more block into `ready`.
    fn decode(&mut self) -> io::Result<()> {
        let last = self.load()?;
        let Some(mut decoder) = self.decoder.take() else { return Ok(()) };
        let pending = std::mem::take(&mut self.pending);
        let mut at = 0;
        // Of one size, so that a file of nothing but bad bytes costs no more than another.
        let mut part = [0u8; 8 << 10];
        loop {
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(&pending[at..], &mut part, last);
            self.ready.extend_from_slice(&part[..written]);
            at += read;
            match result {
                DecoderResult::Malformed(bad, after) => {
                    let end = at.saturating_sub(usize::from(after));
                    let start = end.saturating_sub(usize::from(bad));
                    let byte = (self.offset + at as u64).saturating_sub(u64::from(bad) + u64::from(after));
                    if let Err(e) = self.mark(byte, &pending[start..end]) {
                        self.decoder = Some(decoder);
                        return Err(e);
                    }
                }
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
            }
        }
        self.decoder = Some(decoder);
        self.offset += at as u64;
        self.pending = pending[at..].to_vec();
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.ready.len() && !self.ended && !out.is_empty() {
            match self.decoder {
                None => self.check()?,
                Some(_) => self.decode()?,
            }
        }
        let n = out.len().min(self.ready.len() - self.taken);
        out[..n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}
