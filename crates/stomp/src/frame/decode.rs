use super::{DecodeError, Escapes, Fault, Frame, FrameLimits};
use crate::excerpt::{excerpt, excerpt_bytes, excerpt_name};
use crate::{Command, Version};
use bytes::{Buf, Bytes, BytesMut};
use compact_str::CompactString;
use trunkline_model::Headers;

/// Makes frames of bytes, however they are split. It takes what it has understood out of the
/// buffer, so that no more than a line or a body waits there, and looks at each byte once.
///
/// Lines end with LF or CR LF in every version; ends of lines between frames are heart-beats
/// and are passed over. Before a version is set, headers are read as CONNECT has them.
#[derive(Debug)]
pub struct Decoder {
    limits: FrameLimits,
    version: Option<Version>,
    stage: Stage,
    /// Bytes at the front of the buffer that hold no end of what is looked for.
    scanned: usize,
    partial: Partial,
    broken: Option<DecodeError>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Between,
    Command,
    Headers,
    /// With its `content-length`.
    Body(Option<usize>),
}

/// The frame that is being read.
#[derive(Debug, Default)]
struct Partial {
    command: Option<Command>,
    headers: Headers,
    headers_bytes: usize,
    /// A fault that leaves the lines readable. It is reported at the end of the headers, so that
    /// the frame's `receipt` is known.
    deferred: Option<Fault>,
}

