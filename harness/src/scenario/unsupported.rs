//! What a guest cannot do by its kind is skipped, and no failure of the driver's: scenario files are written for guests of every kind.

use super::file::Scenario;
use crate::event::TestResult;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::conditions::Conditions;
use crate::playback::PlaybackError;
use crate::report::TestRecord;

/// Skips a test that the guest cannot have, with the reason and the remedy in the place of violations. Returns whether it did. What
/// the test expects does not matter: nothing was shown of it.
pub(super) fn skip(error: &PlaybackError, test: &mut TestRecord) -> bool {
    if !error.is_unsupported() {
        return false;
    }
    let remedy = error.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    (test.result, test.class) = (TestResult::Skipped, Some(Class::NotHosted));
    test.violations = vec![format!("{error}{remedy}")];
    true
}

/// Returns why a run of a scenario says nothing about a driver in an image, if it does.
pub(super) fn of_image(scenario: &Scenario, conditions: Conditions) -> Option<String> {
    let own = match scenario.test {
        Some(_) => Some("its test is one of the NT host, or of what is around it"),
        None if scenario.has_driver() => Some("it has drivers of its own, and an image has the one that was installed"),
        None => conditions.only_nt_host(),
    };
    own.map(|reason| format!("{reason}: run it without --guest"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use guest_protocol::{Bulk, Delivery, Handle, Pace, Play};

    use super::*;
    use crate::event::Silent;
    use crate::machine::{GuestMemory, NoProcesses};
    use crate::report::Report;
    use crate::testbed::fake::{FakeGuest, Fault, directmusic_pins};
    use crate::testbed::session::Session;

    /// Has a fake guest play, as a step of a scenario.
    fn play(fault: Fault) -> PlaybackError {
        let memory = GuestMemory::new(1 << 20).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let filters = vec![("Music".into(), directmusic_pins())];
        drop(FakeGuest { memory, driver_sha256: [7; 32], filters, fault: Some(fault) }.serve(theirs));
        let mut session = Session::new(ours, NoProcesses, Duration::from_secs(60), None, &Silent).unwrap();
        session.ready().unwrap();
        let none = Bulk { address: 0, length: 0 };
        let (render, wave) = (Handle(102), Handle(101));
        let (pace, delivery) = (Pace::Lockstep, Delivery::InOrder);
        let (event_count, frames, quantum_frames) = (0, 1, 480);
        let play = Play { render, wave, events: none, event_count, pcm: none, frames, quantum_frames, pace, delivery };
        let failed = Box::new(session.play(play).unwrap_err().into());
        PlaybackError::AtStep { step: "step 3".into(), failed }
    }

    #[test]
    fn what_the_guest_cannot_do_is_skipped_with_its_reason() {
        let mut test = TestRecord::new("songs [tide]", "dmus run songs");
        assert!(skip(&play(Fault::CannotPlay), &mut test));
        assert_eq!((test.result, test.class), (TestResult::Skipped, Some(Class::NotHosted)));
        let reason = test.violations.join("; ");
        for part in ["step 3", "no client is the sink of a wave pin", "run the case on the NT host"] {
            assert!(reason.contains(part), "{reason}");
        }
        let mut report = Report::default();
        report.add(test);
        assert_eq!((report.passed, report.failed, report.skipped), (0, 0, 1));
    }

    #[test]
    fn what_fails_otherwise_is_not_skipped() {
        let mut test = TestRecord::new("songs [tide]", "dmus run songs");
        assert!(!skip(&play(Fault::EndAtPlay), &mut test));
        assert_eq!((test.result, test.violations.len()), (TestResult::Passed, 0));
    }
}
