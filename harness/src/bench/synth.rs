//! The benchmark `synth`: the synthesizer and its competitors. A program of its own measures, so that this one need not link
//! them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::synth_error::SynthBenchError;
use crate::event::Event;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::leftovers::Scratch;
use crate::host::process::end_with_harness;
use crate::provision::{Artefact, Overrides, ProvisionError, Provisioner};
use crate::sound::songs;

/// Rounds, and seconds of sound times voices, of `--quick`.
const QUICK: [&str; 4] = ["--rounds", "1", "--voice-seconds", "40"];

/// The running program, killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures all competitors, or with `quick` those that need no download.
///
/// # Errors
/// [`BenchError::Provision`] when the program cannot be built, [`BenchError::Synth`] when it fails.
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
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    end_with_harness(&mut command);
    let mut running = Running(command.spawn().map_err(FileError::own("start", &program))?);
    let errors = running.0.stderr.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut output = String::new();
            // A pipe that breaks ends the output.
            let _ = pipe.read_to_string(&mut output);
            output
        })
    });
    let lines = running.0.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        if interrupt::requested() {
            return Err(SynthBenchError::Interrupted.into());
        }
        report(serde_json::from_str(&line).map_err(|_| SynthBenchError::Line(line))?);
    }
    let status = running.0.wait().map_err(FileError::own("wait for", &program))?;
    let output = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    // Ctrl-C reaches the program too, which then ends before this loop checks.
    if interrupt::requested() {
        return Err(SynthBenchError::Interrupted.into());
    }
    if !status.success() {
        return Err(SynthBenchError::Failed { ended: status.into(), output: output.trim().into() }.into());
    }
    for line in output.lines() {
        context.observer.event(&Event::Note { text: line.into() });
    }
    Ok(())
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
