//! One read buffer for each thread instead of one for each session: between two reads a session
//! keeps only the beginning of a message whose end has not arrived.

use std::cell::RefCell;

use bytes::BytesMut;

/// How much is read at once.
const SIZE: usize = 64 * 1024;

thread_local! {
    static SPARE: RefCell<Option<BytesMut>> = const { RefCell::new(None) };
}

/// An empty buffer with room for [`SIZE`] octets.
pub(super) fn take() -> BytesMut {
    SPARE.take().unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// For the next to read on this thread.
pub(super) fn give_back(mut bytes: BytesMut) {
    bytes.clear();
    // Takes the front back that messages were cut from; allocates only where one is still held.
    bytes.reserve(SIZE);
    SPARE.set(Some(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_was_eaten_up_is_whole_again() {
        let mut bytes = take();
        bytes.extend_from_slice(&[0; 1000]);
        drop(bytes.split_to(1000));
        let before = bytes.as_ptr();
        give_back(bytes);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= SIZE);
        assert!(again.as_ptr() < before, "the front was not taken back");
    }
}
