//! Variables that the kernel exports: drivers import their address.
#![allow(unsafe_code, reason = "addresses of variables are shared with drivers")]

use core::sync::atomic::{AtomicU32, Ordering};

use crate::contract::export::Export;

/// An exported variable whose address alone is looked at here.
#[repr(transparent)]
struct Variable<T>(T);
// SAFETY: constants.
unsafe impl<T> Sync for Variable<T> {}

/// A pointer variable that points to a marker of its own: object types are compared by address only.
static EVENT_TYPE: u64 = 0;
static THREAD_TYPE: u64 = 1;
static SEMAPHORE_TYPE: u64 = 2;
static FILE_TYPE: u64 = 3;
static DRIVER_TYPE: u64 = 4;
static DEVICE_TYPE: u64 = 5;
static PROCESS_TYPE: u64 = 6;
static EX_EVENT_OBJECT_TYPE: Variable<*const u64> = Variable(&raw const EVENT_TYPE);
static PS_THREAD_TYPE: Variable<*const u64> = Variable(&raw const THREAD_TYPE);
static EX_SEMAPHORE_OBJECT_TYPE: Variable<*const u64> = Variable(&raw const SEMAPHORE_TYPE);
static IO_FILE_OBJECT_TYPE: Variable<*const u64> = Variable(&raw const FILE_TYPE);
static IO_DRIVER_OBJECT_TYPE: Variable<*const u64> = Variable(&raw const DRIVER_TYPE);
static IO_DEVICE_OBJECT_TYPE: Variable<*const u64> = Variable(&raw const DEVICE_TYPE);
static PS_PROCESS_TYPE: Variable<*const u64> = Variable(&raw const PROCESS_TYPE);

static NT_BUILD_NUMBER: AtomicU32 = AtomicU32::new(0);
static FALSE: u8 = 0;
static TRUE: u8 = 1;
static NUMBER_PROCESSORS: u8 = 1;
static SAFE_BOOT_MODE: u32 = 0;
/// `MM_USER_PROBE_ADDRESS` and its neighbours on x64.
static USER_PROBE_ADDRESS: u64 = 0x7fff_ffff_0000;
static HIGHEST_USER_ADDRESS: u64 = 0x7fff_fffe_ffff;
static SYSTEM_RANGE_START: u64 = 0xffff_8000_0000_0000;

/// Sets the build of the Windows that this guest poses as.
pub fn set_build(build: u32) {
    NT_BUILD_NUMBER.store(build, Ordering::Relaxed);
}

/// The variables.
pub static VARIABLES: &[Export] = &[
    Export::new("ExEventObjectType", (&raw const EX_EVENT_OBJECT_TYPE).cast()),
    Export::new("ExSemaphoreObjectType", (&raw const EX_SEMAPHORE_OBJECT_TYPE).cast()),
    Export::new("PsThreadType", (&raw const PS_THREAD_TYPE).cast()),
    Export::new("PsProcessType", (&raw const PS_PROCESS_TYPE).cast()),
    Export::new("IoFileObjectType", (&raw const IO_FILE_OBJECT_TYPE).cast()),
    Export::new("IoDriverObjectType", (&raw const IO_DRIVER_OBJECT_TYPE).cast()),
    Export::new("IoDeviceObjectType", (&raw const IO_DEVICE_OBJECT_TYPE).cast()),
    Export::new("NtBuildNumber", (&raw const NT_BUILD_NUMBER).cast()),
    Export::new("KdDebuggerEnabled", (&raw const FALSE).cast()),
    Export::new("KdDebuggerNotPresent", (&raw const TRUE).cast()),
    Export::new("KeNumberProcessors", (&raw const NUMBER_PROCESSORS).cast()),
    Export::new("InitSafeBootMode", (&raw const SAFE_BOOT_MODE).cast()),
    Export::new("MmUserProbeAddress", (&raw const USER_PROBE_ADDRESS).cast()),
    Export::new("MmHighestUserAddress", (&raw const HIGHEST_USER_ADDRESS).cast()),
    Export::new("MmSystemRangeStart", (&raw const SYSTEM_RANGE_START).cast()),
];
