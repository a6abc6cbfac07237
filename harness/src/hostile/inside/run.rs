//! One guest: the driver starts with its fault, streams are played, and it is started again without.

use std::fs;
use std::time::Duration;

use card_control::{Transport, log};
use guest_protocol::{Delivery, FailureKind, Installation, Pace, Request};

use super::error::InsideError;
use super::fault::Fault;
use super::verdict::{End, Observation};
use crate::host::file_error::FileError;
use crate::machine::CardOptions;
use crate::sound::midi::MidiEvent;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{SessionError, StartedDevice};
use crate::testbed::violations::ViolationPolicy;
use crate::testbed::{Conditions, Provisioned, StreamMemory, TestBed, TestBedBuilder, TestBedError, open_pins};

/// Frames of the tune: a fifth of a second at 48 kHz.
const FRAMES: u64 = 9_600;

/// Memory of a guest in bytes: this driver and its tune need little, and there are many guests.
const MEMORY: u64 = 64 << 20;

/// Frames of a wave buffer: 20 of them take the tune.
const QUANTUM: u32 = 480;

/// The tune that is played during a fault and after it.
pub(super) struct Tune {
    events: Vec<MidiEvent>,
}

impl Default for Tune {
    fn default() -> Self {
        let event = |time: u64, bytes: &[u8]| MidiEvent { time, channel_group: 1, bytes: bytes.to_vec() };
        // A note every other wave buffer, so that batches come throughout.
        let mut events = vec![event(0, &[0xc0, 0])];
        events.extend((0..8).map(|note| event(u64::from(note) * 200_000, &[0x90, 60 + note, 100])));
        Self { events }
    }
}

/// A fault over a transport, and everything that its guest needs.
pub(super) struct Attempt<'a> {
    pub(super) provisioned: &'a Provisioned,
    pub(super) timeout: Duration,
    pub(super) folder: &'a RunFolder,
    pub(super) fault: &'a Fault,
    pub(super) transport: Transport,
    pub(super) installation: Installation,
    pub(super) tune: &'a Tune,
}

/// Returns the label of the files that the guest of a fault leaves.
pub(super) fn label(fault: &Fault, transport: Transport) -> String {
    format!("{}-{}", fault.name, transport.name())
}

impl Attempt<'_> {
    /// Runs the guest. Returns what was seen of card, QEMU and guest.
    pub(super) fn run(self) -> Result<Observation, InsideError> {
        let label = label(self.fault, self.transport);
        let mut provisioned = self.provisioned.clone();
        provisioned.device.installation = Some(self.installation.clone());
        let policy = ViolationPolicy { keep_going: true, ..ViolationPolicy::default() };
        let mut bed = TestBedBuilder::new()
            .provisioned(provisioned)
            .labelled_run_folder(self.folder, &label)
            .memory(MEMORY)
            // The guest is not to find fault with this driver.
            .conditions(Conditions { verifier: false, ..Conditions::default() })
            .card(&CardOptions { transport: self.transport, trace: true, ..CardOptions::default() })
            .violation_policy(&policy)
            .timeout(self.timeout)
            .start()
            .map_err(InsideError::TestBed)?;
        let mut seen = Observation::default();
        if let Err(error) = self.phases(&mut bed, &mut seen, &label) {
            let error = bed.explain("run the hostile driver", error);
            if InsideError::ends_the_run(&error) {
                return Err(InsideError::TestBed(error));
            }
            seen.guest = Some(error.to_string());
        }
        // A guest that has shut down has taken QEMU and the card with it, in order.
        if !seen.left_in_order {
            let processes = &mut bed.session.health;
            seen.card = processes.device.ended().map_or(End::Alive, |ended| End::Ended(ended.to_string()));
            seen.qemu = processes.machine.ended().map_or(End::Alive, |ended| End::Ended(ended.to_string()));
        }
        drop(bed);
        let text = self.log(&label)?;
        let (during, after) = text.split_at(seen.logged.min(text.len()));
        (seen.diagnoses, seen.diagnoses_after) = (log::diagnoses(during), log::diagnoses(after));
        if seen.guest.is_none() {
            self.tidy(&label);
        }
        Ok(seen)
    }

    /// Starts with the fault, and without.
    fn phases(&self, bed: &mut TestBed<'_>, seen: &mut Observation, label: &str) -> Result<(), TestBedError> {
        bed.session.ready()?;
        bed.session.hello()?;
        bed.load_driver()?;
        // The card keeps what it has found until a reset, and the driver makes none before it is stopped.
        seen.logged = usize::MAX;
        if let Some(device) = unless_refused(bed.session.start_device().map_err(Into::into))? {
            seen.before = unless_refused(self.play(bed, &device))?;
        }
        seen.control = bed.card_status()?.and_then(|status| status.diagnosis.first).map(|error| match error.queue {
            Some(queue) => format!("{} ({queue})", error.code),
            None => error.code,
        });
        bed.session.done("stop the device", Request::StopDevice)?;
        seen.logged = self.log(label)?.len();
        let device = bed.session.start_device()?;
        seen.after = Some(self.play(bed, &device)?);
        bed.shut_down()?;
        seen.left_in_order = true;
        Ok(())
    }

    /// Plays the tune. Returns the PCM.
    fn play(&self, bed: &mut TestBed<'_>, device: &StartedDevice) -> Result<Vec<u8>, TestBedError> {
        let pins = open_pins(&mut bed.session, device, None)?;
        let records = pins.music.records(&self.tune.events);
        let count = self.tune.events.len() as u32;
        let memory = StreamMemory::prepare(bed, &records, count, (FRAMES, pins.format))?;
        bed.session.play(memory.play(&pins, QUANTUM, Pace::Lockstep, Delivery::InOrder))?;
        memory.read_pcm(bed)
    }

    /// Returns the card's log.
    fn log(&self, label: &str) -> Result<String, FileError> {
        let path = self.folder.file(&format!("card-{label}.log"));
        let bytes = fs::read(&path).map_err(FileError::own("read", &path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Removes the empty part of what a guest has left in the folder: QEMU's log and the console. The card's log stays.
    fn tidy(&self, label: &str) {
        for part in ["qemu", "console"] {
            let path = self.folder.file(&format!("{part}-{label}.log"));
            if fs::metadata(&path).is_ok_and(|found| part == "console" || found.len() == 0) {
                // What stays costs a few hundred bytes.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Returns `None` for what the driver, or the guest for it, refused with a status: a driver that is at odds with its card does.
fn unless_refused<T>(result: Result<T, TestBedError>) -> Result<Option<T>, TestBedError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(TestBedError::Session(SessionError::Refused { failure, .. }))
            if matches!(failure.kind, FailureKind::Status(_) | FailureKind::Timeout) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
