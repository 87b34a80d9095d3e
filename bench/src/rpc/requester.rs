//! A connection that sends one kind of request over and over.

use anyhow::Result;

use super::request::Request;
use super::scan;
use crate::load::{Exchange, Slot};
use crate::ws::WebSocket;

/// One request template on one WebSocket, as an [`Exchange`].
pub(crate) struct Requester {
    socket: WebSocket,
    request: Request,
}

impl Requester {
    pub(crate) fn new(socket: WebSocket, request: Request) -> Requester {
        Requester { socket, request }
    }
}

impl Exchange for Requester {
    fn queue(&mut self, slot: Slot) {
        self.socket.queue(self.request.with_id(slot));
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.socket.fill()?;
        while let Some((text, _)) = self.socket.next_text()? {
            answered.push(scan::answered_slot(text)?);
        }
        Ok(())
    }
}
