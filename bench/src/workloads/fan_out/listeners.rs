//! Many listeners read by one blocking thread.

use anyhow::{Result, bail};
use memchr::memmem;
use serde_json::json;

use super::super::Context;
use super::rounds::Rounds;
use crate::rpc;
use crate::ws::WebSocket;

/// Connections that each listen to the same channel.
pub(super) struct Listeners(Vec<Listener>);

struct Listener {
    socket: WebSocket,
    received: u64,
}

impl Listeners {
    pub(super) fn connect(context: &Context<'_>, channel: &str, count: u64) -> Result<Listeners> {
        let listeners = (0..count).map(|_| {
            let mut socket = context.connect()?;
            let params = json!({"channels": [channel]});
            rpc::request(&mut socket, "rpc.channel.subscribe", &params)?;
            Ok(Listener {
                socket,
                received: 0,
            })
        });
        Ok(Listeners(listeners.collect::<Result<_>>()?))
    }

    /// Reads all rounds of `half` messages that are announced.
    ///
    /// Everybody gets the same messages, so waiting for one listener after the other waits no
    /// longer than for the last of them, without a thread or a poll for each.
    pub(super) fn read_rounds(&mut self, reader: usize, rounds: &Rounds, half: u64) -> Result<()> {
        for listener in &mut self.0 {
            listener.received = 0;
        }
        let mut round = 0;
        while rounds.wait_until_announced(round) {
            for listener in &mut self.0 {
                if let Err(error) = listener.read_until((round + 1) * half) {
                    rounds.done(reader, None);
                    return Err(error);
                }
            }
            rounds.done(reader, Some(round));
            round += 1;
        }
        Ok(())
    }
}

impl Listener {
    fn read_until(&mut self, messages: u64) -> Result<()> {
        while self.received < messages {
            self.socket.fill()?;
            while let Some((text, _)) = self.socket.next_text()? {
                if memmem::find(text, br#""rpc.channel.message""#).is_none() {
                    bail!("unexpected: {}", String::from_utf8_lossy(text));
                }
                self.received += 1;
            }
        }
        Ok(())
    }
}
