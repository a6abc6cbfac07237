//! Channel messages: banks, programs, pedal, modes.

use super::curve;
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{DRUMS, connection, constant, destination as d, source as s, transform as t};
use crate::expect::{Basis, Check, Output};
use crate::units::{cents, seconds as time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        note_on_without_velocity(),
        pedal(),
        pedal_half(),
        all_notes_off(),
        all_notes_off_with_pedal(),
        all_sound_off(),
        reset_controllers(),
        reset_to_power_on(),
        reset_releases_the_pedal(),
        program_while_sounding(),
        bank_waits(),
        bank_lsb(),
        drum_channel(),
        drum_bank(),
        melodic_bank(),
        system_off(),
        dynamic_allocation(),
    ];
    cases.extend(MODES.map(|(number, id, title)| mode(number, id, title)));
    cases
}

/// Mode messages, which all end all notes.
const MODES: [(u8, &str, &str); 4] = [
    (124, "channel/mode-124", "Omni off"),
    (125, "channel/mode-125", "Omni on"),
    (126, "channel/mode-126", "Mono on"),
    (127, "channel/mode-127", "Poly on"),
];

/// Makes one held note of a plain instrument.
fn held(mut case: Case, length: u32) -> Case {
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + length);
    case
}

/// Effects off again: a reset brings their sends back to what they are at power-on.
fn dry(case: &mut Case, at: u32) {
    case.control(at, 91, 0);
    case.control(at, 93, 0);
}

