//! A consumer that acks every message by itself.

use anyhow::{Context, Result, ensure};

use super::dialect::Dialect;
use super::scan;
use super::socket::Socket;

/// The receipt of the last ack.
const LAST: &str = "last";

/// One subscription with `ack:client-individual`, an ACK for every MESSAGE; those for what one
/// read brought leave in one write.
pub(crate) struct Consumer {
    socket: Socket,
}

impl Consumer {
    /// Consumes from the queue `destination`, with at most `credit` deliveries that are not acked.
    pub(crate) fn connect(
        authority: &str,
        dialect: &Dialect,
        destination: &str,
        credit: u32,
    ) -> Result<Consumer> {
        let mut socket = Socket::connect(authority, dialect)?;
        socket.subscribe(&format!(
            "destination:{destination}\nack:client-individual\nprefetch-count:{credit}\n{}",
            dialect.subscribe
        ))?;
        Ok(Consumer { socket })
    }

    /// Acks `messages` deliveries, the last of them with a receipt, and waits for that: it says
    /// that all earlier frames are done, too.
    pub(crate) fn settle(&mut self, messages: u64) -> Result<()> {
        let mut acked = 0;
        while acked < messages {
            self.socket.fill()?;
            while let Some((frame, outgoing)) = self.socket.next_frame()? {
                acked += 1;
                ensure!(acked <= messages, "a message too many");
                queue_ack(outgoing, frame, acked == messages)?;
            }
            self.socket.flush()?;
        }
        self.wait_for_the_last()
    }

    fn wait_for_the_last(&mut self) -> Result<()> {
        loop {
            if let Some((frame, _)) = self.socket.next_frame()? {
                let is_receipt = scan::header(frame, b"\nreceipt-id:") == Some(LAST.as_bytes());
                ensure!(
                    frame.starts_with(b"RECEIPT\n") && is_receipt,
                    "unexpected: {}",
                    String::from_utf8_lossy(frame)
                );
                return Ok(());
            }
            self.socket.fill()?;
        }
    }
}

/// Appends the ACK of a MESSAGE.
fn queue_ack(out: &mut Vec<u8>, message: &[u8], is_last: bool) -> Result<()> {
    let ack = message
        .starts_with(b"MESSAGE\n")
        .then(|| scan::header(message, b"\nack:"))
        .flatten();
    let ack = ack.with_context(|| {
        format!(
            "not a message that needs an ack: {}",
            String::from_utf8_lossy(message)
        )
    })?;
    out.extend_from_slice(b"ACK\nid:");
    out.extend_from_slice(ack);
    if is_last {
        out.extend_from_slice(b"\nreceipt:");
        out.extend_from_slice(LAST.as_bytes());
    }
    out.extend_from_slice(b"\n\n\0");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ack_names_the_delivery_and_only_the_last_wants_a_receipt() {
        let message = b"MESSAGE\nsubscription:0\nack:T_0@@s@@9\nmessage-id:1\n\nbody";
        let mut out = Vec::new();
        queue_ack(&mut out, message, false).unwrap();
        queue_ack(&mut out, message, true).unwrap();
        assert_eq!(
            out,
            b"ACK\nid:T_0@@s@@9\n\n\0ACK\nid:T_0@@s@@9\nreceipt:last\n\n\0"
        );
        for other in ["MESSAGE\nmessage-id:1\n\nbody", "RECEIPT\nack:1\n\n"] {
            assert!(
                queue_ack(&mut out, other.as_bytes(), false).is_err(),
                "{other}"
            );
        }
    }
}
