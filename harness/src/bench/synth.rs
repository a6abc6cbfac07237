//! The benchmark `synth`: the synthesizer and its competitors. A program of its own measures, so that this one need not link
//! them.

use std::process::Command;

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::program;
use crate::event::Event;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::leftovers::Scratch;
use crate::provision::{Artefact, Overrides, ProvisionError, Provisioner};
use crate::sound::songs;

/// Rounds, and seconds of sound times voices, of `--quick`.
const QUICK: [&str; 4] = ["--rounds", "1", "--voice-seconds", "40"];

/// Measures all competitors, or with `quick` those that need no download.
///
/// # Errors
/// [`BenchError::Provision`] when the program cannot be built, [`BenchError::Program`] when it fails.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let provisioner = Provisioner::new(context.workspace, Overrides::default(), context.observer)?;
    let program = provisioner.resolve(Artefact::SynthBench)?;
    let scratch = Scratch::new()?;
    let mut command = Command::new(&program);
    command.arg("--profile");
    if context.quick {
        command.args(QUICK);
    } else {
        if let Some(fluidsynth) = wanted(&provisioner, Artefact::FluidSynth, context)? {
            command.arg("--fluidsynth").arg(fluidsynth);
        }
        if let Some(font) = wanted(&provisioner, Artefact::SoundFont, context)? {
            command.arg("--font").arg(font);
            for song in songs::ALL {
                let path = scratch.path().join(format!("{}.mid", song.name));
                std::fs::write(&path, song.file).map_err(FileError::own("write", &path))?;
                command.arg("--song").arg(path);
            }
        }
    }
    drop(provisioner);
    program::run(&mut command, Artefact::SynthBench.text(), context, report)
}

/// Provisions a competitor, or warns that it does not compete.
fn wanted(
    provisioner: &Provisioner<'_>,
    artefact: Artefact,
    context: &Context<'_>,
) -> Result<Option<std::path::PathBuf>, ProvisionError> {
    match provisioner.resolve(artefact) {
        Ok(path) => Ok(Some(path)),
        Err(error) if error.class() == Class::Interrupted => Err(error),
        Err(error) => {
            let text = format!("{} does not compete: {error}", artefact.text());
            context.observer.event(&Event::Warning { text });
            Ok(None)
        }
    }
}
