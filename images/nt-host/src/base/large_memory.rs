//! Lengths of memory resources of 4 GiB and more, which descriptors hold in coarser units (`RtlCmEncodeMemIoResource`).

/// `CmResourceTypePort`.
pub const PORT: u8 = 1;
/// `CmResourceTypeMemory`.
pub const MEMORY: u8 = 3;
/// `CmResourceTypeMemoryLarge`.
pub const MEMORY_LARGE: u8 = 7;
/// The flags of a large memory resource, each with the bits that its length is shifted by: `CM_RESOURCE_MEMORY_LARGE_40`,
/// `_48` and `_64`.
pub const LARGE: [(u16, u32); 3] = [(0x200, 8), (0x400, 16), (0x800, 32)];
/// All of them.
pub const LARGE_FLAGS: u16 = 0xe00;

/// Returns the flag and the shift for a length, which must fit exactly; `None` for the flag of one below 4 GiB.
#[must_use]
pub fn encoding(length: u64) -> Option<(Option<u16>, u32)> {
    if u32::try_from(length).is_ok() {
        return Some((None, 0));
    }
    let fits = |&(_, shift): &(u16, u32)| length.trailing_zeros() >= shift && u32::try_from(length >> shift).is_ok();
    LARGE.into_iter().find(fits).map(|(flag, shift)| (Some(flag), shift))
}

/// Returns the least length from `length` on that a descriptor can hold.
#[must_use]
pub fn closest(length: u64) -> Option<u64> {
    if u32::try_from(length).is_ok() {
        return Some(length);
    }
    LARGE.into_iter().find_map(|(_, shift)| {
        let rounded = length.checked_next_multiple_of(1 << shift)?;
        u32::try_from(rounded >> shift).ok().map(|_| rounded)
    })
}

/// Returns the shift of a descriptor's lengths by its kind and flags.
#[must_use]
pub fn shift(kind: u8, flags: u16) -> u32 {
    if kind != MEMORY_LARGE {
        return 0;
    }
    LARGE.into_iter().find(|(flag, _)| flags & LARGE_FLAGS == *flag).map_or(0, |(_, shift)| shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_from_4_gib_on_are_held_in_coarser_units() {
        assert_eq!(encoding(0x1000), Some((None, 0)));
        assert_eq!(encoding(1 << 32), Some((Some(0x200), 8)));
        assert_eq!(encoding(1 << 41), Some((Some(0x400), 16)));
        assert_eq!(encoding((1 << 32) + 1), None);
        assert_eq!(closest((1 << 32) + 1), Some((1 << 32) + 256));
        assert_eq!(closest(u64::MAX), None);
    }

    #[test]
    fn the_flag_gives_the_shift_back() {
        for length in [0x1000, 1 << 32, 3 << 40, 1 << 62] {
            let (flag, bits) = encoding(length).unwrap();
            assert_eq!(shift(if flag.is_some() { MEMORY_LARGE } else { MEMORY }, flag.unwrap_or(0)), bits);
        }
        assert_eq!(shift(PORT, 0xe00), 0);
    }
}
