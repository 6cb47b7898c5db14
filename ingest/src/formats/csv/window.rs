//! A stretch of a file in memory, from the record that is read now.

use std::io::{self, Read};

const BLOCK: usize = 1 << 20;

/// Reads ahead as far as asked, never more than a record and a block.
pub(super) struct Window<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    /// Offset in the text of the first byte of [`Window::rest`].
    pub(super) offset: u64,
    /// Nothing follows the buffer.
    pub(super) ended: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(inner: R) -> Self {
        Window { inner, buffer: Vec::new(), start: 0, offset: 0, ended: false }
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads on: what is in memory grows by up to what is there, at least by a block.
    pub(super) fn more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        // Doubling keeps the work of a long record in proportion to its length.
        let wanted = BLOCK.max(kept);
        self.buffer.resize(kept + wanted, 0);
        let mut got = 0;
        while got < wanted {
            match self.inner.read(&mut self.buffer[kept + got..])? {
                0 => {
                    self.ended = true;
                    break;
                }
                n => got += n,
            }
        }
        self.buffer.truncate(kept + got);
        Ok(())
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }
}
