//! How the card's process ends, as the harness compares it.

use card_control::ExitCode;

use crate::host::ended::Ended;

/// The card's exit status when its bank is missing or broken.
pub(crate) const CARD_DISLIKES_BANK: Ended = Ended::Exit(ExitCode::Bank.number() as i32);

/// The card's exit status when QEMU has disconnected, or when a signal or a command stops it.
pub(super) const CARD_LEFT: Ended = Ended::Exit(ExitCode::Success.number() as i32);

/// The card's exit status when the connection broke, whichever end broke it.
pub(super) const CARD_LOST_CONNECTION: Ended = Ended::Exit(ExitCode::Socket.number() as i32);
