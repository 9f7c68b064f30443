use super::error::Truncated;

/// Reads a slice from front to back. It never panics, and [`Reader::end`] refuses what is left
/// over, so that no field is half understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub(super) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.rest.split_at_checked(length).ok_or(Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    /// A reader of the next `length` octets alone.
    pub(super) fn sub(&mut self, length: usize) -> Result<Reader<'a>, Truncated> {
        self.take(length).map(Reader::new)
    }

    /// Everything that is left.
    pub(super) fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Fails where something is left.
    pub(super) fn end(self) -> Result<(), Truncated> {
        if self.rest.is_empty() { Ok(()) } else { Err(Truncated) }
    }
}
