//! The memory in a dump of 64 bits: physical pages, by the header's list of runs or by a bitmap, and the kernel's list of drivers in them.
//!
//! Layouts: `DUMP_HEADER64` of the Windows API's documentation, the bitmap's header as the crate `kdmp-parser` and Rekall have it, page tables as of
//! the Intel SDM, volume 3, 4.5. A dump comes from a guest: what it says is followed only so far.

use std::io::{Read, Seek, SeekFrom};

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Bytes of the header.
pub(super) const HEADER_BYTES: u64 = 0x2000;

/// The kinds of dump, in the header, whose memory is read: all of it by runs, and by a bitmap.
const DUMP_TYPE: usize = 0xf98;
const FULL: u64 = 1;
const BITMAP: [u64; 3] = [5, 6, 2];

/// The runs of physical memory in the header: their number, the first, and how many have room.
const RUNS: usize = 0x88;
const FIRST_RUN: usize = RUNS + 16;
const RUNS_MAX: u64 = 42;

/// The header of a bitmap behind that of the dump: its length, and where it says where the first page is and how many bits there are.
const BITMAP_HEADER: u64 = 0x38;
const FIRST_PAGE: usize = 0x20;
const BITS: usize = 0x30;

/// Most bytes of a bitmap that are read: one of 256 GiB of memory.
const BITMAP_BYTES_MAX: u64 = 8 << 20;

/// Most drivers that are looked at: a system has some two hundred.
const DRIVERS_MAX: usize = 1024;

/// Most bytes of a driver's name.
const NAME_BYTES_MAX: usize = 256;

/// Reads a number of some bytes, the least byte first.
pub(super) fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(length)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// Where a dump has its pages.
#[derive(Debug)]
enum Map {
    /// Runs: the first page, how many, and the first one's offset in the file.
    Runs(Vec<(u64, u64, u64)>),
    /// The offset of the first page, and a bit for each page of the machine that is there.
    Bitmap(u64, Vec<u8>),
}

/// The memory of a dump.
#[derive(Debug)]
pub(super) struct Memory<R> {
    file: R,
    map: Map,
    /// The physical address of the top-level page table.
    tables: u64,
    /// The virtual address of the head of the list of drivers.
    drivers: u64,
}

/// A driver in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Driver {
    /// The file's name.
    pub(super) name: String,
    /// The address of its image.
    pub(super) base: u64,
    /// The length of its image.
    pub(super) bytes: u64,
}

impl<R: Read + Seek> Memory<R> {
    /// Finds the pages of a dump by its header; `None` for a kind whose memory is not read.
    pub(super) fn of(header: &[u8], mut file: R) -> Option<Self> {
        let kind = number(header, DUMP_TYPE, 4)?;
        let map = if kind == FULL {
            let count = number(header, RUNS, 4)?.min(RUNS_MAX);
            let (mut runs, mut offset) = (Vec::new(), HEADER_BYTES);
            for at in (FIRST_RUN..).step_by(16).take(count as usize) {
                let (first, pages) = (number(header, at, 8)?, number(header, at + 8, 8)?);
                runs.push((first, pages, offset));
                offset = offset.checked_add(pages.checked_mul(PAGE)?)?;
            }
            Map::Runs(runs)
        } else if BITMAP.contains(&kind) {
            let mut own = [0; BITMAP_HEADER as usize];
            file.seek(SeekFrom::Start(HEADER_BYTES)).ok()?;
            file.read_exact(&mut own).ok()?;
            let is_known = matches!(&own[..8], b"SDMPDUMP" | b"FDMPDUMP");
            let (first, bits) = (number(&own, FIRST_PAGE, 8)?, number(&own, BITS, 8)?);
            let mut bitmap = Vec::new();
            (&mut file).take(bits.div_ceil(8).min(BITMAP_BYTES_MAX)).read_to_end(&mut bitmap).ok()?;
            Map::Bitmap(first, Some(bitmap).filter(|_| is_known)?)
        } else {
            return None;
        };
        Some(Self { file, map, tables: number(header, 0x10, 8)?, drivers: number(header, 0x20, 8)? })
    }

