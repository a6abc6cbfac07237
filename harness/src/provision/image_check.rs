//! Checks of the images: what the driver imports, how large the images are, how a loader treats them.

use std::collections::BTreeSet;
use std::path::Path;

use driver_audit::exports::{self, On};
use object::elf::{self, FileHeader64};
use object::pe;
use object::read::elf::{FileHeader, ProgramHeader};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64};
use object::{LittleEndian, Object};

/// The modules from which a PortCls driver may import: it would have to ship all others.
pub const DRIVER_MODULES: [&str; 3] = ["hal.dll", "ntoskrnl.exe", "portcls.sys"];

/// Largest driver image, in bytes. A driver of this kind in C has a tenth of it; more means an unwanted dependency.
pub const DRIVER_BYTES_MAX: u64 = 256 << 10;

/// Largest loaded part of the NT host, in bytes: it is copied into the guest in every run.
pub const NT_HOST_BYTES_MAX: u64 = 2 << 20;

/// The ELF note by which QEMU finds the entry point of a kernel: its owner and type (Xen, `XEN_ELFNOTE_PHYS32_ENTRY`).
const PVH_NOTE: (&[u8], elf::NoteType) = (b"Xen", elf::NoteType(18));

/// The characteristics of a driver as a linker for drivers makes it (PE Format, Characteristics), of those that say what the
/// image is: `IMAGE_FILE_EXECUTABLE_IMAGE` and `IMAGE_FILE_LARGE_ADDRESS_AWARE`, without `IMAGE_FILE_DLL`,
/// `IMAGE_FILE_SYSTEM` and `IMAGE_FILE_RELOCS_STRIPPED`.
const KIND: u16 = 0x22;
const KIND_MASK: u16 = 0x3000 | KIND | 1;

/// One check and its violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The statement that must hold.
    pub name: String,
    /// The violation, if there is one.
    pub violation: Option<String>,
}

fn check(name: &'static str, violation: Option<String>) -> Check {
    Check { name: name.into(), violation }
}

/// Checks a driver image.
///
/// # Errors
/// [`object::Error`] when it is no 64-bit PE image.
pub fn driver(file: &[u8]) -> Result<Vec<Check>, object::Error> {
    let image = PeFile64::parse(file)?;
    let mut modules = BTreeSet::new();
    for import in image.imports()? {
        modules.insert(String::from_utf8_lossy(import?.library()).to_ascii_lowercase());
    }
    let others: Vec<&String> = modules.iter().filter(|module| !DRIVER_MODULES.contains(&module.as_str())).collect();
    let headers = image.nt_headers();
    let optional = headers.optional_header();
    let subsystem = optional.subsystem();
    let characteristics = optional.dll_characteristics();
    let kind = headers.file_header().characteristics.get(LittleEndian);
    let right = driver_audit::image::checksum(file);
    Ok(vec![
        check(
            "dmuscard.sys imports only from ntoskrnl.exe, hal.dll and portcls.sys",
            (!others.is_empty()).then(|| format!("it also imports from {others:?}")),
        ),
        check(
            "dmuscard.sys imports from portcls.sys",
            (!modules.contains("portcls.sys")).then(|| format!("it imports from {modules:?}")),
        ),
        check(
            "dmuscard.sys is smaller than 256 KiB",
            (file.len() as u64 >= DRIVER_BYTES_MAX).then(|| format!("it has {} bytes", file.len())),
        ),
        check(
            "dmuscard.sys is a native image",
            (subsystem != pe::IMAGE_SUBSYSTEM_NATIVE).then(|| format!("its subsystem is {subsystem}")),
        ),
        check(
            "dmuscard.sys carries the checksum that the kernel's loader demands",
            (optional.check_sum() != right)
                .then(|| format!("its checksum is {:#x}, not {right:#x}", optional.check_sum())),
        ),
        check(
            "dmuscard.sys is an executable image that may be above 2 GiB, and no library",
            (kind.0 & KIND_MASK != KIND).then(|| format!("its characteristics are {:#x}", kind.0)),
        ),
        check(
            "dmuscard.sys can be moved and does not run data",
            (!characteristics.contains(pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE)
                || !characteristics.contains(pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT))
            .then(|| format!("its DLL characteristics are {characteristics:#x}")),
        ),
    ])
}

/// Most stack of the driver, in bytes: half of a kernel thread's on 32-bit Windows.
pub const DRIVER_STACK_BYTES_MAX: u32 = 6 << 10;

