//! Operations on their way out.

use super::{
    Acked, ClientEffect, ClientError, ClientSession, ErrorCode, Link, Operation, Unfinished,
};
use crate::{AckMode, Command, Frame, Version, Writer};
use compact_str::CompactString;
use trunkline_model::{Headers, Timestamp};

impl ClientSession {
    /// Writes an operation, or lets it wait.
    pub(super) fn enqueue(
        &mut self,
        now: Timestamp,
        id: u64,
        mut operation: Operation,
    ) -> Result<(), ClientError> {
        let max = self.settings.operations_max;
        if self.operations.len() >= max {
            return Err(misuse(format!(
                "More than {max} operations are unfinished."
            )));
        }
        let max = self.settings.unwritten_bytes_max;
        if self.unwritten_bytes() + operation.weight() > max {
            let text = format!("More than {max} bytes of operations are not written.");
            return Err(misuse(text));
        }
        if operation.acked.is_some() {
            // Also while there is no connection: then its message is of an earlier one.
            self.name_message(&mut operation)?;
        }
        self.settings.add_headers(&mut operation);
        let unfinished = Unfinished {
            command: operation.command,
            key: match operation.command {
                Command::Subscribe | Command::Unsubscribe => operation.key(),
                _ => CompactString::default(),
            },
        };
        self.operations.insert(id, unfinished);
        if self.link == Link::Ready {
            return self.write(now, id, operation);
        }
        if self.link == Link::None && operation.command == Command::Disconnect {
            self.done(id, None);
            return Ok(());
        }
        self.waiting_bytes += operation.weight();
        self.waiting.push_back((id, operation));
        if self.link == Link::None {
            self.want_connection(now);
        }
        Ok(())
    }

    fn want_connection(&mut self, now: Timestamp) {
        let interval = self.settings.reconnect_interval;
        match interval.filter(|interval| self.began && !interval.is_zero()) {
            Some(interval) => self.link = Link::Waiting(now.after(interval)),
            None => self.open(),
        }
    }

    /// Writes what waits for the login, in order.
    pub(super) fn write_waiting(&mut self, now: Timestamp) {
        while self.link == Link::Ready
            && let Some((id, operation)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= operation.weight();
            if let Err(error) = self.write(now, id, operation) {
                self.failed(id, error);
            }
        }
    }

    /// Puts into an ACK or NACK what its version says of the message.
    fn name_message(&mut self, operation: &mut Operation) -> Result<(), ClientError> {
        let Some(acked) = &operation.acked else {
            return Ok(());
        };
        let command = operation.command;
        if let Acked::Tag(tag) = acked
            && (tag.number <= self.messages_before || !self.is_ready())
        {
            let text = format!("Unexpected {command} sent: message belongs to a lost session.");
            return Err(misuse(text));
        }
        let named = self.subscriptions.acknowledge(acked);
        let named = named.ok_or_else(|| misuse(format!("Unexpected {command} sent.")))?;
        let mut headers = Headers::new();
        match self.version {
            Some(Version::V1_2) => headers.push("id", named.name),
            Some(Version::V1_1) => {
                headers.push("message-id", named.name);
                headers.push("subscription", named.subscription);
            }
            Some(Version::V1_0) | None => headers.push("message-id", named.name),
        }
        for (name, value) in operation.headers.iter() {
            headers.push(name, value);
        }
        operation.headers = headers;
        Ok(())
    }

    fn write(&mut self, now: Timestamp, id: u64, operation: Operation) -> Result<(), ClientError> {
        let mut frame = Frame {
            command: operation.command,
            headers: Headers::new(),
            body: operation.body,
        };
        let receipt = self.receipt(&operation.headers, operation.command)?;
        for (name, value) in operation.headers.iter() {
            if name != "receipt" {
                frame.headers.push(name, value);
            }
        }
        if let Some(receipt) = &receipt {
            frame.headers.push("receipt", receipt.clone());
        }
        if let Err(inexpressible) = frame.check(self.version) {
            return Err(misuse(inexpressible.to_string()));
        }
        match frame.command {
            Command::Subscribe => self.register(id, &frame)?,
            Command::Disconnect => self.link = Link::Leaving,
            _ => {}
        }
        self.write_frame(&frame);
        self.pulse.on_sent(now);
        match receipt {
            Some(receipt) => {
                self.receipts.insert(receipt, id);
            }
            None => self.unwritten.push(id),
        }
        Ok(())
    }

    /// The id of the receipt that an operation asks for.
    fn receipt(
        &mut self,
        headers: &Headers,
        command: Command,
    ) -> Result<Option<CompactString>, ClientError> {
        let always = matches!(
            command,
            Command::Subscribe | Command::Unsubscribe | Command::Disconnect
        );
        match headers.get("receipt") {
            Some(receipt) if receipt != "auto" => {
                if self.receipts.contains_key(receipt) {
                    let text = format!("Receipt \"{receipt}\" is asked for already.");
                    return Err(misuse(text));
                }
                Ok(Some(receipt.into()))
            }
            None if !always => Ok(None),
            _ => loop {
                self.next_receipt += 1;
                let (session, number) = (&self.session, self.next_receipt);
                let receipt = compact_str::format_compact!("R_{session}.{number}");
                if !self.receipts.contains_key(&receipt) {
                    return Ok(Some(receipt));
                }
            },
        }
    }

    fn register(&mut self, id: u64, frame: &Frame) -> Result<(), ClientError> {
        let key = self.operations.get(&id).map(|it| it.key.clone());
        let key = key.unwrap_or_default();
        let mode = frame.get("ack").and_then(AckMode::parse);
        if self
            .subscriptions
            .add(key.clone(), id, mode.unwrap_or_default())
        {
            Ok(())
        } else {
            Err(misuse(format!("Subscription \"{key}\" exists already.")))
        }
    }

    pub(super) fn write_connect(&mut self) -> Result<(), ClientError> {
        let settings = &self.settings;
        let mut frame = Frame::new(Command::Connect)
            .with("accept-version", &Version::list(&settings.versions))
            .with("heart-beat", &settings.heart_beat.to_string());
        for (name, value) in [
            ("login", &settings.login),
            ("passcode", &settings.passcode),
            ("host", &settings.virtual_host),
        ] {
            if let Some(value) = value {
                frame.headers.push(name, value.as_str());
            }
        }
        if let Err(inexpressible) = frame.check(None) {
            return Err(misuse(inexpressible.to_string()));
        }
        self.write_frame(&frame);
        Ok(())
    }

    /// Frames of clients have their `content-length` with or without a body.
    fn write_frame(&mut self, frame: &Frame) {
        let mut writer = Writer::begin(&mut self.out, frame.command, self.version);
        for (name, value) in frame.headers.iter() {
            if name != "content-length" {
                writer.header(name, value);
            }
        }
        writer.body(&frame.body);
    }

    /// The login is accepted.
    pub(super) fn ready(&mut self, now: Timestamp, version: Version, session: CompactString) {
        self.version = Some(version);
        self.decoder.set_version(version);
        self.session = session.clone();
        self.link = Link::Ready;
        self.effects
            .push_back(ClientEffect::Ready { version, session });
        self.write_waiting(now);
    }
}

/// The caller's own mistake.
fn misuse(text: String) -> ClientError {
    ClientError::new(ErrorCode::Operation, text)
}
