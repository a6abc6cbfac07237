//! Injects faults into the card while streams run: it loses its session, or corrupts its used rings. The driver resets it,
//! sends everything again, and the same phrase sounds the same; or it fails cleanly until the device has been without power.

use std::time::Duration;

use card_control::{InjectedFault, UsedRingCorruption};
use guest_protocol::{Caller, DevicePower, FailureKind, KsState, Request};

use super::context::Context;
use super::download::{Synthesizer, download_both};
use super::error::{ConformanceError, ProbeError};
use super::findings::Findings;
use super::phrase::{PHRASE_QUANTUM, Phrase, takes_downloads};
use super::probe::{Probe, ProbeContext, with_guest};
use crate::machine::CardOptions;
use crate::testbed::TestBedError;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;

/// The probe.
pub(super) const PROBE: Probe =
    Probe { name: "recovery", text: "a card that loses its session or corrupts its used rings", rules: &[], run };

/// Frames that are played before each fault, so that a note sounds.
const BEFORE_FRAMES: u64 = 2 * PHRASE_QUANTUM as u64;

/// The number of tries of the phrase after a fault: a used ring is corrupted with the first chain that is returned, the
/// driver sees it with the next, and the reset may come while a try is under way.
const TRIES: usize = 5;

/// The longest time for a driver to reset a card that needs it. It takes milliseconds; only a busy host makes it take
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval at which the probe polls the card for a new session.
const POLL: Duration = Duration::from_millis(2);

/// More faults than a driver must bear in a row.
const FAULTS_WITHOUT_END: usize = 40;

/// The queues of the card, by number: control, midi-out, wave.
const CONTROL: u16 = 0;
const MIDI_OUT: u16 = 1;
const WAVE: u16 = 3;

fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    run_with(context, folder, findings, |recovery| {
        recovery.lose_session()?;
        for (corruption, queue) in [
            (UsedRingCorruption::UsedId, WAVE),
            (UsedRingCorruption::UsedLength, CONTROL),
            (UsedRingCorruption::UsedIndex, MIDI_OUT),
            (UsedRingCorruption::UsedLength, WAVE),
            (UsedRingCorruption::UsedIndex, CONTROL),
        ] {
            recovery.corrupt_used_ring(corruption, queue)?;
        }
        recovery.without_end()
    })
}

/// Plays a phrase, does `harm` to the card, and notes what came of it.
fn run_with(
    context: &Context<'_>,
    folder: &RunFolder,
    findings: &mut Findings,
    harm: impl FnOnce(&mut Recovery<'_, '_, '_>) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &CardOptions::default(), |probe| {
        let device = probe.start()?;
        let phrase = Phrase::prepare(probe, &device)?;
        let (opened, _, _) = probe.open_music_filter(&device)?;
        let synthesizer = takes_downloads(probe, &opened, phrase.pins.render)?;
        if let Some(synthesizer) = &synthesizer {
            download_both(probe, synthesizer, Caller::User64)?;
        }
        let before = phrase.play(probe)?;
        if before.iter().all(|byte| *byte == 0) {
            return Err(ProbeError::Inapplicable("the phrase is silent before anything is wrong".into()));
        }
        let mut recovery = Recovery { probe, phrase, synthesizer, before, resets: 0, tries: 0 };
        harm(&mut recovery)?;
        let Recovery { probe, phrase, resets, tries, .. } = recovery;
        probe.findings.figures.push(("faults after which the phrase sounded as before".into(), resets));
        probe.findings.figures.push(("tries that failed cleanly, or sounded otherwise".into(), tries));
        for handle in [phrase.pins.render, phrase.pins.wave, opened.handle, phrase.pins.filter] {
            probe.close(handle)?;
        }
        Ok(())
    })
}

struct Recovery<'a, 'b, 'c> {
    probe: &'a mut ProbeContext<'b, 'c>,
    phrase: Phrase,
    synthesizer: Option<Synthesizer>,
    before: Vec<u8>,
    resets: u64,
    tries: u64,
}

