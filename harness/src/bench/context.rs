//! What benchmarks share.

use std::cell::OnceCell;

use super::error::BenchError;
use crate::event::Observer;
use crate::provision::Workspace;
use crate::testbed::Provisioned;

/// The inputs that all benchmarks share.
pub struct Context<'a> {
    /// The project, with the folder of all runs.
    pub workspace: &'a Workspace,
    /// Receives the events of the runs.
    pub observer: &'a dyn Observer,
    /// Whether to measure one round of what needs no download.
    pub quick: bool,
    /// Whether the C++ driver is measured too.
    pub peers: bool,
    provision: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    provisioned: OnceCell<Provisioned>,
}

impl<'a> Context<'a> {
    /// Creates a context; `provision` is called when the first benchmark needs programs, images and the accelerator.
    pub fn new(
        workspace: &'a Workspace,
        observer: &'a dyn Observer,
        quick: bool,
        peers: bool,
        provision: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    ) -> Self {
        Self { workspace, observer, quick, peers, provision, provisioned: OnceCell::new() }
    }

    /// Returns programs, images and accelerator.
    ///
    /// # Errors
    /// [`BenchError`] of the first call when something cannot be provisioned.
    pub(super) fn provisioned(&self) -> Result<&Provisioned, BenchError> {
        if let Some(provisioned) = self.provisioned.get() {
            return Ok(provisioned);
        }
        let provisioned = (self.provision)()?;
        Ok(self.provisioned.get_or_init(|| provisioned))
    }
}
