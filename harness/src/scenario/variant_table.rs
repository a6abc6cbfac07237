//! The broken variants of the C++ driver, a case each.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::case::{BuiltDriver, Case};
use super::document::CppDriver;
use super::expect::ExpectedBugCheck;
use super::malformed::{ScenarioError, Source};
use crate::host::file_error::FileError;

/// The folder of the C++ driver, from the scenarios' folder.
pub(super) const CPP_DRIVER: &str = "../../guest-driver/fixture";

/// The table of its broken variants (`variants.toml`).
#[derive(Deserialize)]
struct VariantTable {
    variant: Vec<Spanned<Variant>>,
}

/// An entry of the table.
#[derive(Clone, Debug, Deserialize)]
struct Variant {
    name: String,
    check: Option<u16>,
    bug_check: Option<u32>,
    probe: Option<String>,
    status: VariantStatus,
}

/// Whether a guest can stop a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum VariantStatus {
    /// The guest stops it with a bug check.
    #[serde(rename = "fires")]
    Fires,
    /// No guest can distinguish it from a good driver.
    #[serde(rename = "no check possible")]
    NoCheckPossible,
}

/// A variant that the guest must stop: the bug check, and the probe of the contract where no song shows it.
#[derive(Debug)]
struct FiringVariant {
    name: String,
    bug_check: ExpectedBugCheck,
    probe: Option<String>,
}

/// Reads the variants that the guest must stop.
fn variants_that_fire(path: &Path, text: &str) -> Result<Vec<FiringVariant>, ScenarioError> {
    let file = Source { path, text };
    let table: VariantTable = file.parse()?;
    let mut firing = Vec::new();
    for entry in table.variant {
        let span = entry.span();
        let Variant { name, check, bug_check, probe, status } = entry.into_inner();
        if status != VariantStatus::Fires {
            continue;
        }
        if check.is_some() == bug_check.is_some() {
            let message = format!("{name} fires, so it names what fires: either check or bug_check");
            return Err(file.error(span, &message));
        }
        let bug_check = ExpectedBugCheck { code: bug_check, name: None, rule: check };
        firing.push(FiringVariant { name, bug_check, probe });
    }
    if firing.is_empty() {
        return Err(file.error(0..0, "no variant fires, so no driver would be tested"));
    }
    Ok(firing)
}

/// Returns the cases once for each driver.
///
/// # Errors
/// [`ScenarioError::File`] when the table of variants cannot be read, [`ScenarioError::Malformed`] when it is wrong.
pub(super) fn with_cpp_drivers(source: &Path, kind: CppDriver, cases: &[Case]) -> Result<Vec<Case>, ScenarioError> {
    let script = source.join("build.sh");
    let driver = |variant, bug_check, probe| BuiltDriver { script: script.clone(), variant, bug_check, probe };
    let drivers = match kind {
        CppDriver::Good => vec![driver(None, None, None)],
        CppDriver::Broken => {
            let path = source.join("variants.toml");
            let text = fs::read_to_string(&path).map_err(FileError::input(&path))?;
            let firing = variants_that_fire(&path, &text)?;
            let driver = |FiringVariant { name, bug_check, probe }| driver(Some(name), Some(bug_check), probe);
            firing.into_iter().map(driver).collect()
        }
    };
    let with = |case: &Case, driver: &BuiltDriver| {
        let names = [driver.variant.as_deref().unwrap_or_default(), &case.name];
        let named: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        Case { name: named.join(" "), driver: Some(driver.clone()), ..case.clone() }
    };
    Ok(drivers.iter().flat_map(|driver| cases.iter().map(move |case| with(case, driver))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_check_of_each_variant_that_fires() {
        let read = |text: &str| variants_that_fire(Path::new("variants.toml"), text);
        let firing = read(
            "[[variant]]\nname = 'a'\ncheck = 7\nstatus = 'fires'\n\
             [[variant]]\nname = 'b'\nbug_check = 0xe6\nstatus = 'fires'\n\
             [[variant]]\nname = 'c'\nstatus = 'no check possible'\n",
        )
        .unwrap();
        let found: Vec<_> = firing
            .iter()
            .map(|variant| (variant.name.as_str(), variant.bug_check.rule, variant.bug_check.code))
            .collect();
        assert_eq!(found, [("a", Some(7), None), ("b", None, Some(0xe6))]);
        let error = read("[[variant]]\nname = 'a'\nstatus = 'fires'\n").unwrap_err().to_string();
        assert!(error.contains("either check or bug_check"), "{error}");
    }

    #[test]
    fn refuses_a_table_of_which_no_variant_fires() {
        let text = "[[variant]]\nname = 'c'\nstatus = 'no check possible'\n";
        let error = variants_that_fire(Path::new("variants.toml"), text).unwrap_err().to_string();
        assert!(error.contains("no driver would be tested"), "{error}");
    }
}
