//! A connection that sends the same message over and over, each with a receipt.

use anyhow::{Context, Result};

use super::dialect::Dialect;
use super::scan;
use super::socket::Socket;
use crate::load::{Exchange, Slot, Until, run_loop};
use crate::rpc::id_of_slot;

/// One SEND on one connection, as an [`Exchange`]: its receipt is the answer.
pub(crate) struct Sender {
    socket: Socket,
    /// The frame, and where in it the number of the receipt stands.
    frame: Vec<u8>,
    receipt_at: usize,
}

impl Sender {
    /// Sends `body` to `destination` with these headers, each with the end of its line.
    pub(crate) fn connect(
        authority: &str,
        dialect: &Dialect,
        destination: &str,
        headers: &str,
        body: &str,
    ) -> Result<Sender> {
        let before = format!("SEND\ndestination:{destination}\nreceipt:");
        let id = String::from_utf8_lossy(&id_of_slot(0)).into_owned();
        let after = format!("\n{headers}content-length:{}\n\n{body}\0", body.len());
        Ok(Sender {
            socket: Socket::connect(authority, dialect)?,
            receipt_at: before.len(),
            frame: [before, id, after].concat().into_bytes(),
        })
    }

    /// Sends it once and waits for the receipt: what isn't there yet is made.
    pub(crate) fn send_once(&mut self) -> Result<()> {
        run_loop(self, 1, Until::Requests(1)).map(drop)
    }
}

impl Exchange for Sender {
    fn queue(&mut self, slot: Slot) {
        let id = id_of_slot(slot);
        self.frame[self.receipt_at..self.receipt_at + id.len()].copy_from_slice(&id);
        self.socket.queue(&self.frame);
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.socket.fill()?;
        while let Some((frame, _)) = self.socket.next_frame()? {
            let slot = scan::receipt(frame);
            answered.push(
                slot.with_context(|| format!("not a receipt: {}", String::from_utf8_lossy(frame)))?,
            );
        }
        Ok(())
    }
}
