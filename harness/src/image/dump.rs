//! Reads what a bug check has left on the disk for dumps: the header of a crash dump of Windows, as QEMU's `include/qemu/win_dump_defs.h` has it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use fatfs::{FileSystem, FsOptions};
use guest_protocol::{BugCheck, StackFrame};

/// The files in the root of the disk that a dump may be in: where `CrashControl` has it, and the dedicated dump file.
const NAMES: [&str; 2] = ["MEMORY.DMP", "DEDICATED.SYS"];

/// Bytes of the header that are read: that of 64 bits.
const HEADER_BYTES: u64 = 0x2000;

/// The instruction pointer in the context record of a header of 64 bits: the record's offset, and the register's in it.
const CONTEXT_RIP: usize = 0x348 + 0xf8;

/// Bug checks that drivers cause, by number (Bug Check Code Reference).
const CODES: [(u32, &str); 23] = [
    (0x0a, "IRQL_NOT_LESS_OR_EQUAL"),
    (0x1e, "KMODE_EXCEPTION_NOT_HANDLED"),
    (0x3b, "SYSTEM_SERVICE_EXCEPTION"),
    (0x44, "MULTIPLE_IRP_COMPLETE_REQUESTS"),
    (0x50, "PAGE_FAULT_IN_NONPAGED_AREA"),
    (0x7e, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"),
    (0x7f, "UNEXPECTED_KERNEL_MODE_TRAP"),
    (0x9f, "DRIVER_POWER_STATE_FAILURE"),
    (0xbe, "ATTEMPTED_WRITE_TO_READONLY_MEMORY"),
    (0xc1, "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION"),
    (0xc2, "BAD_POOL_CALLER"),
    (0xc4, "DRIVER_VERIFIER_DETECTED_VIOLATION"),
    (0xc5, "DRIVER_CORRUPTED_EXPOOL"),
    (0xc9, "DRIVER_VERIFIER_IOMANAGER_VIOLATION"),
    (0xce, "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS"),
    (0xd1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    (0xd5, "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL"),
    (0xe2, "MANUALLY_INITIATED_CRASH"),
    (0xe6, "DRIVER_VERIFIER_DMA_VIOLATION"),
    (0xfc, "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY"),
    (0x101, "CLOCK_WATCHDOG_TIMEOUT"),
    (0x133, "DPC_WATCHDOG_VIOLATION"),
    (0x139, "KERNEL_SECURITY_CHECK_FAILURE"),
];

/// Reads the bug check of the dump on a disk; `None` where there is no dump, or the disk or the dump cannot be read.
#[must_use]
pub fn read(disk: &Path) -> Option<BugCheck> {
    NAMES.iter().find_map(|name| bug_check(name, &header(disk, name)?))
}

/// Returns the beginning of a file of the disk.
fn header(disk: &Path, name: &str) -> Option<Vec<u8>> {
    let disk = FileSystem::new(File::options().read(true).write(true).open(disk).ok()?, FsOptions::new()).ok()?;
    let mut bytes = Vec::new();
    disk.root_dir().open_file(name).ok()?.take(HEADER_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn bug_check(name: &str, header: &[u8]) -> Option<BugCheck> {
    let number = |at: usize, bytes: usize| {
        let field = header.get(at..at + bytes)?;
        Some(field.iter().rev().fold(0, |value: u64, byte| value << 8 | u64::from(*byte)))
    };
    let (code_at, parameters_at, bytes) = match header.get(..8)? {
        b"PAGEDU64" => (0x38, 0x40, 8),
        b"PAGEDUMP" => (0x28, 0x2c, 4),
        _ => return None,
    };
    let code = number(code_at, 4)? as u32;
    let mut parameters = [0; 4];
    for (index, parameter) in parameters.iter_mut().enumerate() {
        *parameter = number(parameters_at + index * bytes, bytes)?;
    }
    let at = (bytes == 8).then(|| number(CONTEXT_RIP, 8)).flatten().filter(|address| *address != 0);
    let stack = at.map(|address| StackFrame { address, module: None, offset: 0 }).into_iter().collect();
    let known = CODES.iter().find(|(number, _)| *number == code).map_or("bug check", |(_, name)| name);
    let message = format!(
        "the dump {name} on its disk says so; the parameters are {}",
        parameters.map(|parameter| format!("{parameter:#x}")).join(", ")
    );
    Some(BugCheck { code, name: known.into(), parameters, message, stack, ..BugCheck::default() })
}

#[cfg(test)]
mod tests {
    use super::super::payload::{PayloadFile, write};
    use super::*;
    use crate::host::leftovers::Scratch;

    fn dump(signature: &[u8], code_at: usize, parameters_at: usize, bytes: usize) -> Vec<u8> {
        let mut dump = vec![0; 0x2000];
        dump[..8].copy_from_slice(signature);
        dump[code_at] = 0xd1;
        for index in 0..4 {
            dump[parameters_at + index * bytes] = index as u8 + 1;
        }
        dump
    }

    #[test]
    fn reads_code_and_parameters_of_both_widths_from_the_disk() {
        let scratch = Scratch::new().unwrap();
        let disk = scratch.path().join("dump.img");
        for (signature, code_at, parameters_at, bytes) in [(b"PAGEDU64", 0x38, 0x40, 8), (b"PAGEDUMP", 0x28, 0x2c, 4)] {
            let file = dump(signature, code_at, parameters_at, bytes);
            write(&disk, &[PayloadFile::new("MEMORY.DMP", file)]).unwrap();
            let found = read(&disk).unwrap();
            assert_eq!((found.code, found.parameters), (0xd1, [1, 2, 3, 4]));
            assert!(found.name == "DRIVER_IRQL_NOT_LESS_OR_EQUAL" && found.message.contains("0x1, 0x2, 0x3, 0x4"));
        }
    }

    #[test]
    fn finds_no_bug_check_in_what_is_no_dump() {
        let scratch = Scratch::new().unwrap();
        let disk = scratch.path().join("dump.img");
        assert_eq!(read(&disk), None);
        std::fs::write(&disk, "no disk").unwrap();
        assert_eq!(read(&disk), None);
        let good = dump(b"PAGEDU64", 0x38, 0x40, 8);
        for length in [0, 7, 8, 0x3b, 0x5f] {
            assert_eq!(bug_check("x", &good[..length]), None, "{length}");
        }
        assert!(bug_check("x", &good[..0x60]).is_some_and(|found| found.stack.is_empty()));
        assert_eq!(bug_check("x", &dump(b"PAGEPAGE", 0x38, 0x40, 8)), None);
    }
}
