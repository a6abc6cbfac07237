//! The functions that the driver may import: their modules, and their calling conventions on 32-bit Windows, where
//! these are part of the name.
//!
//! Sources: the reference pages of the Windows Driver Kit; a test compares the kernel's and the hardware abstraction
//! layer's functions with the import libraries of mingw-w64.

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

/// An export: module, name, convention on x86, processors.
pub type Export = (&'static str, &'static str, Call, On);

const KERNEL: &str = "ntoskrnl.exe";
const HAL: &str = "hal.dll";
const PORTCLS: &str = "portcls.sys";

/// All exports that the driver may import.
pub const EXPORTS: &[Export] = &[
    (KERNEL, "DbgPrint", Call::C, On::Both),
    (KERNEL, "ExAllocatePoolWithTag", Call::Standard(12), On::Both),
    (KERNEL, "ExFreePoolWithTag", Call::Standard(8), On::Both),
    (KERNEL, "IoAllocateWorkItem", Call::Standard(4), On::Both),
    (KERNEL, "IoBuildSynchronousFsdRequest", Call::Standard(28), On::Both),
    (KERNEL, "IoFreeWorkItem", Call::Standard(4), On::Both),
    (KERNEL, "IoGetAttachedDeviceReference", Call::Standard(4), On::Both),
    (KERNEL, "IoGetDmaAdapter", Call::Standard(12), On::Both),
    (KERNEL, "IoQueueWorkItem", Call::Standard(16), On::Both),
    (KERNEL, "IoReleaseCancelSpinLock", Call::Standard(4), On::Both),
    (KERNEL, "IofCallDriver", Call::Fast(8), On::Both),
    (KERNEL, "KeAcquireSpinLockRaiseToDpc", Call::Standard(4), On::X64),
    (KERNEL, "KeClearEvent", Call::Standard(4), On::Both),
    (KERNEL, "KeDelayExecutionThread", Call::Standard(12), On::Both),
    (KERNEL, "KeEnterCriticalRegion", Call::Standard(0), On::Both),
    (KERNEL, "KeFlushQueuedDpcs", Call::Standard(0), On::Both),
    (KERNEL, "KeInitializeEvent", Call::Standard(12), On::Both),
    (KERNEL, "KeLeaveCriticalRegion", Call::Standard(0), On::Both),
    (KERNEL, "KeLowerIrql", Call::Standard(4), On::X64),
    (KERNEL, "KeRaiseIrqlToDpcLevel", Call::Standard(0), On::X64),
    (KERNEL, "KeReleaseSpinLock", Call::Standard(8), On::X64),
    (KERNEL, "KeSetEvent", Call::Standard(12), On::Both),
    (KERNEL, "KeWaitForSingleObject", Call::Standard(20), On::Both),
    (KERNEL, "MmGetSystemRoutineAddress", Call::Standard(4), On::Both),
    (KERNEL, "MmMapIoSpace", Call::Standard(16), On::Both),
    (KERNEL, "MmUnmapIoSpace", Call::Standard(8), On::Both),
    (KERNEL, "MmUserProbeAddress", Call::Data, On::X86),
    (KERNEL, "ObfDereferenceObject", Call::Fast(4), On::Both),
    // 64-bit arithmetic.
    (KERNEL, "_alldiv", Call::Helper(16), On::X86),
    (KERNEL, "_allmul", Call::Helper(16), On::X86),
    (KERNEL, "_allrem", Call::Helper(16), On::X86),
    (KERNEL, "_aulldiv", Call::Helper(16), On::X86),
    (KERNEL, "_aullrem", Call::Helper(16), On::X86),
    (HAL, "KeGetCurrentIrql", Call::Standard(0), On::X86),
    (HAL, "KeRaiseIrqlToDpcLevel", Call::Standard(0), On::X86),
    (HAL, "KfAcquireSpinLock", Call::Fast(4), On::X86),
    (HAL, "KfLowerIrql", Call::Fast(4), On::X86),
    (HAL, "KfReleaseSpinLock", Call::Fast(8), On::X86),
    (PORTCLS, "PcAddAdapterDevice", Call::Standard(20), On::Both),
    (PORTCLS, "PcCompletePendingPropertyRequest", Call::Standard(8), On::Both),
    (PORTCLS, "PcGetPhysicalDeviceObject", Call::Standard(8), On::Both),
    (PORTCLS, "PcGetTimeInterval", Call::Standard(8), On::Both),
    (PORTCLS, "PcInitializeAdapterDriver", Call::Standard(12), On::Both),
    (PORTCLS, "PcNewInterruptSync", Call::Standard(20), On::Both),
    (PORTCLS, "PcNewPort", Call::Standard(8), On::Both),
    (PORTCLS, "PcNewServiceGroup", Call::Standard(8), On::Both),
    (PORTCLS, "PcRegisterAdapterPowerManagement", Call::Standard(8), On::Both),
    (PORTCLS, "PcRegisterSubdevice", Call::Standard(12), On::Both),
];

/// Returns the place in [`EXPORTS`] of the export with this name on a processor.
#[must_use]
pub fn place_of(module: &str, name: &str, on: On) -> Option<usize> {
    EXPORTS.iter().position(|export| (export.0, export.1) == (module, name) && (export.3 == On::Both || export.3 == on))
}
