//! Items of a SoundFont that cannot be played: each is left out by name, and the rest plays.

use crate::dls::error::{BankError, Rule};
use crate::dls::warning::{PassedOver, Warnings};

/// The warnings of a font, and the first item that was left out, which is the error of a font that has nothing else.
pub(super) struct LeftOut<'w> {
    pub(super) warnings: &'w mut Warnings,
    first: Option<BankError>,
}

impl<'w> LeftOut<'w> {
    /// Makes a list on top of the warnings so far.
    pub(super) fn new(warnings: &'w mut Warnings) -> Self {
        Self { warnings, first: None }
    }

    /// Leaves an item out.
    pub(super) fn item(&mut self, what: &'static str, name: &str, error: BankError) {
        let why = error.rule.clone();
        self.warnings.of_error(&error, PassedOver::Item { what, name: name.to_owned(), why });
        self.first.get_or_insert(error);
    }

    /// Returns the error of a font in which nothing is left.
    pub(super) fn nothing_left(self, root: BankError) -> BankError {
        self.first.unwrap_or(BankError { rule: Rule::NoInstruments, ..root })
    }
}
