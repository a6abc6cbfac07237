//! Reads what a bug check has left on the disk for dumps: the header of a crash dump of Windows, as QEMU's `include/qemu/win_dump_defs.h` has it, and the
//! driver that it is in, where the dump has the kernel's memory.

mod memory;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use fatfs::{FileSystem, FsOptions};
use guest_protocol::{BugCheck, StackFrame};

use self::memory::{HEADER_BYTES, Memory, number};

/// The files in the root of the disk that a dump may be in: where `CrashControl` has it, and the dedicated dump file.
const NAMES: [&str; 2] = ["MEMORY.DMP", "DEDICATED.SYS"];

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

/// Which parameter of a bug check is the address of the instruction that it is about, from 0 (Bug Check Code Reference).
const ADDRESSES: [(u32, usize); 7] = [(0x0a, 3), (0x1e, 1), (0x3b, 1), (0x50, 2), (0x7e, 1), (0xbe, 2), (0xd1, 3)];

/// The codes whose second parameter is the IRQL.
const WITH_IRQL: [u32; 2] = [0x0a, 0xd1];

/// Reads the bug check of the dump on a disk, whose frames in a driver's file have its name; `None` where there is no dump, or the disk or the
/// dump cannot be read.
#[must_use]
pub fn read(disk: &Path, driver: &str) -> Option<BugCheck> {
    let disk = FileSystem::new(File::options().read(true).write(true).open(disk).ok()?, FsOptions::new()).ok()?;
    let root = disk.root_dir();
    NAMES.iter().find_map(|name| bug_check(name, root.open_file(name).ok()?, driver))
}

fn bug_check(name: &str, mut file: impl Read + Seek, driver: &str) -> Option<BugCheck> {
    let mut header = Vec::new();
    (&mut file).take(HEADER_BYTES).read_to_end(&mut header).ok()?;
    let (code_at, parameters_at, bytes) = match header.get(..8)? {
        b"PAGEDU64" => (0x38, 0x40, 8),
        b"PAGEDUMP" => (0x28, 0x2c, 4),
        _ => return None,
    };
    let code = number(&header, code_at, 4)? as u32;
    let mut parameters = [0; 4];
    for (index, parameter) in parameters.iter_mut().enumerate() {
        *parameter = number(&header, parameters_at + index * bytes, bytes)?;
    }
    let of_code = ADDRESSES.iter().find(|(about, _)| *about == code).map(|(_, index)| parameters[*index]);
    let of_context = (bytes == 8).then(|| number(&header, CONTEXT_RIP, 8)).flatten();
    let mut memory = (bytes == 8).then(|| Memory::of(&header, file)).flatten();
    let (mut stack, mut others) = (Vec::new(), String::new());
    for address in of_code.into_iter().chain(of_context).filter(|address| *address != 0) {
        let found = memory.as_mut().and_then(|memory| memory.driver_of(address));
        // Frames of a module are looked up in the symbols of the driver under test.
        let own = found.as_ref().filter(|found| found.name.eq_ignore_ascii_case(driver));
        let (module, offset) = own.map_or((None, 0), |own| (Some(driver.to_owned()), address - own.base));
        if let Some(other) = found.as_ref().filter(|_| module.is_none()) {
            others += &format!("; {address:#x} is {}+{:#x}", other.name, address - other.base);
        }
        stack.push(StackFrame { address, module, offset });
    }
    let known = CODES.iter().find(|(number, _)| *number == code).map_or("bug check", |(_, name)| name);
    let list = parameters.map(|parameter| format!("{parameter:#x}")).join(", ");
    let message = format!("the dump {name} on its disk says so; the parameters are {list}{others}");
    let irql = if WITH_IRQL.contains(&code) { parameters[1] as u8 } else { 0 };
    let function = "the system".into();
    Some(BugCheck { code, name: known.into(), parameters, message, function, irql, stack, ..BugCheck::default() })
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
            let found = read(&disk, "my.sys").unwrap();
            assert_eq!((found.code, found.parameters), (0xd1, [1, 2, 3, 4]));
            assert!(found.name == "DRIVER_IRQL_NOT_LESS_OR_EQUAL" && found.message.contains("0x1, 0x2, 0x3, 0x4"));
        }
    }

    #[test]
    fn finds_no_bug_check_in_what_is_no_dump() {
        let scratch = Scratch::new().unwrap();
        let disk = scratch.path().join("dump.img");
        assert_eq!(read(&disk, "my.sys"), None);
        std::fs::write(&disk, "no disk").unwrap();
        assert_eq!(read(&disk, "my.sys"), None);
        let good = dump(b"PAGEDU64", 0x38, 0x40, 8);
        let of = |dump: &[u8]| bug_check("x", std::io::Cursor::new(dump.to_vec()), "my.sys");
        for length in [0, 7, 8, 0x3b, 0x5f] {
            assert_eq!(of(&good[..length]), None, "{length}");
        }
        assert_eq!(of(&good[..0x60]).map(|found| found.stack.len()), Some(1));
        assert_eq!(of(&dump(b"PAGEPAGE", 0x38, 0x40, 8)), None);
    }

    #[test]
    fn names_the_driver_that_the_instruction_is_in() {
        for by_bitmap in [false, true] {
            let dump = memory::tests::dump(by_bitmap);
            let of = |driver: &str| bug_check("x", std::io::Cursor::new(dump.clone()), driver).unwrap();
            let found = of("MY.SYS");
            let address = memory::tests::BASE + 0x1234;
            let expected = StackFrame { address, module: Some("MY.SYS".into()), offset: 0x1234 };
            assert_eq!((found.stack, found.irql), (vec![expected], 2));
            let other = of("other.sys");
            assert!(
                other.stack[0].module.is_none() && other.message.ends_with("is my.sys+0x1234"),
                "{}",
                other.message
            );
        }
    }
}
