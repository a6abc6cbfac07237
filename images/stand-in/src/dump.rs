//! The dump that the stand-in leaves where it shows a blue screen: a crash dump of 64 bits whose memory is page tables and the kernel's list of
//! drivers, with one driver in it, at whose entry the bug check is.
//!
//! Layout: `DUMP_HEADER64` of the Windows API's documentation; `KLDR_DATA_TABLE_ENTRY` as public dump readers have it.

use alloc::vec;
use alloc::vec::Vec;

/// The bug check of the dump: `DRIVER_IRQL_NOT_LESS_OR_EQUAL`, at IRQL 2, for a read of 0x10.
const CODE: u64 = 0xd1;
const READ_AT: u64 = 0x10;
const IRQL: u64 = 2;

/// Bytes of the header, and of a page.
const HEADER_BYTES: usize = 0x2000;
const PAGE: usize = 4096;

/// The first page that the dump has, where the page tables begin, and how many it has.
const FIRST_PAGE: u64 = 16;
const PAGES: usize = 5;

/// The virtual addresses of the list and of the driver's image.
const LIST: u64 = 0xffff_f800_0000_0000;
const BASE: u64 = 0xffff_f800_1000_0000;

/// How far behind its entry the driver is: a stack's addresses are behind their calls.
const BEHIND_ENTRY: u64 = 8;

/// Returns the offset of a driver image's entry, and the length of the image in memory; `None` for what is no image (Microsoft's PE format).
#[must_use]
pub fn entry_of(image: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_le_bytes(image.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let optional = usize::try_from(number(0x3c)?).ok()?.checked_add(24)?;
    Some((number(optional.checked_add(16)?)?, number(optional.checked_add(56)?)?))
}

/// Returns the dump of a bug check at the entry of a driver of a name, by its [`entry_of`].
#[must_use]
pub fn dump(name: &str, (entry, bytes): (u32, u32)) -> Vec<u8> {
    let mut dump = vec![0; HEADER_BYTES + PAGES * PAGE];
    dump[..8].copy_from_slice(b"PAGEDU64");
    let mut put = |at: usize, value: u64| dump[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0x08, 26100 << 32 | 15);
    put(0x10, FIRST_PAGE << 12);
    put(0x20, LIST);
    put(0x30, 1 << 32 | 0x8664);
    for (at, value) in [(0x38, CODE), (0x40, READ_AT), (0x48, IRQL), (0x58, BASE + u64::from(entry) + BEHIND_ENTRY)] {
        put(at, value);
    }
    // One run of memory, all of which is there.
    for (at, value) in [(0x88, 1), (0x90, PAGES as u64), (0x98, FIRST_PAGE), (0xa0, PAGES as u64), (0xf98, 1)] {
        put(at, value);
    }
    for (level, shift) in [39, 30, 21, 12].into_iter().enumerate() {
        let slot = (LIST >> shift & 0x1ff) as usize * 8;
        put(HEADER_BYTES + level * PAGE + slot, (FIRST_PAGE + 1 + level as u64) << 12 | 3);
    }
    let list = HEADER_BYTES + 4 * PAGE;
    put(list, LIST + 0x100);
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (at, value) in [(0, LIST), (0x30, BASE), (0x40, bytes.into()), (0x58, name.len() as u64), (0x60, LIST + 0x200)]
    {
        put(list + 0x100 + at, value);
    }
    dump[list + 0x200..list + 0x200 + name.len()].copy_from_slice(&name);
    dump
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_entry_of_an_image_and_none_of_what_is_no_image() {
        let mut image = vec![0; 256];
        image[0x3c] = 64;
        image[64 + 24 + 16] = 0x10;
        image[64 + 24 + 57] = 0x50;
        assert_eq!(entry_of(&image), Some((0x10, 0x5000)));
        assert_eq!(entry_of(&image[..100]), None);
        image[0x3c..0x40].fill(0xff);
        assert_eq!(entry_of(&image), None);
        assert_eq!(entry_of(b"MZ"), None);
    }

    #[test]
    fn the_dump_has_its_address_at_the_drivers_entry() {
        let dump = dump("my.sys", (0x1000, 0x5000));
        assert_eq!(dump.len(), HEADER_BYTES + PAGES * PAGE);
        assert_eq!(dump[0x58..0x60], (BASE + 0x1008).to_le_bytes());
    }
}
