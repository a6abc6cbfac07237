//! What a benchmark works with.

use std::cell::OnceCell;

use super::error::BenchError;
use crate::event::Observer;
use crate::provision::Workspace;
use crate::testbed::Provisioned;

/// What a benchmark works with.
pub struct Context<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// Who listens.
    pub observer: &'a dyn Observer,
    /// A quick look: figures that come soon, of what is there already.
    pub quick: bool,
    /// Others' drivers are measured too, beside the one that is asked for.
    pub peers: bool,
    bring: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    provisioned: OnceCell<Provisioned>,
}

impl<'a> Context<'a> {
    /// A context whose programs, images and accelerator are brought in when the first benchmark asks for them.
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
