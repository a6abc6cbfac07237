//! The benchmark `trace`: what a record costs, and what the trace costs the card while a driver sends events.

use std::process::Command;

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::program;
use crate::provision::{Artefact, Overrides, Provisioner};

/// Measures cards with and without a trace in turns.
///
/// # Errors
/// [`BenchError::Provision`] when a program cannot be built, [`BenchError::Program`] when it fails.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let provisioner = Provisioner::new(context.workspace, Overrides::default(), context.observer)?;
    let program = provisioner.resolve(Artefact::TraceBench)?;
    let mut command = Command::new(program);
    command.arg(provisioner.resolve(Artefact::Card)?);
    drop(provisioner);
    if context.quick {
        command.arg("--quick");
    }
    program::run(&mut command, Artefact::TraceBench.text(), context, report)
}
