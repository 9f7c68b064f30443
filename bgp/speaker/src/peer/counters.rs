use std::sync::atomic::{AtomicU64, Ordering};

use twill_bgp_proto::wire::Message;

/// Messages by type, 1 to 5. Written by a peer's task, read by the core for display only.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    received: [AtomicU64; 5],
    sent: [AtomicU64; 5],
}

/// Where a message's type stands in its header (RFC 4271 section 4.1).
const TYPE_AT: usize = 18;

impl Counters {
    pub(super) fn received(&self, message: &Message) {
        let index = match message {
            Message::Open(_) => 0,
            Message::Update(_) => 1,
            Message::Notification(_) => 2,
            Message::Keepalive => 3,
            Message::RouteRefresh(_) => 4,
        };
        count(&self.received, index);
    }

    /// Counts whole messages that were encoded by us.
    pub(super) fn sent(&self, mut messages: &[u8]) {
        while let (Some(&[high, low]), Some(&kind)) =
            (messages.get(TYPE_AT - 2..TYPE_AT), messages.get(TYPE_AT))
        {
            count(&self.sent, usize::from(kind.wrapping_sub(1)));
            let length = usize::from(u16::from_be_bytes([high, low])).max(TYPE_AT + 1);
            messages = messages.get(length..).unwrap_or_default();
        }
    }

    /// Received and sent.
    pub(crate) fn read(&self) -> ([u64; 5], [u64; 5]) {
        let read = |counters: &[AtomicU64; 5]| {
            counters.each_ref().map(|counter| counter.load(Ordering::Relaxed))
        };
        (read(&self.received), read(&self.sent))
    }
}

fn count(counters: &[AtomicU64; 5], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_their_headers() {
        let message = |kind: u8, length: u8| {
            let mut bytes = vec![0xff; 16];
            bytes.extend([0, length, kind]);
            bytes.resize(usize::from(length), 0);
            bytes
        };
        let counters = Counters::default();
        counters.sent(&[message(4, 19), message(2, 30), message(2, 23)].concat());
        counters.sent(&message(9, 19));
        counters.sent(&[0; 7]);
        counters.received(&Message::Keepalive);
        assert_eq!(counters.read(), ([0, 0, 0, 1, 0], [0, 2, 0, 1, 0]));
    }
}
