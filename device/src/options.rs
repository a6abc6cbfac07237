//! The fixed configuration of a card.

use card_control::Clock;

/// The options of the command line that configure the card. They survive every reset.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The source of the card's time.
    pub clock: Clock,
    /// Most voices that a driver can have.
    pub voices: u16,
    /// Frames rendered at a time. It changes speed, and no sample.
    pub render_block: usize,
}
