//! What all scenarios of a run share.

use std::path::Path;
use std::time::Duration;

use super::overrides::Overrides;
use crate::event::Observer;
use crate::host::leftovers::remove_large_files;
use crate::jobs::Slots;
use crate::provision::Workspace;
use crate::steps::Interaction;
use crate::testbed::Provisioned;

/// The inputs that all scenarios of a run share.
pub struct Context<'a> {
    /// The project, with the folder of all runs.
    pub workspace: &'a Workspace,
    /// Programs, images, accelerator.
    pub provisioned: &'a Provisioned,
    /// The longest time for a step without progress.
    pub timeout: Duration,
    /// Only cases whose full name contains this.
    pub filter: Option<&'a str>,
    /// Options that replace those of the scenario.
    pub overrides: Overrides,
    /// The places of the guests that run side by side.
    pub slots: &'a Slots,
    /// How often a test that failed is run again, to tell what is flaky. It remains a failure.
    pub retries: u32,
    /// Whether no further test begins after one that failed.
    pub fail_fast: bool,
    /// Whether a known issue that passes now is a failure.
    pub strict: bool,
    /// Whether runs that pass keep their sound files.
    pub keep: bool,
    /// The level of the guest's log of steps; the default without.
    pub guest_log: Option<&'a str>,
    /// Takes over where steps pause: a prompt.
    pub interaction: Option<&'a dyn Interaction>,
    /// Receives the events of the runs.
    pub observer: &'a dyn Observer,
}

impl Context<'_> {
    /// Removes the sound files of a run that passed, unless they are to be kept.
    pub(super) fn passed(&self, run_folder: &Path) {
        if !self.keep {
            remove_large_files(run_folder);
        }
    }
}
