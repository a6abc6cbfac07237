//! Provisions each artefact by its own module.

use std::path::PathBuf;

use super::artefact::{Artefact, Artefacts};
use super::bundle::Bundle;
use super::error::ProvisionError;
use super::provisioner::{Overrides, Provisioner, named_file};
use super::{axe, chromium, disc_writer, fluidsynth, guests, lldb, ovmf, qemu, wine};

impl Provisioner<'_> {
    /// Provisions every artefact of a run.
    ///
    /// # Errors
    /// [`ProvisionError`] of the first artefact that cannot be provisioned.
    pub fn artefacts(&self) -> Result<Artefacts<PathBuf>, ProvisionError> {
        Artefacts::resolve_with(&mut |artefact| self.resolve(artefact))
    }

    /// Provisions one artefact and returns its path.
    ///
    /// # Errors
    /// [`ProvisionError`] when it is neither there nor can be built or downloaded, with a remedy.
    pub fn resolve(&self, artefact: Artefact) -> Result<PathBuf, ProvisionError> {
        if let Some(bundle) = &self.workspace.bundle {
            let path = self.bundled(bundle, artefact)?;
            self.record(artefact.text(), &path.display().to_string());
            return Ok(path);
        }
        let path = match artefact {
            Artefact::Qemu => qemu::resolve(self)?,
            Artefact::NtHost => guests::nt_host(self)?,
            Artefact::Driver => match &self.overrides.driver {
                Some(path) => named_file(path)?,
                None if self.overrides.full_debug_info => guests::driver_with_debug_info(self)?,
                None => guests::driver(self, &guests::DRIVER_X64)?,
            },
            Artefact::DriverX86 => guests::driver(self, &guests::DRIVER_X86)?,
            Artefact::Card => guests::card(self)?,
            Artefact::SynthBench => guests::synth_bench(self)?,
            Artefact::TransportBench => guests::card_bench(self, "transport")?,
            Artefact::TraceBench => guests::card_bench(self, "trace")?,
            Artefact::FluidSynth => fluidsynth::program(self)?,
            Artefact::SoundFont => fluidsynth::sound_font(self)?,
            Artefact::Chromium => chromium::program(self)?,
            Artefact::Lldb => lldb::program(self)?,
            Artefact::Wine => wine::program(self)?,
            Artefact::Agent => guests::agent(self, guests::AGENT_X64)?,
            Artefact::AgentX86 => guests::agent(self, guests::AGENT_X86)?,
            Artefact::Axe => axe::script(self)?,
            Artefact::Ovmf => ovmf::folder(self)?,
            Artefact::DiscWriter => disc_writer::program(self)?,
            Artefact::StandIn => guests::stand_in(self)?,
        };
        self.record(artefact.text(), &path.display().to_string());
        Ok(path)
    }

    /// Returns the path of an artefact in a bundle, or of what the user named instead.
    fn bundled(&self, bundle: &Bundle, artefact: Artefact) -> Result<PathBuf, ProvisionError> {
        match (artefact, &self.overrides) {
            (Artefact::Qemu, Overrides { qemu: Some(_), .. }) => qemu::resolve(self),
            (Artefact::Driver, Overrides { driver: Some(path), .. }) => named_file(path),
            (Artefact::Driver, Overrides { full_debug_info: true, .. }) => {
                Err(ProvisionError::NotBundled { what: "a driver with full debug information".into() })
            }
            (Artefact::Ovmf, _) => ovmf::beside_bundle(),
            _ => bundle.artefact(artefact).ok_or_else(|| ProvisionError::NotBundled { what: artefact.text().into() }),
        }
    }
}
