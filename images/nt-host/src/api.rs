//! Everything that a driver can import, by module and name; and the same functions for the host's own use.

use crate::export::Export;
use crate::{ex, io, ke, ks, mm, portcls, refusals, rtl, shortage};

pub use crate::ex::fast_mutex::{
    ExAcquireFastMutex, ExAcquireFastMutexUnsafe, ExReleaseFastMutex, ExReleaseFastMutexUnsafe, ExTryToAcquireFastMutex,
};
pub use crate::ex::lists::{
    ExInterlockedInsertHeadList, ExInterlockedInsertTailList, ExInterlockedRemoveHeadList, ExQueryDepthSList,
    ExpInterlockedFlushSList, ExpInterlockedPopEntrySList, ExpInterlockedPushEntrySList, InitializeSListHead,
};
pub use crate::ex::pool::{
    ExAllocatePool, ExAllocatePool2, ExAllocatePoolWithQuotaTag, ExAllocatePoolWithTag, ExAllocatePoolWithTagPriority,
    ExFreePool, ExFreePool2, ExFreePoolWithTag,
};
pub use crate::io::device::{
    IoAllocateDriverObjectExtension, IoAttachDeviceToDeviceStack, IoAttachDeviceToDeviceStackSafe, IoCreateDevice,
    IoDeleteDevice, IoDetachDevice, IoGetAttachedDevice, IoGetAttachedDeviceReference, IoGetDeviceAttachmentBaseRef,
    IoGetDriverObjectExtension, IoGetLowerDeviceObject, IoInvalidateDeviceRelations, IoInvalidateDeviceState,
};
pub use crate::io::dma::IoGetDmaAdapter;
pub use crate::io::irp::{
    IoAcquireCancelSpinLock, IoAllocateIrp, IoBuildDeviceIoControlRequest, IoBuildSynchronousFsdRequest, IoCancelIrp,
    IoCompleteRequest, IoFreeIrp, IoInitializeIrp, IoReleaseCancelSpinLock, IoReuseIrp, IoSetCompletionRoutineEx,
    IoSizeOfIrp, IofCallDriver, IofCompleteRequest,
};
pub use crate::io::names::{
    IoCreateSymbolicLink, IoCreateUnprotectedSymbolicLink, IoDeleteSymbolicLink, IoGetDeviceInterfaceAlias,
    IoGetDeviceObjectPointer, IoRegisterDeviceInterface, IoRegisterPlugPlayNotification, IoSetDeviceInterfaceState,
    IoUnregisterPlugPlayNotification, IoUnregisterPlugPlayNotificationEx,
};
pub use crate::io::object::{
    ObCloseHandle, ObDereferenceObjectDeferDelete, ObReferenceObjectByHandle, ObReferenceObjectByPointer,
    ObfDereferenceObject, ObfDereferenceObjectWithTag, ObfReferenceObject, ObfReferenceObjectWithTag, ZwClose,
};
pub use crate::io::power::{PoCallDriver, PoRequestPowerIrp, PoSetPowerState, PoStartNextPowerIrp};
pub use crate::io::property::IoGetDeviceProperty;
pub use crate::io::registry::{
    IoOpenDeviceInterfaceRegistryKey, IoOpenDeviceRegistryKey, ZwCreateKey, ZwDeleteKey, ZwDeleteValueKey,
    ZwEnumerateValueKey, ZwFlushKey, ZwOpenKey, ZwOpenKeyEx, ZwQueryValueKey, ZwSetValueKey,
};
pub use crate::io::registry_query::{RtlQueryRegistryValues, ZwEnumerateKey, ZwQueryKey};
pub use crate::io::remove_lock::{
    IoAcquireRemoveLockEx, IoInitializeRemoveLockEx, IoReleaseRemoveLockAndWaitEx, IoReleaseRemoveLockEx,
};
pub use crate::io::timer::{IoInitializeTimer, IoStartTimer, IoStopTimer};
pub use crate::io::work_item::{
    IoAllocateWorkItem, IoFreeWorkItem, IoInitializeWorkItem, IoQueueWorkItem, IoQueueWorkItemEx, IoSizeofWorkItem,
    IoUninitializeWorkItem,
};
pub use crate::ke::bugcheck::{KeBugCheck, KeBugCheckEx};
pub use crate::ke::dpc::{
    KeFlushQueuedDpcs, KeInitializeDpc, KeInitializeThreadedDpc, KeInsertQueueDpc, KeRemoveQueueDpc,
    KeSetImportanceDpc, KeSetTargetProcessorDpc,
};
pub use crate::ke::event::{
    KeClearEvent, KeInitializeEvent, KeInitializeMutex, KeInitializeSemaphore, KePulseEvent, KeReadStateEvent,
    KeReadStateMutex, KeReadStateSemaphore, KeReleaseMutex, KeReleaseSemaphore, KeResetEvent, KeSetEvent,
};
pub use crate::ke::interrupt::{
    IoConnectInterrupt, IoConnectInterruptEx, IoDisconnectInterrupt, IoDisconnectInterruptEx,
    KeAcquireInterruptSpinLock, KeReleaseInterruptSpinLock, KeSynchronizeExecution,
};
pub use crate::ke::level::{
    KeAreAllApcsDisabled, KeAreApcsDisabled, KeFlushIoBuffers, KeGetCurrentIrql, KeGetCurrentProcessorNumberEx,
    KeLowerIrql, KeQueryActiveProcessorCount, KeQueryActiveProcessorCountEx, KeQueryActiveProcessors,
    KeQueryMaximumProcessorCountEx, KeRaiseIrqlToDpcLevel, KfRaiseIrql,
};
pub use crate::ke::spin_lock::{
    KeAcquireInStackQueuedSpinLock, KeAcquireInStackQueuedSpinLockAtDpcLevel, KeAcquireSpinLockAtDpcLevel,
    KeAcquireSpinLockForDpc, KeAcquireSpinLockRaiseToDpc, KeInitializeSpinLock, KeReleaseInStackQueuedSpinLock,
    KeReleaseInStackQueuedSpinLockFromDpcLevel, KeReleaseSpinLock, KeReleaseSpinLockForDpc,
    KeReleaseSpinLockFromDpcLevel, KeTestSpinLock, KeTryToAcquireSpinLockAtDpcLevel,
};
pub use crate::ke::thread::{
    IoGetCurrentProcess, KeEnterCriticalRegion, KeGetCurrentThread, KeLeaveCriticalRegion, KeQueryPriorityThread,
    KeSetPriorityThread, PsCreateSystemThread, PsGetCurrentProcess, PsGetCurrentProcessId, PsGetCurrentThread,
    PsGetCurrentThreadId, PsIsSystemThread, PsTerminateSystemThread,
};
pub use crate::ke::time::{
    ExLocalTimeToSystemTime, ExSetTimerResolution, ExSystemTimeToLocalTime, KeQueryInterruptTime,
    KeQueryInterruptTimePrecise, KeQueryPerformanceCounter, KeQuerySystemTime, KeQuerySystemTimePrecise,
    KeQueryTickCount, KeQueryTimeIncrement, KeQueryUnbiasedInterruptTime, KeStallExecutionProcessor,
};
pub use crate::ke::timer::{
    KeCancelTimer, KeInitializeTimer, KeInitializeTimerEx, KeReadStateTimer, KeSetCoalescableTimer, KeSetTimer,
    KeSetTimerEx,
};
pub use crate::ke::wait::{KeDelayExecutionThread, KeWaitForMultipleObjects, KeWaitForSingleObject};
pub use crate::ke::work::ExQueueWorkItem;
pub use crate::mm::api::{
    IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, MmAllocateContiguousMemory, MmAllocateContiguousMemorySpecifyCache,
    MmBuildMdlForNonPagedPool, MmCopyMemory, MmFreeContiguousMemory, MmFreeContiguousMemorySpecifyCache,
    MmGetPhysicalAddress, MmGetSystemRoutineAddress, MmIsAddressValid, MmLockPagableDataSection, MmMapIoSpace,
    MmMapIoSpaceEx, MmMapLockedPages, MmMapLockedPagesSpecifyCache, MmPageEntireDriver, MmProbeAndLockPages,
    MmQuerySystemSize, MmResetDriverPaging, MmSizeOfMdl, MmUnlockPagableImageSection, MmUnlockPages, MmUnmapIoSpace,
    MmUnmapLockedPages,
};

