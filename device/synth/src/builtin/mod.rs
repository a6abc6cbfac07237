//! The built-in General MIDI collection, and the code that makes it.
//!
//! Nothing in it was recorded: every wave is a sum of partials and shaped noise, worked out by [`generate`] with the
//! `libm` crate alone, so that the file is the same byte for byte wherever it is made. The file itself is in
//! the source tree, so that no build has to make it; a test makes it anew and compares.
//!
//! Levels: a note of velocity 100 at the default volumes is at about -29 dBFS, and a drum peaks at about -12 dBFS, with
//! DirectMusic's +12 dB counted in. A dense General MIDI song then peaks between -12 and -1 dBFS.

mod drums;
mod instruments;
mod recipe;
mod spectra;
mod tone;

/// The collection as a DLS file.
pub const FILE: &[u8] = include_bytes!("gm.dls");

/// Makes the collection: what [`FILE`] holds. Takes about a second.
#[must_use]
pub fn generate() -> Vec<u8> {
    let mut maker = recipe::Maker::new("General MIDI");
    for program in 0..128 {
        maker.add_program(program, &instruments::program(program));
    }
    drums::add_kit(&mut maker);
    maker.finish().to_dls()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest that a card with little memory is willing to carry around.
    const BYTES_MAX: usize = 2 << 20;

    #[test]
    fn the_file_equals_what_the_code_generates() {
        assert!(
            generate() == FILE,
            "builtin/gm.dls is stale: run `cargo run --release -p dls-synth --example builtin_bank`"
        );
    }

    #[test]
    fn bounds_the_size_of_the_file() {
        assert!(FILE.len() <= BYTES_MAX, "{} bytes", FILE.len());
    }
}
