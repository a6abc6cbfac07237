//! The 128 programs of General MIDI, one recipe each.

mod keyboards;
mod noises;
mod orchestra;
mod plucked;
mod shorthand;
mod synthetic;
mod winds;

use super::recipe::Recipe;
use keyboards::{chromatic_percussion, organ, piano};
use noises::{percussive, sound_effect};
use orchestra::{ensembles, strings};
use plucked::{bass, ethnic, guitar};
use synthetic::{effect, lead, pad};
use winds::{brass, pipe, reed};

/// Returns the recipe of a program, counted from 0.
pub(super) fn program(number: u8) -> Recipe {
    match number {
        0..=7 => piano(number),
        8..=15 => chromatic_percussion(number),
        16..=23 => organ(number),
        24..=31 => guitar(number),
        32..=39 => bass(number),
        40..=47 => strings(number),
        48..=55 => ensembles(number),
        56..=63 => brass(number),
        64..=71 => reed(number),
        72..=79 => pipe(number),
        80..=87 => lead(number),
        88..=95 => pad(number),
        96..=103 => effect(number),
        104..=111 => ethnic(number),
        112..=119 => percussive(number),
        _ => sound_effect(number),
    }
}
