//! The error of a conversation with a guest.

use std::fmt::Write as _;
use std::io;

use guest_protocol::{BugCheck, CAME_WITH, Failure, FailureKind};

use crate::host::failure::{Class, Diagnosed};
use crate::host::interrupt;
use crate::machine::{Death, NOT_OURS};

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The guest stopped with a bug check.
    #[error("the guest stopped with bug check {:#x} {}: {}", .0.code, .0.name, .0.message)]
    BugCheck(Box<BugCheck>),
    /// The guest ended without a report.
    #[error("the guest ended without a report: {how}")]
    GuestEnded {
        /// The end of the guest, with the step.
        how: String,
    },
    /// A step took too long.
    #[error("no end of \"{step}\" after {seconds} s{seen}")]
    Timeout {
        /// The step.
        step: String,
        /// Its limit, in seconds.
        seconds: u64,
        /// The progress that the guest reported last.
        seen: String,
    },
    /// The card's process ended.
    #[error("{} died during \"{step}\": {death}", .death.who())]
    CardDied {
        /// The card's end, and that of QEMU after it.
        death: Box<Death>,
        /// The step.
        step: String,
    },
    /// The device of the user's has gone, or does not answer, while its process lives or is not the harness's.
    #[error("{device} was lost during \"{step}\": QEMU says: {words}")]
    DeviceLost {
        /// The name of the device.
        device: String,
        /// QEMU's own words.
        words: String,
        /// The step.
        step: String,
    },
    /// QEMU ended by itself, or was ended from outside.
    #[error("QEMU failed during \"{step}\": {death}")]
    QemuFailed {
        /// The end of QEMU, and that of the card after it.
        death: Box<Death>,
        /// The step.
        step: String,
    },
    /// The guest's system, or its agent, started anew.
    #[error("the guest's system, or its agent, started anew during \"{step}\"")]
    GuestRestarted {
        /// The step.
        step: String,
    },
    /// The agent of an image did not come.
    #[error("the image's agent has not said that it is ready after {seconds} s")]
    NoAgent {
        /// The limit.
        seconds: u64,
    },
    /// The agent of an image came, and answers nothing.
    #[error("the image's agent said that it is ready, and has not answered Hello after {seconds} s")]
    SilentAgent {
        /// The limit.
        seconds: u64,
    },
    /// The agent of an image is of another version.
    #[error(
        "the image's agent, {guest}, speaks version {theirs} of the guest protocol, and this harness version {ours}"
    )]
    OtherAgent {
        /// Its name.
        guest: String,
        /// Its version.
        theirs: u16,
        /// The harness's.
        ours: u16,
    },
    /// The system of an image crashed.
    #[error("the image's system crashed during \"{step}\": {how}")]
    Crashed {
        /// How that was found.
        how: String,
        /// The step.
        step: String,
    },
    /// The system of an image turned its machine off.
    #[error("the image's system turned itself off during \"{step}\"")]
    TurnedOff {
        /// The step.
        step: String,
    },
    /// A debugger ended QEMU.
    #[error("the debugger ended the guest during \"{step}\": it left without detaching")]
    EndedByDebugger {
        /// The step.
        step: String,
    },
    /// The guest refused a request.
    #[error("the guest refused \"{step}\": {}", refusal(.failure))]
    Refused {
        /// The step.
        step: String,
        /// The guest's reason.
        failure: Failure,
    },
    /// The guest sent what the protocol does not allow.
    #[error("guest and harness disagree at \"{step}\": {what}")]
    Protocol {
        /// The step.
        step: String,
        /// The difference from the protocol.
        what: String,
    },
    /// The serial line failed on the harness's side.
    #[error("the serial line failed: {0}")]
    Line(#[from] io::Error),
    /// The user interrupted the step.
    #[error("interrupted{by} during \"{0}\"", by = interrupt::by_signal())]
    Interrupted(String),
}

/// The remedy for imports that the NT host lacks.
const NOT_HOSTED: &str = "the driver is not at fault: the NT host lacks these functions (EXPORTS.md counts what it has); report the list, \
                          or run the driver on a Windows guest";

/// The remedy for imports that a younger Windows has.
const YOUNGER: &str = "Windows of this version does not load the driver: look the functions up at run time \
                       (MmGetSystemRoutineAddress) and do without where they are missing, or name a younger Windows (--windows)";

impl SessionError {
    /// Tells whether the guest refused because it is of a kind that does not do that: this says nothing about driver and device.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.kind == FailureKind::Unsupported)
    }
}

fn refusal(failure: &Failure) -> String {
    let mut text = failure.message.clone();
    match &failure.kind {
        FailureKind::Status(status) => {
            let _ = write!(text, " (NTSTATUS {status:#010x})");
        }
        FailureKind::MissingImports(imports) => {
            for import in imports {
                let _ = write!(text, "\n  {}!{}", import.module, import.name);
            }
        }
        _ => {}
    }
    text
}

