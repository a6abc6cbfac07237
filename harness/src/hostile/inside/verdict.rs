//! What was seen of card, QEMU and guest, and whether it is as it must be.

use super::fault::NONE;

/// The end of an expectation that is about any queue.
const ANY_QUEUE: &str = " (any)";

/// Tells whether a diagnosis is the expected one.
fn is_found(expected: &str, found: &str) -> bool {
    match expected.strip_suffix(ANY_QUEUE) {
        Some(code) => found.split_once(" (").is_some_and(|(found, _)| found == code),
        None => found == expected,
    }
}

/// How a process is at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It runs, or ended in order with the guest.
    #[default]
    Alive,
    /// It ended.
    Ended(String),
}

impl End {
    /// Returns the word of the table.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Alive => "alive".into(),
            Self::Ended(how) => format!("ended: {how}"),
        }
    }
}

/// What was seen of a fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    /// The bytes of the card's log at the end of the start with the fault.
    pub(super) logged: usize,
    /// What the card's log names of that start, each once, in order.
    pub(super) diagnoses: Vec<String>,
    /// The first error on the card's control socket, before the driver stopped.
    pub(super) control: Option<String>,
    /// What the card's log names of the start after it.
    pub(super) diagnoses_after: Vec<String>,
    /// The PCM of the start with the fault, where the driver played.
    pub(super) before: Option<Vec<u8>>,
    /// The PCM of the start after it.
    pub(super) after: Option<Vec<u8>>,
    /// The card's process.
    pub(super) card: End,
    /// QEMU's process.
    pub(super) qemu: End,
    /// The guest shut down, and QEMU and the card with it.
    pub(super) left_in_order: bool,
    /// Why the guest did not come to its end.
    pub(super) guest: Option<String>,
}

impl Observation {
    /// Returns the diagnosis that the card logged first, or `NONE`.
    pub(super) fn found(&self) -> &str {
        self.diagnoses.first().map_or(NONE, String::as_str)
    }

    /// Lists what is not as it must be, for the diagnosis that the card must log first and the PCM of a driver without a fault.
    pub(super) fn problems(&self, expected: &str, pcm: &[u8]) -> Vec<String> {
        let mut problems = Vec::new();
        for (process, end) in [("the card", &self.card), ("QEMU", &self.qemu)] {
            if let End::Ended(how) = end {
                problems.push(format!("{process} ended: {how}"));
            }
        }
        if !is_found(expected, self.found()) {
            problems.push(format!("the card's log has {} first and not {expected}", self.found()));
        }
        if let Some(control) = self.control.as_ref().filter(|control| !self.diagnoses.contains(control)) {
            problems.push(format!("the control socket has {control}, which the log has not"));
        }
        if let Some(error) = &self.guest {
            problems.push(format!("the guest: {error}"));
        }
        if !self.diagnoses_after.is_empty() {
            problems.push(format!("the start after it is diagnosed: {}", self.diagnoses_after.join(", ")));
        }
        match &self.after {
            Some(after) if after == pcm => {}
            Some(after) if after.iter().all(|byte| *byte == 0) => problems.push("the start after it is silent".into()),
            Some(_) => problems.push("the start after it sounds otherwise".into()),
            None => problems.push("the start after it does not play".into()),
        }
        problems
    }

    /// Returns what is wrong with a driver without a fault: both starts play the same sound, as over other transports.
    pub(super) fn problem_without_fault(&self, other: Option<&[u8]>) -> Option<String> {
        let before = self.before.as_deref().unwrap_or_default();
        let mut problems = self.problems(NONE, other.unwrap_or(before));
        if before.iter().all(|byte| *byte == 0) {
            problems.push("its first start is silent".into());
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PCM: &[u8] = &[1, 2, 3, 4];

    fn survived(diagnoses: &[&str]) -> Observation {
        Observation {
            diagnoses: diagnoses.iter().map(|name| (*name).into()).collect(),
            after: Some(PCM.into()),
            left_in_order: true,
            ..Observation::default()
        }
    }

    #[test]
    fn holds_where_the_first_diagnosis_is_the_expected_one() {
        assert_eq!(survived(&["RING_SIZE (wave)", "STREAM (wave)"]).problems("RING_SIZE (wave)", PCM), [""; 0]);
        assert_eq!(survived(&[]).problems(NONE, PCM), [""; 0]);
    }

    #[test]
    fn an_expectation_about_any_queue_is_about_one_code() {
        assert_eq!(survived(&["QUEUE_NOT_READY (WAVE)"]).problems("QUEUE_NOT_READY (any)", PCM), [""; 0]);
        for found in [&["RING_SIZE (WAVE)"][..], &["QUEUE_NOT_READY"], &[]] {
            assert_eq!(survived(found).problems("QUEUE_NOT_READY (any)", PCM).len(), 1, "{found:?}");
        }
    }

    #[test]
    fn reports_a_wrong_expectation_of_each_kind() {
        for (found, expected) in [
            (&["RING_SIZE (wave)"][..], NONE),
            (&["RING_SIZE (wave)"], "RING_SIZE (control)"),
            (&["STREAM (wave)", "RING_SIZE (wave)"], "RING_SIZE (wave)"),
            (&[], "RING_SIZE (wave)"),
        ] {
            let problems = survived(found).problems(expected, PCM);
            assert_eq!(problems.len(), 1, "{found:?} {expected}: {problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn reports_each_thing_that_does_not_survive() {
        let good = survived(&[]);
        let ended = End::Ended("SIGABRT".into());
        for (seen, words) in [
            (Observation { card: ended.clone(), ..good.clone() }, "the card ended: SIGABRT"),
            (Observation { qemu: ended, ..good.clone() }, "QEMU ended: SIGABRT"),
            (Observation { guest: Some("it hangs".into()), ..good.clone() }, "the guest: it hangs"),
            (Observation { after: None, ..good.clone() }, "does not play"),
            (Observation { after: Some(vec![0; 4]), ..good.clone() }, "is silent"),
            (Observation { after: Some(vec![9; 4]), ..good.clone() }, "sounds otherwise"),
            (
                Observation { diagnoses_after: vec!["LENGTH (wave)".into()], ..good.clone() },
                "is diagnosed: LENGTH (wave)",
            ),
            (Observation { control: Some("LENGTH (wave)".into()), ..good }, "which the log has not"),
        ] {
            let problems = seen.problems(NONE, PCM);
            assert!(problems.len() == 1 && problems[0].contains(words), "{words}: {problems:?}");
        }
    }

    #[test]
    fn a_driver_without_a_fault_sounds_and_sounds_the_same_everywhere() {
        let good = Observation { before: Some(PCM.into()), ..survived(&[]) };
        assert_eq!(good.problem_without_fault(None), None);
        assert_eq!(good.problem_without_fault(Some(PCM)), None);
        assert!(good.problem_without_fault(Some(&[7])).is_some());
        let silent = Observation { before: Some(vec![0; 4]), after: Some(vec![0; 4]), ..good };
        assert!(silent.problem_without_fault(None).unwrap().contains("first start is silent"));
    }
}