    /// Reads what is at a physical address, which does not leave its page.
    fn physical(&mut self, address: u64, buffer: &mut [u8]) -> Option<()> {
        let page = address / PAGE;
        let offset = match &self.map {
            Map::Runs(runs) => runs.iter().find_map(|(first, pages, offset)| {
                let index = page.checked_sub(*first).filter(|index| index < pages)?;
                offset.checked_add(index * PAGE)
            })?,
            Map::Bitmap(first, bits) => {
                let (byte, bit) = (usize::try_from(page / 8).ok()?, page % 8);
                let own = *bits.get(byte)?;
                if own >> bit & 1 == 0 {
                    return None;
                }
                let before: u64 = bits[..byte].iter().map(|byte| u64::from(byte.count_ones())).sum();
                let in_own = u64::from((own & ((1_u16 << bit) - 1) as u8).count_ones());
                first.checked_add((before + in_own) * PAGE)?
            }
        };
        self.file.seek(SeekFrom::Start(offset.checked_add(address % PAGE)?)).ok()?;
        self.file.read_exact(buffer).ok()
    }

    /// Translates a virtual address by the four levels of tables.
    fn translate(&mut self, address: u64) -> Option<u64> {
        const FRAME: u64 = 0x000f_ffff_ffff_f000;
        let mut table = self.tables & FRAME;
        for level in (0..4_u32).rev() {
            let mut entry = [0; 8];
            let shift = 12 + 9 * level;
            self.physical(table + (address >> shift & 0x1ff) * 8, &mut entry)?;
            let entry = u64::from_le_bytes(entry);
            if entry & 1 == 0 {
                return None;
            }
            let is_large = entry & 0x80 != 0 && (level == 1 || level == 2);
            if level == 0 || is_large {
                let within = (1_u64 << shift) - 1;
                return Some(entry & FRAME & !within | address & within);
            }
            table = entry & FRAME;
        }
        None
    }

