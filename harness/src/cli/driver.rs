//! `dmus driver`: builds the driver and prints what its image holds.

use dmus::host::failure::Class;
use dmus::host::hash::sha256_hex;
use dmus::provision::image_check::{self, Check};
use dmus::provision::{Artefact, Overrides, Provisioner, driver_file};
use dmus::report::{Terminal, error_line, out, out_json};
use dmus::testbed::TestBedError;

use super::args::DriverArguments;
use super::error::Outcome;
use super::setup::workspace;

/// Builds the driver, audits its image, and prints the audit and the checks.
///
/// # Errors
/// [`Error::Provision`](super::error::Error::Provision) when the driver does not build,
/// [`Error::TestBed`](super::error::Error::TestBed) for a file that is no image or cannot be written.
pub(super) fn driver(arguments: &DriverArguments) -> Outcome {
    if let Some(path) = &arguments.set_checksum {
        let sum = driver_file::set_checksum(path).map_err(TestBedError::from)?;
        out(&format!("{} has the checksum {sum:#x}", path.display()));
        return Ok(None);
    }
    let terminal = Terminal::new();
    let workspace = workspace(&terminal)?;
    let artefact = if arguments.x86 { Artefact::DriverX86 } else { Artefact::Driver };
    let path = Provisioner::new(&workspace, Overrides::default(), &terminal)?.resolve(artefact)?;
    drop(terminal);
    let audit = image_check::audit(&path);
    let checks = image_check::driver_code(&path);
    let (audit, checks) = match (audit, checks) {
        (Ok(audit), Ok(checks)) => (audit, checks),
        (Err(error), _) | (_, Err(error)) => {
            error_line(&error);
            return Ok(Some(Class::BadInput));
        }
    };
    let bytes = std::fs::read(&path).unwrap_or_default();
    let failed = checks.iter().any(|check| check.violation.is_some());
    if arguments.json {
        let checks: Vec<_> = checks
            .iter()
            .map(|Check { name, violation }| serde_json::json!({ "name": name, "violation": violation }))
            .collect();
        out_json(&serde_json::json!({
            "path": dmus::host::lossy::text(&path), "sha256": sha256_hex(&bytes), "audit": audit, "checks": checks, "failed": failed,
        }));
    } else {
        print(&path.display().to_string(), &sha256_hex(&bytes), &audit);
        for Check { name, violation } in &checks {
            out(&format!("{}  {name}", if violation.is_some() { "FAILED" } else { "ok    " }));
            if let Some(violation) = violation {
                out(&format!("        {violation}"));
            }
        }
    }
    Ok(failed.then_some(Class::TestFailed))
}

fn print(path: &str, hash: &str, audit: &driver_audit::Audit) {
    let image = &audit.image;
    out(&format!("image        {path}"));
    out(&format!("sha256       {hash}"));
    out(&format!("machine      {:?}", image.machine));
    out(&format!("size         {} bytes, {} in memory", image.file_bytes, image.memory_bytes));
    let sections: Vec<_> = image.sections.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    out(&format!("sections     {}", sections.join(", ")));
    for (module, names) in &image.imports {
        out(&format!("imports      {} from {module}", names.len()));
    }
    out(&format!("functions    {}", audit.functions));
    out(&format!("panics       {}", audit.panics.len()));
    out("stack        at most, in bytes, below what the system calls");
    for root in audit.stack.roots.iter().filter(|root| root.bytes >= 100) {
        out(&format!("  {:>6}     {}", root.bytes, root.function));
    }
    if let Some(root) = audit.stack.roots.first() {
        out("deepest      its frames");
        for frame in &root.path {
            out(&format!("  {:>6}     {}", frame.bytes, frame.function));
        }
    }
}
