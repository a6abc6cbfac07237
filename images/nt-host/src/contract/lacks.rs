//! Rules that a driver gives no occasion to put to the test, because it lacks what they are about.
//!
//! A probe that looks for an item and finds none notes the rule. That says something only as long as the rule has not been put
//! to the test otherwise: another filter may have the item.

use core::sync::atomic::{AtomicBool, Ordering};

use super::midi;
use super::rules::{self, Rule};

/// The rules, and what a driver lacks to which they do not apply.
const LACKING: [(&Rule, &str); 10] = [
    (rules::NEW_STREAM_FAILURE, NO_FAILURE),
    (midi::NEW_STREAM_FAILURE, NO_FAILURE),
    (rules::PROPERTY_VERBS, "no node and no pin has a property item that lists GET"),
    (rules::PROPERTY_SIZES, "no node and no pin has a property item that lists GET"),
    (rules::BASIC_SUPPORT, "no property item lists BASICSUPPORT, which the port answers in its place"),
    (rules::PROPERTY_INSTANCE, "no property item needs instance data"),
    (rules::PROPERTY_TARGETS, "no node has an item of KSPROPSETID_Synth or KSPROPSETID_Synth_Dls"),
    (rules::SYNTH_CAPS, "no node has KSPROPERTY_SYNTH_CAPS"),
    (rules::PORT_PARAMETERS, "no node has KSPROPERTY_SYNTH_PORTPARAMETERS"),
    (rules::LATENCY_CLOCK, "no node has KSPROPERTY_SYNTH_LATENCYCLOCK"),
];

/// See [`LACKING`].
const NO_FAILURE: &str = "nothing makes NewStream fail: it succeeds whichever allocation is refused";

/// By place in [`LACKING`], whether a probe has found nothing that the rule is about.
static NOTED: [AtomicBool; LACKING.len()] = [const { AtomicBool::new(false) }; LACKING.len()];

/// Notes that a driver has nothing that the rule is about. Rules that are not listed are not noted.
pub(crate) fn note(rule: &Rule) {
    let listed = LACKING.iter().zip(&NOTED).filter(|((listed, _), _)| listed.number == rule.number);
    listed.for_each(|(_, noted)| noted.store(true, Ordering::Relaxed));
}

/// Returns what the driver lacks so that a rule was not put to the test since boot; `None` if it was, or nothing is known.
#[must_use]
pub fn reason(rule: &Rule) -> Option<&'static str> {
    let mut listed = LACKING.iter().zip(&NOTED).filter(|((listed, _), _)| listed.number == rule.number);
    let (&(_, reason), noted) = listed.next()?;
    (rule.count() == 0 && noted.load(Ordering::Relaxed)).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_was_put_to_the_test_applies_whatever_was_noted() {
        let rule = rules::LATENCY_CLOCK;
        note(rules::INLINE_BOUNDARY);
        assert_eq!(reason(rules::INLINE_BOUNDARY), None, "the rule is about no item");
        note(rule);
        assert!(rule.count() > 0 || reason(rule).is_some_and(|reason| reason.contains("LATENCYCLOCK")));
        rule.held();
        assert_eq!(reason(rule), None);
    }
}
