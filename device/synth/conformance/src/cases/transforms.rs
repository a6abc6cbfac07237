//! Curves beyond those that the connection table needs, and controllers beyond those that it names.

use super::{nth, seconds};
use crate::case::{Case, KEY};
use crate::dls::{connection, destination as d, source as s, transform as t};
use crate::expect::{Basis, Check};
use crate::units::{cents, decibels};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        by_pitch("transform/linear", "Linear", 0, |x| x / 128.0),
        by_pitch("transform/linear-inverted", "Linear, inverted", t::INVERT, |x| (127.0 - x) / 128.0),
        by_pitch("transform/linear-bipolar", "Linear, bipolar", t::BIPOLAR, |x| 2.0 * x / 128.0 - 1.0),
        by_pitch("transform/switch", "Switch", t::SWITCH, |x| if x >= 64.0 { 1.0 } else { 0.0 }),
        by_pitch("transform/switch-bipolar", "Switch, bipolar", t::SWITCH | t::BIPOLAR, |x| {
            if x >= 64.0 { 1.0 } else { -1.0 }
        }),
        by_pitch("transform/concave", "Concave", t::CONCAVE, |x| {
            if x >= 127.0 { 1.0 } else { (-5.0 / 12.0 * libm::log10(1.0 - x / 127.0)).min(1.0) }
        }),
        by_pitch("transform/convex", "Convex", t::CONVEX, |x| {
            if x <= 0.0 { 0.0 } else { (1.0 + 5.0 / 12.0 * libm::log10(x / 127.0)).max(0.0) }
        }),
        gain_by_controller(),
    ]
}

/// Makes a connection of CC74 to pitch by a curve.
fn by_pitch(id: &'static str, title: &'static str, transform: u16, curve: fn(f64) -> f64) -> Case {
    let mut case = Case::new(
        id,
        title,
        "DLS-2.2: usTransform, source transform; any controller as source (0x80 + number)",
        "A source is normalised, inverted, bent and made bipolar as its transform says.",
    )
    .basis(Basis::Optional);
    case.program(0, &[connection(0x80 + 74, s::NONE, d::PITCH, transform, cents(600.0))]);
    case.choose(0, 0);
    for (i, value) in [0u8, 1, 40, 63, 64, 100, 127].into_iter().enumerate() {
        let on = nth(i, 300);
        case.control(on - 30, 74, value);
        case.note(KEY, 127, on, on + 240);
        let expected = 600.0 * curve(value.into());
        case.check(Check::pitch(seconds(on + 130), expected).within(1.0).of(format!("CC74 = {value}")));
    }
    case
}

fn gain_by_controller() -> Case {
    let mut case = Case::new(
        "transform/controller-to-gain",
        "Any controller to gain",
        "DLS-2.2: any controller as source (0x80 + number)",
        "A controller that the table does not name can attenuate like volume.",
    )
    .basis(Basis::Optional);
    let row = connection(0x80 + 74, s::NONE, d::GAIN, t::INVERT | t::CONCAVE, decibels(-96.0));
    case.program(0, &[row]);
    case.choose(0, 0);
    for (i, value) in [127u8, 100, 64, 16].into_iter().enumerate() {
        let on = nth(i, 300);
        case.control(on - 30, 74, value);
        case.note(KEY, 127, on, on + 240);
        case.check(Check::steady(seconds(on + 130), super::curve(value)).of(format!("CC74 = {value}")));
    }
    case
}