    /// Reads what is at a virtual address.
    fn virtual_bytes(&mut self, mut address: u64, buffer: &mut [u8]) -> Option<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            let length = rest.len().min((PAGE - address % PAGE) as usize);
            let (now, later) = rest.split_at_mut(length);
            let physical = self.translate(address)?;
            self.physical(physical, now)?;
            (rest, address) = (later, address.checked_add(length as u64)?);
        }
        Some(())
    }

    /// Returns the driver whose image has an address, by the kernel's list of drivers.
    pub(super) fn driver_of(&mut self, address: u64) -> Option<Driver> {
        let mut link = [0; 8];
        self.virtual_bytes(self.drivers, &mut link)?;
        let mut next = u64::from_le_bytes(link);
        for _ in 0..DRIVERS_MAX {
            if next == self.drivers {
                return None;
            }
            // KLDR_DATA_TABLE_ENTRY: links, base, length, full and base name.
            let mut entry = [0; 0x68];
            self.virtual_bytes(next, &mut entry)?;
            let (base, bytes) = (number(&entry, 0x30, 8)?, number(&entry, 0x40, 4)?);
            if address.checked_sub(base).is_some_and(|offset| offset < bytes) {
                let mut name = vec![0; (number(&entry, 0x58, 2)? as usize).min(NAME_BYTES_MAX) & !1];
                self.virtual_bytes(number(&entry, 0x60, 8)?, &mut name)?;
                let units: Vec<u16> = name.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
                return Some(Driver { name: String::from_utf16_lossy(&units), base, bytes });
            }
            next = number(&entry, 0, 8)?;
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    /// Where the tests' driver is.
    pub(crate) const BASE: u64 = 0xffff_f800_1000_0000;

    /// The virtual address of the page with the list.
    const LIST: u64 = 0xffff_f800_0000_0000;

    /// Returns the pages of a machine: four levels of tables from page 16 on, and a page with a list of one driver, `my.sys`.
    fn pages() -> Vec<u8> {
        let mut pages = vec![0; 5 * PAGE as usize];
        let mut put = |at: usize, value: u64| pages[at..at + 8].copy_from_slice(&value.to_le_bytes());
        for (level, shift) in [39, 30, 21, 12].into_iter().enumerate() {
            put(level * 4096 + (LIST >> shift & 0x1ff) as usize * 8, (17 + level as u64) << 12 | 3);
        }
        let list = 4 * 4096;
        put(list, LIST + 0x100);
        for (at, value) in [(0, LIST), (0x30, BASE), (0x40, 0x5000), (0x58, 12), (0x60, LIST + 0x200)] {
            put(list + 0x100 + at, value);
        }
        let name: Vec<u8> = "my.sys".encode_utf16().flat_map(u16::to_le_bytes).collect();
        pages[list + 0x200..list + 0x200 + name.len()].copy_from_slice(&name);
        pages
    }

    /// Returns a dump with these pages, by runs or by a bitmap, with code 0xd1 at an address of the driver.
    pub(crate) fn dump(by_bitmap: bool) -> Vec<u8> {
        let mut dump = vec![0; HEADER_BYTES as usize];
        dump[..8].copy_from_slice(b"PAGEDU64");
        let mut put = |at: usize, value: u64| dump[at..at + 8].copy_from_slice(&value.to_le_bytes());
        for (at, value) in
            [(0x10, 16 << 12), (0x20, LIST), (0x38, 0xd1), (0x40, 0x10), (0x48, 2), (0x58, BASE + 0x1234)]
        {
            put(at, value);
        }
        put(DUMP_TYPE, if by_bitmap { 5 } else { 1 });
        if by_bitmap {
            let first = HEADER_BYTES + BITMAP_HEADER + 4;
            let mut own = [0; BITMAP_HEADER as usize];
            own[..8].copy_from_slice(b"SDMPDUMP");
            own[FIRST_PAGE..FIRST_PAGE + 8].copy_from_slice(&(first + PAGE).to_le_bytes());
            own[BITS..BITS + 8].copy_from_slice(&32_u64.to_le_bytes());
            dump.extend(own);
            // A page that nothing here needs is before them.
            dump.extend([0x80, 0, 0x1f, 0]);
            dump.resize((first + 2 * PAGE) as usize, 0);
        } else {
            put(RUNS, 2);
            for (at, value) in [(0, 1), (8, 1), (16, 16), (24, 5)] {
                put(FIRST_RUN + at, value);
            }
            dump.resize((HEADER_BYTES + PAGE) as usize, 0);
        }
        dump.extend(pages());
        dump
    }

    fn memory(dump: &[u8]) -> Option<Memory<Cursor<&[u8]>>> {
        Memory::of(&dump[..HEADER_BYTES as usize], Cursor::new(dump))
    }

    #[test]
    fn finds_the_driver_of_an_address_by_runs_and_by_a_bitmap() {
        for by_bitmap in [false, true] {
            let dump = dump(by_bitmap);
            let mut memory = memory(&dump).unwrap();
            let expected = Driver { name: "my.sys".into(), base: BASE, bytes: 0x5000 };
            assert_eq!(memory.driver_of(BASE + 0x1234), Some(expected), "{by_bitmap}");
            assert_eq!(memory.driver_of(BASE + 0x5000), None);
            assert_eq!(memory.driver_of(0), None);
        }
    }

    #[test]
    fn follows_no_list_without_an_end_and_no_table_that_is_not_there() {
        let mut circular = dump(false);
        let list = circular.len() - PAGE as usize;
        circular[list + 0x100..list + 0x108].copy_from_slice(&(LIST + 0x100).to_le_bytes());
        assert_eq!(memory(&circular).unwrap().driver_of(1), None);
        let good = dump(true);
        for at in (0..0x100).chain(DUMP_TYPE..DUMP_TYPE + 4).chain(HEADER_BYTES as usize..HEADER_BYTES as usize + 0x3c)
        {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            if let Some(mut memory) = memory(&bad) {
                let _ = memory.driver_of(BASE + 1);
            }
        }
        for length in (HEADER_BYTES as usize..good.len()).step_by(509) {
            if let Some(mut memory) = memory(&good[..length]) {
                let _ = memory.driver_of(BASE + 1);
            }
        }
    }
}
