//! Presets: how bank and program choose them.

use super::{About, DISTANCE, LENGTH, MIDDLE, font, nth, seconds};
use crate::case::{Case, KEY};
use crate::expect::Check;
use crate::font::generator as g;

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        programs(
            (
                "sf2-preset/program",
                "Programs",
                "7.2, wPreset",
                "A program change chooses the preset of its number, in whatever order they are.",
            ),
            &[(0, 5), (0, 0), (0, 100)],
            &[(0, 5), (0, 100), (0, 0)],
        ),
        programs(
            ("sf2-preset/bank", "Banks", "7.2, wBank", "Bank select chooses among presets of one program."),
            &[(0, 5), (1, 5), (127, 5)],
            &[(0, 5), (1, 5), (127, 5)],
        ),
        programs(
            (
                "sf2-preset/first-counts",
                "Two presets of one number",
                "7.2",
                "Of two presets of one bank and program the first counts.",
            ),
            &[(0, 5), (0, 5)],
            &[(0, 5)],
        ),
        percussion(),
        programs(
            (
                "sf2-preset/bank-waits",
                "A bank without a program change",
                "7.2, wBank; MIDI 1.0, Bank Select",
                "The bank counts from the next program change on.",
            ),
            &[(0, 5), (3, 5)],
            &[(0, 5), (3, 5), (0, 5)],
        ),
    ]
}

/// Adds presets whose pitches tell them apart: each a tone higher than the one before.
fn add(case: &mut Case, presets: &[(u16, u16)]) {
    for (i, (bank, program)) in presets.iter().enumerate() {
        case.preset(*program, &[(g::COARSE_TUNE, 2 * i as i16)]);
        case.font_mut().presets.last_mut().expect("just put there").bank = *bank;
    }
}

fn programs(about: About, presets: &[(u16, u16)], choices: &[(u8, u8)]) -> Case {
    let mut case = font(about);
    add(&mut case, presets);
    for (i, (bank, program)) in choices.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.control(on - 50, 0, *bank);
        case.choose(on - 40, *program);
        case.note(KEY, 127, on, on + LENGTH);
        let which = presets.iter().position(|preset| *preset == (u16::from(*bank), u16::from(*program)));
        let cents = 200.0 * which.map_or(f64::NAN, |which| which as f64);
        case.check(Check::pitch(seconds(on + MIDDLE), cents).of(format!("bank {bank}, program {program}")));
    }
    case
}

fn percussion() -> Case {
    let mut case = font((
        "sf2-preset/percussion",
        "Bank 128",
        "7.2, wBank",
        "The presets of bank 128 are the percussion of channel 10.",
    ));
    add(&mut case, &[(0, 0), (128, 0)]);
    case.channel(9);
    for (i, (channel, cents)) in [(0u8, 0.0), (9, 200.0)].into_iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.score.at(on - 40, &[0xC0 | channel, 0]);
        case.note_on(channel, KEY, 127, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), cents).of(format!("channel {}", channel + 1)));
    }
    case
}
