//! The C++ drivers and their variants, a case each.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use card_control::InjectedFault;
use serde::Deserialize;
use toml::Spanned;

use super::case::{BuiltDriver, Case};
use super::document::CppDriver;
use super::expect::ExpectedBugCheck;
use super::malformed::{ScenarioError, Source};
use crate::host::file_error::FileError;
use crate::machine::Device;
use crate::machine::conditions::{Bars, Interrupts};
use crate::machine::device::DeviceSource;
use crate::playback::judge::Judge;

/// The script that builds a driver, in their folder.
const SCRIPT: &str = "build.sh";
/// The folder of the C++ drivers, from the root of the checkout.
const CPP_DRIVERS: &str = "guest-driver/fixture";

/// The folder of the tables of their variants, from that of the drivers.
const VARIANTS: &str = "variants";

/// The character between the name of a driver and that of its variant.
pub(super) const VARIANT_MARK: char = ':';

/// A table of variants.
#[derive(Deserialize)]
struct VariantTable {
    variant: Vec<Spanned<Variant>>,
}

/// An entry of the table.
#[derive(Clone, Debug, Deserialize)]
struct Variant {
    name: String,
    driver: Option<String>,
    check: Option<u16>,
    bug_check: Option<u32>,
    /// Of a variant that only the device sees: the code of the first error that it finds.
    diagnosis: Option<String>,
    guards: Option<u16>,
    probe: Option<String>,
    judge: Option<Spanned<String>>,
    /// What is wrong with it; of a variant that is stopped under an injected fault only, the kind of that fault.
    fault: Option<Spanned<String>>,
    /// How the device interrupts, where the variant is about that.
    interrupts: Option<Interrupts>,
    /// Where the device's 64-bit base addresses are, where the variant is about that.
    bars: Option<Bars>,
    /// The example card that it is for, where that is not the project's card.
    device: Option<String>,
    /// Arguments of QEMU's `-device` for the device that it is for, where that is QEMU's.
    qemu: Option<Spanned<String>>,
    /// The PCI function that it is for, where there are several.
    pci: Option<Spanned<String>>,
    status: VariantStatus,
}

/// Whether a guest can stop a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum VariantStatus {
    /// The guest stops it with a bug check.
    #[serde(rename = "fires")]
    Fires,
    /// It keeps the contract in an unusual way: the guest must not stop it.
    #[serde(rename = "passes")]
    Passes,
    /// No guest can distinguish it from a good driver.
    #[serde(rename = "no check possible")]
    NoCheckPossible,
    /// It is good as long as the card is, and fails under one injected fault. A scenario that injects it names the variant.
    #[serde(rename = "under-fault")]
    UnderFault,
    /// Only the device sees what is wrong with it. A scenario names the variant, and the error that the device finds.
    #[serde(rename = "seen-by-device")]
    SeenByDevice,
}

