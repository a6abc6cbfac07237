//! The card's errors, and their `NTSTATUS` values.

use card_spec::control::Status;
use portcls::NtStatus;

use crate::control::ControlError;
use crate::log::Reason;
use crate::transport::TransportError;

/// Why an operation on the card failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// The function did not start.
    Transport(TransportError),
    /// A request failed.
    Control(ControlError),
    /// The kernel has no memory for it.
    NoMemory,
    /// The card does not capture.
    NoCapture,
    /// All streams of the kind are open.
    NoStream,
    /// There is no download with this handle.
    NoDownload,
    /// The stream's state does not allow it.
    State,
}

impl From<TransportError> for CardError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<ControlError> for CardError {
    fn from(error: ControlError) -> Self {
        Self::Control(error)
    }
}

impl From<CardError> for Reason {
    fn from(error: CardError) -> Self {
        match error {
            CardError::Transport(error) => error.into(),
            CardError::Control(error) => error.into(),
            CardError::NoMemory => Reason::plain("there is no memory"),
            CardError::NoCapture => Reason::plain("it does not capture"),
            CardError::NoStream => Reason::plain("all streams of the kind are open"),
            CardError::NoDownload => Reason::plain("there is no such download"),
            CardError::State => Reason::plain("the stream's state does not allow it"),
        }
    }
}

impl From<CardError> for NtStatus {
    fn from(error: CardError) -> Self {
        match error {
            CardError::NoMemory | CardError::Control(ControlError::NoMemory) => Self::INSUFFICIENT_RESOURCES,
            CardError::NoCapture => Self::NOT_SUPPORTED,
            CardError::NoStream => Self::INVALID_DEVICE_REQUEST,
            CardError::NoDownload => Self::INVALID_PARAMETER,
            CardError::State => Self::INVALID_DEVICE_STATE,
            CardError::Transport(TransportError::Absent) | CardError::Control(ControlError::Gone) => {
                Self::DEVICE_REMOVED
            }
            CardError::Transport(TransportError::Magic) => Self::NO_SUCH_DEVICE,
            CardError::Transport(TransportError::Abi(_)) => Self::REVISION_MISMATCH,
            CardError::Transport(TransportError::ResetTimeout) => Self::IO_TIMEOUT,
            CardError::Transport(_) => Self::DEVICE_CONFIGURATION_ERROR,
            CardError::Control(ControlError::Timeout) => Self::IO_TIMEOUT,
            CardError::Control(ControlError::Off) => Self::DEVICE_NOT_READY,
            CardError::Control(ControlError::Ring(_) | ControlError::BadAnswer) => Self::DEVICE_PROTOCOL_ERROR,
            CardError::Control(ControlError::Unreadable) => Self::ACCESS_VIOLATION,
            CardError::Control(ControlError::TooLarge) => Self::INVALID_BUFFER_SIZE,
            CardError::Control(ControlError::Refused(status)) => match status {
                Status::INVALID_PARAMETER | Status::MALFORMED | Status::NOT_FOUND => Self::INVALID_PARAMETER,
                Status::INVALID_STATE | Status::NO_SESSION => Self::INVALID_DEVICE_STATE,
                Status::NO_RESOURCES => Self::INSUFFICIENT_RESOURCES,
                Status::UNSUPPORTED => Self::NOT_SUPPORTED,
                Status::ABI_MISMATCH => Self::REVISION_MISMATCH,
                _ => Self::IO_DEVICE_ERROR,
            },
        }
    }
}
