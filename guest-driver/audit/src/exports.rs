//! The functions that the driver may import: their modules, and their calling conventions on 32-bit Windows, where
//! these are part of the name.
//!
//! Sources: the reference pages of the Windows Driver Kit, whose requirements name the oldest Windows of each ("Minimum supported
//! client"); `MmUserProbeAddress` and the arithmetic have no page, and are in every kernel that these pages are about. A test compares the kernel's and the hardware abstraction
//! layer's functions with the import libraries of mingw-w64.

use std::collections::{BTreeMap, BTreeSet};

/// A calling convention on 32-bit Windows, with the bytes of stack that the function frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `__stdcall`: `_name@bytes`.
    Standard(u32),
    /// `__fastcall`: `@name@bytes`, with the bytes of all arguments, those in registers included.
    Fast(u32),
    /// `__cdecl`: `_name`.
    C,
    /// Arithmetic that compilers call: it frees stack as `__stdcall` does, but its name is `_name`.
    Helper(u32),
    /// A variable: `_name`.
    Data,
}

impl Call {
    /// Returns the name as C compilers for 32-bit Windows decorate it.
    #[must_use]
    pub fn decorated(self, name: &str) -> String {
        match self {
            Self::Standard(bytes) => format!("_{name}@{bytes}"),
            Self::Fast(bytes) => format!("@{name}@{bytes}"),
            Self::C | Self::Data | Self::Helper(_) => format!("_{name}"),
        }
    }

    /// Returns the name in import libraries.
    #[must_use]
    pub fn in_library(self, name: &str) -> String {
        match self {
            Self::Helper(bytes) => Self::Standard(bytes).decorated(name),
            other => other.decorated(name),
        }
    }
}

/// The processors on which an export exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// On both, from the same module.
    Both,
    /// On x86-64 only.
    X64,
    /// On x86 only.
    X86,
}

/// A version of Windows: major and minor.
pub type Windows = (u16, u16);

/// An export: module, name, convention on x86, processors, and the oldest Windows that has it.
pub type Export = (&'static str, &'static str, Call, On, Windows);

/// Of the functions of PortCls their pages say "in Windows 98/Me and in Windows 2000 and later".
const WINDOWS_2000: Windows = (5, 0);
/// With its second service pack, which no number of an image tells.
const XP_SP2: Windows = (5, 1);

const KERNEL: &str = "ntoskrnl.exe";
const HAL: &str = "hal.dll";
const PORTCLS: &str = "portcls.sys";

