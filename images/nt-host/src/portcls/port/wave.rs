//! What `IPortWaveCyclic` and `IPortWavePci` add to `IPort`: notification of a service group, and DMA channels.

#![allow(unsafe_code, reason = "drivers call the port through its vtables")]

use alloc::format;

use super::adapter;
use super::interface::This;
use crate::contract::ports;
use crate::contract::violation::{Violation, violation};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER};
use crate::nt::{CM_RESOURCE_TYPE_DMA, DEVICE_DESCRIPTION, NTSTATUS, PVOID};
use crate::portcls::com::object::{Slot, object};
use crate::portcls::com::slots;
use crate::portcls::kernel::{self, irql};
use crate::portcls::services::{resources, statistics};

/// `DEVICE_DESCRIPTION_VERSION` (wdm.h).
const DESCRIPTION_VERSION: u32 = 0;

/// `PCIBus` and `Isa` of `INTERFACE_TYPE` (wdm.h).
const PCI_BUS: i32 = 5;
const ISA: i32 = 1;

/// `Width8Bits` and `Width16Bits` of `DMA_WIDTH` (wdm.h).
const WIDTH_8_BITS: i32 = 0;
const WIDTH_16_BITS: i32 = 1;

/// The first channel of the system's DMA controller that moves 16 bits at once.
const FIRST_WIDE_CHANNEL: u32 = 5;

/// Bit of `POOL_TYPE` that all kinds of paged pool have (wdm.h: `PagedPool` 1).
const PAGED: i32 = 1;

/// The methods of `IPortWaveCyclic` after those of `IPort`.
pub(super) const CYCLIC: [Slot; 3] = [
    Slot(notify as *const ()),
    Slot(new_slave_dma_channel as *const ()),
    Slot(new_cyclic_master_dma_channel as *const ()),
];

/// The methods of `IPortWavePci` after those of `IPort`.
pub(super) const PCI: [Slot; 2] = [Slot(notify as *const ()), Slot(new_pci_master_dma_channel as *const ())];

/// Requests service of a group. At any IRQL: interrupt service routines call it.
unsafe extern "win64" fn notify(this: This, group: PVOID) {
    statistics::NOTIFICATIONS.add(1);
    if group.is_null() {
        // SAFETY: the caller holds a reference to the port.
        let name = unsafe { object(this) }.kind().port_name();
        violation(
            &format!("{name}::Notify"),
            Violation::new(
                ports::NOTIFIED_GROUP,
                "ServiceGroup is NULL",
                "name the service group of the stream whose interrupt it was; only IPortDMus and IPortMidi take NULL for all",
            ),
        );
        return;
    }
    ports::NOTIFIED_GROUP.held();
    // SAFETY: the caller holds a reference to the group.
    unsafe { slots::request_service_at_any_irql(group) };
}

/// Returns the description of a device that is a bus master.
fn master(longest: u32, bits32: u8, bits64: u8) -> DEVICE_DESCRIPTION {
    DEVICE_DESCRIPTION {
        Version: DESCRIPTION_VERSION,
        Master: 1,
        ScatterGather: 1,
        DemandMode: 0,
        AutoInitialize: 0,
        Dma32BitAddresses: u8::from(bits32 != 0),
        IgnoreCount: 0,
        Reserved1: 0,
        Dma64BitAddresses: u8::from(bits64 != 0),
        BusNumber: 0,
        DmaChannel: 0,
        InterfaceType: PCI_BUS,
        DmaWidth: 0,
        DmaSpeed: 0,
        MaximumLength: longest,
        DmaPort: 0,
    }
}

/// Makes a channel for the device that the port was initialised for.
unsafe fn new_channel(
    this: This,
    method: &'static str,
    out: PVOID,
    outer: PVOID,
    description: &mut DEVICE_DESCRIPTION,
) -> NTSTATUS {
    // SAFETY: the caller holds a reference to the port.
    let port = unsafe { object(this) };
    irql::passive(port.kind().port_name(), method);
    let Some(fdo) = port.device() else { return STATUS_INVALID_DEVICE_REQUEST };
    // SAFETY: the caller's out parameter.
    unsafe { adapter::services().dma_channel(fdo, (out.cast(), outer), description) }
}

/// Makes a channel of the system's DMA controller, which the resource list names.
unsafe extern "win64" fn new_slave_dma_channel(
    this: This,
    out: PVOID,
    outer: PVOID,
    list: PVOID,
    index: u32,
    longest: u32,
    demand_mode: u8,
    speed: i32,
) -> NTSTATUS {
    let entry = resources::list(list).and_then(|list| list.translated(i32::from(CM_RESOURCE_TYPE_DMA), index));
    let Some(entry) = entry else {
        kernel::warn(format_args!("IPortWaveCyclic::NewSlaveDmaChannel: the resource list has no DMA channel {index}"));
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: plain numbers; a descriptor of type CmResourceTypeDma begins with its channel (wdm.h).
    let channel = unsafe { entry.u.DevicePrivate }[0];
    let mut description = DEVICE_DESCRIPTION {
        Master: 0,
        ScatterGather: 0,
        DemandMode: u8::from(demand_mode != 0),
        AutoInitialize: 1,
        InterfaceType: ISA,
        DmaChannel: channel,
        DmaWidth: if channel < FIRST_WIDE_CHANNEL { WIDTH_8_BITS } else { WIDTH_16_BITS },
        DmaSpeed: speed,
        ..master(longest, 0, 0)
    };
    // SAFETY: the caller's port and out parameter.
    unsafe { new_channel(this, "NewSlaveDmaChannel", out, outer, &mut description) }
}

/// Makes a channel of a bus master with one cyclic buffer. Resource list, width and speed are documented as not used.
unsafe extern "win64" fn new_cyclic_master_dma_channel(
    this: This,
    out: PVOID,
    outer: PVOID,
    _list: PVOID,
    longest: u32,
    bits32: u8,
    bits64: u8,
    _width: i32,
    _speed: i32,
) -> NTSTATUS {
    // SAFETY: the caller's port and out parameter.
    unsafe { new_channel(this, "NewMasterDmaChannel", out, outer, &mut master(longest, bits32, bits64)) }
}

/// Makes a channel of a bus master with scatter-gather DMA. Resource list, width, speed and port are documented as not
/// used.
unsafe extern "win64" fn new_pci_master_dma_channel(
    this: This,
    out: PVOID,
    outer: PVOID,
    pool: i32,
    _list: PVOID,
    scatter_gather: u8,
    bits32: u8,
    bits64: u8,
    ignore_count: u8,
    _width: i32,
    _speed: i32,
    longest: u32,
    _dma_port: u32,
) -> NTSTATUS {
    if pool & PAGED != 0 || scatter_gather == 0 {
        violation(
            "IPortWavePci::NewMasterDmaChannel",
            Violation::new(
                ports::DMA_CHANNEL_POOL,
                format!("PoolType is {pool}, and ScatterGather {scatter_gather}"),
                "pass a nonpaged pool type (methods of the channel are called at DISPATCH_LEVEL) and ScatterGather TRUE",
            ),
        );
        return STATUS_INVALID_PARAMETER;
    }
    ports::DMA_CHANNEL_POOL.held();
    let mut description = DEVICE_DESCRIPTION { IgnoreCount: ignore_count, ..master(longest, bits32, bits64) };
    // SAFETY: the caller's port and out parameter.
    unsafe { new_channel(this, "NewMasterDmaChannel", out, outer, &mut description) }
}
