//! Numbers that look random and are the same in every run: keys, groups, priorities, and which
//! messages are settled.

/// Most digits that a drawn number has.
const DIGITS_MAX: usize = 10;

/// Draws numbers below a bound, one after the other (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    state: u64,
    below: u32,
}

impl Draws {
    /// Numbers from 0 to `below` − 1; each `seed` has an order of its own.
    pub(crate) fn new(below: u32, seed: u32) -> Draws {
        // Any state but 0 will do; seeds that differ in one bit should soon differ in all.
        let state = (u64::from(seed) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Draws { state, below }
    }

    /// The next number.
    pub(crate) fn draw(&mut self) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((high * u64::from(self.below)) >> 32) as u32
    }

    /// How many digits every number is written with: those of the largest.
    pub(crate) fn width(&self) -> usize {
        (self.below.max(2) - 1).ilog10() as usize + 1
    }

    /// Writes the next number with [`width`](Draws::width) digits, zeros in front.
    pub(crate) fn draw_digits<'d>(&mut self, digits: &'d mut Digits) -> &'d [u8] {
        let mut rest = self.draw();
        let digits = &mut digits.0[..self.width()];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        digits
    }
}

/// Room for the digits of one number.
#[derive(Default)]
pub(crate) struct Digits([u8; DIGITS_MAX]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_about_as_often() {
        for below in [2, 10, 1_000] {
            let mut draws = Draws::new(below, 0);
            let mut seen = vec![0_u32; below as usize];
            for _ in 0..below * 1_000 {
                seen[draws.draw() as usize] += 1;
            }
            // Ten standard deviations of a fair draw is about a third.
            let far = seen.iter().find(|count| count.abs_diff(1_000) > 330);
            assert_eq!(far, None, "below {below}");
        }
    }

    #[test]
    fn an_order_is_repeated_and_each_seed_has_its_own() {
        let first = |seed| {
            let mut draws = Draws::new(1_000_000, seed);
            std::array::from_fn::<u32, 8, _>(|_| draws.draw())
        };
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
    }

    #[test]
    fn numbers_are_all_of_one_width() {
        for (below, width) in [(1, 1), (10, 1), (11, 2), (1_000, 3), (100_000, 5)] {
            let mut draws = Draws::new(below, 7);
            assert_eq!(draws.width(), width, "below {below}");
            for _ in 0..100 {
                let expected = format!("{:0width$}", draws.clone().draw());
                let mut digits = Digits::default();
                assert_eq!(draws.draw_digits(&mut digits), expected.as_bytes());
            }
        }
        assert_eq!(Draws::new(u32::MAX, 0).width(), DIGITS_MAX);
    }
}
