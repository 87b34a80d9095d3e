//! Commands as they go over the wire, one behind the other. Pure.

use bytes::BytesMut;
use trunkline_mpx::write_command;

/// Commands that are written down at once, without a copy of each word in between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    bytes: BytesMut,
    /// Where each begins.
    begins: Vec<usize>,
}

impl Commands {
    /// A command, after the others.
    pub(crate) fn add(&mut self, words: &[&[u8]]) {
        self.begins.push(self.bytes.len());
        write_command(&mut self.bytes, words);
    }

    pub(crate) fn len(&self) -> usize {
        self.begins.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Those at these places, each after `ASKING` if that is to be said.
    pub(crate) fn pick(&self, places: &[usize], asking: bool) -> Self {
        let mut picked = Self::default();
        for place in places {
            if asking {
                picked.add(&[b"ASKING"]);
            }
            let end = self.begins.get(place + 1).copied();
            let end = end.unwrap_or(self.bytes.len());
            picked.begins.push(picked.bytes.len());
            let command = &self.bytes[self.begins[*place]..end];
            picked.bytes.extend_from_slice(command);
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_picked_as_they_were_written() {
        let mut commands = Commands::default();
        assert!(commands.is_empty());
        commands.add(&[b"GET", b"a\r\n"]);
        commands.add(&[b"PING"]);
        commands.add(&[b"DEL", b""]);
        let (get, ping) = ("*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n", "*1\r\n$4\r\nPING\r\n");
        let delete = "*2\r\n$3\r\nDEL\r\n$0\r\n\r\n";
        let text = |commands: &Commands| String::from_utf8(commands.bytes().to_vec()).unwrap();
        assert_eq!(text(&commands), [get, ping, delete].concat());
        let picked = commands.pick(&[0, 2], false);
        assert_eq!((picked.len(), text(&picked)), (2, [get, delete].concat()));
        let asked = commands.pick(&[1], true);
        let asking = "*1\r\n$6\r\nASKING\r\n";
        assert_eq!((asked.len(), text(&asked)), (2, [asking, ping].concat()));
    }
}