/// Most stack of the driver at a raised IRQL, in bytes, on top of the thread that it interrupts.
pub const DRIVER_RAISED_STACK_BYTES_MAX: u32 = 2 << 10;

/// The driver's functions that are called at a raised IRQL: the service routine, the deferred procedure call, and the port
/// driver's call with events.
const RAISED: [&str; 3] = ["service_routine", "request_service", "put_message"];

/// The oldest Windows that the driver is for: 7 with 64 bits, XP (its second service pack) with 32 bits.
const OLDEST_X64: exports::Windows = (6, 1);
const OLDEST_X86: exports::Windows = (5, 1);

/// Addresses at which the driver is loaded as a check: where 64-bit Windows loads drivers, other than the preferred base.
const BASES_X64: [u64; 2] = [0xffff_f803_5a2c_0000, 0xffff_f807_0000_1000];

/// The same for 32-bit Windows.
const BASES_X86: [u64; 2] = [0x8f40_0000, 0xffae_d000];

/// Returns why the driver cannot be loaded, if it cannot.
fn obstacle(path: &Path, image: &driver_audit::image::Image) -> Result<Option<String>, String> {
    use driver_audit::exports::{self, Call, On};
    use driver_audit::{load, symbols};

    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (file, pdb) = (read(path)?, read(&path.with_extension("pdb"))?);
    let wide = image.machine == driver_audit::image::Machine::X64;
    let (on, bases) = if wide { (On::X64, BASES_X64) } else { (On::X86, BASES_X86) };
    // An address of its own for each export.
    let find = |module: &str, name: &str| Some(0x8040_0000 + 16 * exports::place_of(module, name, on)? as u64);
    let mut bound = Vec::new();
    for base in bases {
        match load::load(&file, base, find) {
            Ok(placed) => bound = placed.bound,
            Err(error) => return Ok(Some(format!("at {base:#x}: {error}"))),
        }
    }
    if wide {
        return Ok(None);
    }
    if !image.no_handlers {
        return Ok(Some(
            "it lacks the flag for an image without exception handlers (IMAGE_DLLCHARACTERISTICS_NO_SEH)".into(),
        ));
    }
    let failed = |error: driver_audit::AuditError| format!("{}: {error}", path.display());
    let names = symbols::imports(&pdb).map_err(failed)?;
    for (_, import) in bound {
        let Some((module, name)) = import.split_once('!') else { continue };
        let call = exports::place_of(module, name, on).map_or(Call::C, |place| exports::EXPORTS[place].2);
        // Functions without a fixed number of arguments have nothing in front of their names.
        let named = names.contains(&call.decorated(name)) || (call == Call::C && names.contains(name));
        if !named {
            return Ok(Some(format!("{import} takes other arguments than the driver gives: {}", call.decorated(name))));
        }
    }
    let functions = symbols::functions(&pdb).map_err(failed)?;
    let unmoved = load::unmoved(&file, &functions).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((!unmoved.is_empty())
        .then(|| format!("addresses in it that are not moved with it, in the code at {unmoved:x?}")))
}

