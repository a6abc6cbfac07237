//! A card that loses its session, or lies about its rings, while streams run: the driver resets it, tells it everything
//! again, and the same phrase sounds the same; or it fails cleanly until the device has been without power.

use std::time::Duration;

use guest_protocol::{Caller, DevicePower, FailureKind, KsState, Request};
use serde_json::{Value, json};

use super::context::Context;
use super::download::{Synthesizer, download_both};
use super::error::{ConformanceError, ProbeError};
use super::findings::Findings;
use super::phrase::{PHRASE_QUANTUM, Phrase, takes_downloads};
use super::probe::{Probe, ProbeContext, with_guest};
use crate::machine::CardOptions;
use crate::sound::pcm::FRAME_BYTES;
use crate::testbed::TestBedError;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;

/// The trial.
pub(super) const PROBE: Probe =
    Probe { name: "trouble", text: "a card that fails, and one that lies", rules: &[], run };

/// Frames that are played before each fault, so that a note sounds.
const BEFORE_FRAMES: u64 = 2 * PHRASE_QUANTUM as u64;

/// How often the phrase is tried after a fault: a lie is told with the first chain that is returned, seen with the next, and
/// the reset may come while a try is under way.
const TRIES: usize = 5;

/// How long a driver may take to reset a card that has said that it needs it. The card's next session is not far; only a
/// busy host makes it take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const POLL: Duration = Duration::from_millis(2);

/// More faults than any driver need bear in a row.
const FAULTS_WITHOUT_END: usize = 40;

/// The queues of the card, by number: control, midi-out, wave.
const CONTROL: u16 = 0;
const MIDI_OUT: u16 = 1;
const WAVE: u16 = 3;

/// A lie about the next chain of a queue.
fn lie(lie: &str, queue: u16) -> Value {
    json!({ "kind": "lie", "lie": lie, "queue": queue })
}

fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    with_guest(context, folder, findings, &CardOptions::default(), |probe| {
        let device = probe.start()?;
        let phrase = Phrase::prepare(probe, &device)?;
        let opened = probe.bed.session.open_filter(&device.subdevices[0])?;
        let synthesizer = takes_downloads(probe, &opened, phrase.pins.render)?;
        if let Some(synthesizer) = &synthesizer {
            download_both(probe, synthesizer, Caller::User64)?;
        }
        let before = phrase.play(probe)?;
        if before.iter().all(|byte| *byte == 0) {
            return Err(ProbeError::Inapplicable("the phrase is silent before anything is wrong".into()));
        }
        let mut trial = Trial { probe, phrase, synthesizer, before, resets: 0, tries: 0 };
        trial.lose_session()?;
        for (name, queue) in [
            ("used-id", WAVE),
            ("used-length", CONTROL),
            ("used-index", MIDI_OUT),
            ("used-length", WAVE),
            ("used-index", CONTROL),
        ] {
            trial.lied_to(name, queue)?;
        }
        trial.without_end()?;
        let Trial { probe, phrase, resets, tries, .. } = trial;
        probe.findings.figures.push(("faults after which the phrase sounded as before".into(), resets));
        probe.findings.figures.push(("tries that failed cleanly, or sounded otherwise".into(), tries));
        for handle in [phrase.pins.render, phrase.pins.wave, opened.handle, phrase.pins.filter] {
            probe.close(handle)?;
        }
        Ok(())
    })
}

struct Trial<'a, 'b, 'c> {
    probe: &'a mut ProbeContext<'b, 'c>,
    phrase: Phrase,
    synthesizer: Option<Synthesizer>,
    before: Vec<u8>,
    resets: u64,
    tries: u64,
}

