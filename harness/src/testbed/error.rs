//! The error of a test bed.

use std::path::PathBuf;
use std::{fmt, io};

use card_control::AnswerError;
use guest_protocol::FailureKind;

use super::session::{Consequence, SessionError};
use crate::debugger::DebuggerError;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::limits::LimitError;
use crate::host::standstill::Standstills;
use crate::machine::{DeviceControlError, MachineError};
use crate::provision::ProvisionError;
use crate::provision::driver_file::DriverFileError;

/// The reason why a test bed did not start, did not carry out a request, or did not shut down.
#[derive(thiserror::Error)]
pub enum TestBedError {
    /// An artefact could not be provisioned.
    #[error(transparent)]
    Provision(Box<ProvisionError>),
    /// The driver image is none that the guest can load.
    #[error(transparent)]
    Driver(#[from] DriverFileError),
    /// Card or QEMU did not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The conversation with the guest ended early, or the guest refused a request.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// No filter of the driver has the pins that a song needs.
    #[error(
        "no filter has both a DirectMusic pin to write to and a PCM pin{} to read from, of 8 or 16 bits:\n{found}",
        sample_rate.map_or_else(String::new, |rate| format!(" of {rate} Hz"))
    )]
    NoPins {
        /// The requested rate, in Hz, if one was.
        sample_rate: Option<u32>,
        /// The pins that the driver has, a line each.
        found: String,
    },
    /// The song needs more channel groups than the synthesizer has.
    #[error("{wanted} channel groups are needed, and the driver's synthesizer has {has} (SYNTHCAPS)")]
    ChannelGroups {
        /// The number that is needed.
        wanted: u32,
        /// The number that there are; a legacy MIDI stream has one.
        has: u32,
    },
    /// The driver opened a pin in a format that it does not carry.
    #[error("the driver opened pin {pin} as DirectMusic, which that pin does not carry")]
    WrongFormatOpened {
        /// The pin factory.
        pin: u32,
    },
    /// The guest loaded another file than the one given.
    #[error("the guest loaded a driver with SHA-256 {loaded}, the file {path} has {file}", path = path.display())]
    OtherDriver {
        /// The file.
        path: PathBuf,
        /// Its hash.
        file: String,
        /// The hash that the guest computed.
        loaded: String,
    },
    /// An image holds another driver than the one given.
    #[error("the image {image} holds a driver with SHA-256 {loaded}, the file {path} has {file}", path = path.display())]
    OtherDriverInImage {
        /// The image's name.
        image: String,
        /// The file.
        path: PathBuf,
        /// Its hash.
        file: String,
        /// The hash that the guest computed.
        loaded: String,
    },
    /// A range of guest memory could not be read or written.
    #[error("guest memory: {0}")]
    Memory(io::Error),
    /// The card did not answer on its control socket.
    #[error("the card's control socket: {0}")]
    Control(io::Error),
    /// The card refused a command: it did nothing, and goes on.
    #[error("the card refuses `{command}`: {reason}")]
    CardRefused {
        /// The command.
        command: String,
        /// The card's reason.
        reason: String,
    },
    /// A device of the user's was given without a driver for it.
    #[error("there is no driver for {device}: the project's own driver is for the project's card only")]
    NoDriver {
        /// The name of the device.
        device: String,
    },
    /// What only the project's card can do was requested of another device.
    #[error("this needs the project's card, and the driver is for {device}")]
    NotTheCard {
        /// The name of the device.
        device: String,
    },
    /// The device did not answer on its control socket, or refused a command.
    #[error(transparent)]
    Device(#[from] DeviceControlError),
    /// QEMU ended in another way than a shutdown.
    #[error("the guest was asked to shut down, but QEMU ended with {0}")]
    BadEnd(String),
    /// An expectation of the caller does not hold.
    #[error("expected {expected}, found {found}")]
    Expectation {
        /// The expected value.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The host did not let card or QEMU run, and then something failed.
    #[error(transparent)]
    HostStalled(#[from] HostStalled<TestBedError>),
    /// A file of the run could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A limit of the host was reached.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The guest cannot be put under a debugger.
    #[error(transparent)]
    Debugger(#[from] DebuggerError),
}

impl fmt::Debug for TestBedError {
    /// Writes the text and the remedy: this is what a test shows that returns the error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "\nremedy: {remedy}"))
    }
}

impl From<ProvisionError> for TestBedError {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(Box::new(error))
    }
}

impl TestBedError {
    /// Returns this error as one of a run with these standstills: [`HostStalled`] where a driver's time-out may have run
    /// out in one. What is wrong however long anything takes, such as a broken rule or a process that died, stays as it is.
    #[must_use]
    pub fn after(self, standstills: Standstills) -> Self {
        let enough = match &self {
            // A time-out of the driver's: a standstill excuses it only if it lasted a good part of the wait.
            Self::Session(SessionError::BugCheck(found)) => {
                found.waited_ms > 0 && standstills.milliseconds() >= u64::from(found.waited_ms) / 2
            }
            Self::Session(SessionError::Refused { failure, .. }) => {
                matches!(failure.kind, FailureKind::Status(_) | FailureKind::Timeout)
            }
            // QEMU's own time-out for an answer.
            Self::Session(SessionError::DeviceLost { .. }) => true,
            _ => false,
        };
        if enough && !standstills.is_empty() {
            return HostStalled { standstills, failed: Box::new(self) }.into();
        }
        self
    }

    /// Returns the error of a command to the card's control socket: the card refused it, or did not answer.
    #[must_use]
    pub fn of_command(command: &str, error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<AnswerError>()) {
            Some(AnswerError::Refused(reason)) => Self::CardRefused { command: command.into(), reason: reason.clone() },
            _ => Self::Control(error),
        }
    }

    /// Returns what failed, without the standstill of the host before it.
    #[must_use]
    pub fn underlying(&self) -> &Self {
        match self {
            Self::HostStalled(HostStalled { failed, .. }) => failed.underlying(),
            other => other,
        }
    }
}

