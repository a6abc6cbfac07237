//! What a driver's image must keep before any of its code runs: its checksum, and the modules of its imports.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::{CAME_WITH, Failure, FailureKind, Import as ImportName};

use super::driver::Libraries;
use crate::contract::export::Absent;
use crate::contract::kernel;
use crate::contract::violation::{Violation, violation};
use crate::pe::{DriverImage, Import};

/// The step of the driver's life, for reports.
const STEP: &str = "loading the driver";

/// Stops if the image does not carry the checksum of its file.
pub(super) fn check_checksum(image: &DriverImage<'_>) {
    let (found, right) = (image.checksum(), image.computed_checksum());
    if found != right {
        violation(
            STEP,
            Violation::new(
                kernel::IMAGE_CHECKSUM,
                format!("CheckSum of the image is {found:#x}, and the file's checksum is {right:#x}"),
                "the operating system demands it of device drivers: link with /RELEASE (link.exe, lld-link), run \
                 `editbin /RELEASE` on the image, or `cargo dmus driver --set-checksum FILE`, after every other change \
                 of the file but before it is signed",
            ),
        );
    }
}

/// Returns the address to bind an import to: that of the module that exports it, where the driver names another and that is
/// waived.
pub(super) fn bind(import: &Import, libraries: &Libraries) -> Option<u64> {
    let Import { module, name, .. } = import;
    (libraries.bind)(module, name).or_else(|| match (libraries.absent)(module, name).0 {
        Absent::ExportedBy(exporter) => (libraries.bind)(exporter, name),
        _ => None,
    })
}

/// Stops if an import names a module that does not export it, and refuses a driver that imports what this guest lacks.
///
/// # Errors
/// [`FailureKind::MissingImports`] with all imports that `libraries` lacks.
pub(super) fn check_imports(imports: &[Import], libraries: &Libraries) -> Result<(), Failure> {
    let mut absent: Vec<&Import> =
        imports.iter().filter(|import| (libraries.find)(&import.module, &import.name).is_none()).collect();
    absent.sort_by_key(|import| (&import.module, &import.name));
    absent.dedup_by_key(|import| (&import.module, &import.name));
    let mut elsewhere = Vec::new();
    let mut missing = Vec::new();
    for Import { module, name, .. } in absent {
        match (libraries.absent)(module, name) {
            (Absent::ExportedBy(exporter), _) => {
                elsewhere.push(format!("{module}!{name}, which {exporter} exports"));
                if (libraries.find)(exporter, name).is_none() {
                    missing.push((module, name, format!(" (it belongs to {exporter})")));
                }
            }
            (Absent::NotHere, None) => missing.push((module, name, String::new())),
            (Absent::NotHere, Some(what)) => missing.push((module, name, format!(" (it belongs to {what})"))),
            (Absent::Younger { major, minor, build }, _) => {
                let build = if build == 0 { String::new() } else { format!(", build {build}") };
                missing.push((
                    module,
                    name,
                    format!(" ({CAME_WITH} {major}.{minor}{build}, and this guest poses as an older one)"),
                ));
            }
            (Absent::Unlisted, _) => {
                missing.push((module, name, format!(" (no public list of what {module} exports has it)")));
            }
            (Absent::NoModule, _) => missing.push((module, name, format!(" (this guest has no {module})"))),
        }
    }
    if !elsewhere.is_empty() {
        violation(
            STEP,
            Violation::new(
                kernel::IMPORT_MODULE,
                format!("the driver imports {}", elsewhere.join("; ")),
                "link with the import library of the module that exports it (hal.lib, ntoskrnl.lib, ks.lib, portcls.lib), \
                 and look at the order of the libraries",
            ),
        );
    }
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing.iter().map(|(module, name, what)| format!("{module}!{name}{what}")).collect();
    let message =
        format!("the driver imports {} functions that this guest does not have: {}", list.len(), list.join(", "));
    let names = missing.into_iter().map(|(module, name, _)| ImportName { module: module.clone(), name: name.clone() });
    Err(Failure { kind: FailureKind::MissingImports(names.collect()), message })
}
