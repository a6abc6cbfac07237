//! The 128 programs of General MIDI, one recipe each.

mod keyboards;
mod noises;
mod orchestra;
mod plucked;
mod synthetic;
mod winds;

use super::recipe::{Layer, Recipe, Sound};
use super::tone::{RATE, Spectrum};
use keyboards::{chromatic_percussion, organ, piano};
use noises::{percussive, sound_effect};
use orchestra::{ensembles, strings};
use plucked::{bass, ethnic, guitar};
use synthetic::{effect, lead, pad};
use winds::{brass, pipe, reed};

fn sound(name: &str, roots: &[u8], head: f64, turn: f64, spectrum: impl Fn(f64) -> Spectrum + 'static) -> Sound {
    Sound { name: name.to_owned(), roots: roots.to_vec(), rate: RATE, head, turn, spectrum: Box::new(spectrum) }
}

fn recipe(name: &'static str, layers: impl Into<Vec<Layer>>) -> Recipe {
    Recipe { name, layers: layers.into() }
}

fn one(name: &'static str, layer: Layer) -> Recipe {
    recipe(name, vec![layer])
}

/// The recipe of a program, counted from 0.
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
