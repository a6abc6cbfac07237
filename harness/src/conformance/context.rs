//! Where and how a driver is probed.

use std::time::Duration;

use crate::event::Observer;
use crate::machine::conditions::Conditions;
use crate::provision::Workspace;
use crate::testbed::Provisioned;

/// Where and how a driver is examined.
pub struct Context<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// Programs, images, accelerator.
    pub provisioned: &'a Provisioned,
    /// How long a step may take.
    pub timeout: Duration,
    /// Only examinations whose name contains this.
    pub filter: Option<&'a str>,
    /// What the guests run under.
    pub conditions: Conditions,
    /// Of a stress trial: how many rounds of cycles.
    pub rounds: u32,
    /// The command that does all of it again.
    pub reproduce: String,
    /// Who listens.
    pub observer: &'a dyn Observer,
}