impl Trial<'_, '_, '_> {
    /// The card loses its session while a note sounds and an unload waits: nobody asks, and the card has a session again.
    fn lose_session(&mut self) -> Result<(), ProbeError> {
        let waiting = match &self.synthesizer {
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
        self.fault(&json!({ "kind": "lose-session" }))?;
        self.until("opens no session again by itself", |trial| {
            Ok(!trial.session()?.is_null() && trial.session()? != session)
        })?;
        if let Some(request) = waiting {
            self.until("keeps an unload whose sound the reset has ended", |trial| {
                let taken =
                    trial.probe.bed.session.kept_property("look at a request", Request::TakeProperty(request))?;
                Ok(taken.is_ok())
            })?;
        }
        self.sounds_as_before("the card loses its session")
    }

    /// The card lies about a chain while a note sounds.
    fn lied_to(&mut self, name: &str, queue: u16) -> Result<(), ProbeError> {
        self.phrase.play_on(self.probe, BEFORE_FRAMES)?;
        let session = self.session()?;
        self.fault(&lie(name, queue))?;
        self.sounds_as_before(&format!("the card lies about a chain of queue {queue} ({name})"))?;
        if self.session()? == session {
            return Err(broken(format!("a lie about queue {queue} ({name}) is not noticed: the session goes on")));
        }
        Ok(())
    }

    /// Stops the streams and plays, until the phrase sounds as it did.
    fn sounds_as_before(&mut self, when: &str) -> Result<(), ProbeError> {
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
                    last = format!("it is another from frame {} on", first as u64 / FRAME_BYTES);
                }
                None => {}
            }
            self.tries += 1;
        }
        Err(broken(format!("after {when} the same phrase does not sound as before, {TRIES} times; at last {last}")))
    }

    /// The card loses its session as often as it gets one: the driver gives it up, fails cleanly, and gives it another
    /// chance when the device has been without power.
    fn without_end(&mut self) -> Result<(), ProbeError> {
        let mut given_up = false;
        for _ in 0..FAULTS_WITHOUT_END {
            let session = self.session()?;
            if session.is_null() {
                given_up = true;
                break;
            }
            self.fault(&json!({ "kind": "lose-session" }))?;
            // Whoever is asked for something finds out at the latest then.
            self.stop()?;
            _ = self.play()?;
        }
        self.stop()?;
        if !given_up {
            return Err(broken(format!("{FAULTS_WITHOUT_END} sessions are lost in a row, and the driver goes on")));
        }
        for power in [DevicePower::D3, DevicePower::D0] {
            self.probe.done("set the device's power", Request::SetPower(power))?;
        }
        self.sounds_as_before("the device was without power")
    }

    /// Plays the phrase; `None` if the driver says that it cannot.
    fn play(&mut self) -> Result<Option<Vec<u8>>, ProbeError> {
        clean(self.phrase.play(self.probe))
    }

    /// Stops what plays. A driver may refuse states on the way up, not on the way down.
    fn stop(&mut self) -> Result<(), ProbeError> {
        for pin in [self.phrase.pins.render, self.phrase.pins.wave] {
            self.probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
        }
        Ok(())
    }

    /// The session that the card has, or null.
    fn session(&mut self) -> Result<Value, ProbeError> {
        Ok(self.ask(&json!({ "cmd": "status" }))?["session"]["id"].clone())
    }

    fn fault(&mut self, fault: &Value) -> Result<(), ProbeError> {
        self.ask(&json!({ "cmd": "fault", "fault": fault })).map(|_| ())
    }

    fn ask(&mut self, question: &Value) -> Result<Value, ProbeError> {
        let answer = self.probe.bed.card_control().ask(question).map_err(TestBedError::Control)?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        Err(TestBedError::Control(std::io::Error::other(answer.to_string())).into())
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&mut Self) -> Result<bool, ProbeError>) -> Result<(), ProbeError> {
        let patience = self.probe.patience(PATIENCE);
        loop {
            // A guest that has stopped says why; the card only goes with it.
            self.probe.bed.session.statistics()?;
            if is_so(self)? {
                return Ok(());
            }
            if patience.has_ended(self.probe) {
                return Err(broken(format!("the driver {what}")));
            }
            std::thread::sleep(POLL);
        }
    }
}

/// What failed with a status is a clean failure; the guest lives.
fn clean<T>(result: Result<T, ProbeError>) -> Result<Option<T>, ProbeError> {
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
        Err(setback) => Err(setback),
    }
}

/// What a driver does not survive is a device that is not as it was: the rule about power says how it has to come back.
fn broken(what: String) -> ProbeError {
    ProbeError::Violated { rule: 77, what }
}
