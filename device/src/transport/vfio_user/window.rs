//! The window to the BAR in configuration space (`VIRTIO_PCI_CAP_PCI_CFG`; virtio 1.2, section 4.1.4.9), for firmware that
//! maps no BARs.

use std::ops::Range;

use card_spec::registers::BAR;

/// Where BAR, offset, length and data are in the capability, after its length.
const PLACE_BAR: usize = 1;
const PLACE_OFFSET: usize = 5;
const PLACE_LENGTH: usize = 9;
const PLACE_DATA: usize = 13;

/// An access to BAR 0 that the driver has described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) offset: u64,
    pub(super) width: usize,
}

/// Returns the access, if the bytes of the capability that are read or written reach its data, and describe one.
pub(super) fn of(bytes: &[u8], reached: &Range<usize>) -> Option<Window> {
    if reached.end <= PLACE_DATA || bytes.get(PLACE_BAR) != Some(&BAR) {
        return None;
    }
    let word =
        |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map(|word| u32::from_le_bytes(*word));
    let width = word(PLACE_LENGTH)? as usize;
    matches!(width, 1 | 2 | 4).then_some(Window { offset: word(PLACE_OFFSET)?.into(), width })
}

/// Returns the data.
pub(super) fn data(bytes: &[u8]) -> u32 {
    bytes.get(PLACE_DATA..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |word| u32::from_le_bytes(*word))
}

/// Replaces the data.
pub(super) fn set_data(bytes: &mut [u8], value: u32) {
    if let Some(data) = bytes.get_mut(PLACE_DATA..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *data = value.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(bar: u8, offset: u32, length: u32) -> Vec<u8> {
        [&[5, bar, 0, 0, 0][..], &offset.to_le_bytes(), &length.to_le_bytes(), &[1, 2, 3, 4]].concat()
    }

    #[test]
    fn describes_an_access_when_its_data_is_reached() {
        let bytes = capability(BAR, 0x14, 1);
        assert_eq!(of(&bytes, &(13..14)), Some(Window { offset: 0x14, width: 1 }));
        assert_eq!(of(&bytes, &(0..17)), Some(Window { offset: 0x14, width: 1 }));
        assert_eq!(of(&bytes, &(0..13)), None);
        assert_eq!(of(&capability(BAR + 1, 0, 4), &(13..17)), None);
        assert_eq!(of(&capability(BAR, 0, 3), &(13..17)), None);
        assert_eq!(data(&bytes), 0x0403_0201);
    }
}
