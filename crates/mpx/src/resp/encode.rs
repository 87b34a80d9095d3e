use bytes::{BufMut, BytesMut};

/// Appends a command as it goes over the wire: an array of its words.
pub fn write_command(out: &mut BytesMut, words: &[&[u8]]) {
    head(out, words.len());
    for word in words {
        bulk(out, word);
    }
}

/// Writes a command of a verb and as many names as there are.
pub(crate) fn command_of<'n>(
    out: &mut BytesMut,
    verb: &[u8],
    names: impl ExactSizeIterator<Item = &'n [u8]>,
) {
    head(out, names.len() + 1);
    bulk(out, verb);
    for name in names {
        bulk(out, name);
    }
}

fn head(out: &mut BytesMut, words: usize) {
    line(out, b'*', words);
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    line(out, b'$', bytes.len());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn line(out: &mut BytesMut, kind: u8, number: usize) {
    out.put_u8(kind);
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_their_words() {
        let mut out = BytesMut::new();
        write_command(&mut out, &[b"PING"]);
        command_of(&mut out, b"SUBSCRIBE", [&b"a b"[..], b""].into_iter());
        assert_eq!(
            &out[..],
            b"*1\r\n$4\r\nPING\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$3\r\na b\r\n$0\r\n\r\n"
        );
    }
}
