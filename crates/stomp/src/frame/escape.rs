use crate::{Command, Version};
use bytes::BufMut;
use compact_str::CompactString;

/// Which characters of a header are escaped (STOMP 1.2, "Value Encoding").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escapes {
    /// None: STOMP 1.0, and the frames CONNECT, STOMP and CONNECTED of every version.
    None,
    /// `\n`, `\c` and `\\`.
    V1_1,
    /// `\r` too.
    V1_2,
}

/// A header that a version has no way to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {name} holds {found:?}, which {command} can't carry in this version; encode it")]
pub struct Inexpressible {
    /// The command of the frame.
    pub command: Command,
    /// Beginning of the header's name.
    pub name: String,
    /// The first character that can't be written.
    pub found: char,
}

/// Whether any byte is one that not every version writes as it is. Nearly no text has one: so all
/// are looked at at once, without ending at the first.
fn has_special(bytes: &[u8]) -> bool {
    let is_special = |byte: u8| matches!(byte, 0 | b'\n' | b'\r' | b':' | b'\\');
    bytes
        .iter()
        .fold(false, |found, byte| found | is_special(*byte))
}

impl Escapes {
    /// Those of a frame. As long as no version is agreed, there are none.
    pub(crate) const fn of(command: Command, version: Option<Version>) -> Self {
        match version {
            _ if command.is_never_escaped() => Self::None,
            None | Some(Version::V1_0) => Self::None,
            Some(Version::V1_1) => Self::V1_1,
            Some(Version::V1_2) => Self::V1_2,
        }
    }

    const fn known(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::V1_1 => r"\n \c \\",
            Self::V1_2 => r"\r \n \c \\",
        }
    }

    /// What an escape stands for.
    const fn meaning(self, letter: char) -> Option<char> {
        match (self, letter) {
            (Self::None, _) => None,
            (_, 'n') => Some('\n'),
            (_, 'c') => Some(':'),
            (_, '\\') => Some('\\'),
            (Self::V1_2, 'r') => Some('\r'),
            _ => None,
        }
    }

    /// The letter that a character is escaped with, or how it is written plainly.
    const fn written(self, byte: u8, part: Part) -> Written {
        match (self, byte) {
            (_, 0) => Written::Not,
            (Self::None, b':') if matches!(part, Part::Name) => Written::Not,
            (Self::None, b'\n' | b'\r') | (Self::V1_1, b'\r') => Written::Not,
            (Self::None, _) => Written::Plain,
            (_, b'\n') => Written::Escaped(b'n'),
            (_, b':') => Written::Escaped(b'c'),
            (_, b'\\') => Written::Escaped(b'\\'),
            (_, b'\r') => Written::Escaped(b'r'),
            _ => Written::Plain,
        }
    }

    /// A name or value without its escapes; on failure the escape that stands for nothing, and
    /// those that there are.
    pub(crate) fn remove(self, text: &str) -> Result<CompactString, (String, &'static str)> {
        if self == Self::None || memchr::memchr(b'\\', text.as_bytes()).is_none() {
            return Ok(CompactString::new(text));
        }
        let mut plain = CompactString::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                plain.push(character);
                continue;
            }
            let letter = characters.next();
            match letter.and_then(|letter| self.meaning(letter)) {
                Some(meant) => plain.push(meant),
                None => {
                    let odd = letter.map_or_else(String::new, |c| c.escape_debug().collect());
                    return Err((format!("\\{odd}"), self.known()));
                }
            }
        }
        Ok(plain)
    }

    /// Writes a name or value. What can't be written becomes a blank: a line must never become
    /// two, nor a frame.
    pub(crate) fn put(self, out: &mut impl BufMut, text: &str, part: Part) {
        let bytes = text.as_bytes();
        if !has_special(bytes) {
            return out.put_slice(bytes);
        }
        let mut plain_from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let written = match byte {
                0 | b'\n' | b'\r' | b':' | b'\\' => self.written(*byte, part),
                _ => continue,
            };
            let escape = match written {
                Written::Plain => continue,
                Written::Escaped(letter) => [b'\\', letter],
                Written::Not => [b' ', 0],
            };
            out.put_slice(&bytes[plain_from..at]);
            out.put_slice(match written {
                Written::Not => &escape[..1],
                _ => &escape,
            });
            plain_from = at + 1;
        }
        out.put_slice(&bytes[plain_from..]);
    }

    /// Whether a header can be written so that it reads back as it is.
    ///
    /// # Errors
    /// [`Inexpressible`] names the header and the character.
    pub(crate) fn check(
        self,
        command: Command,
        name: &str,
        value: &str,
    ) -> Result<(), Inexpressible> {
        let mut parts = [(name, Part::Name), (value, Part::Value)].into_iter();
        let odd = parts.find_map(|(text, part)| {
            let odd =
                |c: &char| c.is_ascii() && matches!(self.written(*c as u8, part), Written::Not);
            text.chars().find(odd)
        });
        odd.map_or(Ok(()), |found| {
            let name = crate::excerpt::excerpt(name);
            Err(Inexpressible {
                command,
                name,
                found,
            })
        })
    }
}

/// Which side of the colon a text stands on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Name,
    Value,
}

#[derive(Clone, Copy)]
enum Written {
    Plain,
    Escaped(u8),
    Not,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(escapes: Escapes, text: &str, part: Part) -> String {
        let mut out = Vec::new();
        escapes.put(&mut out, text, part);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_by_version() {
        let odd = "a:b\nc\\d\re\0";
        for (escapes, part, written) in [
            (Escapes::None, Part::Value, "a:b c\\d e "),
            (Escapes::None, Part::Name, "a b c\\d e "),
            (Escapes::V1_1, Part::Value, r"a\cb\nc\\d e "),
            (Escapes::V1_2, Part::Name, r"a\cb\nc\\d\re "),
        ] {
            assert_eq!(put(escapes, odd, part), written);
        }
    }

    #[test]
    fn undefined_escapes_are_named() {
        for (escapes, text, escape) in [
            (Escapes::V1_1, r"a\t", Some(r"\t")),
            (Escapes::V1_2, r"a\t", Some(r"\t")),
            (Escapes::V1_1, r"a\r", Some(r"\r")),
            (Escapes::V1_2, r"\", Some(r"\")),
            (Escapes::V1_2, r"a\r", None),
            (Escapes::None, r"a\t\", None),
        ] {
            let found = escapes.remove(text).err().map(|(escape, _)| escape);
            assert_eq!(found.as_deref(), escape, "{escapes:?} {text}");
        }
    }
}
