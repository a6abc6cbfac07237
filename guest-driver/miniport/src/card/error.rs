//! Why the card does not do what it was asked, and what Windows is told of it.

use card_spec::control::Status;
use portcls::NtStatus;

use crate::control::ControlError;
use crate::transport::TransportError;

/// Why the card does not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardError {
    /// It did not come to life.
    Transport(TransportError),
    /// It did not answer as it should.
    Control(ControlError),
    /// There is no memory.
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
