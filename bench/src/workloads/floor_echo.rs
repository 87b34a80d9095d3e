//! The floor under every round trip: a WebSocket echo of a payload, client and server being two
//! threads of this process.

use std::collections::VecDeque;

use anyhow::{Result, ensure};

use super::Context;
use crate::host::Meter;
use crate::load::{self, Exchange, Slot};
use crate::measure::Measure;
use crate::rpc;
use crate::ws::{self, WebSocket};

/// Keeps `window` messages in flight.
pub(super) fn run(context: &Context<'_>, window: u32) -> Result<Measure> {
    let address = ws::serve_echo()?;
    let echo = Echo {
        socket: WebSocket::connect(&format!("ws://{address}/"))?,
        payload: rpc::payload().into_bytes(),
        in_flight: VecDeque::with_capacity(window as usize),
    };
    let load = load::run_fleet(
        vec![echo],
        window,
        context.plan.warm_up,
        context.plan.measure,
        &Meter::new(None, None),
    )?;
    Ok(Measure::of_load(&load))
}

/// Echoes carry no id: they come back in the order in which they left.
struct Echo {
    socket: WebSocket,
    payload: Vec<u8>,
    in_flight: VecDeque<Slot>,
}

impl Exchange for Echo {
    fn queue(&mut self, slot: Slot) {
        self.socket.queue(&self.payload);
        self.in_flight.push_back(slot);
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.socket.fill()?;
        while let Some((text, _)) = self.socket.next_text()? {
            ensure!(text == self.payload, "the echo differs from what was sent");
            answered.extend(self.in_flight.pop_front());
        }
        Ok(())
    }
}
