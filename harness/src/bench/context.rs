//! What benchmarks share.

use std::cell::{OnceCell, RefCell};

use super::error::BenchError;
use crate::event::Observer;
use crate::provision::Workspace;
use crate::testbed::Provisioned;
use crate::testbed::violations::{FindingsReport, ViolationPolicy};

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
    /// Which violations do not stop the guests.
    pub policy: ViolationPolicy,
    /// What the guests have found without stopping.
    findings: RefCell<FindingsReport>,
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
        policy: ViolationPolicy,
        provision: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    ) -> Self {
        let findings = RefCell::default();
        Self { workspace, observer, quick, peers, policy, findings, provision, provisioned: OnceCell::new() }
    }

    /// Adds what a guest has found without stopping.
    pub(super) fn found(&self, findings: FindingsReport) {
        self.findings.borrow_mut().add(findings);
    }

    /// Returns what the guests have found without stopping.
    #[must_use]
    pub fn findings(&self) -> FindingsReport {
        self.findings.borrow().clone()
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
