//! Runs the test that drives debuggers through guests, with the debugger that reads the driver's PDB.

use crate::event::Observer;
use crate::provision::{Artefact, LLDB_VARIABLE, ProvisionError, Workspace};
use crate::provisioned_test::ProvisionedTest;
use crate::report::TestRecord;

/// The test.
const TEST: ProvisionedTest = ProvisionedTest { name: "debuggers", target: "debuggers", threads: None };

/// Runs the test. It is skipped where neither the system nor its packages have lldb; what gdb does is tested where there is gdb.
///
/// # Errors
/// [`ProvisionError::Interrupted`] when the user interrupts.
pub fn test_debuggers(workspace: &Workspace, observer: &dyn Observer) -> Result<TestRecord, ProvisionError> {
    TEST.run(workspace, observer, |provisioner| Ok(vec![(LLDB_VARIABLE, provisioner.resolve(Artefact::Lldb)?.into())]))
}