/// Modules whose functions this guest's kernel has. Windows forwards many names between them.
const KERNEL_MODULES: [&str; 2] = ["ntoskrnl.exe", "hal.dll"];
/// The module whose functions [`crate::portcls`] has.
pub const PORTCLS_MODULE: &str = "portcls.sys";
/// The module whose functions [`crate::ks`] has.
pub const KS_MODULE: &str = "ks.sys";

fn kernel_tables() -> impl Iterator<Item = &'static &'static [Export]> {
    // The run-time library first: it guards exports of the others.
    [rtl::EXPORTS, ke::EXPORTS, ex::EXPORTS, io::EXPORTS]
        .into_iter()
        .flatten()
        .chain(core::iter::once(&mm::api::EXPORTS))
}

/// The address of a function by module (lower case) and name.
#[must_use]
pub fn find(module: &str, name: &str) -> Option<u64> {
    let mut found = None;
    let mut search = |table: &'static [Export]| {
        found = found.or_else(|| table.iter().find(|export| export.name == name).map(Export::address));
    };
    if KERNEL_MODULES.contains(&module) {
        kernel_tables().for_each(|table| search(table));
    } else if module == PORTCLS_MODULE {
        portcls::EXPORT_TABLES.iter().for_each(|table| search(table));
    } else if module == KS_MODULE {
        ks::EXPORT_TABLES.iter().for_each(|table| search(table));
    }
    found
}

/// The address to bind an import to: the function's, or that of its entry point that can be made to fail. What a driver
/// wants of `ks.sys` that is not here is said by what it belongs to.
#[must_use]
pub fn bind(module: &str, name: &str) -> Option<u64> {
    let Some(address) = find(module, name) else {
        if module == KS_MODULE
            && let Some(what) = ks::missing(name)
        {
            crate::warn!("{module}!{name} is not here: it belongs to {what}");
        }
        return None;
    };
    Some(if shortage::on() { refusals::entry_of(name, address) } else { address })
}
