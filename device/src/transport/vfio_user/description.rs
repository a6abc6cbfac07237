//! The PCI function, as configuration space shows it.

use card_spec::PCI_VENDOR_ID;
use card_spec::registers::{
    BAR, BAR_BYTES, CLASS, COMMON, COMMON_BYTES, DEVICE, DEVICE_BYTES, DEVICE_ID, ISR, MSIX_BAR, MSIX_BAR_BYTES,
    MSIX_PENDING, NOTIFY, NOTIFY_BYTES, NOTIFY_MULTIPLIER, REVISION, STATUS_PAGE, STATUS_PAGE_BYTES, SUBSYSTEM_ID,
    SUBSYSTEM_VENDOR_ID, VECTORS,
};
use vfio_user_card::{Bar, Description, Msix, Widths};

/// Types of structures, `cfg_type` (virtio 1.2, section 4.1.4).
mod kind {
    /// `VIRTIO_PCI_CAP_COMMON_CFG`.
    pub(super) const COMMON: u8 = 1;
    /// `VIRTIO_PCI_CAP_NOTIFY_CFG`.
    pub(super) const NOTIFY: u8 = 2;
    /// `VIRTIO_PCI_CAP_ISR_CFG`.
    pub(super) const ISR: u8 = 3;
    /// `VIRTIO_PCI_CAP_DEVICE_CFG`.
    pub(super) const DEVICE: u8 = 4;
    /// `VIRTIO_PCI_CAP_PCI_CFG`.
    pub(super) const WINDOW: u8 = 5;
}

/// The vendor-specific capability that is a window to the BAR (`VIRTIO_PCI_CAP_PCI_CFG`), by its index.
pub(super) const WINDOW: usize = 4;

/// Bytes of the interrupt status (virtio 1.2, section 4.1.4.5).
const ISR_BYTES: u32 = 1;

/// Returns a `struct virtio_pci_cap` after its length (virtio 1.2, section 4.1.4).
fn capability(kind: u8, offset: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![kind, BAR, 0, 0, 0];
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes
}

/// Describes the function.
pub(super) fn describe() -> Description {
    let page = u64::from(STATUS_PAGE)..u64::from(STATUS_PAGE.saturating_add(STATUS_PAGE_BYTES));
    // Every access comes to the card, which diagnoses those that no register takes.
    let registers = Bar::memory_64(BAR_BYTES.into()).allow_unaligned(0..page.start, Widths::ALL).map(page);
    let mut notify = capability(kind::NOTIFY, NOTIFY, NOTIFY_BYTES);
    notify.extend_from_slice(&NOTIFY_MULTIPLIER.to_le_bytes());
    let mut window = capability(kind::WINDOW, 0, 0);
    window.extend_from_slice(&[0; 4]);
    // BAR, offset, length and data.
    let written = [0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let [base, sub, interface] = CLASS;
    let msix = Msix { vectors: VECTORS, bar: MSIX_BAR.into(), table: 0, pending: MSIX_PENDING.into() };
    Description::new(card_control::PROGRAM, PCI_VENDOR_ID, DEVICE_ID)
        .subsystem(SUBSYSTEM_VENDOR_ID, SUBSYSTEM_ID)
        .class(base, sub, interface)
        .revision(REVISION)
        .bar(BAR.into(), registers)
        .bar(MSIX_BAR.into(), Bar::memory_64(MSIX_BAR_BYTES.into()))
        .interrupt_pin()
        .msix(msix)
        .power_management()
        .express()
        .function_reset()
        .vendor_capability(&capability(kind::COMMON, COMMON, COMMON_BYTES), &[])
        .vendor_capability(&notify, &[])
        .vendor_capability(&capability(kind::ISR, ISR, ISR_BYTES), &[])
        .vendor_capability(&capability(kind::DEVICE, DEVICE, DEVICE_BYTES), &[])
        .vendor_capability(&window, &written)
}
