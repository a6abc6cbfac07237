//! Processors, groups and nodes: one node, and one group with all processors in it.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use alloc::collections::BTreeMap;

use super::{dpc, thread};
use crate::arch::smp;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{KDPC, NTSTATUS, PVOID};

/// `PROCESSOR_NUMBER`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ProcessorNumber {
    group: u16,
    number: u8,
    reserved: u8,
}

/// `GROUP_AFFINITY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct GroupAffinity {
    mask: u64,
    group: u16,
    reserved: [u16; 3],
}

/// `SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX` of one core, with room for one group.
#[repr(C)]
struct CoreInformation {
    relationship: i32,
    size: u32,
    flags: u8,
    efficiency_class: u8,
    reserved: [u8; 20],
    group_count: u16,
    affinity: GroupAffinity,
}

const _: () = assert!(size_of::<GroupAffinity>() == 16 && size_of::<CoreInformation>() == 48);

/// `RelationProcessorCore`.
const RELATION_CORE: i32 = 0;
/// `RelationAll`.
const RELATION_ALL: i32 = 0xffff;
/// Bytes of a cache line, which is what data that processors share should be aligned to.
const CACHE_LINE: u32 = 64;
/// The only group.
const GROUP: u16 = 0;

fn all() -> u64 {
    (1 << smp::online()) - 1
}

fn all_of_the_group() -> GroupAffinity {
    GroupAffinity { mask: all(), group: GROUP, reserved: [0; 3] }
}

/// By thread, what it has set as the processors that it runs on.
static AFFINITIES: Uninterrupted<BTreeMap<u64, u64>> = Uninterrupted::new(BTreeMap::new());

/// Sets the processors that the running thread runs on, or all (0). Returns those of before, 0 if none were set.
fn set(function: &'static str, mask: u64) -> u64 {
    // SAFETY: no arguments.
    let me = unsafe { thread::KeGetCurrentThread() as u64 };
    if mask == 0 {
        return AFFINITIES.with(|all| all.remove(&me)).unwrap_or(0);
    }
    if mask & all() == 0 {
        verifier::stop(
            verifier::DRIVER_VERIFIER_DETECTED_VIOLATION,
            function,
            [mask, all(), 0, 0],
            format_args!(
                "{function} wants processors {mask:#x}, none of which is active; KeQueryActiveProcessors says {:#x}",
                all()
            ),
        );
    }
    if mask & 1 == 0 {
        crate::warn!(
            "{function} wants processors {mask:#x}: this guest runs threads on processor 0 only, and the thread stays there"
        );
    }
    AFFINITIES.with(|all| all.insert(me, mask)).unwrap_or(0)
}

