//! Decimal text of integers, without allocation.

use crate::Id;

/// An integer and its decimal text, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Integer {
    digits: [u8; Self::CAPACITY],
    start: u8,
}

impl Integer {
    /// A sign and the 20 digits of `u64::MAX`.
    const CAPACITY: usize = 21;

    /// The text of a number without sign.
    #[must_use]
    pub fn from_unsigned(mut number: u64) -> Self {
        let mut digits = [b'0'; Self::CAPACITY];
        let mut start = Self::CAPACITY;
        // Two at a time: the division is what takes the time.
        while number > 9 {
            let two = (number % 100) as u8;
            number /= 100;
            start -= 2;
            digits[start] += two / 10;
            digits[start + 1] += two % 10;
        }
        if number > 0 || start == Self::CAPACITY {
            start -= 1;
            digits[start] += number as u8;
        }
        Self {
            digits,
            start: start as u8,
        }
    }

    /// The text of a number with sign.
    #[must_use]
    pub fn from_signed(number: i64) -> Self {
        let mut text = Self::from_unsigned(number.unsigned_abs());
        if number < 0 {
            text.start -= 1;
            text.digits[usize::from(text.start)] = b'-';
        }
        text
    }

    /// The decimal text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).expect("digits are ASCII")
    }

    /// The decimal text, to write: nothing has to be checked for that.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[usize::from(self.start)..]
    }

    /// The number as a request id.
    #[must_use]
    pub fn as_id(&self) -> Id<'_> {
        Id::from_valid(self.as_str()).expect("a number is an id")
    }
}

#[cfg(test)]
mod tests {
    use super::Integer;

    #[test]
    fn the_text_is_the_standard_librarys() {
        for number in [0, 1, 9, 10, 99, 100, i64::MAX, -1, -10, i64::MIN] {
            assert_eq!(Integer::from_signed(number).as_str(), number.to_string());
        }
        let powers = (0..20).map(|power| 10u64.pow(power));
        for number in powers.flat_map(|power| [power - 1, power, power + 1, 7 * (power / 8)]) {
            assert_eq!(Integer::from_unsigned(number).as_str(), number.to_string());
        }
        for number in [7, u64::MAX - 1, u64::MAX] {
            assert_eq!(Integer::from_unsigned(number).as_str(), number.to_string());
        }
    }
}
