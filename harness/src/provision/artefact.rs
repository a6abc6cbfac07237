//! The artefacts: what a test bed and a benchmark need.

use serde::{Deserialize, Serialize};

/// An input that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Artefact {
    /// A QEMU that can carry the card.
    Qemu,
    /// The bare-metal guest that hosts the driver.
    NtHost,
    /// The Windows driver image.
    Driver,
    /// The driver image for 32-bit Windows. No guest loads it yet; its image is checked.
    DriverX86,
    /// The card's process.
    Card,
    /// The program that measures synthesizers side by side.
    SynthBench,
    /// The program that measures the card's transport beside a bare back-end.
    TransportBench,
    /// The program that measures cards with and without a trace.
    TraceBench,
    /// FluidSynth, for comparison.
    FluidSynth,
    /// A General MIDI SoundFont, from which every synthesizer plays the same songs.
    SoundFont,
    /// A browser without windows, in which the page of a report is tested.
    Chromium,
    /// A debugger that reads the driver's PDB.
    Lldb,
    /// Wine, under which the guest agent is tested.
    Wine,
    /// The guest agent for 64-bit Windows.
    Agent,
    /// The guest agent for 32-bit Windows.
    AgentX86,
    /// The rules of accessibility by which the page is tested.
    Axe,
    /// The folder of the UEFI firmware by which guests with disks start.
    Ovmf,
    /// A writer of discs, for tests.
    DiscWriter,
    /// The UEFI guest that stands in for an installer, for tests.
    StandIn,
}

impl Artefact {
    /// Returns its name for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::NtHost => "the NT host (nt-host)",
            Self::Driver => "the driver (dmuscard.sys)",
            Self::DriverX86 => "the driver for 32-bit Windows (dmuscard.sys)",
            Self::Card => "the card (vhost-device-dmus)",
            Self::SynthBench => "the synthesizers' benchmark (dls-synth-bench)",
            Self::TransportBench => "the transport's benchmark (transport_bench)",
            Self::TraceBench => "the trace's benchmark (trace_bench)",
            Self::FluidSynth => "FluidSynth",
            Self::SoundFont => "a General MIDI SoundFont (TimGM6mb)",
            Self::Chromium => "Chromium",
            Self::Lldb => "lldb",
            Self::Wine => "Wine",
            Self::Agent => "the guest agent (dmus-agent.exe)",
            Self::AgentX86 => "the guest agent for 32-bit Windows (dmus-agent.exe)",
            Self::Axe => "the rules of accessibility (axe-core)",
            Self::Ovmf => "UEFI firmware (OVMF)",
            Self::DiscWriter => "a writer of discs (genisoimage)",
            Self::StandIn => "the installer's stand-in (stand-in)",
        }
    }
}

/// The artefacts of a run in the NT host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artefacts<T> {
    /// [`Artefact::Card`].
    pub card: T,
    /// [`Artefact::Qemu`].
    pub qemu: T,
    /// [`Artefact::NtHost`].
    pub nt_host: T,
    /// [`Artefact::Driver`].
    pub driver: T,
}

impl<T> Artefacts<T> {
    /// Calls a closure for each artefact, in the order in which they are best provisioned.
    ///
    /// # Errors
    /// The first error that the closure returns, whatever its type.
    pub fn resolve_with<E>(resolve: &mut impl FnMut(Artefact) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            qemu: resolve(Artefact::Qemu)?,
            card: resolve(Artefact::Card)?,
            nt_host: resolve(Artefact::NtHost)?,
            driver: resolve(Artefact::Driver)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_artefact_of_a_run_once() {
        let mut listed = Vec::new();
        let artefacts = Artefacts::resolve_with(&mut |artefact| {
            listed.push(artefact);
            Ok::<_, ()>(artefact)
        })
        .unwrap();
        assert_eq!(artefacts.driver, Artefact::Driver);
        assert_eq!(listed.len(), 4);
        listed.sort();
        listed.dedup();
        assert_eq!(listed.len(), 4, "an artefact is resolved twice");
    }
}