/// All exports that the driver may import.
pub const EXPORTS: &[Export] = &[
    (KERNEL, "DbgPrint", Call::C, On::Both, WINDOWS_2000),
    (KERNEL, "ExAllocatePoolWithTag", Call::Standard(12), On::Both, WINDOWS_2000),
    (KERNEL, "ExFreePoolWithTag", Call::Standard(8), On::Both, WINDOWS_2000),
    (KERNEL, "IoAllocateWorkItem", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "IoBuildSynchronousFsdRequest", Call::Standard(28), On::Both, WINDOWS_2000),
    (KERNEL, "IoFreeWorkItem", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "IoGetAttachedDeviceReference", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "IoGetDmaAdapter", Call::Standard(12), On::Both, WINDOWS_2000),
    (KERNEL, "IoQueueWorkItem", Call::Standard(16), On::Both, WINDOWS_2000),
    (KERNEL, "IoReleaseCancelSpinLock", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "IofCallDriver", Call::Fast(8), On::Both, WINDOWS_2000),
    (KERNEL, "KeAcquireSpinLockRaiseToDpc", Call::Standard(4), On::X64, WINDOWS_2000),
    (KERNEL, "KeClearEvent", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "KeDelayExecutionThread", Call::Standard(12), On::Both, WINDOWS_2000),
    (KERNEL, "KeEnterCriticalRegion", Call::Standard(0), On::Both, WINDOWS_2000),
    (KERNEL, "KeFlushQueuedDpcs", Call::Standard(0), On::Both, XP_SP2),
    (KERNEL, "KeInitializeEvent", Call::Standard(12), On::Both, WINDOWS_2000),
    (KERNEL, "KeLeaveCriticalRegion", Call::Standard(0), On::Both, WINDOWS_2000),
    (KERNEL, "KeLowerIrql", Call::Standard(4), On::X64, WINDOWS_2000),
    (KERNEL, "KeRaiseIrqlToDpcLevel", Call::Standard(0), On::X64, WINDOWS_2000),
    (KERNEL, "KeReleaseSpinLock", Call::Standard(8), On::X64, WINDOWS_2000),
    (KERNEL, "KeSetEvent", Call::Standard(12), On::Both, WINDOWS_2000),
    (KERNEL, "KeWaitForSingleObject", Call::Standard(20), On::Both, WINDOWS_2000),
    (KERNEL, "MmGetSystemRoutineAddress", Call::Standard(4), On::Both, WINDOWS_2000),
    (KERNEL, "MmMapIoSpace", Call::Standard(16), On::Both, WINDOWS_2000),
    (KERNEL, "MmUnmapIoSpace", Call::Standard(8), On::Both, WINDOWS_2000),
    (KERNEL, "MmUserProbeAddress", Call::Data, On::X86, WINDOWS_2000),
    (KERNEL, "ObfDereferenceObject", Call::Fast(4), On::Both, WINDOWS_2000),
    (KERNEL, "RtlGetVersion", Call::Standard(4), On::Both, WINDOWS_2000),
    // 64-bit arithmetic.
    (KERNEL, "_alldiv", Call::Helper(16), On::X86, WINDOWS_2000),
    (KERNEL, "_allmul", Call::Helper(16), On::X86, WINDOWS_2000),
    (KERNEL, "_allrem", Call::Helper(16), On::X86, WINDOWS_2000),
    (KERNEL, "_aulldiv", Call::Helper(16), On::X86, WINDOWS_2000),
    (KERNEL, "_aullrem", Call::Helper(16), On::X86, WINDOWS_2000),
    (HAL, "KeGetCurrentIrql", Call::Standard(0), On::X86, WINDOWS_2000),
    (HAL, "KeRaiseIrqlToDpcLevel", Call::Standard(0), On::X86, WINDOWS_2000),
    (HAL, "KfAcquireSpinLock", Call::Fast(4), On::X86, WINDOWS_2000),
    (HAL, "KfLowerIrql", Call::Fast(4), On::X86, WINDOWS_2000),
    (HAL, "KfReleaseSpinLock", Call::Fast(8), On::X86, WINDOWS_2000),
    (PORTCLS, "PcAddAdapterDevice", Call::Standard(20), On::Both, WINDOWS_2000),
    (PORTCLS, "PcCompletePendingPropertyRequest", Call::Standard(8), On::Both, WINDOWS_2000),
    (PORTCLS, "PcGetTimeInterval", Call::Standard(8), On::Both, WINDOWS_2000),
    (PORTCLS, "PcInitializeAdapterDriver", Call::Standard(12), On::Both, WINDOWS_2000),
    (PORTCLS, "PcNewInterruptSync", Call::Standard(20), On::Both, WINDOWS_2000),
    (PORTCLS, "PcNewPort", Call::Standard(8), On::Both, WINDOWS_2000),
    (PORTCLS, "PcNewServiceGroup", Call::Standard(8), On::Both, WINDOWS_2000),
    (PORTCLS, "PcRegisterAdapterPowerManagement", Call::Standard(8), On::Both, WINDOWS_2000),
    (PORTCLS, "PcRegisterSubdevice", Call::Standard(12), On::Both, WINDOWS_2000),
];

/// Returns the place in [`EXPORTS`] of the export with this name on a processor.
#[must_use]
pub fn place_of(module: &str, name: &str, on: On) -> Option<usize> {
    EXPORTS.iter().position(|export| (export.0, export.1) == (module, name) && (export.3 == On::Both || export.3 == on))
}

/// Returns the imports of an image that are younger than a Windows, or that [`EXPORTS`] does not have, each with the reason.
#[must_use]
pub fn younger_than(oldest: Windows, on: On, imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (module, names) in imports {
        for name in names {
            match place_of(module, name, on).and_then(|place| EXPORTS.get(place)) {
                None => found.push(format!("no page of {module}!{name} is known here: find its oldest Windows")),
                Some((.., since)) if *since > oldest => {
                    found.push(format!(
                        "{module}!{name} came with Windows {}.{}: look it up at run time",
                        since.0, since.1
                    ));
                }
                Some(_) => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_an_older_windows_lacks() {
        let names = BTreeSet::from(["KeFlushQueuedDpcs", "KeSetEvent", "MmCopyMemory"].map(str::to_owned));
        let imports = BTreeMap::from([(KERNEL.to_owned(), names)]);
        let found = younger_than((5, 0), On::X64, &imports);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("KeFlushQueuedDpcs came with Windows 5.1") && found[1].contains("MmCopyMemory"),
            "{found:?}"
        );
        assert_eq!(younger_than((5, 1), On::X64, &imports).len(), 1);
    }
}
