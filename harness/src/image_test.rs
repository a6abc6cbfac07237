//! Runs the test that builds images from discs, with the guest that stands in for an installer.

use crate::event::Observer;
use crate::provision::{Artefact, DISC_WRITER_VARIABLE, OVMF_VARIABLE, ProvisionError, Workspace};
use crate::provisioned_test::ProvisionedTest;
use crate::report::TestRecord;

/// The test.
const TEST: ProvisionedTest = ProvisionedTest { name: "images", target: "image", threads: Some(4) };

/// The variable that names the stand-in to the test.
const STAND_IN_VARIABLE: &str = "DMUS_STAND_IN";

/// Runs the test. It is skipped where the system's packages have no firmware for UEFI or no writer of discs.
///
/// # Errors
/// [`ProvisionError::Interrupted`] when the user interrupts.
pub fn test_images(workspace: &Workspace, observer: &dyn Observer) -> Result<TestRecord, ProvisionError> {
    TEST.run(workspace, observer, |provisioner| {
        provisioner.resolve(Artefact::Agent)?;
        Ok(vec![
            (OVMF_VARIABLE, provisioner.resolve(Artefact::Ovmf)?.into()),
            (DISC_WRITER_VARIABLE, provisioner.resolve(Artefact::DiscWriter)?.into()),
            (STAND_IN_VARIABLE, provisioner.resolve(Artefact::StandIn)?.into()),
            ("DMUS_QEMU", provisioner.resolve(Artefact::Qemu)?.into()),
            ("DMUS_CARD", provisioner.resolve(Artefact::Card)?.into()),
            ("DMUS_NT_HOST", provisioner.resolve(Artefact::NtHost)?.into()),
            ("DMUS_DRIVER", provisioner.resolve(Artefact::Driver)?.into()),
        ])
    })
}
