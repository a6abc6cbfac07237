//! The checksum of an image file.

/// Bytes of the field.
const FIELD_BYTES: usize = 4;

/// Computes the checksum of an image whose `CheckSum` field is at `field`: the sum with end-around carry of the file's
/// 16-bit words, the field's own counted as 0, and the file's length (PE Format, CheckSum).
pub(super) fn compute(file: &[u8], field: usize) -> u32 {
    let mut sum = 0_u32;
    for (index, word) in file.chunks(2).enumerate() {
        let at = index * 2;
        let byte = |offset: usize| match word.get(offset) {
            Some(byte) if !(field..field + FIELD_BYTES).contains(&(at + offset)) => u32::from(*byte),
            _ => 0,
        };
        sum += byte(0) | byte(1) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum.wrapping_add(file.len() as u32)
}
