//! QEMU and the card together, and who is to blame when one of them ends.

use std::time::Duration;

use super::{Card, Machine};
use crate::process::Ended;
use crate::session::{Death, Health};
use crate::standstill::Watch;

/// How long one of both gets to become waitable after the other has noticed that it is gone: the kernel closes its sockets
/// first and takes its memory back in between, which takes a busy machine a while.
const GRACE: Duration = Duration::from_secs(20);

/// How the card ends when QEMU has left.
const CARD_LEFT: Ended = Ended::Exit(0);

/// How the card ends when the connection broke, by whosever fault.
const CARD_LOST_CONNECTION: Ended = Ended::Exit(4);

/// How QEMU ends when its card does.
const QEMU_LOST_CARD: Ended = Ended::Signal(6);

/// QEMU and the card.
#[derive(Debug)]
pub struct Rig {
    /// Sees when the host lets one of both not run. It ends before them.
    pub watch: Watch,
    /// QEMU.
    pub machine: Machine,
    /// The card.
    pub card: Card,
}

impl Rig {
    /// A machine that has started, and its card.
    #[must_use]
    pub fn new(machine: Machine, card: Card) -> Self {
        Self { watch: Watch::begin(vec![card.watched(), machine.watched()]), machine, card }
    }
}

impl Health for Rig {
    fn death(&mut self) -> Option<Death> {
        match (self.machine.ended(), self.card.ended()) {
            (None, card @ Some(CARD_LEFT | CARD_LOST_CONNECTION)) => blame(self.machine.wait(GRACE), card),
            (machine @ Some(QEMU_LOST_CARD), None) => blame(machine, self.card.wait(GRACE)),
            (machine, card) => blame(machine, card),
        }
    }

    fn stood_still(&self) -> Duration {
        self.watch.total()
    }
}

/// Who died first. Neither survives the other for long, so both ends together must tell.
fn blame(machine: Option<Ended>, card: Option<Ended>) -> Option<Death> {
    match (machine, card) {
        (None, None) => None,
        (None, Some(card)) => Some(Death::Card(card)),
        (Some(machine), None | Some(CARD_LEFT)) => Some(Death::Qemu(machine)),
        // Both sides say that the other one left; only a QEMU that lost its card aborts.
        (Some(machine), Some(CARD_LOST_CONNECTION)) if machine != QEMU_LOST_CARD => Some(Death::Qemu(machine)),
        (Some(_), Some(card)) => Some(Death::Card(card)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Ended = Ended::Signal(9);

    #[test]
    fn the_living_are_not_blamed() {
        assert_eq!(blame(None, None), None);
    }

    #[test]
    fn a_killed_card_is_blamed_for_the_abort_of_qemu() {
        assert_eq!(blame(Some(QEMU_LOST_CARD), Some(KILLED)), Some(Death::Card(KILLED)));
        assert_eq!(blame(None, Some(KILLED)), Some(Death::Card(KILLED)));
    }

    #[test]
    fn a_card_that_hung_up_on_qemu_is_blamed() {
        let blamed = blame(Some(QEMU_LOST_CARD), Some(CARD_LOST_CONNECTION));
        assert_eq!(blamed, Some(Death::Card(CARD_LOST_CONNECTION)));
    }

    #[test]
    fn a_card_that_only_followed_qemu_is_not_blamed() {
        for card in [CARD_LEFT, CARD_LOST_CONNECTION] {
            assert_eq!(blame(Some(KILLED), Some(card)), Some(Death::Qemu(KILLED)));
            assert_eq!(blame(Some(Ended::Exit(35)), Some(card)), Some(Death::Qemu(Ended::Exit(35))));
        }
    }
}