impl Decoder {
    /// A decoder for one connection.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            version: None,
            stage: Stage::Between,
            scanned: 0,
            partial: Partial::default(),
            broken: None,
        }
    }

    /// Reads what follows by the rules of the version that was agreed.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Takes the next frame out of the buffer; none if it is not all there yet. What is left in
    /// the buffer has to be there the next time, with more behind it.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not a frame or beyond the limits; from then on always.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.advance(input).map_err(|fault| {
            let error = DecodeError {
                fault,
                command: self.partial.command,
                receipt: self.partial.headers.get("receipt").map(CompactString::new),
            };
            self.partial = Partial::default();
            self.broken.insert(error).clone()
        })
    }

    /// Whether part of a frame was read.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        !matches!(self.stage, Stage::Between)
    }

    fn advance(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Fault> {
        loop {
            match self.stage {
                Stage::Between => {
                    if !skip_ends_of_lines(input) {
                        return Ok(None);
                    }
                    self.stage = Stage::Command;
                }
                Stage::Command => {
                    let max = self.limits.command_bytes_max;
                    let too_long = Fault::CommandTooLong { max };
                    let Some(end) = self.find_line(input, max, too_long)? else {
                        return Ok(None);
                    };
                    self.begin(without_cr(&input[..end]))?;
                    input.advance(end + 1);
                    self.stage = Stage::Headers;
                }
                Stage::Headers => {
                    let max = self.limits.header_line_bytes_max;
                    let too_long = Fault::HeaderTooLong { max };
                    let Some(end) = self.find_line(input, max, too_long)? else {
                        return Ok(None);
                    };
                    let line = without_cr(&input[..end]);
                    if line.is_empty() {
                        self.stage = Stage::Body(self.end_headers()?);
                    } else {
                        self.header(line)?;
                    }
                    input.advance(end + 1);
                }
                Stage::Body(length) => {
                    let body = match length {
                        Some(length) => sized_body(input, length)?,
                        None => self.body_up_to_nul(input)?,
                    };
                    return Ok(body.and_then(|body| self.finish(body)));
                }
            }
        }
    }

    /// Where the line at the front ends: the place of its LF.
    fn find_line(
        &mut self,
        input: &[u8],
        max: usize,
        too_long: Fault,
    ) -> Result<Option<usize>, Fault> {
        // A CR before the LF is not part of the line.
        let window = &input[..input.len().min(max.saturating_add(2))];
        self.scanned = self.scanned.min(window.len());
        match memchr::memchr2(b'\n', 0, &window[self.scanned..]) {
            Some(found) if window[self.scanned + found] == 0 => Err(Fault::NulInHeaders),
            Some(found) => {
                let end = self.scanned + found;
                self.scanned = 0;
                if without_cr(&input[..end]).len() > max {
                    return Err(too_long);
                }
                Ok(Some(end))
            }
            None if window.len() > max.saturating_add(1) => Err(too_long),
            None => {
                self.scanned = window.len();
                Ok(None)
            }
        }
    }

    fn begin(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.partial.command = Command::parse(line);
        if self.partial.command.is_none() {
            let fault = Fault::UnknownCommand(excerpt_bytes(line));
            if self.version.is_none() {
                // Not a STOMP client: no headers need follow.
                return Err(fault);
            }
            self.partial.deferred = Some(fault);
        }
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Fault> {
        let limits = &self.limits;
        self.partial.headers_bytes += line.len();
        if self.partial.headers.len() >= limits.headers_max {
            let max = limits.headers_max;
            return Err(Fault::TooManyHeaders { max });
        }
        if self.partial.headers_bytes > limits.headers_bytes_max {
            let max = limits.headers_bytes_max;
            return Err(Fault::HeadersTooLong { max });
        }
        let colon = memchr::memchr(b':', line).ok_or_else(|| Fault::NoColon(excerpt_name(line)))?;
        if colon == 0 {
            return Err(Fault::NoName);
        }
        match self.read_header(line, colon) {
            Ok((name, value)) => self.partial.headers.push(name, value),
            Err(fault) => {
                self.partial.deferred.get_or_insert(fault);
            }
        }
        Ok(())
    }

    fn read_header(
        &self,
        line: &[u8],
        colon: usize,
    ) -> Result<(CompactString, CompactString), Fault> {
        let line = str::from_utf8(line).map_err(|_| Fault::NotUtf8(excerpt_name(line)))?;
        let (name, mut value) = (&line[..colon], &line[colon + 1..]);
        if self.version == Some(Version::V1_0) {
            // Clients of that time pad, and the specification didn't say that they must not.
            value = value.trim_start_matches(' ');
        }
        let command = self.partial.command.unwrap_or(Command::Send);
        let escapes = Escapes::of(command, self.version);
        let read = |text: &str| {
            escapes
                .remove(text)
                .map_err(|(escape, known)| Fault::UndefinedEscape {
                    escape,
                    name: excerpt(name),
                    known,
                })
        };
        Ok((read(name)?, read(value)?))
    }

    /// The length of the body, if it is said.
    fn end_headers(&mut self) -> Result<Option<usize>, Fault> {
        if let Some(fault) = self.partial.deferred.take() {
            return Err(fault);
        }
        let Some(text) = self.partial.headers.get("content-length") else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(Fault::BadContentLength(excerpt(text)));
        }
        // What overflows is too large as well.
        let length = text.parse().unwrap_or(usize::MAX);
        let max = self.limits.body_bytes_max;
        if length > max {
            return Err(Fault::BodyTooLarge { max });
        }
        if length > 0 {
            self.check_stray_body()?;
        }
        Ok(Some(length))
    }

    fn check_stray_body(&self) -> Result<(), Fault> {
        match self.partial.command {
            Some(command) if !command.has_body() && !self.limits.ignore_stray_bodies => {
                Err(Fault::StrayBody(command))
            }
            _ => Ok(()),
        }
    }

    fn body_up_to_nul(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if input.first().is_some_and(|byte| *byte != 0) {
            self.check_stray_body()?;
        }
        let max = self.limits.body_bytes_max;
        let window = &input[..input.len().min(max.saturating_add(1))];
        self.scanned = self.scanned.min(window.len());
        match memchr::memchr(0, &window[self.scanned..]) {
            Some(found) => {
                let length = self.scanned + found;
                self.scanned = 0;
                Ok(Some(take_body(input, length)))
            }
            None if window.len() > max => Err(Fault::BodyTooLarge { max }),
            None => {
                self.scanned = window.len();
                Ok(None)
            }
        }
    }

    fn finish(&mut self, body: Bytes) -> Option<Frame> {
        self.stage = Stage::Between;
        let partial = std::mem::take(&mut self.partial);
        // Without a command the headers ended with a fault.
        let command = partial.command?;
        Some(Frame {
            command,
            headers: partial.headers,
            body: if command.has_body() {
                body
            } else {
                Bytes::new()
            },
        })
    }
}

/// Whether something else follows.
fn skip_ends_of_lines(input: &mut BytesMut) -> bool {
    let mut skipped = 0;
    while let [first, rest @ ..] = &input[skipped..] {
        match (first, rest) {
            (b'\n', _) => skipped += 1,
            (b'\r', [b'\n', ..]) => skipped += 2,
            // The LF may be on its way.
            (b'\r', []) => break,
            _ => {
                input.advance(skipped);
                return true;
            }
        }
    }
    input.advance(skipped);
    false
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn sized_body(input: &mut BytesMut, length: usize) -> Result<Option<Bytes>, Fault> {
    match input.get(length) {
        None => Ok(None),
        Some(0) => Ok(Some(take_body(input, length))),
        Some(_) => Err(Fault::LengthMismatch { length }),
    }
}

/// The body and, which is dropped, its NUL.
fn take_body(input: &mut BytesMut, length: usize) -> Bytes {
    let body = match length {
        0 => Bytes::new(),
        _ => input.split_to(length).freeze(),
    };
    input.advance(1);
    body
}
