//! Finds the virtio structures of a PCI function (virtio 1.2, section 4.1.4) in its configuration space, which is not
//! trusted.

use crate::log::Reason;

/// The conventional 256 bytes of a function's configuration space.
pub trait ConfigSpace {
    /// Reads four bytes at a multiple of four below 256.
    fn read32(&mut self, offset: u8) -> u32;
}

/// A virtio structure in a BAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// The BAR, 0 to 5.
    pub bar: u8,
    /// Its offset in the BAR.
    pub offset: u32,
    /// Its length.
    pub length: u32,
}

/// The structures that the driver uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// Common configuration.
    pub common: Structure,
    /// Notification area.
    pub notify: Structure,
    /// Bytes by which a queue's notification offset is multiplied (virtio 1.2, section 4.1.4.4).
    pub notify_multiplier: u32,
    /// Interrupt status.
    pub isr: Structure,
    /// Device configuration.
    pub device: Structure,
}

/// The address in a BAR's register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The bus address.
    pub address: u64,
}

/// Why the structures of the card were not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciError {
    /// The function does not answer: configuration space reads all ones.
    Absent,
    /// It is another function.
    OtherFunction {
        /// Its vendor id.
        vendor: u16,
        /// Its device id.
        device: u16,
    },
    /// There is no capability list.
    NoCapabilities,
    /// The capability list is longer than configuration space or leads outside it.
    BadCapabilityList,
    /// This structure is missing, or shorter than the specification has it.
    Missing(&'static str),
}

impl From<PciError> for Reason {
    fn from(error: PciError) -> Self {
        match error {
            PciError::Absent => Reason::plain("configuration space reads all ones"),
            PciError::OtherFunction { vendor, device } => {
                Reason::with_two("another vendor or device", vendor.into(), device.into())
            }
            PciError::NoCapabilities => Reason::plain("it has no capability list"),
            PciError::BadCapabilityList => Reason::plain("its capability list does not end"),
            PciError::Missing(what) => Reason::plain(what),
        }
    }
}

/// Bytes of the common configuration that the driver uses (virtio 1.2, section 4.1.4.3), without the fields of later
/// versions.
const COMMON_BYTES: u32 = 56;

/// The device ids that the card has: that of its virtio id, and its own where it is a PCI function of its own.
const DEVICE_IDS: [u16; 2] = [card_spec::PCI_DEVICE_ID, card_spec::registers::DEVICE_ID];

/// `PCI_CAP_ID_VNDR`.
const VENDOR_CAPABILITY: u8 = 0x09;

/// A capability takes at least four bytes of the 192 after the header: more in a list means a loop.
const CAPABILITIES_MAX: usize = 48;

/// Finds the structures of the card.
///
/// Takes the first capability of each type that the driver can use (section 4.1.4.1), and passes over those that name a
/// reserved BAR or are too short.
///
/// # Errors
/// [`PciError::Absent`] or [`PciError::OtherFunction`] when the function is not the card; [`PciError::NoCapabilities`]
/// or [`PciError::BadCapabilityList`] when there is no usable list; [`PciError::Missing`] when the list has no usable
/// structure of a type.
pub fn find(config: &mut impl ConfigSpace) -> Result<Structures, PciError> {
    let id = config.read32(0);
    let (vendor, device) = (id as u16, (id >> 16) as u16);
    if vendor == 0xffff {
        return Err(PciError::Absent);
    }
    if vendor != card_spec::PCI_VENDOR_ID || !DEVICE_IDS.contains(&device) {
        return Err(PciError::OtherFunction { vendor, device });
    }
    let has_list = config.read32(0x04) & 0x0010_0000 != 0;
    if !has_list {
        return Err(PciError::NoCapabilities);
    }

    let (mut common, mut notify, mut isr, mut device) = (None, None, None, None);
    let mut at = config.read32(0x34) as u8 & !3;
    for seen in 0.. {
        if at == 0 {
            break;
        }
        if at < 0x40 || seen == CAPABILITIES_MAX {
            return Err(PciError::BadCapabilityList);
        }
        let head = config.read32(at);
        let [id, next, bytes, kind] = head.to_le_bytes();
        if id == VENDOR_CAPABILITY && bytes >= 16 && at <= 0xf0 {
            let structure = Structure {
                bar: config.read32(at + 4) as u8,
                offset: config.read32(at + 8),
                length: config.read32(at + 12),
            };
            if structure.bar < 6 && structure.offset.checked_add(structure.length).is_some() {
                match kind {
                    1 if structure.length >= COMMON_BYTES => _ = common.get_or_insert(structure),
                    2 if bytes >= 20 && at <= 0xec && structure.length >= 2 => {
                        let multiplier = config.read32(at + 16);
                        notify.get_or_insert((structure, multiplier));
                    }
                    3 if structure.length >= 1 => _ = isr.get_or_insert(structure),
                    4 if structure.length as usize >= size_of::<card_spec::identity::IdentityBlock>() => {
                        device.get_or_insert(structure);
                    }
                    _ => {}
                }
            }
        }
        at = next & !3;
    }

    let (notify, notify_multiplier) = notify.ok_or(PciError::Missing("notification"))?;
    Ok(Structures {
        common: common.ok_or(PciError::Missing("common configuration"))?,
        notify,
        notify_multiplier,
        isr: isr.ok_or(PciError::Missing("interrupt status"))?,
        device: device.ok_or(PciError::Missing("device configuration"))?,
    })
}

/// Reads the address of a BAR. `None`: it is not a memory BAR.
pub fn bar(config: &mut impl ConfigSpace, index: u8) -> Option<Bar> {
    if index >= 6 {
        return None;
    }
    let low = config.read32(0x10 + 4 * index);
    if low & 1 != 0 || low == 0 || low == u32::MAX {
        return None;
    }
    let wide = low & 0b110 == 0b100;
    let high = if wide && index < 5 { config.read32(0x14 + 4 * index) } else { 0 };
    Some(Bar { address: u64::from(high) << 32 | u64::from(low & !0xf) })
}
