//! The benchmark `transport`: what reaching the card costs, beside a bare back-end of the framework. A program of its own
//! measures, which stands for QEMU and the driver.

use std::process::Command;

use super::context::Context;
use super::error::BenchError;
use super::measurement::Measurement;
use super::program;
use crate::provision::{Artefact, Overrides, Provisioner};

/// Measures the card's transport and the bare back-end in turns.
///
/// # Errors
/// [`BenchError::Provision`] when a program cannot be built, [`BenchError::Program`] when it fails.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let provisioner = Provisioner::new(context.workspace, Overrides::default(), context.observer)?;
    let program = provisioner.resolve(Artefact::TransportBench)?;
    let mut command = Command::new(program);
    command.arg(provisioner.resolve(Artefact::Card)?);
    drop(provisioner);
    if context.quick {
        command.arg("--quick");
    }
    program::run(&mut command, Artefact::TransportBench.text(), context, report)
}
