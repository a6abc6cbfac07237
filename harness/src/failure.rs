//! How a run can fail: one class, and one exit code, for each kind of person who has to act.

use std::path::PathBuf;

use guest_protocol::FailureKind;
use serde::Serialize;

use crate::host::limits::{self, LimitError};
use crate::perform::PerformanceError;
use crate::session::SessionError;
use crate::standstill::Standstills;

/// Who has to act. The exit code is part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// An expectation did not hold.
    TestFailed,
    /// The command line makes no sense (the number is clap's).
    Usage,
    /// The guest stopped with a bug check, or fell over without one.
    GuestCrashed,
    /// A step did not end in time.
    Timeout,
    /// The card's process ended while the guest ran.
    CardDied,
    /// QEMU did not start, or crashed by itself.
    QemuFailed,
    /// Something that the run needs is not there and could not be brought in.
    MissingArtefact,
    /// A song, bank, scenario or driver image is malformed.
    BadInput,
    /// The host is in the way: disk, memory, permissions.
    Host,
    /// The host did not let the card or QEMU run for so long that a time-out of the driver's ran out.
    HostStalled,
    /// The run was ended by a signal, at the user's wish.
    Interrupted,
    /// The harness itself is wrong.
    HarnessBug,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 12] = [
        Self::TestFailed,
        Self::Usage,
        Self::GuestCrashed,
        Self::Timeout,
        Self::CardDied,
        Self::QemuFailed,
        Self::MissingArtefact,
        Self::BadInput,
        Self::Host,
        Self::HostStalled,
        Self::Interrupted,
        Self::HarnessBug,
    ];

    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::TestFailed => 1,
            Self::Usage => 2,
            Self::GuestCrashed => 3,
            Self::Timeout => 4,
            Self::CardDied => 5,
            Self::QemuFailed => 6,
            Self::MissingArtefact => 7,
            Self::BadInput => 8,
            Self::Host => 9,
            Self::HostStalled => 11,
            Self::HarnessBug => 70,
            Self::Interrupted => 130,
        }
    }

    /// The name that scenarios and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestFailed => "test-failed",
            Self::Usage => "usage",
            Self::GuestCrashed => "guest-crashed",
            Self::Timeout => "timeout",
            Self::CardDied => "card-died",
            Self::QemuFailed => "qemu-failed",
            Self::MissingArtefact => "missing-artefact",
            Self::BadInput => "bad-input",
            Self::Host => "host",
            Self::HostStalled => "host-stalled",
            Self::Interrupted => "interrupted",
            Self::HarnessBug => "harness-bug",
        }
    }
}

/// What every error of this library can say about itself, besides its message.
pub trait Diagnosed {
    /// Who has to act.
    fn class(&self) -> Class;
    /// What to do about it, where that is known.
    fn remedy(&self) -> Option<String> {
        None
    }
}

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
    Session(#[from] crate::session::SessionError),
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
    Performance(#[from] crate::perform::PerformanceError),
    /// A driver image that somebody named.
    #[error(transparent)]
    Driver(#[from] crate::driver_file::DriverFileError),
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
            Self::Performance(error) => error.class(),
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
            Self::Performance(error) => error.remedy(),
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
            Self::Performance(PerformanceError::Short { .. } | PerformanceError::Differs(_)) => true,
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

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}: {source}{}", self.behind(), path = path.display())]
pub struct FileError {
    /// `read`, `write`, `create`.
    pub verb: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
    /// The user named this file, so it is input and not the host's matter.
    pub input: bool,
}

impl FileError {
    /// For `map_err`: an error of the harness's own file.
    pub fn own(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { verb, path, source, input: false }
    }

    /// For `map_err`: an error of a file that the user named.
    pub fn input(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self { verb: "read", path, source, input: true }
    }

    /// The limit of the host behind it, if one is.
    #[must_use]
    pub fn limit(&self) -> Option<LimitError> {
        limits::of_error(&self.source).or_else(|| limits::of_full_disk(&self.source, &self.path))
    }

    fn behind(&self) -> String {
        self.limit().map_or_else(String::new, |limit| format!(": {}", limit.sentence()))
    }
}

impl Diagnosed for FileError {
    fn class(&self) -> Class {
        if self.input && self.limit().is_none() { Class::BadInput } else { Class::Host }
    }

    fn remedy(&self) -> Option<String> {
        if let Some(limit) = self.limit() {
            return limit.remedy();
        }
        match self.source.kind() {
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
                if self.path.starts_with(std::env::temp_dir()) =>
            {
                Some("set TMPDIR to a folder that can be written".into())
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                Some("the file system is read-only: remount it, or set CARGO_TARGET_DIR to a folder elsewhere".into())
            }
            std::io::ErrorKind::NotFound if self.path.starts_with(std::env::temp_dir()) => {
                Some("set TMPDIR to a folder that exists".into())
            }
            std::io::ErrorKind::NotFound if self.input => Some("check the path".into()),
            std::io::ErrorKind::PermissionDenied => Some("check the owner and mode of the file and its folders".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use guest_protocol::{BugCheck, Failure};

    use super::*;
    use crate::machine::{Death, Part};
    use crate::process::Ended;
    use crate::standstill::{Standstill, Who};

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
