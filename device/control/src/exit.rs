//! The exit codes of the card's process.

/// How the card's process ends when no signal ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// QEMU has disconnected, a stop was requested, or the command is complete.
    Success = 0,
    /// The command line is wrong, or needs a feature that this host or card does not have.
    Usage = 2,
    /// The instrument bank is missing or broken.
    Bank = 3,
    /// A socket is in use or cannot be used, or the connection to QEMU broke.
    Socket = 4,
    /// A file cannot be written (no permission, disk full).
    File = 5,
    /// The event list is missing or malformed.
    EventList = 6,
    /// The sandbox cannot be set up on this host.
    Sandbox = 7,
    /// A recording cannot be replayed.
    Recording = 8,
    /// The card failed: a defect of the card.
    Internal = 70,
    /// The sandbox has refused a system call: a defect of the card, or an attack on it.
    Violation = 71,
    /// A command that writes files was interrupted by a signal.
    Interrupted = 130,
}

impl ExitCode {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Usage,
        Self::Bank,
        Self::Socket,
        Self::File,
        Self::EventList,
        Self::Sandbox,
        Self::Recording,
        Self::Internal,
        Self::Violation,
        Self::Interrupted,
    ];

    /// Returns the number that the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the code whose number is `number`, if one is.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| i32::from(code.number()) == number)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_of_one_code() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_number(code.number().into()), Some(code));
        }
        assert_eq!(ExitCode::from_number(1), None);
    }
}
