//! What moves the pitch of a phase-locked voice: its master's oscillators and modulation envelope (DLS-2.2, 1.10). Its
//! own move its other destinations.

use super::envelope::Times;
use super::lfo::Rate;

/// The times of a master's note that move its pitch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lead {
    pub(crate) eg2: Times,
    pub(crate) lfo: Rate,
    pub(crate) vibrato: Rate,
}
