//! The hash of `RtlHashUnicodeString`.

/// Returns `HASH_STRING_ALGORITHM_X65599` of a string: the one algorithm that there is, and the default.
#[must_use]
pub fn x65599(units: impl Iterator<Item = u16>) -> u32 {
    const FACTOR: u32 = 65_599;
    units.fold(0, |hash, unit| hash.wrapping_mul(FACTOR).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_the_hash_by_65599_for_each_character() {
        assert_eq!(x65599([].into_iter()), 0);
        assert_eq!(x65599([7].into_iter()), 7);
        assert_eq!(x65599([7, 9].into_iter()), 7 * 65_599 + 9);
        assert_eq!(x65599([u16::MAX; 8].into_iter()), x65599([u16::MAX; 8].into_iter()));
        assert_ne!(x65599("ab".encode_utf16()), x65599("ba".encode_utf16()));
    }
}
