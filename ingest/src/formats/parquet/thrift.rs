//! Just enough of Thrift's compact protocol to measure a Parquet file before a reader allocates what it declares.

/// Structures inside one another.
const DEPTH: usize = 32;
/// Entries of one list of structures: row groups, columns, elements of the schema.
const ENTRIES: u64 = 200_000;

/// Walks bytes; every answer is `None` when they are cut or damaged.
pub(super) struct Thrift<'b> {
    bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Thrift<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Thrift { bytes, at: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        let raw = self.varint()?;
        Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Visits the fields of a structure: id and type. The visitor takes the value and answers true, or leaves it.
    pub(super) fn fields(&mut self, visit: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>) -> Option<()> {
        self.fields_at(0, visit)
    }

    fn fields_at(
        &mut self,
        depth: usize,
        visit: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            let delta = i64::from(head >> 4);
            id = if delta == 0 { self.number()? } else { id.checked_add(delta)? };
            let kind = head & 0x0f;
            if !visit(self, id, kind)? {
                self.skip(kind, depth + 1)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match kind {
            1 | 2 => {}
            3 => {
                self.byte()?;
            }
            4..=6 => {
                self.varint()?;
            }
            7 => self.jump(8)?,
            8 => {
                let length = self.varint()?;
                self.jump(length)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let size = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                let of = head & 0x0f;
                // A reader makes room for as many entries as are declared: each must at least have a byte here.
                let left = (self.bytes.len() - self.at) as u64;
                if size > left || (of == 12 && size > ENTRIES) {
                    return None;
                }
                for _ in 0..size {
                    if matches!(of, 1 | 2) {
                        self.byte()?;
                    } else {
                        self.skip(of, depth + 1)?;
                    }
                }
            }
            11 => {
                let size = self.varint()?;
                if size > 0 {
                    let kinds = self.byte()?;
                    if size > (self.bytes.len() - self.at) as u64 {
                        return None;
                    }
                    for _ in 0..size {
                        self.skip(kinds >> 4, depth + 1)?;
                        self.skip(kinds & 0x0f, depth + 1)?;
                    }
                }
            }
            12 => self.fields_at(depth, &mut |_, _, _| Some(false))?,
            13 => self.jump(16)?,
            _ => return None,
        }
        Some(())
    }

    fn jump(&mut self, bytes: u64) -> Option<()> {
        let to = self.at.checked_add(usize::try_from(bytes).ok()?)?;
        self.at = (to <= self.bytes.len()).then_some(to)?;
        Some(())
    }
}

/// Whether a footer declares nothing that its own bytes cannot hold.
pub(super) fn is_sound(footer: &[u8]) -> bool {
    Thrift::new(footer).fields(&mut |_, _, _| Some(false)).is_some()
}

/// The head of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PageHead {
    pub(super) dictionary: bool,
    /// Bytes on disk and unpacked.
    pub(super) packed: u64,
    pub(super) unpacked: u64,
    pub(super) values: u64,
    /// Length of the head itself.
    pub(super) length: u64,
}

impl PageHead {
    pub(super) fn parse(bytes: &[u8]) -> Option<PageHead> {
        let mut head = PageHead::default();
        let mut thrift = Thrift::new(bytes);
        let size = |t: &mut Thrift<'_>| u64::try_from(t.number()?).ok();
        thrift.fields(&mut |t, id, kind| {
            match (id, kind) {
                (1, 5) => head.dictionary = t.number()? == 2,
                (2, 5) => head.unpacked = size(t)?,
                (3, 5) => head.packed = size(t)?,
                // Heads of a data page, a dictionary page and a data page of the second version: the first field
                // is the number of values.
                (5 | 7 | 8, 12) => t.fields(&mut |t, id, kind| {
                    Some(match (id, kind) {
                        (1, 5) => {
                            head.values = u64::try_from(t.number()?).ok()?;
                            true
                        }
                        _ => false,
                    })
                })?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        head.length = thrift.at as u64;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_pages_are_read_and_cut_ones_are_not() {
        // type 0, unpacked 100, packed 80, data page {values 7, encoding 0, …}.
        let bytes =
            [0x15, 0x00, 0x15, 0xC8, 0x01, 0x15, 0xA0, 0x01, 0x2C, 0x15, 0x0E, 0x15, 0x00, 0x00, 0x00, 9, 9];
        let head = PageHead::parse(&bytes).unwrap();
        assert_eq!((head.unpacked, head.packed, head.values, head.length), (100, 80, 7, 15));
        assert!((0..15).all(|n| PageHead::parse(&bytes[..n]).is_none()));
    }

    #[test]
    fn lists_larger_than_their_bytes_are_not_sound() {
        // Field 2, a list of 2 000 000 000 structures.
        assert!(!is_sound(&[0x29, 0xFC, 0x80, 0xA8, 0xD6, 0xB9, 0x07, 0, 0]));
        assert!(is_sound(&[0x29, 0x1C, 0x00, 0x00]));
        assert!(!is_sound(&[0x1C; 10_000]));
    }
}
