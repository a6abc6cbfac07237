//! Short forms of constructors, for the recipes.

use super::super::recipe::{Layer, Recipe, Sound};
use super::super::tone::{RATE, Spectrum};

/// Makes a sound at the usual sample rate.
pub(super) fn sound(
    name: &str,
    roots: &[u8],
    head: f64,
    turn: f64,
    spectrum: impl Fn(f64) -> Spectrum + 'static,
) -> Sound {
    Sound { name: name.to_owned(), roots: roots.to_vec(), rate: RATE, head, turn, spectrum: Box::new(spectrum) }
}

/// Makes a recipe of layers.
pub(super) fn recipe(name: &'static str, layers: impl Into<Vec<Layer>>) -> Recipe {
    Recipe { name, layers: layers.into() }
}

/// Makes a recipe of one layer.
pub(super) fn one(name: &'static str, layer: Layer) -> Recipe {
    recipe(name, vec![layer])
}