/// Reads the variants of a table that the guest must stop, or those that it must not stop.
fn read_variants(
    source: &Path,
    path: &Path,
    text: &str,
    status: VariantStatus,
) -> Result<Vec<BuiltDriver>, ScenarioError> {
    let file = Source { path, text };
    let table: VariantTable = file.parse()?;
    let mut found = Vec::new();
    for entry in table.variant {
        let span = entry.span();
        let variant = entry.into_inner();
        let Variant {
            name,
            driver,
            check,
            bug_check,
            diagnosis,
            guards,
            probe,
            judge,
            fault,
            interrupts,
            bars,
            device,
            qemu,
            pci,
            ..
        } = variant;
        let judge = match judge {
            Some(judge) => match Judge::by_name(judge.get_ref()) {
                Some(known) => Some(known),
                None => return Err(file.error(judge.span(), "judge is \"offline\", \"midi-bytes\" or \"plays\"")),
            },
            None => None,
        };
        if variant.status == VariantStatus::Fires && check.is_some() == bug_check.is_some() {
            let message = format!("{name} fires, so it names what fires: either check or bug_check");
            return Err(file.error(span, &message));
        }
        if variant.status == VariantStatus::UnderFault {
            let kinds = InjectedFault::KINDS.join(", ");
            match fault {
                Some(fault) if InjectedFault::KINDS.contains(&fault.get_ref().as_str()) => {}
                Some(fault) => {
                    let message = format!("{name} fails under a fault that the card does not have; it has {kinds}");
                    return Err(file.error(fault.span(), &message));
                }
                None => {
                    let message = format!("{name} fails under a fault, so it names which: fault is one of {kinds}");
                    return Err(file.error(span, &message));
                }
            }
            if check.is_some() || bug_check.is_some() {
                let message =
                    format!("{name} is not stopped without its fault, so it names neither check nor bug_check");
                return Err(file.error(span, &message));
            }
        }
        if (variant.status == VariantStatus::SeenByDevice) != diagnosis.is_some() {
            let message = format!(
                "{name}: a variant that only the device sees names what it finds, and no other does: diagnosis"
            );
            return Err(file.error(span, &message));
        }
        if variant.status == VariantStatus::Passes && guards.is_none() {
            let message = format!("{name} passes, so it names the rule that must not stop it: guards");
            return Err(file.error(span, &message));
        }
        if variant.status != status {
            continue;
        }
        let source_of_device = match (device, qemu) {
            (Some(_), Some(qemu)) => {
                let message = format!("{name} is for one device, either an example of device/pci or one of QEMU's");
                return Err(file.error(qemu.span(), &message));
            }
            (Some(name), None) => Some(DeviceSource::Example(name)),
            (None, Some(qemu)) => {
                let arguments = qemu.get_ref().parse();
                Some(DeviceSource::Qemu(arguments.map_err(|error| file.error(qemu.span(), &format!("{error}")))?))
            }
            (None, None) => None,
        };
        let pci = match &pci {
            Some(text) if source_of_device.is_none() => {
                return Err(file.error(text.span(), &format!("{name} is for the card, which is found by itself")));
            }
            Some(text) => Some(text.get_ref().parse().map_err(|error| file.error(text.span(), &format!("{error}")))?),
            None => None,
        };
        let device = source_of_device.map(|source| Device { source, pci, ..Device::default() });
        let bug_check = (status == VariantStatus::Fires).then_some(ExpectedBugCheck {
            code: bug_check,
            rule: check,
            ..ExpectedBugCheck::default()
        });
        let (script, variant) = (source.join(SCRIPT), Some(name));
        found.push(BuiltDriver { script, driver, variant, bug_check, device, interrupts, bars, probe, judge });
    }
    Ok(found)
}

/// Reads the variants of every table.
fn variants(source: &Path, status: VariantStatus) -> Result<Vec<BuiltDriver>, ScenarioError> {
    let folder = source.join(VARIANTS);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(FileError::input(&folder))? {
        let path = entry.map_err(FileError::input(&folder))?.path();
        paths.extend((path.extension() == Some(OsStr::new("toml"))).then_some(path));
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(FileError::input(&path))?;
        found.extend(read_variants(source, &path, &text, status)?);
    }
    if found.is_empty() {
        let file = Source { path: &folder, text: "" };
        return Err(file.error(0..0, "no table has such a variant, so no driver would be tested"));
    }
    Ok(found)
}

/// Returns the folder of the C++ drivers in the checkout that a scenario's folder is in, however deep.
pub(super) fn cpp_drivers(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = whole.ancestors().map(|root| root.join(CPP_DRIVERS)).find(|drivers| drivers.is_dir());
    // Outside a checkout there is nothing to build: the case says so when it is to run.
    found.unwrap_or_else(|| whole.join(CPP_DRIVERS))
}

