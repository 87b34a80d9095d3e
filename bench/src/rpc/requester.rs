//! A connection that sends one kind of request over and over.

use std::time::Instant;

use anyhow::{Result, bail};

use super::draws::Digits;
use super::request::{ID_HOLE, PARAMS_HOLE, id_of_slot, request_template};
use super::{Draws, STAMP_DIGITS, scan, stamp};
use crate::load::{Exchange, Paced, Slot};
use crate::ws::{Template, WebSocket};

/// One request template on one WebSocket, as an [`Exchange`].
pub(crate) struct Requester {
    socket: WebSocket,
    request: Template,
    /// The result that every answer must bring, if it is known beforehand.
    result: Option<Vec<u8>>,
    changing: Changing,
}

/// What goes into the hole in the params.
enum Changing {
    /// There is none.
    Nothing,
    /// When the request was due, counted from this moment.
    Stamp(Instant),
    /// The next number.
    Draws(Draws),
}

impl Requester {
    /// `params` is JSON text.
    pub(crate) fn new(socket: WebSocket, method: &str, params: &str) -> Requester {
        Requester {
            socket,
            request: request_template(method, (params, ""), 0),
            result: None,
            changing: Changing::Nothing,
        }
    }

    /// With the moment at which each request is due between the two parts of its params.
    pub(crate) fn stamped(
        socket: WebSocket,
        method: &str,
        params: (&str, &str),
        epoch: Instant,
    ) -> Requester {
        Requester {
            socket,
            request: request_template(method, params, STAMP_DIGITS),
            result: None,
            changing: Changing::Stamp(epoch),
        }
    }

    /// With the next of `draws` between the two parts of its params.
    pub(crate) fn drawing(
        socket: WebSocket,
        method: &str,
        params: (&str, &str),
        draws: Draws,
    ) -> Requester {
        Requester {
            socket,
            request: request_template(method, params, draws.width()),
            result: None,
            changing: Changing::Draws(draws),
        }
    }

    /// The same, and every answer must have this result, byte for byte.
    pub(crate) fn expecting(self, result: &str) -> Requester {
        Requester {
            result: Some(result.as_bytes().to_vec()),
            ..self
        }
    }
}

impl Exchange for Requester {
    fn queue(&mut self, slot: Slot) {
        if let Changing::Draws(draws) = &mut self.changing {
            let mut digits = Digits::default();
            let content = draws.draw_digits(&mut digits);
            self.request.fill(PARAMS_HOLE, content);
        }
        self.request.fill(ID_HOLE, &id_of_slot(slot));
        self.socket.queue_frame(self.request.frame());
    }

    fn flush(&mut self) -> Result<()> {
        self.socket.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.socket.fill()?;
        while let Some((text, _)) = self.socket.next_text()? {
            let (slot, result) = scan::answer(text)?;
            if let Some(expected) = &self.result
                && result != expected
            {
                bail!("not the answer: {}", String::from_utf8_lossy(text));
            }
            answered.push(slot);
        }
        Ok(())
    }
}

impl Paced for Requester {
    fn queue_due(&mut self, slot: Slot, due: Instant) {
        if let Changing::Stamp(epoch) = self.changing {
            self.request.fill(PARAMS_HOLE, &stamp::digits(epoch, due));
        }
        self.queue(slot);
    }

    fn arrives_by(&mut self, until: Instant) -> Result<bool> {
        self.socket.arrives_by(until)
    }
}
