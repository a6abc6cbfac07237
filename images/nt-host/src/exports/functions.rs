//! The functions that drivers can import, for the host's own use.

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
    IofCallDriver, IofCompleteRequest,
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
pub use crate::mm::address::{MmCopyMemory, MmGetPhysicalAddress, MmIsAddressValid};
pub use crate::mm::contiguous::{
    MmAllocateContiguousMemory, MmAllocateContiguousMemorySpecifyCache, MmFreeContiguousMemory,
    MmFreeContiguousMemorySpecifyCache,
};
pub use crate::mm::io_space::{MmMapIoSpace, MmMapIoSpaceEx, MmUnmapIoSpace};
pub use crate::mm::mdl::{
    IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, MmBuildMdlForNonPagedPool, MmMapLockedPages,
    MmMapLockedPagesSpecifyCache, MmProbeAndLockPages, MmSizeOfMdl, MmUnlockPages, MmUnmapLockedPages,
};
pub use crate::mm::section::{
    MmLockPagableDataSection, MmPageEntireDriver, MmResetDriverPaging, MmUnlockPagableImageSection,
};
pub use crate::mm::system::MmQuerySystemSize;