fn note_on_without_velocity() -> Case {
    let mut case = Case::new(
        "channel/note-on-velocity-0",
        "Note-on without velocity",
        "MIDI 1.0: note-on of velocity 0",
        "A note-on of velocity 0 is a note-off.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.score.at(FIRST, &[0x90, KEY, 127]);
    case.score.at(FIRST + 300, &[0x90, KEY, 0]);
    case.check(Check::steady(T0 + 0.15, 0.0));
    case.check(Check::end(T0, T0 + 0.8, T0 + 0.3));
    case
}

fn pedal() -> Case {
    let mut case = Case::new(
        "channel/pedal",
        "The sustain pedal",
        "DLS-1, DLS-2.2: CC64",
        "While the pedal is down notes sound on after note-off; when it comes up they are released, keys that are down not.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.control(FIRST - 50, 64, 127);
    case.note(KEY, 127, FIRST, FIRST + 200);
    case.note(KEY + 7, 127, FIRST, FIRST + 1200);
    case.control(FIRST + 700, 64, 0);
    for pitch in [0.0, 700.0] {
        case.check(Check::steady(T0 + 0.5, 0.0).component(pitch).of("pedal down"));
    }
    case.check(Check::below(T0 + 0.85, T0 + 1.0, -35.0).component(0.0).of("pedal up, key up"));
    case.check(Check::steady(T0 + 0.95, 0.0).component(700.0).of("pedal up, key down"));
    case
}

fn pedal_half() -> Case {
    let mut case = held(
        Case::new(
            "channel/pedal-threshold",
            "The pedal is a switch",
            "MIDI 1.0: CC64, 0 to 63 off, 64 to 127 on",
            "The pedal is down from 64 on, and up below.",
        )
        .level_1(),
        200,
    );
    case.control(FIRST - 50, 64, 64);
    case.control(FIRST + 600, 64, 63);
    case.check(Check::steady(T0 + 0.4, 0.0).of("64"));
    case.check(Check::end(T0, T0 + 1.0, T0 + 0.6).of("63"));
    case
}

fn all_notes_off() -> Case {
    let mut case = held(
        Case::new(
            "channel/all-notes-off",
            "All notes off",
            "DLS-1, DLS-2.2: CC123",
            "All notes off releases the notes of its channel, and of no other.",
        )
        .level_1(),
        1000,
    );
    case.channel(2);
    case.score.at(0, &[0xC2, 0]);
    case.note_on(2, KEY + 7, 127, FIRST, FIRST + 1000);
    case.control(FIRST + 300, 123, 0);
    case.check(Check::steady(T0 + 0.15, 0.0).component(0.0).of("before it"));
    case.check(Check::below(T0 + 0.45, T0 + 0.9, -35.0).component(0.0).of("after it"));
    case.check(Check::steady(T0 + 0.7, 0.0).component(700.0).of("the other channel"));
    case
}

fn all_notes_off_with_pedal() -> Case {
    let mut case = held(
        Case::new(
            "channel/all-notes-off-with-pedal",
            "All notes off and the pedal",
            "DLS-1, DLS-2.2: CC123; CC64",
            "All notes off respects the pedal: notes sound on until it comes up.",
        )
        .level_1(),
        1000,
    );
    case.control(FIRST - 50, 64, 127);
    case.control(FIRST + 300, 123, 0);
    case.control(FIRST + 600, 64, 0);
    case.check(Check::steady(T0 + 0.45, 0.0).of("pedal down"));
    case.check(Check::end(T0, T0 + 0.95, T0 + 0.6).of("pedal up"));
    case
}

fn all_sound_off() -> Case {
    let mut case = Case::new(
        "channel/all-sound-off",
        "All sound off",
        "DLS-1, DLS-2.2: CC120",
        "All sound off ends all notes of its channel at once, whatever their release and the pedal.",
    )
    .level_1();
    case.program(0, &[constant(d::EG1_RELEASE, time(10.0))]);
    case.choose(0, 0);
    case.control(FIRST - 50, 64, 127);
    case.note(KEY, 127, FIRST, FIRST + 900);
    case.control(FIRST + 300, 120, 0);
    case.check(Check::steady(T0 + 0.15, 0.0).of("before it"));
    case.check(Check::below(T0 + 0.35, T0 + 0.8, -60.0).of("after it"));
    case
}

fn reset_controllers() -> Case {
    let mut case = Case::new(
        "channel/reset-all-controllers",
        "Reset all controllers",
        "DLS-1 (1.1b erratum on expression), DLS-2.2: CC121",
        "Wheel, modulation, pressure and expression return to rest; volume, pan and program stay.",
    )
    .level_1();
    let vibrato = |control| connection(s::LFO, control, d::PITCH, t::BIPOLAR, cents(100.0));
    case.program(5, &[vibrato(s::CC1)]);
    case.choose(0, 5);
    case.control(500, 7, 64);
    case.control(500, 10, 0);
    case.control(500, 11, 32);
    case.control(500, 1, 127);
    case.wheel(500, 16_383);
    case.control(550, 121, 0);
    dry(&mut case, 551);
    case.note(KEY, 127, FIRST, FIRST + 600);
    case.check(Check::steady(T0 + 0.3, curve(64)).of("volume stays, expression is reset"));
    case.check(Check::below(T0 + 0.1, T0 + 0.5, -60.0).at_output(Output::Right).of("pan stays"));
    case.checks(Check::still(T0 + 0.05, T0 + 0.55, 0.0).map(|c| c.of("wheel and modulation are reset")));
    case
}

fn reset_to_power_on() -> Case {
    let mut case = held(
        Case::new(
            "channel/reset-to-power-on",
            "Reset all controllers, all the way",
            "DLS-2.2: CC121 with a value of 127",
            "With a value of 127, volume and pan return to what they are at power-on, too.",
        )
        .basis(Basis::Optional),
        500,
    );
    case.control(500, 7, 64);
    case.control(500, 10, 0);
    case.control(550, 121, 127);
    dry(&mut case, 551);
    case.check(Check::steady(T0 + 0.3, curve(100)).of("volume"));
    case.check(Check::steady(T0 + 0.3, curve(100) - 3.0103).at_output(Output::Right).of("pan"));
    case
}

fn reset_releases_the_pedal() -> Case {
    let mut case = held(
        Case::new(
            "channel/reset-releases-the-pedal",
            "Reset all controllers and the pedal",
            "DLS-1, DLS-2.2: CC121; power-on state of the pedal",
            "Reset all controllers lets the pedal come up.",
        )
        .level_1(),
        200,
    );
    case.control(FIRST - 50, 64, 127);
    case.control(FIRST + 600, 121, 0);
    dry(&mut case, FIRST + 600);
    case.check(Check::steady(T0 + 0.4, 0.0).of("before it"));
    case.check(Check::end(T0, T0 + 1.0, T0 + 0.6).of("after it"));
    case
}

fn program_while_sounding() -> Case {
    let mut case = Case::new(
        "channel/program-while-sounding",
        "A program change while a note sounds",
        "MIDI 1.0: program change",
        "A program change is for notes to come: what sounds goes on.",
    )
    .level_1();
    case.program(0, &[]);
    case.program(1, &[constant(d::PITCH, cents(300.0))]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    case.choose(FIRST + 200, 1);
    case.note(KEY, 127, FIRST + 600, FIRST + 1000);
    case.check(Check::pitch(T0 + 0.35, 0.0).of("the note that sounds"));
    case.check(Check::pitch(T0 + 0.8, 300.0).of("the next note"));
    case
}

fn bank_waits() -> Case {
    let mut case = Case::new(
        "channel/bank-select",
        "Bank select waits for the program change",
        "DLS-1, DLS-2.2: CC0, CC32; insh, ulBank",
        "A bank chosen by CC0 and CC32 comes into force with the next program change.",
    )
    .level_1();
    case.program(5, &[]);
    case.program(5, &[constant(d::PITCH, cents(300.0))]).bank = 1 << 8 | 2;
    case.choose(0, 5);
    case.control(500, 0, 1);
    case.control(500, 32, 2);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.choose(FIRST + 380, 5);
    case.note(KEY, 127, FIRST + 400, FIRST + 740);
    case.check(Check::pitch(T0 + 0.18, 0.0).of("before the program change"));
    case.check(Check::pitch(T0 + 0.58, 300.0).of("after it"));
    case
}

fn bank_lsb() -> Case {
    let mut case = Case::new(
        "channel/bank-select-lsb",
        "Both halves of the bank count",
        "DLS-1, DLS-2.2: CC0, CC32; insh, ulBank",
        "Banks that differ in CC0 or in CC32 only are different banks.",
    )
    .level_1();
    for (msb, lsb, tuned) in [(0u32, 0u32, 0.0), (1, 0, 200.0), (0, 1, 400.0), (1, 1, 700.0)] {
        case.program(5, &[constant(d::PITCH, cents(tuned))]).bank = msb << 8 | lsb;
    }
    for (i, (msb, lsb, tuned)) in [(1u8, 0u8, 200.0), (0, 1, 400.0), (1, 1, 700.0), (0, 0, 0.0)].into_iter().enumerate()
    {
        let on = super::nth(i, 400);
        case.control(on - 30, 0, msb);
        case.control(on - 30, 32, lsb);
        case.choose(on - 20, 5);
        case.note(KEY, 127, on, on + 340);
        case.check(Check::pitch(super::seconds(on + 180), tuned).of(format!("bank {msb}, {lsb}")));
    }
    case
}

fn drum_channel() -> Case {
    let mut case = Case::new(
        "channel/drums",
        "Channel 10 plays drums",
        "DLS-1, DLS-2.2: insh, F_INSTRUMENT_DRUMS",
        "Channel 10 is played by instruments with the drum flag, all others by those without.",
    )
    .level_1();
    case.program(0, &[]);
    case.program(0, &[constant(d::PITCH, cents(700.0))]).bank = DRUMS;
    case.channel(9);
    case.choose(0, 0);
    case.score.at(0, &[0xC9, 0]);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.note_on(9, KEY, 127, FIRST + 400, FIRST + 740);
    case.check(Check::pitch(T0 + 0.18, 0.0).of("channel 1"));
    case.check(Check::pitch(T0 + 0.58, 700.0).of("channel 10"));
    case
}

fn drum_bank() -> Case {
    let mut case = Case::new(
        "channel/drum-bank",
        "Bank 0x78 plays drums on any channel",
        "DLS-2.2: bank select of General MIDI 2",
        "A bank MSB of 0x78 makes any channel a drum channel with the next program change.",
    );
    case.program(0, &[]);
    case.program(0, &[constant(d::PITCH, cents(700.0))]).bank = DRUMS | 0x78 << 8;
    case.control(500, 0, 0x78);
    case.choose(520, 0);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.check(Check::pitch(T0 + 0.18, 700.0));
    case
}

fn melodic_bank() -> Case {
    let mut case = Case::new(
        "channel/melodic-bank",
        "Bank 0x79 is melodic on channel 10, too",
        "DLS-2.2: bank select of General MIDI 2",
        "A bank MSB of 0x79 makes any channel a melodic channel with the next program change.",
    );
    case.program(0, &[constant(d::PITCH, cents(700.0))]).bank = DRUMS;
    case.program(0, &[constant(d::PITCH, cents(300.0))]).bank = 0x79 << 8;
    case.channel(9);
    case.score.at(500, &[0xB9, 0, 0x79]);
    case.score.at(520, &[0xC9, 0]);
    case.note_on(9, KEY, 127, FIRST, FIRST + 340);
    case.check(Check::pitch(T0 + 0.18, 300.0));
    case
}

fn mode(number: u8, id: &'static str, title: &'static str) -> Case {
    let case = Case::new(
        id,
        title,
        "DLS-1, DLS-2.2: CC124 to CC127",
        "Mode messages end all notes of their channel, whatever else they do.",
    );
    let mut case = held(case.level_1(), 1000);
    case.control(FIRST + 300, number, u8::from(number == 126));
    case.check(Check::steady(T0 + 0.15, 0.0).of("before it"));
    case.check(Check::end(T0, T0 + 0.9, T0 + 0.3).of("after it"));
    case
}

fn system_off() -> Case {
    let mut case = Case::new(
        "channel/dls-off-and-on",
        "DLS off and on",
        "DLS-1, DLS-2.2: system-exclusive messages F0 7E dev 0A 01 and 02 F7",
        "After DLS off no notes are played; after DLS on they are.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.score.at(500, &[0xF0, 0x7E, 0x7F, 0x0A, 0x02, 0xF7]);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.score.at(FIRST + 400, &[0xF0, 0x7E, 0x7F, 0x0A, 0x01, 0xF7]);
    for (controller, value) in [(7, 127), (11, 127), (10, 64), (91, 0), (93, 0)] {
        case.control(FIRST + 450, controller, value);
    }
    case.choose(FIRST + 450, 0);
    case.note(KEY, 127, FIRST + 500, FIRST + 900);
    case.check(Check::silent(T0 + 0.02, T0 + 0.25).of("off"));
    case.check(Check::steady(T0 + 0.7, 0.0).of("on"));
    case
}

fn dynamic_allocation() -> Case {
    let mut case = Case::new(
        "channel/static-allocation-off",
        "Static voice allocation switched off",
        "DLS-1, DLS-2.2: system-exclusive message F0 7E dev 0A 03 F7",
        "Without static allocation a lower channel may take the oscillators of a higher one.",
    )
    .voices(32)
    .basis(Basis::Optional);
    case.program(0, &[]);
    case.choose(0, 0);
    case.channel(15);
    case.score.at(0, &[0xCF, 0]);
    case.score.at(500, &[0xF0, 0x7E, 0x7F, 0x0A, 0x03, 0xF7]);
    for i in 0..32u8 {
        case.note(24 + i, 32, FIRST + u32::from(i), FIRST + 1000);
    }
    case.note_on(15, KEY + 21, 127, FIRST + 300, FIRST + 1000);
    case.check(Check::steady(T0 + 0.6, 0.0).component(2100.0).within(1.0).of("the note of channel 16"));
    case
}
