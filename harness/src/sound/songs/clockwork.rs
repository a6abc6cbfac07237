//! "Clockwork": seven eighths a bar at 152 beats a minute. Six instruments at once, each with moving controllers, and
//! chords of up to seven notes: forty and more voices sound together.

use super::score::{BEAT, Hand, Part, controller, write};

/// A bar of seven eighths.
const BAR: u32 = 7 * BEAT / 2;

/// The number of bars.
const BARS: u32 = 8;

/// Chords in D dorian with added notes, one a bar.
const CHORDS: [[u8; 7]; 4] = [
    [50, 57, 60, 64, 65, 69, 76],
    [48, 55, 59, 62, 64, 67, 74],
    [53, 57, 60, 64, 67, 69, 72],
    [55, 59, 62, 65, 69, 71, 77],
];

/// Composes the file.
#[must_use]
pub fn clockwork() -> Vec<u8> {
    let mut hand = Hand(0xc10c);
    let mut conductor = Part::on(0);
    conductor.name("Clockwork").tempo(0, 152);
    let mut parts = vec![conductor];
    // Vibraphone, organ, string ensemble, harp, choir, pad: channel, program, pan.
    for (channel, program, pan) in [(0, 11, 30), (1, 16, 96), (2, 49, 64), (3, 46, 110), (4, 52, 16), (5, 89, 64)] {
        let mut part = Part::on(channel);
        part.program(0, program).control(0, controller::PAN, pan).control(0, controller::VOLUME, 76);
        part.control(0, controller::REVERB, 40).control(0, controller::CHORUS, 16 * channel);
        for bar in 0..BARS {
            let start = bar * BAR;
            let chord = CHORDS[bar as usize % 4];
            match channel {
                // The mechanism: even sixteenths through the chord, each note ringing over the next ones.
                0 | 3 => {
                    for step in 0..14 {
                        let up = if channel == 0 { step } else { 13 - step };
                        let octave = 24 * u8::from(up >= 7);
                        let key = chord[up as usize % 7] + octave;
                        part.note(start + step * BEAT / 4, BEAT + BEAT / 8, key, 56 + hand.up_to(40));
                    }
                    part.control(start, controller::SUSTAIN, if bar % 2 == 0 { 127 } else { 0 });
                }
                // Stabs on 2 + 2 + 3.
                1 => {
                    for (eighth, length) in [(0, 1), (2, 1), (4, 2)] {
                        part.chord(
                            start + eighth * BEAT / 2,
                            length * BEAT / 2 - 30,
                            &chord[1..6],
                            72 + hand.up_to(16),
                        );
                    }
                }
                // Long chords that swell and fade.
                _ => {
                    part.chord(start, BAR - 10, &chord, 60 + hand.up_to(10));
                }
            }
            // Controllers move every sixteenth, each channel at its own phase.
            for step in 0..14 {
                let at = start + step * BEAT / 4;
                let phase = (bar * 14 + step + 5 * u32::from(channel)) % 28;
                let triangle = if phase < 14 { phase } else { 28 - phase } as u8;
                part.control(at, controller::EXPRESSION, 70 + 4 * triangle);
                if channel != 1 {
                    part.control(at, controller::MODULATION, 6 * triangle);
                }
            }
        }
        part.control(BARS * BAR - 5, controller::SUSTAIN, 0);
        parts.push(part);
    }
    // The last notes ring into the bar after.
    write(parts, BARS * BAR + BEAT)
}