impl Diagnosed for SessionError {
    fn class(&self) -> Class {
        match self {
            Self::BugCheck(_) | Self::GuestEnded { .. } | Self::GuestRestarted { .. } | Self::Crashed { .. } => {
                Class::GuestCrashed
            }
            Self::NoAgent { .. } => Class::NotStarted,
            Self::SilentAgent { .. } | Self::OtherAgent { .. } => Class::AgentSilent,
            Self::TurnedOff { .. } => Class::InstallerStuck,
            Self::Timeout { .. } => Class::Timeout,
            Self::CardDied { .. } | Self::DeviceLost { .. } => Class::CardDied,
            Self::QemuFailed { .. } => Class::QemuFailed,
            Self::EndedByDebugger { .. } => Class::Interrupted,
            Self::Refused { failure, .. } => match failure.kind {
                FailureKind::Image => Class::BadInput,
                FailureKind::MissingImports(_) | FailureKind::NotHosted | FailureKind::Unsupported => Class::NotHosted,
                FailureKind::NoDevice | FailureKind::Status(_) => Class::TestFailed,
                FailureKind::Memory | FailureKind::Request => Class::HarnessBug,
                FailureKind::Timeout => Class::Timeout,
            },
            Self::Protocol { .. } => Class::HarnessBug,
            Self::Line(_) => Class::Host,
            Self::Interrupted(_) => Class::Interrupted,
        }
    }

    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::BugCheck(_) => {
                "the stack of the bug check says where; fix the driver, or report it if the driver is right"
            }
            Self::GuestEnded { .. } => "console.log and qemu.log in the run folder say what came before",
            Self::GuestRestarted { .. } => {
                "a bug check restarts a system that is set so: the dump on its disk says where the driver failed"
            }
            Self::NoAgent { .. } => {
                "screen.png in the run folder shows where the system is; if it still starts, --boot-timeout gives more time; else build the \
                 image anew"
            }
            Self::SilentAgent { .. } => {
                "screen.png and console.log in the run folder say what the guest does; --timeout gives more time; else try the agent by \
                 hand in the image"
            }
            Self::OtherAgent { .. } => {
                "build the image anew with the agent of this version, or run the harness that built it"
            }
            Self::Crashed { .. } => {
                "screen.png in the run folder shows the stop code; there is no dump on the disk for dumps (dump.img), which CrashControl \
                 of the guest has to name"
            }
            Self::TurnedOff { .. } => {
                "console.log in the run folder says what came before; a system turns itself off by shutdown.exe, for want of a licence, \
                 or by its power settings"
            }
            Self::Timeout { .. } => {
                "post-mortem.txt in the run folder says where the guest hangs; --timeout gives more time"
            }
            Self::CardDied { death, .. } | Self::QemuFailed { death, .. } if death.from_outside() => NOT_OURS,
            Self::CardDied { death, .. } if death.device.is_some() => {
                "device.log in the run folder says why; a device must survive whatever its driver does"
            }
            Self::CardDied { .. } => "card.log in the run folder says why; the card must survive any guest: report it",
            Self::DeviceLost { .. } => {
                "QEMU waits five seconds for a device and then goes on without it: the guest reads all ones; answer each \
                 message at once, whatever the driver does"
            }
            Self::EndedByDebugger { .. } => {
                "let the guest go on by `detach` (gdb) or `process detach` (lldb) before the debugger is left"
            }
            Self::QemuFailed { .. } => "qemu.log in the run folder has QEMU's words; try another --qemu",
            Self::Refused { failure, .. } => match &failure.kind {
                FailureKind::MissingImports(imports) => match failure.message.matches(CAME_WITH).count() {
                    0 => NOT_HOSTED,
                    younger if younger == imports.len() => YOUNGER,
                    _ => {
                        return Some(format!(
                            "of what came with a younger Windows: {YOUNGER}; of the others: {NOT_HOSTED}"
                        ));
                    }
                },
                FailureKind::NotHosted => {
                    "the driver is not at fault: run it on a Windows guest, or build its PortCls part without the framework"
                }
                FailureKind::Unsupported => "this kind of guest does not do that: run the case on the NT host",
                FailureKind::Image => "give a 64-bit Windows driver image (.sys)",
                _ => return None,
            },
            Self::Protocol { .. } => "build guest and harness from one checkout; if they are, report it",
            Self::Line(_) | Self::Interrupted(_) => return None,
        };
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::Import;

    use super::*;

    fn remedy(message: &str, count: usize) -> String {
        let imports = (0..count).map(|_| Import { module: "ntoskrnl.exe".into(), name: "Ex".into() }).collect();
        let failure = Failure { kind: FailureKind::MissingImports(imports), message: message.into() };
        SessionError::Refused { step: "load the driver".into(), failure }.remedy().unwrap()
    }

    #[test]
    fn an_import_of_a_younger_windows_is_the_driver_s_to_look_up() {
        let younger = format!("ntoskrnl.exe!Ex ({CAME_WITH} 6.2)");
        assert_eq!(remedy(&younger, 1), YOUNGER);
        assert_eq!(remedy("ntoskrnl.exe!Ex", 1), NOT_HOSTED);
        let both = remedy(&younger, 2);
        assert!(both.contains(YOUNGER) && both.contains(NOT_HOSTED), "{both}");
    }
}
