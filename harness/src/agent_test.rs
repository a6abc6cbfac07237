//! Runs the test of the guest agent's program under Wine.

use crate::event::Observer;
use crate::provision::{AGENT_VARIABLE, Artefact, ProvisionError, WINE_VARIABLE, Workspace, ZLIB_VARIABLE, zlib_of};
use crate::provisioned_test::ProvisionedTest;
use crate::report::TestRecord;

/// The test.
const TEST: ProvisionedTest = ProvisionedTest { name: "guest agent", target: "wine", threads: None };

/// Runs the test. It is skipped where neither the system nor its packages have Wine.
///
/// # Errors
/// [`ProvisionError::Interrupted`] when the user interrupts.
pub fn test_agent(workspace: &Workspace, observer: &dyn Observer) -> Result<TestRecord, ProvisionError> {
    TEST.run(workspace, observer, |provisioner| {
        let wine = provisioner.resolve(Artefact::Wine)?;
        // Of the 32-bit program, that it is built: no Wine here runs it.
        provisioner.resolve(Artefact::AgentX86)?;
        let mut variables = vec![(AGENT_VARIABLE, provisioner.resolve(Artefact::Agent)?.into())];
        variables.extend(zlib_of(&wine).map(|zlib| (ZLIB_VARIABLE, zlib.into())));
        variables.push((WINE_VARIABLE, wine.into()));
        Ok(variables)
    })
}