/// Audits the driver's image, with the PDB beside it.
///
/// # Errors
/// Text that names the file and why it cannot be read or audited.
pub fn audit(path: &Path) -> Result<driver_audit::Audit, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    driver_audit::audit(&read(path)?, &read(&path.with_extension("pdb"))?)
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Checks what the code of the driver's image can do, with the PDB beside it: for 64-bit and for 32-bit Windows.
///
/// # Errors
/// Text that names the file and why it cannot be read or audited.
pub fn driver_code(path: &Path) -> Result<Vec<Check>, String> {
    let audit = audit(path)?;
    let (image, stack) = (&audit.image, &audit.stack);
    let wide = image.machine == driver_audit::image::Machine::X64;
    let names = |on_x64: &'static str, on_x86: &'static str| if wide { on_x64 } else { on_x86 };
    let others: Vec<_> = image.imports.keys().filter(|module| !DRIVER_MODULES.contains(&module.as_str())).collect();
    let raised = stack.roots.iter().filter(|root| RAISED.iter().any(|name| root.function.contains(name)));
    let raised = raised.max_by_key(|root| root.bytes);
    let sound = image.subsystem == 1
        && image.checksum_is_right
        && image.relocatable
        && image.nx
        && image.writable_code.is_empty()
        && others.is_empty();
    Ok(vec![
        check(
            names("nothing in dmuscard.sys can panic", "nothing in dmuscard.sys for 32-bit Windows can panic"),
            (!audit.panics.is_empty()).then(|| {
                let ways = audit.panics.iter().map(|panic| format!("{} from {:?}", panic.function, panic.callers));
                ways.collect::<Vec<_>>().join("; ")
            }),
        ),
        check(
            names(
                "dmuscard.sys takes at most 6 KiB of stack, and has no recursion",
                "dmuscard.sys for 32-bit Windows takes at most 6 KiB of stack, and has no recursion",
            ),
            (stack.deepest() > DRIVER_STACK_BYTES_MAX || !stack.circles.is_empty()).then(|| {
                format!("{} bytes in {:?}; circles {:?}", stack.deepest(), stack.roots.first(), stack.circles)
            }),
        ),
        check(
            names(
                "dmuscard.sys takes at most 2 KiB of stack at a raised level",
                "dmuscard.sys for 32-bit Windows takes at most 2 KiB of stack at a raised level",
            ),
            match raised {
                Some(root) if root.bytes <= DRIVER_RAISED_STACK_BYTES_MAX => None,
                Some(root) => Some(format!("{} bytes in {:?}", root.bytes, root.path)),
                None => Some("no function that is called at a raised IRQL was found".into()),
            },
        ),
        check(
            names(
                "dmuscard.sys is native, checked, movable, without writable code, and imports the kernel's modules only",
                "dmuscard.sys for 32-bit Windows is native, checked, movable, without writable code, and imports the \
                 kernel's modules only",
            ),
            (!sound).then(|| format!("{image:?}")),
        ),
        check(
            names(
                "dmuscard.sys is for Windows 7 and later, and imports nothing younger",
                "dmuscard.sys for 32-bit Windows is for Windows XP and later, and imports nothing younger",
            ),
            too_young(image, wide),
        ),
        check(
            names(
                "dmuscard.sys loads wherever it is put, and binds every import",
                "dmuscard.sys for 32-bit Windows loads wherever it is put, and binds every import by its arguments",
            ),
            obstacle(path, image)?,
        ),
    ])
}

/// Returns what keeps the driver from the oldest Windows that it is for: that of the image's headers, and the documented age of
/// its imports.
fn too_young(image: &driver_audit::image::Image, wide: bool) -> Option<String> {
    let (oldest, on) = if wide { (OLDEST_X64, On::X64) } else { (OLDEST_X86, On::X86) };
    if image.subsystem_version != oldest {
        return Some(format!("its headers say {:?}, not {oldest:?}", image.subsystem_version));
    }
    let found = exports::younger_than(oldest, on, &image.imports);
    (!found.is_empty()).then(|| found.join("; "))
}

/// Checks the NT host.
///
/// # Errors
/// [`object::Error`] when it is no 64-bit ELF file.
pub fn nt_host(file: &[u8]) -> Result<Vec<Check>, object::Error> {
    let header = FileHeader64::<LittleEndian>::parse(file)?;
    let endian = header.endian()?;
    let mut has_entry = false;
    let mut loaded = 0;
    for segment in header.program_headers(endian, file)? {
        if segment.p_type(endian) == elf::PT_LOAD {
            loaded += segment.p_filesz(endian);
        }
        if segment.p_type(endian) != elf::PT_NOTE {
            continue;
        }
        // QEMU reads notes that are aligned to 4 bytes and silently skips others.
        let aligned = segment.p_align(endian) == 4;
        if let Some(mut notes) = segment.notes(endian, file)? {
            while let Some(note) = notes.next()? {
                has_entry |= aligned && (note.name(), note.n_type(endian)) == PVH_NOTE;
            }
        }
    }
    Ok(vec![
        check(
            "nt-host loads less than 2 MiB",
            (loaded >= NT_HOST_BYTES_MAX).then(|| format!("it loads {loaded} bytes")),
        ),
        check(
            "nt-host has a PVH entry point",
            (!has_entry).then(|| "no note of its own, aligned to 4, names one".into()),
        ),
    ])
}

/// Reads and checks an image.
///
/// # Errors
/// Text that names the file and why it cannot be read or is no image.
pub fn file(path: &Path, check: fn(&[u8]) -> Result<Vec<Check>, object::Error>) -> Result<Vec<Check>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    check(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_of_the_host_passes_no_check_of_guests() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(driver(&own).is_err());
        let checks = nt_host(&own).unwrap();
        assert!(checks.iter().any(|check| check.violation.is_some()), "{checks:?}");
    }
}
