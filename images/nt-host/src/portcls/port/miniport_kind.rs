//! Which interface a port speaks with its miniport: DMus and Midi ports are one implementation, and take either.

#![allow(unsafe_code, reason = "the miniport is called by slot number")]

use super::interface_checks;
use crate::contract::midi;
use crate::contract::rules::{self, Rule};
use crate::nt::NTSTATUS;
use crate::nt::status::STATUS_INVALID_PARAMETER;
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object;
use crate::portcls::com::slots::Foreign;
use crate::portcls::kernel;

/// The interface that a port speaks with its miniport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MiniportKind {
    /// `IMiniportDMus`, with streams of events.
    Dmus,
    /// `IMiniportMidi`, with streams of bytes.
    Midi,
}

impl MiniportKind {
    /// Finds out which of the interfaces a miniport has: the newer, if it has both.
    ///
    /// # Errors
    /// `STATUS_INVALID_PARAMETER` when it has neither, with a line in the log.
    pub(super) fn bind(unknown: &Foreign) -> Result<(Self, Foreign), NTSTATUS> {
        let with = |kind: Self| unknown.query(kind.interface()).ok().map(|miniport| (kind, miniport));
        with(Self::Dmus).or_else(|| with(Self::Midi)).ok_or_else(|| {
            kernel::warn(format_args!(
                "IPort::Init: the miniport answers QueryInterface for neither IMiniportDMus nor IMiniportMidi, and this port takes no other: answer one of them, or make a port of the miniport's own class"
            ));
            STATUS_INVALID_PARAMETER
        })
    }

    /// Checks the miniport's identity and its vtable.
    pub(super) fn check(self, miniport: &Foreign) {
        let (rule, methods) = match self {
            Self::Dmus => (rules::MINIPORT_INTERFACES, interface_checks::MINIPORT_DMUS_METHODS),
            Self::Midi => (midi::MINIPORT_INTERFACES, interface_checks::MINIPORT_MIDI_METHODS),
        };
        interface_checks::check_interfaces(miniport, &[guids::IID_IMINIPORT, *self.interface()], rule, self.name());
        interface_checks::check_slots(miniport, methods, self.name());
    }

    /// Notes for the report that a miniport of this kind is bound.
    pub(super) fn note_bound(self, miniport: &Foreign) {
        midi::note_bound(match self {
            _ if object::is_own(miniport.as_raw()) => midi::Bound::System,
            Self::Dmus => midi::Bound::Dmus,
            Self::Midi => midi::Bound::Midi,
        });
    }

    /// Returns the interface's identifier.
    fn interface(self) -> &'static GUID {
        match self {
            Self::Dmus => &guids::IID_IMINIPORTDMUS,
            Self::Midi => &guids::IID_IMINIPORTMIDI,
        }
    }

    /// Returns the interface's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dmus => "IMiniportDMus",
            Self::Midi => "IMiniportMidi",
        }
    }

    /// Returns the name of a stream's last release.
    pub(crate) fn stream_release(self) -> &'static str {
        match self {
            Self::Dmus => "IMXF::Release",
            Self::Midi => "IMiniportMidiStream::Release",
        }
    }

    /// Returns the rule of the service group that `Init` puts out.
    pub(super) fn group_rule(self) -> &'static Rule {
        match self {
            Self::Dmus => rules::SERVICE_GROUP,
            Self::Midi => midi::SERVICE_GROUP,
        }
    }
}
