//! Provisions what a test bed is made of, and has the accelerator calibrated.

use super::calibration;
use super::error::TestBedError;
use super::provisioned::Provisioned;
use crate::event::Observer;
use crate::machine::{Accelerator, Device};
use crate::provision::{Overrides, Provisioner, Workspace, driver_file, firmware_of};

/// Provisions every artefact of a run, and chooses the accelerator: the one that is given, or the one that a timed
/// calibration guest finds to be faster.
///
/// # Errors
/// [`TestBedError::Driver`] for a driver image that the guest cannot load, before anything else is done;
/// [`TestBedError::Provision`] for an artefact that cannot be had; [`TestBedError::Machine`] where the calibration guest
/// cannot be tried at all.
pub fn provision(
    workspace: &Workspace,
    overrides: Overrides,
    accelerator: Option<Accelerator>,
    observer: &dyn Observer,
) -> Result<Provisioned, TestBedError> {
    overrides.driver.as_deref().map_or(Ok(()), driver_file::check)?;
    let provisioner = Provisioner::new(workspace, overrides, observer)?;
    let artefacts = provisioner.artefacts()?;
    let firmware = firmware_of(&artefacts.qemu);
    // Under the provisioner's lock: of several first runs, one measures.
    let accelerator = calibration::choose(workspace, &artefacts, firmware, accelerator)?;
    drop(provisioner);
    Ok(Provisioned { artefacts, accelerator, firmware, device: Device::default(), image: None, debugging: None })
}
