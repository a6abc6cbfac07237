//! Where and how a driver is probed.

use std::num::NonZeroUsize;
use std::time::Duration;

use card_control::{Sandbox, Transport};

use crate::event::Observer;
use crate::jobs::Slots;
use crate::machine::conditions::Conditions;
use crate::playback::judge::Judge;
use crate::provision::Workspace;
use crate::testbed::Provisioned;
use crate::testbed::violations::ViolationPolicy;

/// The surroundings and options of a probed driver.
pub struct Context<'a> {
    /// The workspace, which holds the run folders.
    pub workspace: &'a Workspace,
    /// The programs, images and accelerator.
    pub provisioned: &'a Provisioned,
    /// The longest time for a step.
    pub timeout: Duration,
    /// Runs only probes whose name contains this.
    pub filter: Option<&'a str>,
    /// The conditions that the guests run under.
    pub conditions: Conditions,
    /// How the project's card is attached to QEMU.
    pub transport: Transport,
    /// Whether the card's process is confined.
    pub sandbox: Sandbox,
    /// Which violations do not stop the guests.
    pub policy: &'a ViolationPolicy,
    /// Frames a second; without, the pins' data ranges decide.
    pub sample_rate: Option<u32>,
    /// What PCM is judged by; without, what fits the device.
    pub judge: Option<&'a Judge>,
    /// Rounds of cycles of the stress test.
    pub rounds: u32,
    /// How many guests run side by side at most.
    pub jobs: NonZeroUsize,
    /// The places that its guests take; without, the test has one already.
    pub slots: Option<&'a Slots>,
    /// The command that repeats the test.
    pub reproduce: String,
    /// The observer of events.
    pub observer: &'a dyn Observer,
}
