//! What a benchmark works with.

use std::cell::OnceCell;

use super::error::BenchError;
use crate::event::Observer;
use crate::provision::Workspace;
use crate::testbed::Provisioned;

/// What a benchmark works with.
pub struct Context<'a> {
    /// The workspace, which holds the run folders.
    pub workspace: &'a Workspace,
    /// The observer of events.
    pub observer: &'a dyn Observer,
    /// Whether to measure only what is quick, and already provisioned.
    pub quick: bool,
    /// Whether drivers and synthesizers of others are measured too.
    pub peers: bool,
    bring: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    provisioned: OnceCell<Provisioned>,
}

impl<'a> Context<'a> {
    /// Creates a context that provisions programs, images and accelerator when the first benchmark needs them.
    pub fn new(
        workspace: &'a Workspace,
        observer: &'a dyn Observer,
        quick: bool,
        peers: bool,
        bring: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    ) -> Self {
        Self { workspace, observer, quick, peers, bring, provisioned: OnceCell::new() }
    }

    pub(super) fn provisioned(&self) -> Result<&Provisioned, BenchError> {
        if let Some(provisioned) = self.provisioned.get() {
            return Ok(provisioned);
        }
        let provisioned = (self.bring)()?;
        Ok(self.provisioned.get_or_init(|| provisioned))
    }
}