impl Consequence for TestBedError {
    fn session_error(&self) -> Option<&SessionError> {
        match self {
            Self::Session(error) => Some(error),
            _ => None,
        }
    }

    fn may_follow_a_death(&self) -> bool {
        match self {
            Self::NoPins { .. }
            | Self::ChannelGroups { .. }
            | Self::WrongFormatOpened { .. }
            | Self::OtherDriver { .. }
            | Self::OtherDriverInImage { .. }
            | Self::Memory(_)
            | Self::Control(_)
            | Self::Device(_)
            | Self::BadEnd(_)
            | Self::Expectation { .. } => true,
            Self::Provision(_)
            | Self::Driver(_)
            | Self::NoDriver { .. }
            | Self::NotTheCard { .. }
            | Self::Machine(_)
            | Self::Session(_)
            | Self::HostStalled(_)
            | Self::File(_)
            | Self::Limit(_)
            | Self::Debugger(_)
            | Self::CardRefused { .. } => false,
        }
    }
}

impl Diagnosed for TestBedError {
    fn class(&self) -> Class {
        match self {
            Self::Provision(error) => error.class(),
            Self::Driver(error) => error.class(),
            Self::Machine(error) => error.class(),
            Self::Session(error) => error.class(),
            Self::NoPins { .. }
            | Self::WrongFormatOpened { .. }
            | Self::OtherDriver { .. }
            | Self::Expectation { .. } => Class::TestFailed,
            Self::ChannelGroups { .. } | Self::OtherDriverInImage { .. } => Class::BadInput,
            Self::Memory(_) | Self::Control(_) => Class::HarnessBug,
            Self::NoDriver { .. } | Self::NotTheCard { .. } | Self::CardRefused { .. } => Class::Usage,
            Self::Device(error) => error.class(),
            Self::BadEnd(_) => Class::GuestCrashed,
            Self::HostStalled(error) => error.class(),
            Self::File(error) => error.class(),
            Self::Limit(error) => error.class(),
            Self::Debugger(error) => error.class(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Provision(error) => error.remedy(),
            Self::Driver(error) => error.remedy(),
            Self::Machine(error) => error.remedy(),
            Self::Session(error) => error.remedy(),
            Self::NoPins { .. } => Some(
                "the driver must offer both on one filter: check its data ranges, and leave --rate out to take theirs; a filter \
                 without PCM is judged by --judge plays, or by --judge midi-bytes"
                    .into(),
            ),
            Self::ChannelGroups { .. } => {
                Some("play a song of one channel group, or raise MaxChannelGroups to what the device has".into())
            }
            Self::WrongFormatOpened { .. } => {
                Some("NewStream must look at pin and format, and fail where they do not belong together".into())
            }
            Self::NoDriver { .. } => Some("name the device's driver with --driver MY.SYS".into()),
            Self::NotTheCard { .. } => Some("leave the device out, or this test".into()),
            Self::CardRefused { command, .. } if command == "advance" => Some(
                "under --clock lockstep a step `advance` has time pass while a stream of PCM runs: open one, and let it run first \
                 (`state run` at the prompt)"
                    .into(),
            ),
            Self::CardRefused { .. } => None,
            Self::Device(error) => error.remedy(),
            Self::OtherDriverInImage { image, .. } => Some(format!(
                "name the driver image that was installed by --driver, or build the image anew with the package of this one \
                 (`image remove {image}`, `package`, `image build`)"
            )),
            Self::OtherDriver { .. } => Some("do not rebuild the driver while a run reads it".into()),
            Self::Memory(_) | Self::Control(_) | Self::BadEnd(_) | Self::Expectation { .. } => None,
            Self::HostStalled(error) => error.remedy(),
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
            Self::Debugger(error) => error.remedy(),
        }
    }
}

/// A failure of a run in which the host stalled: the stall may have caused it.
#[derive(Debug, thiserror::Error)]
#[error("{standstills}, and then: {failed}")]
pub struct HostStalled<E: std::error::Error> {
    /// The processes that did not run, with time and duration.
    pub standstills: Standstills,
    /// The failure.
    pub failed: Box<E>,
}

/// The remedy for a stalled host.
pub const HOST_STALLED_REMEDY: &str =
    "this says nothing about the driver: run the same again, on a host that lets the card and QEMU run";

impl<E: std::error::Error> Diagnosed for HostStalled<E> {
    fn class(&self) -> Class {
        Class::HostStalled
    }

    fn remedy(&self) -> Option<String> {
        Some(HOST_STALLED_REMEDY.into())
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::{BugCheck, Failure};

    use super::*;
    use crate::host::ended::Ended;
    use crate::host::standstill::{Standstill, Who};
    use crate::machine::{Death, Part};

    fn stalled(milliseconds: u64) -> Standstills {
        Standstills(vec![Standstill { who: Who::Card, at_ms: 1000, milliseconds }])
    }

    fn refused(kind: FailureKind) -> TestBedError {
        let failure = Failure { kind, message: "m".into() };
        SessionError::Refused { step: "s".into(), failure }.into()
    }

    fn bug_check(waited_ms: u32) -> TestBedError {
        let name = String::new();
        SessionError::BugCheck(Box::new(BugCheck { rule: Some(40), waited_ms, name, ..BugCheck::default() })).into()
    }

    #[test]
    fn blames_the_host_for_a_time_out_of_the_driver_in_a_standstill() {
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
    fn does_not_blame_the_host_for_what_no_time_out_explains() {
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
}
