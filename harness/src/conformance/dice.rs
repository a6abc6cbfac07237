//! Numbers drawn from a seed.

/// Keeps the zero seed from a state of zero, which would stay zero.
const SALT: u64 = 0x5EED_0001;

/// Draws numbers by xorshift (Marsaglia 2003): the same for the same seed.
pub struct Dice(u64);

impl Dice {
    /// Begins at a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(if seed == SALT { 1 } else { seed ^ SALT })
    }

    /// Draws the next number, from 0 up to but not including the limit.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