export_functions! {
    /// Processors.
    pub static EXPORTS;

    /// Returns the node of the current processor.
    [ANY] fn KeGetCurrentNodeNumber() -> u16 { 0 }

    /// Returns the system-wide index of a processor, or `INVALID_PROCESSOR_INDEX`.
    [ANY] fn KeGetProcessorIndexFromNumber(processor: *const ProcessorNumber) -> u32 {
        let ProcessorNumber { group, number, .. } = *processor;
        if group == GROUP && usize::from(number) < smp::online() { number.into() } else { u32::MAX }
    }

    /// Returns the group and number of a processor by its index.
    [ANY] fn KeGetProcessorNumberFromIndex(index: u32, out: *mut ProcessorNumber) -> NTSTATUS {
        match u8::try_from(index) {
            Ok(number) if usize::from(number) < smp::online() => {
                out.write(ProcessorNumber { group: GROUP, number, reserved: 0 });
                STATUS_SUCCESS
            }
            _ => STATUS_INVALID_PARAMETER,
        }
    }

    /// Returns what data that processors share should be aligned to.
    [ANY] fn KeGetRecommendedSharedDataAlignment() -> u32 { CACHE_LINE }

    /// Returns how many groups are active.
    [ANY] fn KeQueryActiveGroupCount() -> u16 { 1 }

    /// Returns how many groups there can be.
    [ANY] fn KeQueryMaximumGroupCount() -> u16 { 1 }

    /// Returns the active processors of a group.
    [ANY] fn KeQueryGroupAffinity(group: u16) -> u64 { if group == GROUP { all() } else { 0 } }

    /// Returns the highest node.
    [ANY] fn KeQueryHighestNodeNumber() -> u16 { 0 }

    /// Returns how many processors there can be.
    [ANY] fn KeQueryMaximumProcessorCount() -> u32 { smp::online() as u32 }

    /// Returns the active processors of a node, and how many there are.
    [ANY] fn KeQueryNodeActiveAffinity(node: u16, affinity: *mut GroupAffinity, count: *mut u16) {
        let there = node == 0;
        if let Some(affinity) = affinity.as_mut() {
            *affinity = if there { all_of_the_group() } else { GroupAffinity { mask: 0, group: GROUP, reserved: [0; 3] } };
        }
        if let Some(count) = count.as_mut() { *count = if there { smp::online() as u16 } else { 0 } }
    }

    /// Returns how many processors a node can have.
    [ANY] fn KeQueryNodeMaximumProcessorCount(node: u16) -> u16 { if node == 0 { smp::online() as u16 } else { 0 } }

    /// Returns which processors make up cores: each is one by itself.
    [DISPATCH] fn KeQueryLogicalProcessorRelationship(processor: *const ProcessorNumber, relationship: i32, out: *mut u8, length: *mut u32) -> NTSTATUS {
        if !matches!(relationship, RELATION_CORE | RELATION_ALL) { return STATUS_NOT_SUPPORTED }
        let wanted = processor.as_ref().map(|one| usize::from(one.number));
        let numbers = (0..smp::online()).filter(|&number| wanted.is_none_or(|one| one == number));
        let needed = (numbers.clone().count() * size_of::<CoreInformation>()) as u32;
        let room = length.replace(needed);
        if out.is_null() || room < needed { return STATUS_INFO_LENGTH_MISMATCH }
        for (index, number) in numbers.enumerate() {
            out.cast::<CoreInformation>().add(index).write_unaligned(CoreInformation {
                relationship: RELATION_CORE,
                size: size_of::<CoreInformation>() as u32,
                flags: 0,
                efficiency_class: 0,
                reserved: [0; 20],
                group_count: 1,
                affinity: GroupAffinity { mask: 1 << number, group: GROUP, reserved: [0; 3] },
            });
        }
        STATUS_SUCCESS
    }

    /// Makes the running thread run on some processors only.
    [APC] fn KeSetSystemAffinityThread(mask: u64) { set("KeSetSystemAffinityThread", mask); }

    /// Makes the running thread run on some processors only. Returns what was set before, 0 if nothing was.
    [APC] fn KeSetSystemAffinityThreadEx(mask: u64) -> u64 { set("KeSetSystemAffinityThreadEx", mask) }

    /// Makes the running thread run on some processors of a group only.
    [APC] fn KeSetSystemGroupAffinityThread(affinity: *const GroupAffinity, before: *mut GroupAffinity) {
        let GroupAffinity { mask, group, .. } = *affinity;
        let old = set("KeSetSystemGroupAffinityThread", if group == GROUP { mask } else { u64::MAX << smp::online() });
        if let Some(before) = before.as_mut() { *before = GroupAffinity { mask: old, group: GROUP, reserved: [0; 3] } }
    }

    /// Lets the running thread run on all processors again.
    [APC] fn KeRevertToUserAffinityThread() { set("KeRevertToUserAffinityThread", 0); }

    /// Lets the running thread run where it did before, or on all processors (0).
    [APC] fn KeRevertToUserAffinityThreadEx(before: u64) { set("KeRevertToUserAffinityThreadEx", before); }

    /// Lets the running thread run where it did before.
    [APC] fn KeRevertToUserGroupAffinityThread(before: *const GroupAffinity) { set("KeRevertToUserGroupAffinityThread", (*before).mask); }

    /// Selects the processor that a deferred procedure call runs on.
    [ANY] fn KeSetTargetProcessorDpcEx(call: *mut KDPC, processor: *const ProcessorNumber) -> NTSTATUS {
        let ProcessorNumber { group, number, reserved } = *processor;
        if group != GROUP || reserved != 0 || usize::from(number) >= smp::online() { return STATUS_INVALID_PARAMETER }
        dpc::KeSetTargetProcessorDpc(call, number as i8);
        STATUS_SUCCESS
    }

    /// Returns the processors that an interrupt can come to.
    [PASSIVE] fn IoGetAffinityInterrupt(_interrupt: PVOID, affinity: *mut GroupAffinity) -> NTSTATUS {
        affinity.write(GroupAffinity { mask: 1 << (smp::online() - 1), group: GROUP, reserved: [0; 3] });
        STATUS_SUCCESS
    }

    /// Returns the node of a device.
    [PASSIVE] fn IoGetDeviceNumaNode(_device: PVOID, node: *mut u16) -> NTSTATUS {
        node.write(0);
        STATUS_SUCCESS
    }

    /// Lets writes reach memory: they are in order on this architecture.
    [ANY] fn KeFlushWriteBuffer() {}
}
