//! Runs a program that measures, so that this one need not link what it measures.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::program_error::ProgramError;
use crate::event::Event;
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::process::end_with_harness;

/// The running program, killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing happens to one that has been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program, and passes each of its lines on as a figure. `what` is its name for people.
///
/// # Errors
/// [`BenchError::File`] when it cannot be started, [`BenchError::Program`] when it fails.
pub(super) fn run(
    command: &mut Command,
    what: &'static str,
    context: &Context<'_>,
    report: &mut dyn FnMut(Measurement),
) -> Result<(), BenchError> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    end_with_harness(command);
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
            return Err(ProgramError::Interrupted.into());
        }
        report(serde_json::from_str(&line).map_err(|_| ProgramError::Line(line))?);
    }
    let status = running.0.wait().map_err(FileError::own("wait for", &program))?;
    let output = errors.and_then(|thread| thread.join().ok()).unwrap_or_default();
    // Ctrl-C reaches the program too, which then ends before this loop checks.
    if interrupt::requested() {
        return Err(ProgramError::Interrupted.into());
    }
    if !status.success() {
        return Err(ProgramError::Failed { what, ended: status.into(), output: output.trim().into() }.into());
    }
    for line in output.lines() {
        context.observer.event(&Event::Note { text: line.into() });
    }
    Ok(())
}
