//! The verifier's own checks: what Driver Verifier checks of every driver, beside PortCls' contract.
//!
//! A check has a number, by which a bug check names it as it names a rule of the contract, and a name. Numbers begin
//! where those of the contract can never reach, and are stable.

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What it demands.
    pub demands: &'static str,
    /// Which option of Driver Verifier does the same, or which page says it.
    pub source: &'static str,
}

/// Number of the first check.
pub const FIRST: u16 = 101;

/// Declares the table, and a constant for each check.
macro_rules! checks {
    ($($constant:ident = $number:literal, $name:literal, $demands:literal, $source:literal;)+) => {
        $(#[doc = $demands]
        pub const $constant: &Check = &Check { number: $number, name: $name, demands: $demands, source: $source };)+

        /// Every check, in order of number.
        pub const TABLE: &[&Check] = &[$($constant),+];
    };
}

checks! {
    LOCK_ORDER = 101, "lock_order",
        "locks are taken in one order everywhere: spin locks, and mutexes, fast and guarded mutexes and resources that are taken alone",
        "deadlock detection (0xC4, 0x1001)";
    LOCK_LEVEL = 102, "lock_level",
        "a spin lock is always held at the same IRQL, if one of them is above DISPATCH_LEVEL",
        "KeAcquireSpinLock; KeSynchronizeExecution";
    ISR_DURATION = 103, "isr_duration",
        "an interrupt service routine is short",
        "DPC watchdog (0x133)";
    PAGED_MEMORY = 104, "paged_memory",
        "paged pool and PAGE sections are not touched at DISPATCH_LEVEL and above",
        "force IRQL checking (0xD1)";
    LOCK_KEPT_BELOW_DISPATCH = 105, "lock_kept_below_dispatch",
        "the IRQL is not lowered below DISPATCH_LEVEL while a spin lock is held, by a function or by CR8",
        "force IRQL checking";
    MDL_AFTER_UNLOCK = 106, "mdl_after_unlock",
        "the system address of locked pages is not used after they are unmapped or unlocked",
        "MmUnlockPages; MmUnmapLockedPages";
    LATE_DMA = 107, "late_dma",
        "a device writes to no memory that was given back",
        "DMA verification (0xE6)";
    LOCKED_POOL_FREED = 108, "locked_pool_freed",
        "pool is not freed while an MDL keeps its pages locked",
        "MmProbeAndLockPages; MmUnlockPages";
    MDL_OF_PAGED_POOL = 109, "mdl_of_paged_pool",
        "MmBuildMdlForNonPagedPool gets nonpaged pool",
        "MmBuildMdlForNonPagedPool";
    EXCEPTION_LEAVES_CALLBACK = 110, "exception_leaves_callback",
        "no exception leaves a routine of the driver that the system called",
        "RtlUnwindEx; handling exceptions";
    INTERRUPT_MODE = 111, "interrupt_mode",
        "InterruptMode is what the flags of the translated interrupt resource say",
        "IoConnectInterrupt";
    STALE_ADDRESS = 112, "stale_address",
        "after a stop and a start with other resources, the addresses of before are not mapped again",
        "IRP_MN_STOP_DEVICE; IRP_MN_START_DEVICE";
    KERNEL_STACK = 113, "kernel_stack",
        "a call into the driver uses no more stack than a kernel thread has, 24 KiB, unless it expands its stack",
        "Using the kernel stack; KeExpandKernelStackAndCallout (0x7F, 8)";
    RESIDENT_OBJECTS = 114, "resident_objects",
        "events, mutexes, semaphores, timers, DPCs, resources and work items are in memory that is never paged out",
        "KeInitializeEvent; KeInitializeTimer; KeInitializeDpc; ExInitializeResourceLite; ExQueueWorkItem";
    USER_WAIT_ON_STACK = 115, "user_wait_on_stack",
        "a wait in UserMode is for no object on the stack, and for no mutex",
        "KeWaitForSingleObject; KeWaitForMultipleObjects";
    CRITICAL_REGION = 116, "critical_region",
        "a call into the driver leaves as many critical and guarded regions as it enters",
        "KeEnterCriticalRegion; KeEnterGuardedRegion (APC_INDEX_MISMATCH, 0x01)";
    LOCK_KEPT_OVER_CALL = 117, "lock_kept_over_call",
        "a call into the driver returns with no mutex, fast mutex, push lock or resource that its thread did not hold before",
        "Mutex objects; ExAcquireResourceExclusiveLite";
    FOREIGN_MEMORY = 118, "foreign_memory",
        "MmMapIoSpace maps the device's own resources, or memory that the driver has allocated",
        "MmMapIoSpace; IRP_MN_START_DEVICE";
    INTERRUPT_CONNECTION = 119, "interrupt_connection",
        "an interrupt is disconnected once, by the context and the Version that its connection returned",
        "IO_DISCONNECT_INTERRUPT_PARAMETERS; Removing an ISR";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_numbered_one_by_one_beyond_the_rules_of_the_contract() {
        let expected: std::vec::Vec<u16> = (FIRST..).take(TABLE.len()).collect();
        assert_eq!(TABLE.iter().map(|check| check.number).collect::<std::vec::Vec<_>>(), expected);
        assert!(usize::from(FIRST) > crate::contract::rules::RULES);
    }

    #[test]
    fn names_of_checks_are_unique() {
        let mut names: std::vec::Vec<_> = TABLE.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
