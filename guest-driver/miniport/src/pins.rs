//! How many instances of each pin are open, and how many there can be.
//!
//! Both render pins share the card's render streams, in the order in which they are opened. How many instances a pin
//! can still have depends on the other pin, which its descriptor cannot say; the port queries it (`IPinCount`).

use core::sync::atomic::{AtomicU32, Ordering};

use crate::midi_out;
use crate::topology::{INSTANCES, PIN_CAPTURE, PIN_DIRECTMUSIC, PIN_MIDI, PINS};

/// The open instances of a miniport's pins.
#[derive(Debug)]
pub struct Pins {
    open: [AtomicU32; PINS],
    /// Of both render pins together.
    render: AtomicU32,
}

/// The state and capabilities of a card that its number of streams depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The card has not been removed.
    pub is_there: bool,
    /// The card captures.
    pub captures: bool,
}

const fn is_render(pin: u32) -> bool {
    matches!(pin, PIN_MIDI | PIN_DIRECTMUSIC)
}

fn take(count: &AtomicU32, most: u32) -> bool {
    count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then_some(n + 1)).is_ok()
}

impl Pins {
    /// Makes counts of 0.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: [const { AtomicU32::new(0) }; PINS], render: AtomicU32::new(0) }
    }

    /// Counts an instance of a pin. False: there can be no more.
    pub fn take(&self, pin: u32) -> bool {
        let (Some(open), Some(most)) = (self.open.get(pin as usize), INSTANCES.get(pin as usize)) else { return false };
        if is_render(pin) && !take(&self.render, midi_out::STREAMS as u32) {
            return false;
        }
        let taken = take(open, *most);
        if !taken && is_render(pin) {
            self.render.fetch_sub(1, Ordering::AcqRel);
        }
        taken
    }

    /// Uncounts an instance of a pin.
    pub fn give(&self, pin: u32) {
        if let Some(open) = self.open.get(pin as usize) {
            open.fetch_sub(1, Ordering::AcqRel);
        }
        if is_render(pin) {
            self.render.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Returns how many instances a pin can have now, open ones included.
    pub fn possible(&self, pin: u32, card: Abilities) -> u32 {
        let (Some(open), Some(most)) = (self.open.get(pin as usize), INSTANCES.get(pin as usize)) else { return 0 };
        let open = open.load(Ordering::Acquire);
        match pin {
            _ if !card.is_there => open,
            PIN_CAPTURE if !card.captures => open,
            pin if is_render(pin) => {
                let left = (midi_out::STREAMS as u32).saturating_sub(self.render.load(Ordering::Acquire));
                (*most).min(open.saturating_add(left))
            }
            _ => *most,
        }
    }
}

impl Default for Pins {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Abilities = Abilities { is_there: true, captures: true };

    #[test]
    fn shares_the_cards_streams_between_the_render_pins() {
        let pins = Pins::new();
        assert_eq!((pins.possible(PIN_MIDI, GOOD), pins.possible(PIN_DIRECTMUSIC, GOOD)), (8, 8));
        for opened in 1..=3 {
            assert!(pins.take(PIN_MIDI));
            assert_eq!((pins.possible(PIN_MIDI, GOOD), pins.possible(PIN_DIRECTMUSIC, GOOD)), (8, 8 - opened));
        }
        for _ in 0..5 {
            assert!(pins.take(PIN_DIRECTMUSIC));
        }
        assert_eq!((pins.possible(PIN_MIDI, GOOD), pins.possible(PIN_DIRECTMUSIC, GOOD)), (3, 5));
        assert!(!pins.take(PIN_MIDI) && !pins.take(PIN_DIRECTMUSIC));
        pins.give(PIN_DIRECTMUSIC);
        assert!(pins.take(PIN_MIDI));
    }

    #[test]
    fn gives_other_pins_the_instances_of_their_descriptors() {
        let pins = Pins::new();
        for (pin, most) in (0..).zip(INSTANCES).skip(2) {
            assert_eq!(pins.possible(pin, GOOD), most);
            for _ in 0..most {
                assert!(pins.take(pin));
            }
            assert!(!pins.take(pin));
        }
        assert!(!pins.take(PINS as u32) && pins.possible(PINS as u32, GOOD) == 0);
    }

    #[test]
    fn gives_a_pin_no_more_instances_when_the_card_is_gone_or_does_not_capture() {
        let pins = Pins::new();
        assert!(pins.take(PIN_MIDI));
        let gone = Abilities { is_there: false, captures: true };
        assert_eq!((pins.possible(PIN_MIDI, gone), pins.possible(PIN_DIRECTMUSIC, gone)), (1, 0));
        assert_eq!(pins.possible(PIN_CAPTURE, Abilities { is_there: true, captures: false }), 0);
    }
}
