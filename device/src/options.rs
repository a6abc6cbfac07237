//! The fixed configuration of a card.

use card_control::Clock;

/// What the command line says about the card. It survives every reset.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What moves time.
    pub clock: Clock,
    /// Most voices that a driver can have.
    pub voices: u16,
    /// Frames rendered at a time. It changes speed, and no sample.
    pub render_block: usize,
}