impl Recovery<'_, '_, '_> {
    /// Has the card lose its session while a note sounds and an unload is pending: the driver opens a session without any
    /// request of a client.
    fn lose_session(&mut self) -> Result<(), ProbeError> {
        let pending = match &self.synthesizer {
            Some(synthesizer) => {
                let [_, instrument] = download_both(self.probe, synthesizer, Caller::User64)?;
                self.phrase.play_on(self.probe, BEFORE_FRAMES)?;
                synthesizer.begin_unload(self.probe, Caller::User64, instrument)?.err()
            }
            None => {
                self.phrase.play_on(self.probe, BEFORE_FRAMES)?;
                None
            }
        };
        let session = self.session()?;
        self.inject_fault(InjectedFault::LoseSession {})?;
        self.until("opens no session again by itself", |recovery| {
            let now = recovery.session()?;
            Ok(now.is_some() && now != session)
        })?;
        if let Some(request) = pending {
            self.until("keeps an unload whose sound the reset has ended", |recovery| {
                let request = Request::TakeProperty(request);
                Ok(recovery.probe.bed.session.kept_property("look at a request", request)?.is_ok())
            })?;
        }
        self.expect_same_sound("the card loses its session")
    }

    /// Has the card corrupt a used ring while a note sounds.
    fn corrupt_used_ring(&mut self, corruption: UsedRingCorruption, queue: u16) -> Result<(), ProbeError> {
        self.phrase.play_on(self.probe, BEFORE_FRAMES)?;
        let session = self.session()?;
        self.inject_fault(InjectedFault::CorruptUsedRing { corruption, queue })?;
        self.expect_same_sound(&format!("the card corrupts the used ring of queue {queue} ({corruption:?})"))?;
        if self.session()? == session {
            return Err(violated(format!(
                "the driver does not notice a corrupt used ring of queue {queue} ({corruption:?}): the session goes on"
            )));
        }
        Ok(())
    }

    /// Stops the streams and plays, until the phrase sounds as it did.
    fn expect_same_sound(&mut self, when: &str) -> Result<(), ProbeError> {
        let mut last = "it is refused".to_owned();
        for _ in 0..TRIES {
            self.stop()?;
            match self.play()? {
                Some(pcm) if pcm == self.before => {
                    self.resets += 1;
                    return Ok(());
                }
                Some(pcm) if pcm.iter().all(|byte| *byte == 0) => last = "it is silent".into(),
                Some(pcm) => {
                    let first = pcm.iter().zip(&self.before).position(|(now, before)| now != before).unwrap_or(0);
                    last = format!("it differs from frame {} on", first as u64 / self.phrase.pins.format.frame_bytes());
                }
                None => {}
            }
            self.tries += 1;
        }
        Err(violated(format!("after {when} the same phrase does not sound as before, {TRIES} times; at last {last}")))
    }

    /// Has the card lose its session as often as it gets one: the driver gives it up, fails cleanly, and resets it again
    /// when the device has been without power.
    fn without_end(&mut self) -> Result<(), ProbeError> {
        let mut given_up = false;
        for _ in 0..FAULTS_WITHOUT_END {
            if self.session()?.is_none() {
                given_up = true;
                break;
            }
            self.inject_fault(InjectedFault::LoseSession {})?;
            // A driver that waits for a request notices at the latest with these.
            self.stop()?;
            _ = self.play()?;
        }
        self.stop()?;
        if !given_up {
            return Err(violated(format!("{FAULTS_WITHOUT_END} sessions are lost in a row, and the driver goes on")));
        }
        for power in [DevicePower::D3, DevicePower::D0] {
            self.probe.done("set the device's power", Request::SetPower(power))?;
        }
        self.expect_same_sound("the device was without power")
    }

    /// Plays the phrase. Returns `None` if the driver refuses.
    fn play(&mut self) -> Result<Option<Vec<u8>>, ProbeError> {
        unless_refused(self.phrase.play(self.probe))
    }

    /// Stops what plays. A driver may refuse states on the way up, not on the way down.
    fn stop(&mut self) -> Result<(), ProbeError> {
        for pin in [self.phrase.pins.render, self.phrase.pins.wave] {
            self.probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
        }
        Ok(())
    }

    /// Returns the number of the session that the card has.
    fn session(&mut self) -> Result<Option<u64>, ProbeError> {
        let status = self.probe.bed.the_card()?.status().map_err(TestBedError::Control)?;
        Ok(status.session.map(|session| session.id))
    }

    fn inject_fault(&mut self, fault: InjectedFault) -> Result<(), ProbeError> {
        Ok(self.probe.bed.inject_fault(fault)?)
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&mut Self) -> Result<bool, ProbeError>) -> Result<(), ProbeError> {
        let patience = self.probe.patience(PATIENCE);
        loop {
            // A guest that has stopped says why; the card only follows it.
            self.probe.bed.session.statistics()?;
            if is_so(self)? {
                return Ok(());
            }
            if patience.has_ended(self.probe) {
                return Err(violated(format!("the driver {what}")));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Returns `None` for a request that the driver refused with a status, which is a clean failure.
pub(super) fn unless_refused<T>(result: Result<T, ProbeError>) -> Result<Option<T>, ProbeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ProbeError::Failed(ConformanceError::TestBed(TestBedError::Session(SessionError::Refused {
            failure,
            ..
        }))))
            if matches!(failure.kind, FailureKind::Status(_)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns a violation of rule 77, which says how a device has to come back.
fn violated(what: String) -> ProbeError {
    ProbeError::Violated { rule: 77, what }
}
