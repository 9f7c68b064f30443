//! What a peer's task writes: messages of the session, and what the core hands over.

use bytes::{Bytes, BytesMut};
use twill_bgp_proto::session::Direction;
use twill_bgp_proto::wire::Message;

use crate::network::Packet;
use crate::world::World;

/// While more than this waits to be written, no more is taken from the core.
const OUTPUT_MAXIMUM: usize = 64 * 1024;

impl World {
    pub(crate) fn queue_message(
        &mut self,
        speaker: u32,
        peer: u32,
        direction: Direction,
        message: &Message,
    ) {
        let Some(it) = self.peer(speaker, peer) else { return };
        let Some(socket) = it.socket(direction) else {
            return self.fail(|| format!("speaker {speaker} writes to no connection of {peer}"));
        };
        if matches!(message, Message::Keepalive) && !socket.output.is_empty() {
            // As the real one: what waits is a sign of life once it is read.
            return;
        }
        let mut out = BytesMut::new();
        socket.codec.encode(message, &mut out);
        socket.waiting += out.len();
        let tells = !matches!(message, Message::Keepalive);
        socket.output.push_back((out.freeze(), tells));
    }

    pub(crate) fn close(&mut self, speaker: u32, peer: u32, direction: Direction) {
        let Some(it) = self.peer(speaker, peer) else { return };
        let Some(socket) = it.socket(direction).take() else { return };
        let to = 1 - socket.side;
        if socket.open {
            // The kernel delivers last words; the process does not wait for that.
            for (bytes, tells) in socket.output {
                self.send(socket.link, to, Packet::Data(bytes, tells));
            }
            self.send(socket.link, to, Packet::Fin);
        }
        self.network.leave(socket.link, socket.side);
    }

    /// Writes what the network has room for, and takes more from the core.
    pub(crate) fn write(&mut self, speaker: u32, peer: u32, direction: Direction) {
        let mut taken = false;
        loop {
            let window = self.settings.window;
            let Some(it) = self.peer(speaker, peer) else { break };
            let up = it.up == Some(direction);
            let Some(socket) = it.socket(direction).as_mut().filter(|socket| socket.open) else {
                break;
            };
            let (link, to) = (socket.link, 1 - socket.side);
            let short = socket.waiting < OUTPUT_MAXIMUM;
            if up
                && short
                && let Some(chunk) = it.chunks.pop_front()
            {
                taken = true;
                if let Some(socket) = it.socket(direction) {
                    socket.waiting += chunk.len();
                    socket.output.push_back((chunk, true));
                }
                continue;
            }
            let in_flight = self.network.get_mut(link).map_or(usize::MAX, |connection| {
                connection.ends.get(usize::from(to)).map_or(0, |end| end.in_flight)
            });
            if in_flight >= window {
                break;
            }
            let longest = self.settings.segment.unwrap_or(usize::MAX).min(window);
            let cut = 1 + self.random.place(longest);
            let Some(socket) =
                self.peer(speaker, peer).and_then(|it| it.socket(direction).as_mut())
            else {
                break;
            };
            let Some((front, tells)) = socket.output.front_mut() else { break };
            let tells = *tells;
            let bytes = if front.len() > longest {
                front.split_to(cut)
            } else {
                let whole = std::mem::replace(front, Bytes::new());
                socket.output.pop_front();
                whole
            };
            socket.waiting -= bytes.len();
            self.send(link, to, Packet::Data(bytes, tells));
        }
        if taken {
            self.core_has_room(speaker, peer);
        }
    }

    fn core_has_room(&mut self, speaker: u32, peer: u32) {
        if let Some(it) = self.peer(speaker, peer)
            && std::mem::take(&mut it.full)
        {
            self.may_send(speaker, peer);
            self.schedule_core(speaker);
        }
    }
}
