//! A connection that sends the same message over and over, each with a receipt.

use std::time::Instant;

use anyhow::{Context, Result};

use super::dialect::Dialect;
use super::scan;
use super::socket::Socket;
use crate::load::{Exchange, Paced, Slot, Until, run_loop};
use crate::rpc::{STAMP_DIGITS, id_of_slot, stamp_digits};

/// One SEND on one connection, as an [`Exchange`]: its receipt is the answer.
pub(crate) struct Sender {
    socket: Socket,
    /// The frame, and where in it the number of the receipt stands.
    frame: Vec<u8>,
    receipt_at: usize,
    /// Where in it the moment stands at which each message was due, and from when it counts.
    stamp: Option<(usize, Instant)>,
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
        let socket = Socket::connect(authority, dialect)?;
        Ok(Sender::over(socket, destination, headers, body))
    }

    /// The same over a connection that is there.
    pub(crate) fn over(socket: Socket, destination: &str, headers: &str, body: &str) -> Sender {
        let before = format!("SEND\ndestination:{destination}\nreceipt:");
        let id = String::from_utf8_lossy(&id_of_slot(0)).into_owned();
        let after = format!("\n{headers}content-length:{}\n\n{body}\0", body.len());
        Sender {
            socket,
            receipt_at: before.len(),
            frame: [before, id, after].concat().into_bytes(),
            stamp: None,
        }
    }

    /// Bodies begin with the moment at which each was due, counted from `epoch`; `body_bytes` is
    /// their length.
    pub(crate) fn stamped(mut self, epoch: Instant, body_bytes: usize) -> Sender {
        let at = self.frame.len() - 1 - body_bytes;
        self.stamp = Some((at, epoch));
        self
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

impl Paced for Sender {
    fn queue_due(&mut self, slot: Slot, due: Instant) {
        if let Some((at, epoch)) = self.stamp {
            self.frame[at..at + STAMP_DIGITS].copy_from_slice(&stamp_digits(epoch, due));
        }
        self.queue(slot);
    }

    fn arrives_by(&mut self, until: Instant) -> Result<bool> {
        self.socket.arrives_by(until)
    }
}
