//! MessagePack, as far as the script and this crate speak it: numbers without a sign, texts, nil, truth values
//! and arrays. What is absent is `false`, since nil ends an array in Lua.

/// Largest number that Lua keeps exactly (2⁵³ − 1); greater ones become this one.
pub(crate) const NUMBER_MAX: u64 = (1 << 53) - 1;

/// Writes one value after the other.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins an array of so many values, which follow.
    pub(crate) fn array(&mut self, length: usize) {
        match length {
            0..16 => self.0.push(0x90 | length as u8),
            16..0x1_0000 => self.head(0xdc, &(length as u16).to_be_bytes()),
            _ => self.head(0xdd, &(length as u32).to_be_bytes()),
        }
    }

    pub(crate) fn number(&mut self, number: u64) {
        match number.min(NUMBER_MAX) {
            small @ 0..128 => self.0.push(small as u8),
            number @ 128..0x1_0000_0000 => self.head(0xce, &(number as u32).to_be_bytes()),
            number => self.head(0xcf, &number.to_be_bytes()),
        }
    }

    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        match text.len() {
            length @ 0..32 => self.0.push(0xa0 | length as u8),
            length @ 32..0x1_0000 => self.head(0xda, &(length as u16).to_be_bytes()),
            length => self.head(0xdb, &(length as u32).to_be_bytes()),
        }
        self.0.extend_from_slice(text);
    }

    pub(crate) fn truth(&mut self, truth: bool) {
        self.0.push(0xc2 | u8::from(truth));
    }

    /// What is absent.
    pub(crate) fn none(&mut self) {
        self.truth(false);
    }

    pub(crate) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.none(),
        }
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    fn head(&mut self, kind: u8, length: &[u8]) {
        self.0.push(kind);
        self.0.extend_from_slice(length);
    }
}

/// A value as the script writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Packed<'a> {
    None,
    True,
    Number(u64),
    Text(&'a [u8]),
    Array(Vec<Packed<'a>>),
}

/// Most arrays within arrays.
const DEPTH_MAX: usize = 16;

impl<'a> Packed<'a> {
    /// The one value that the bytes are; `None` if they are something else.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = read(&mut rest, DEPTH_MAX)?;
        rest.is_empty().then_some(value)
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn big_endian(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let bytes = take(rest, bytes)?.iter();
    Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn read<'a>(rest: &mut &'a [u8], depth: usize) -> Option<Packed<'a>> {
    let kind = *take(rest, 1)?.first()?;
    let bytes = 1usize << (kind & 3);
    Some(match kind {
        0..0x80 => Packed::Number(kind.into()),
        0x90..0xa0 => array(rest, usize::from(kind & 15), depth)?,
        0xa0..0xc0 => Packed::Text(take(rest, usize::from(kind & 31))?),
        0xc0 | 0xc2 => Packed::None,
        0xc3 => Packed::True,
        0xcc..0xd0 => Packed::Number(big_endian(rest, bytes)?),
        // Positive ones, though kept with a sign.
        0xd0..0xd4 => Packed::Number(big_endian(rest, bytes)?),
        0xd9..0xdc => {
            let length = big_endian(rest, 1 << (kind - 0xd9))?;
            Packed::Text(take(rest, usize::try_from(length).ok()?)?)
        }
        0xdc | 0xdd => {
            let length = big_endian(rest, if kind == 0xdc { 2 } else { 4 })?;
            array(rest, usize::try_from(length).ok()?, depth)?
        }
        _ => return None,
    })
}

fn array<'a>(rest: &mut &'a [u8], length: usize, depth: usize) -> Option<Packed<'a>> {
    let depth = depth.checked_sub(1)?;
    // Every value has a byte at least, so that no length asks for more memory than there are bytes.
    let mut values = Vec::with_capacity(length.min(rest.len()));
    for _ in 0..length {
        values.push(read(rest, depth)?);
    }
    Some(Packed::Array(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        let long = "x".repeat(70_000);
        let numbers = [0, 127, 128, 65_536, u64::from(u32::MAX) + 1, NUMBER_MAX];
        let texts = ["", "a", &long[..32], &long];
        writer.array(3);
        writer.array(20);
        (0..20).for_each(|n| writer.truth(n % 2 == 1));
        writer.array(numbers.len());
        numbers.iter().for_each(|number| writer.number(*number));
        writer.array(texts.len());
        texts.iter().for_each(|text| writer.text(text));
        let bytes = writer.done();
        let truth = |n| {
            if n % 2 == 1 {
                Packed::True
            } else {
                Packed::None
            }
        };
        let expected = Packed::Array(vec![
            Packed::Array((0..20).map(truth).collect()),
            Packed::Array(numbers.map(Packed::Number).into()),
            Packed::Array(texts.map(|text| Packed::Text(text.as_bytes())).into()),
        ]);
        assert_eq!(Packed::read(&bytes), Some(expected));
        for cut in 0..bytes.len() {
            assert_eq!(Packed::read(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn numbers_stay_exact_and_depth_is_bounded() {
        let mut writer = Writer::default();
        writer.number(u64::MAX);
        assert_eq!(
            Packed::read(&writer.done()),
            Some(Packed::Number(NUMBER_MAX))
        );
        assert_eq!(Packed::read(&[0x91; 100]), None);
        assert_eq!(Packed::read(&[0xdd, 255, 255, 255, 255]), None);
        assert_eq!(Packed::read(&[0xc1]), None);
    }
}
