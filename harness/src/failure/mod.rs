//! How a run can fail: one class, and one exit code, for each kind of person who has to act.

use guest_protocol::FailureKind;

use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits::LimitError;
use crate::host::standstill::Standstills;
use crate::playback::PlaybackError;
use crate::testbed::session::SessionError;

/// Any failure of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A song.
    #[error(transparent)]
    Midi(#[from] crate::sound::midi::MidiError),
    /// An artefact.
    #[error(transparent)]
    Provision(#[from] crate::provision::ProvisionError),
    /// The machine: card or QEMU.
    #[error(transparent)]
    Machine(#[from] crate::machine::MachineError),
    /// What the guest did.
    #[error(transparent)]
    Session(#[from] crate::testbed::session::SessionError),
    /// The offline render.
    #[error(transparent)]
    Render(#[from] crate::sound::render::RenderError),
    /// A sound file's loudness.
    #[error(transparent)]
    Loudness(#[from] crate::sound::loudness::LoudnessError),
    /// An instrument bank.
    #[error(transparent)]
    Bank(#[from] crate::sound::bank::BankCommandError),
    /// The benchmark of a driver.
    #[error(transparent)]
    DriverBench(#[from] crate::bench::DriverBenchError),
    /// A benchmark.
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
    /// The driver's pins.
    #[error(transparent)]
    PlaybackTest(#[from] crate::playback::PlaybackError),
    /// A driver image that somebody named.
    #[error(transparent)]
    Driver(#[from] crate::provision::driver_file::DriverFileError),
    /// The hostile driver.
    #[error(transparent)]
    Hostile(#[from] crate::hostile::HostileError),
    /// A scenario file.
    #[error(transparent)]
    Scenario(#[from] crate::scenario::ScenarioError),
    /// The host did not let the card or QEMU run, and then something failed.
    #[error(transparent)]
    HostStalled(#[from] HostStalled),
    /// A file of the run.
    #[error(transparent)]
    File(#[from] FileError),
    /// A limit of the host.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Diagnosed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Midi(error) => error.class(),
            Self::Provision(error) => error.class(),
            Self::Machine(error) => error.class(),
            Self::Session(error) => error.class(),
            Self::Render(error) => error.class(),
            Self::Loudness(error) => error.class(),
            Self::Bank(error) => error.class(),
            Self::DriverBench(error) => error.class(),
            Self::Bench(error) => error.class(),
            Self::PlaybackTest(error) => error.class(),
            Self::Driver(error) => error.class(),
            Self::Hostile(error) => error.class(),
            Self::Scenario(error) => error.class(),
            Self::HostStalled(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Limit(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Midi(error) => error.remedy(),
            Self::Provision(error) => error.remedy(),
            Self::Machine(error) => error.remedy(),
            Self::Session(error) => error.remedy(),
            Self::Render(error) => error.remedy(),
            Self::Loudness(error) => error.remedy(),
            Self::Bank(error) => error.remedy(),
            Self::DriverBench(error) => error.remedy(),
            Self::Bench(error) => error.remedy(),
            Self::PlaybackTest(error) => error.remedy(),
            Self::Driver(error) => error.remedy(),
            Self::Hostile(error) => error.remedy(),
            Self::Scenario(error) => error.remedy(),
            Self::HostStalled(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
        }
    }
}

/// A run that failed, and in which the host stalled: what failed may be its doing.
#[derive(Debug, thiserror::Error)]
#[error("{standstills}, and then: {failed}")]
pub struct HostStalled {
    /// Which processes did not run, when and how long.
    pub standstills: Standstills,
    /// What failed.
    pub failed: Box<Error>,
}

/// What to do about a host that stalled.
pub const HOST_STALLED_REMEDY: &str =
    "this says nothing about the driver: run the same again, on a host that lets the card and QEMU run";

impl Diagnosed for HostStalled {
    fn class(&self) -> Class {
        Class::HostStalled
    }

    fn remedy(&self) -> Option<String> {
        Some(HOST_STALLED_REMEDY.into())
    }
}

impl Error {
    /// This error of a run with these standstills: [`HostStalled`] where a driver's time-out may have run out in one.
    /// What is wrong however long anything takes, such as a broken rule or a process that died, stays what it is.
    #[must_use]
    pub fn after(self, standstills: Standstills) -> Self {
        let enough = match &self {
            // A driver that was waited for: only a good part of the wait can excuse it.
            Self::Session(SessionError::BugCheck(found)) => {
                found.waited_ms > 0 && standstills.milliseconds() >= u64::from(found.waited_ms) / 2
            }
            Self::Session(SessionError::Refused { failure, .. }) => {
                matches!(failure.kind, FailureKind::Status(_) | FailureKind::Timeout)
            }
            Self::PlaybackTest(PlaybackError::Short { .. } | PlaybackError::Differs(_)) => true,
            _ => false,
        };
        if enough && !standstills.is_empty() {
            return HostStalled { standstills, failed: Box::new(self) }.into();
        }
        self
    }

    /// What failed, whatever the host did.
    #[must_use]
    pub fn underlying(&self) -> &Self {
        match self {
            Self::HostStalled(HostStalled { failed, .. }) => failed.underlying(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use guest_protocol::{BugCheck, Failure};

    use super::*;
    use crate::host::ended::Ended;
    use crate::host::standstill::{Standstill, Who};
    use crate::machine::{Death, Part};

    #[test]
    fn every_class_has_an_exit_code_of_its_own_and_none_is_success() {
        let codes: HashSet<u8> = Class::ALL.iter().map(|class| class.exit_code()).collect();
        assert_eq!(codes.len(), Class::ALL.len());
        assert!(!codes.contains(&0));
    }

    fn stalled(milliseconds: u64) -> Standstills {
        Standstills(vec![Standstill { who: Who::Card, at_ms: 1000, milliseconds }])
    }

    fn refused(kind: FailureKind) -> Error {
        let failure = Failure { kind, message: "m".into() };
        SessionError::Refused { step: "s".into(), failure }.into()
    }

    fn bug_check(waited_ms: u32) -> Error {
        let name = String::new();
        SessionError::BugCheck(Box::new(BugCheck { rule: Some(40), waited_ms, name, ..BugCheck::default() })).into()
    }

    #[test]
    fn a_time_out_of_the_drivers_in_a_standstill_is_the_hosts_matter() {
        for error in [refused(FailureKind::Status(0xc000_00b5)), refused(FailureKind::Timeout), bug_check(5000)] {
            let text = error.to_string();
            let error = error.after(stalled(5012));
            assert_eq!(error.class(), Class::HostStalled);
            assert!(error.to_string().starts_with("the host stalled 5012 ms (the card "), "{error}");
            assert!(error.to_string().ends_with(&text), "{error}");
            assert_eq!(error.underlying().to_string(), text);
            assert!(error.remedy().unwrap().contains("run the same again"));
        }
    }

    #[test]
    fn what_no_time_out_explains_is_blamed_as_ever() {
        let killed = Death::of(Part::Card, Ended::Signal(9));
        for (error, class) in [
            (bug_check(0), Class::GuestCrashed),
            (bug_check(20_000), Class::GuestCrashed),
            (refused(FailureKind::Image), Class::BadInput),
            (SessionError::CardDied { death: Box::new(killed), step: "s".into() }.into(), Class::CardDied),
        ] {
            assert_eq!(error.after(stalled(5012)).class(), class);
        }
        assert_eq!(refused(FailureKind::Timeout).after(Standstills::default()).class(), Class::Timeout);
    }

    #[test]
    fn a_full_disk_is_the_hosts_matter_and_says_what_to_free() {
        let error = FileError::own("write", "guest.wav")(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.class(), Class::Host);
        assert!(error.remedy().unwrap().contains("free some space"));
    }
}