/// Returns the cases once for each driver.
///
/// # Errors
/// [`ScenarioError::File`] when a table of variants cannot be read, [`ScenarioError::Malformed`] when one is wrong.
pub(super) fn with_cpp_drivers(source: &Path, kind: &CppDriver, cases: &[Case]) -> Result<Vec<Case>, ScenarioError> {
    let built = |driver, variant| BuiltDriver {
        script: source.join(SCRIPT),
        driver,
        variant,
        bug_check: None,
        device: None,
        interrupts: None,
        bars: None,
        probe: None,
        judge: None,
    };
    let drivers = match kind {
        CppDriver::Good => vec![built(None, None)],
        CppDriver::Broken => variants(source, VariantStatus::Fires)?,
        CppDriver::Passing => variants(source, VariantStatus::Passes)?,
        CppDriver::Named(name) => match name.split_once(VARIANT_MARK) {
            Some((driver, variant)) => vec![built(Some(driver.into()), Some(variant.into()))],
            None => vec![built(Some(name.clone()), None)],
        },
    };
    let with = |case: &Case, driver: &BuiltDriver| {
        let names = [driver.variant.as_deref().unwrap_or_default(), &case.name];
        let named: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let variant = driver.variant.as_ref().map(|variant| ("variant".to_owned(), variant.clone()));
        let axes = case.axes.iter().cloned().chain(variant).collect();
        Case { name: named.join(" "), axes, driver: Some(driver.clone()), ..case.clone() }
    };
    Ok(drivers.iter().flat_map(|driver| cases.iter().map(move |case| with(case, driver))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, status: VariantStatus) -> Result<Vec<BuiltDriver>, ScenarioError> {
        read_variants(Path::new("fixture"), Path::new("variants/a.toml"), text, status)
    }

    const THREE: &str = "[[variant]]\nname = 'a'\ncheck = 7\nstatus = 'fires'\n\
                         [[variant]]\nname = 'b'\ndriver = 'midi'\nbug_check = 0xe6\nstatus = 'fires'\n\
                         [[variant]]\nname = 'c'\nstatus = 'no check possible'\n\
                         [[variant]]\nname = 'd'\nguards = 7\nprobe = 'streams'\nstatus = 'passes'\n";

    #[test]
    fn reads_the_check_of_each_variant_that_fires() {
        let firing = read(THREE, VariantStatus::Fires).unwrap();
        let check = |driver: &BuiltDriver| driver.bug_check.as_ref().map(|found| (found.rule, found.code));
        let found: Vec<_> =
            firing.iter().map(|driver| (driver.variant.as_deref(), driver.driver.as_deref(), check(driver))).collect();
        assert_eq!(
            found,
            [(Some("a"), None, Some((Some(7), None))), (Some("b"), Some("midi"), Some((None, Some(0xe6))))]
        );
        let error = read("[[variant]]\nname = 'a'\nstatus = 'fires'\n", VariantStatus::Passes).unwrap_err().to_string();
        assert!(error.contains("either check or bug_check"), "{error}");
    }

    #[test]
    fn a_variant_under_a_fault_is_in_neither_list_and_names_a_fault_of_the_card() {
        let table = "[[variant]]\nname = 'a'\nfault = 'lost-interrupt'\nstatus = 'under-fault'\n";
        for status in [VariantStatus::Fires, VariantStatus::Passes] {
            assert!(read(table, status).unwrap().is_empty());
        }
        for (wrong, why) in [
            (table.replace("lost-interrupt", "lost-memory"), "a.toml:3:9"),
            (table.replace("fault = 'lost-interrupt'\n", ""), "names which"),
            (table.replace("status", "check = 7\nstatus"), "neither check nor bug_check"),
        ] {
            let error = read(&wrong, VariantStatus::Fires).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn refuses_tables_without_a_variant_to_test() {
        let source = tempfile::tempdir().unwrap();
        fs::create_dir(source.path().join(VARIANTS)).unwrap();
        fs::write(
            source.path().join(VARIANTS).join("a.toml"),
            "[[variant]]\nname = 'c'\nstatus = 'no check possible'\n",
        )
        .unwrap();
        let error = variants(source.path(), VariantStatus::Fires).unwrap_err().to_string();
        assert!(error.contains("no driver would be tested"), "{error}");
    }

    #[test]
    fn a_variant_that_passes_expects_no_bug_check_and_names_the_rule_that_it_guards() {
        let passing = read(THREE, VariantStatus::Passes).unwrap();
        let found: Vec<_> =
            passing.iter().map(|driver| (driver.variant.as_deref(), driver.bug_check.is_some())).collect();
        assert_eq!(found, [(Some("d"), false)]);
        let placed =
            "[[variant]]\nname = 'd'\nguards = 7\ninterrupts = 'message'\nbars = 'above-4g'\nstatus = 'passes'\n";
        let placed = read(placed, VariantStatus::Passes).unwrap();
        assert_eq!((placed[0].interrupts, placed[0].bars), (Some(Interrupts::Message), Some(Bars::Above4G)));
        let judged = "[[variant]]\nname = 'd'\nguards = 7\njudge = 'plays'\nstatus = 'passes'\n";
        assert_eq!(read(judged, VariantStatus::Passes).unwrap()[0].judge, Some(Judge::Plays));
        let both = judged.replace("judge = 'plays'", "device = 'mpu401'\nqemu = 'edu'");
        assert!(read(&both, VariantStatus::Passes).unwrap_err().to_string().contains("for one device"));
        let of_the_card = judged.replace("judge = 'plays'", "pci = '1234:11e8'");
        assert!(read(&of_the_card, VariantStatus::Passes).unwrap_err().to_string().contains("found by itself"));
        let chosen = judged.replace("judge = 'plays'", "qemu = 'edu -device pci-testdev'\npci = '1234:11e8'");
        let device = read(&chosen, VariantStatus::Passes).unwrap()[0].device.clone().unwrap();
        assert_eq!(device.pci, Some("1234:11e8".parse().unwrap()));
        let error = read(&judged.replace("plays", "good"), VariantStatus::Passes).unwrap_err().to_string();
        assert!(error.contains("a.toml:4:9"), "{error}");
        let error = read("[[variant]]\nname = 'd'\nstatus = 'passes'\n", VariantStatus::Fires).unwrap_err().to_string();
        assert!(error.contains("guards"), "{error}");
    }
}
