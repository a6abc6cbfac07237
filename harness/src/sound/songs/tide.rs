//! "Tide": ten seconds, four bars at 96 beats a minute. Piano, strings, bass and drums.

use super::score::{BEAT, DRUMS, Hand, Part, controller, drum, write};

/// A bar of four beats.
const BAR: u32 = 4 * BEAT;

/// A minor, F, C, G: root of the bass, and the broken chord above it.
const CHORDS: [(u8, [u8; 4]); 4] =
    [(45, [57, 60, 64, 69]), (41, [57, 60, 65, 69]), (48, [55, 60, 64, 67]), (43, [55, 59, 62, 67])];

/// Composes the file.
#[must_use]
pub fn tide() -> Vec<u8> {
    let mut hand = Hand(0x7_1de);
    let mut conductor = Part::on(0);
    conductor.name("Tide").tempo(0, 96);

    let mut piano = Part::on(0);
    piano.program(0, 0).control(0, controller::VOLUME, 100).control(0, controller::REVERB, 50);
    let mut strings = Part::on(1);
    strings.program(0, 48).control(0, controller::VOLUME, 84).control(0, controller::PAN, 80);
    let mut bass = Part::on(2);
    bass.program(0, 33).control(0, controller::VOLUME, 105);
    let mut drums = Part::on(DRUMS);
    drums.control(0, controller::VOLUME, 96);

    for (bar, (root, chord)) in CHORDS.iter().enumerate() {
        let start = bar as u32 * BAR;
        // The broken chord in sixteenths, up and down, over a held pedal.
        piano.control(start, controller::SUSTAIN, 127).control(start + BAR - 20, controller::SUSTAIN, 0);
        for step in 0..16 {
            let key = [chord[0], chord[1], chord[2], chord[3], chord[3] + 12, chord[3], chord[2], chord[1]][step % 8];
            let accent = if step % 4 == 0 { 18 } else { 0 };
            piano.note(start + step as u32 * BEAT / 4, BEAT / 4 - 10, key, 70 + accent + hand.up_to(12));
        }
        strings.chord(start, BAR - 20, &chord[..3], 64 + 6 * bar as u8);
        for beat in [0, 3, 4, 6] {
            bass.note(start + beat * BEAT / 2, BEAT / 2 - 20, *root, 96 + hand.up_to(10));
        }
        bass.note(start + 7 * BEAT / 2, BEAT / 2 - 20, root + 7, 84);
        for eighth in 0..8 {
            let at = start + eighth * BEAT / 2;
            let hat = if eighth == 7 { drum::OPEN_HAT } else { drum::CLOSED_HAT };
            drums.note(at, BEAT / 4, hat, 58 + 16 * u8::from(eighth % 2 == 0) + hand.up_to(8));
            match eighth {
                0 | 5 => drums.note(at, BEAT / 4, drum::KICK, 110),
                2 | 6 => drums.note(at, BEAT / 4, drum::SNARE, 100 + hand.up_to(8)),
                _ => &mut drums,
            };
        }
        if bar % 2 == 0 {
            drums.note(start, BEAT, drum::CRASH, 88);
        }
    }
    write(vec![conductor, piano, strings, bass, drums], 4 * BAR)
}
