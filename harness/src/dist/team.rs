//! A driver's team: it has unpacked the download, copied the template, and runs its script with a driver of its own, once as it should
//! be and once with a fault.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bare_root::{BareRoot, SHELL};
use super::error::DistError;
use super::files::{copy_tree, write};
use super::tree::BELOW_PREFIX as TEMPLATE;
use crate::host::failure::Class;
use crate::host::file_error::FileError;
use crate::provision::{Workspace, cpp_driver};

/// The folder of the reports of a team's drivers, in the cache.
pub const TEAM_FOLDER: &str = "team";

/// The variant of the C++ driver that is the team's broken one: it looks at the device's registers while the device has no power. The
/// scenarios of the template do not show that; the contract does.
const BROKEN: &str = "sleeping_device_asked";

/// The rule that it breaks, and only that.
const RULE: &str = "rule 77";

/// The place of the access, as the report has it of a driver without symbols.
const PLACE: &str = "driver.sys+0x";

/// The folder of the team in the root.
const FOLDER: &str = "/home/team";

/// The team's drivers.
#[derive(Clone, Debug)]
pub struct Team {
    good: PathBuf,
    broken: PathBuf,
}

impl Team {
    /// Builds both drivers.
    ///
    /// # Errors
    /// [`DistError::NoTeam`] without mingw-w64, or when they do not build.
    pub fn build(workspace: &Workspace) -> Result<Self, DistError> {
        let missing = |error: cpp_driver::CppDriverError| DistError::NoTeam { reason: error.to_string() };
        let good = cpp_driver::good(workspace).map_err(missing)?;
        Ok(Self { good, broken: cpp_driver::variant(workspace, BROKEN).map_err(missing)? })
    }
}

/// Runs the template's script with both drivers, as on GitHub, and compares the reports with what they must say. The reports of each
/// are left in a folder of its name.
///
/// # Errors
/// [`DistError::Failed`] when the script ends otherwise, [`DistError::Unexpected`] when a report says something else, and
/// [`DistError::File`].
pub(super) fn view(root: &mut BareRoot, team: &Team, reports: &Path) -> Result<(), DistError> {
    let place = root.outside(Path::new(FOLDER));
    copy_tree(&root.outside(&root.prefix().join(TEMPLATE)), &place)?;
    for (name, driver) in [("good", &team.good), ("broken", &team.broken)] {
        let broken = name == "broken";
        root.place(driver, &format!("home/team/{name}.sys"))?;
        // A half is enough to tell them apart.
        let options = if broken { " --transport vhost-user" } else { "" };
        let line = format!("cd {FOLDER} && ./run {name}.sys{options}");
        let summary = format!("{FOLDER}/summary.md");
        let github = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.as_str())];
        let class = broken.then_some(Class::GuestCrashed);
        let said = root.expect(Path::new(SHELL), &["-c", &line], &github, class)?;
        let kept = reports.join(name);
        copy_tree(&place.join("reports"), &kept)?;
        write(&kept.join("terminal.txt"), format!("{}{}", said.stdout, said.stderr))?;
        let summary = place.join("summary.md");
        let text = fs::read_to_string(&summary).map_err(FileError::own("read", &summary))?;
        write(&kept.join("summary.md"), &text)?;
        for made in [place.join("reports"), summary] {
            let removed = if made.is_dir() { fs::remove_dir_all(&made) } else { fs::remove_file(&made) };
            removed.map_err(FileError::own("remove", &made))?;
        }
        let unexpected = |reason: String| DistError::Unexpected { path: kept.clone(), reason };
        compare(&failed_in(&kept)?, broken).map_err(unexpected)?;
        // They are on standard error: standard output may be for a program.
        let annotations: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("::error file=")).collect();
        let names = |text: &str| text.contains(RULE) && text.contains(PLACE);
        let told = annotations.len() == 1 && annotations.iter().all(|line| names(line)) && names(&text);
        if broken != told || (!broken && !annotations.is_empty()) {
            return Err(unexpected(format!("GitHub shows {annotations:?} and the summary {text}")));
        }
    }
    Ok(())
}

/// A failed test of a report: its suite, its name, and why.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    suite: String,
    name: String,
    message: String,
}

/// Reads the failed tests of all reports in a folder (CTRF).
fn failed_in(folder: &Path) -> Result<Vec<Failed>, DistError> {
    let mut failed = Vec::new();
    let mut reports = 0;
    for entry in fs::read_dir(folder).map_err(FileError::own("read", folder))? {
        let path = entry.map_err(FileError::own("read", folder))?.path();
        if !path.to_string_lossy().ends_with(".ctrf.json") {
            continue;
        }
        let text = fs::read(&path).map_err(FileError::own("read", &path))?;
        let unexpected = |reason: String| DistError::Unexpected { path: path.clone(), reason };
        let report: Value = serde_json::from_slice(&text).map_err(|error| unexpected(error.to_string()))?;
        let tests = report["results"]["tests"].as_array().filter(|tests| !tests.is_empty());
        for test in tests.ok_or_else(|| unexpected("it has no tests".into()))? {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if test["status"] == "failed" {
                let (suite, name) = (text(&test["suite"][0]), text(&test["name"]));
                failed.push(Failed { suite, name, message: text(&test["message"]) });
            }
        }
        reports += 1;
    }
    if reports < 2 {
        return Err(DistError::Unexpected { path: folder.into(), reason: format!("it has {reports} reports") });
    }
    Ok(failed)
}

/// Compares failed tests with what a driver must fail: nothing, or the contract by one rule, with the place in the driver.
fn compare(failed: &[Failed], broken: bool) -> Result<(), String> {
    let of = |suite: &str| failed.iter().filter(|test| test.suite == suite).collect::<Vec<_>>();
    let (contract, rules) = (of("contract"), of("contract by rule"));
    let right = if broken {
        failed.len() == 2
            && contract.iter().any(|test| test.message.contains(RULE) && test.message.contains(PLACE))
            && rules.iter().any(|test| test.name.starts_with(RULE) && test.message.contains(PLACE))
    } else {
        failed.is_empty()
    };
    if right { Ok(()) } else { Err(format!("{failed:?} failed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(suite: &str, name: &str, message: &str) -> Failed {
        Failed { suite: suite.into(), name: name.into(), message: message.into() }
    }

    #[test]
    fn a_broken_driver_fails_by_its_rule_at_its_place_and_by_nothing_else() {
        let contract = || failed("contract", "transport=vhost-user", "rule 77 VIOLATED (x): at driver.sys+0xaec4");
        let rule = || failed("contract by rule", "rule 77: through D3", "read at driver.sys+0xaec4");
        assert_eq!(compare(&[contract(), rule()], true), Ok(()));
        assert!(compare(&[], true).is_err());
        assert!(compare(&[contract()], true).is_err());
        assert!(compare(&[contract(), rule(), failed("plays", "song=tide", "silent")], true).is_err());
        assert!(compare(&[contract(), failed("contract by rule", "rule 78: x", "at driver.sys+0x1")], true).is_err());
        assert_eq!(compare(&[], false), Ok(()));
        assert!(compare(&[rule()], false).is_err());
    }
}
