//! "Siren": three quarters a bar, a tempo that breathes, one track (format 0). A lead that bends over a whole octave,
//! changes its instrument, and is pressed; system-exclusive messages before and within.

use super::score::{BEAT, DRUMS, Hand, Part, controller, drum, write};

/// A bar of three beats.
const BAR: u32 = 3 * BEAT;

/// The number of bars.
const BARS: u32 = 8;

/// General MIDI System On (RP-003), universal non-realtime.
const GM_SYSTEM_ON: [u8; 5] = [0x7e, 0x7f, 0x09, 0x01, 0xf7];

/// Master Volume (MIDI 1.0, universal realtime 04 01) at three quarters.
const MASTER_VOLUME_THREE_QUARTERS: [u8; 7] = [0x7f, 0x7f, 0x04, 0x01, 0x00, 0x60, 0xf7];

/// Master Volume at full.
const MASTER_VOLUME_FULL: [u8; 7] = [0x7f, 0x7f, 0x04, 0x01, 0x7f, 0x7f, 0xf7];

/// A message with the manufacturer number for non-commercial use (7D), which changes nothing: longer than the eight bytes that a
/// DirectMusic event holds by itself, so that it travels in a buffer.
const LONG_MESSAGE: [u8; 13] = [0x7d, b'd', b'i', b'r', b'e', b'c', b't', b'm', b'u', b's', b'i', b'c', 0xf7];

/// Semitones of the lead's bend range, set by registered parameter 0.
const BEND_RANGE: u8 = 12;

/// The melody: key at the bar's start, and where its bend goes, in semitones.
const MELODY: [(u8, i32); BARS as usize] =
    [(64, 3), (67, -2), (69, 12), (71, -12), (72, 2), (76, -7), (74, 5), (69, -5)];

/// The programs that the lead walks through, one every two bars: flute, lead, trumpet, violin.
const PROGRAMS: [u8; 4] = [73, 81, 56, 40];

/// Chords below it.
const CHORDS: [[u8; 3]; 4] = [[45, 52, 57], [43, 50, 59], [41, 48, 57], [40, 47, 56]];

/// Composes the file.
#[must_use]
pub fn siren() -> Vec<u8> {
    let mut hand = Hand(0x51_4e4);
    let mut all = Part::on(0);
    all.name("Siren").exclusive(0, &GM_SYSTEM_ON).tempo(0, 108);
    // The lead's parameters come after the reset has taken effect.
    let ready = BEAT / 4;
    all.exclusive(ready, &LONG_MESSAGE);
    all.control(ready, controller::RPN_COARSE, 0).control(ready, controller::RPN_FINE, 0);
    all.control(ready, controller::DATA_ENTRY, BEND_RANGE).control(ready, controller::DATA_ENTRY_FINE, 0);
    all.control(ready, controller::RPN_COARSE, 127).control(ready, controller::RPN_FINE, 127);
    let mut chords = Part::on(1);
    chords.program(ready, 24).control(ready, controller::PAN, 90);
    let mut drums = Part::on(DRUMS);

    let first = BEAT;
    for bar in 0..BARS {
        let start = first + bar * BAR;
        all.tempo(start, [108, 116, 124, 112][bar as usize % 4]);
        if bar % 2 == 0 {
            all.program(start - 20, PROGRAMS[bar as usize / 2 % 4]);
        }
        let (key, semitones) = MELODY[bar as usize];
        // Held over the bar: bent there over a beat in 24 steps, and back over half a beat.
        all.bend(start, 0).note(start, BAR - BEAT / 4, key, 92 + hand.up_to(20));
        let target = semitones * 8192 / i32::from(BEND_RANGE);
        for step in 1..=24 {
            all.bend(start + BEAT + step * BEAT / 24, target * step as i32 / 24);
            if step <= 12 {
                all.bend(start + 2 * BEAT + step * BEAT / 24, target * (12 - step as i32) / 12);
                all.pressure(start + step * BEAT / 12, 8 * step as u8);
            }
        }
        all.pressure(start + 2 * BEAT + BEAT / 2, 0);
        all.key_pressure(start + BEAT / 2, key, 80).key_pressure(start + 2 * BEAT, key, 0);
        let chord = CHORDS[bar as usize % 4];
        chords.chord(start, BEAT / 2, &chord[..1], 90);
        chords.chord(start + BEAT, BEAT / 2, &chord[1..], 70).chord(start + 2 * BEAT, BEAT / 2, &chord[1..], 74);
        drums.note(start, BEAT / 4, drum::KICK, 96);
        for beat in 1..3 {
            drums.note(start + beat * BEAT, BEAT / 4, drum::TAMBOURINE, 66 + hand.up_to(20));
        }
        for sixth in 0..6 {
            drums.note(start + sixth * BEAT / 2, BEAT / 8, drum::CLOSED_HAT, 40 + hand.up_to(24));
        }
        match bar {
            3 => all.exclusive(start, &MASTER_VOLUME_THREE_QUARTERS),
            5 => all.exclusive(start, &MASTER_VOLUME_FULL),
            _ => &mut all,
        };
    }
    all.append(chords).append(drums);
    write(vec![all], first + BARS * BAR)
}
