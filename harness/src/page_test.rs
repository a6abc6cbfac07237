//! Runs the test that opens the page of a report in a browser, with the browser and the rules of accessibility that it needs.

use crate::dist::TEAM_FOLDER;
use crate::event::Observer;
use crate::provision::{AXE_VARIABLE, Artefact, CHROMIUM_VARIABLE, ProvisionError, Workspace};
use crate::provisioned_test::{ProvisionedTest, Variables};
use crate::report::TestRecord;

/// The test.
const TEST: ProvisionedTest =
    ProvisionedTest { name: "the page of a report in a browser", target: "page", threads: None };

/// The variable that names the folder for pictures of the page.
const SCREENSHOTS_VARIABLE: &str = "DMUS_SCREENSHOTS";

/// The variable that names the folder of a team's reports, which the trial of the download leaves.
const TEAM_VARIABLE: &str = "DMUS_TEAM";

/// Runs the test. It is skipped where neither the system nor its packages have a browser, or the rules cannot be fetched. Its
/// pictures are in `target/dmus/page`.
///
/// # Errors
/// [`ProvisionError::Interrupted`] when the user interrupts.
pub fn test_page(workspace: &Workspace, observer: &dyn Observer) -> Result<TestRecord, ProvisionError> {
    TEST.run(workspace, observer, |provisioner| {
        let mut variables: Variables = vec![
            (CHROMIUM_VARIABLE, provisioner.resolve(Artefact::Chromium)?.into()),
            (AXE_VARIABLE, provisioner.resolve(Artefact::Axe)?.into()),
            (SCREENSHOTS_VARIABLE, workspace.cache().join("page").into()),
        ];
        let team = workspace.cache().join(TEAM_FOLDER);
        variables.extend(team.is_dir().then(|| (TEAM_VARIABLE, team.into())));
        Ok(variables)
    })
}
