//! Which headers a kernel loads, and how sections get into memory; each refusal by "PE Format".

use alloc::string::ToString;

use super::{BASE, Builder, DATA, FILE_ALIGNMENT, TEXT};
use crate::pe::{DriverImage, ImageError};

const OPTIONAL: usize = Builder::OPTIONAL;
/// The section headers of `.text` and `.data`, and their fields.
const TEXT_HEADER: usize = Builder::SECTIONS;
const DATA_HEADER: usize = Builder::SECTIONS + 40;
const VIRTUAL_SIZE: usize = 8;
const VIRTUAL_ADDRESS: usize = 12;
const RAW_SIZE: usize = 16;
const RAW_POINTER: usize = 20;
/// Fields of the optional header.
const IMAGE_BASE: usize = OPTIONAL + 24;
const SECTION_ALIGNMENT: usize = OPTIONAL + 32;
const FILE_ALIGNMENT_FIELD: usize = OPTIONAL + 36;
const SIZE_OF_IMAGE: usize = OPTIONAL + 56;
const SIZE_OF_HEADERS: usize = OPTIONAL + 60;
const CHECKSUM: usize = OPTIONAL + 64;

fn built(change: impl FnOnce(&mut Builder)) -> Builder {
    let mut builder = Builder::new();
    change(&mut builder);
    builder
}

fn refusal(change: impl FnOnce(&mut Builder)) -> alloc::string::String {
    DriverImage::parse(&built(change).file).err().expect("the image is refused").to_string()
}

fn memory(builder: &Builder) -> alloc::vec::Vec<u8> {
    DriverImage::parse(&builder.file).unwrap().lay_out(BASE, 1, |_| Some(1)).unwrap()
}

#[test]
fn a_section_without_a_virtual_size_takes_its_size_in_the_file() {
    let builder = built(|b| {
        b.u32(DATA_HEADER + VIRTUAL_SIZE, 0);
    });
    let image = DriverImage::parse(&builder.file).unwrap();
    assert_eq!(image.sections()[1].range, DATA..0x3000);
    // Imports, relocations and the cookie are in it.
    assert_eq!(image.imports().unwrap().len(), 2);
    let memory = memory(&builder);
    assert_eq!(memory[DATA as usize + 0x1ff], builder.file[2 * FILE_ALIGNMENT + 0x1ff]);
    assert_eq!(memory.len(), 0x3000);
}

#[test]
fn the_tail_of_a_sections_last_page_is_mapped_from_the_file() {
    // The section says that 0x100 bytes count; the file has 0x200.
    let mut builder = built(|b| {
        b.u32(TEXT_HEADER + VIRTUAL_SIZE, 0x100);
    });
    builder.file[FILE_ALIGNMENT + 0x1f0] = 0x5a;
    let memory = memory(&builder);
    assert_eq!(memory[TEXT as usize + 0x1f0], 0x5a);
    assert_eq!(memory[TEXT as usize + 0x200], 0, "behind the file's part is zero");
}

#[test]
fn no_more_than_a_sections_pages_are_mapped_from_the_file() {
    // 0x1200 bytes in the file, of which one page is the section.
    let mut builder = built(|b| {
        b.u32(DATA_HEADER + VIRTUAL_SIZE, 0x200).u32(DATA_HEADER + RAW_SIZE, 0x1200);
        b.file.resize(2 * FILE_ALIGNMENT + 0x1200, 0x77);
    });
    builder.file[2 * FILE_ALIGNMENT + 0xfff] = 0x66;
    let memory = memory(&builder);
    assert_eq!(memory.len(), 0x3000);
    assert_eq!(memory[DATA as usize + 0xfff], 0x66);
}

#[test]
fn uninitialised_data_are_zero_whatever_size_the_file_claims() {
    let builder = built(|b| {
        b.u16(0x46, 3).u32(SIZE_OF_IMAGE, 0x5000);
        let header = Builder::SECTIONS + 80;
        b.put(header, b".bss\0\0\0\0").u32(header + VIRTUAL_SIZE, 0x1800).u32(header + VIRTUAL_ADDRESS, 0x3000);
        b.u32(header + RAW_SIZE, 0x4000).u32(header + RAW_POINTER, 0).u32(header + 36, 0xc000_0080);
    });
    let memory = memory(&builder);
    assert!(memory[0x3000..0x5000].iter().all(|byte| *byte == 0));
    assert_eq!(DriverImage::parse(&builder.file).unwrap().sections()[2].range, 0x3000..0x5000);
}

#[test]
fn sections_may_be_aligned_to_more_than_a_page_and_nothing_is_mapped_between_them() {
    let builder = built(|b| {
        b.u32(SECTION_ALIGNMENT, 0x1_0000).u32(SIZE_OF_IMAGE, 0x3_0000).u32(OPTIONAL + 16, 0x1_0000);
        b.u32(TEXT_HEADER + VIRTUAL_ADDRESS, 0x1_0000).u32(DATA_HEADER + VIRTUAL_ADDRESS, 0x2_0000);
        // The tables are at other addresses now.
        for directory in [1, 5, 10] {
            b.u32(OPTIONAL + 112 + 8 * directory, 0).u32(OPTIONAL + 116 + 8 * directory, 0);
        }
    });
    let image = DriverImage::parse(&builder.file).unwrap();
    assert_eq!(image.size(), 0x3_0000);
    assert_eq!(image.sections()[1].range, 0x2_0000..0x2_1000);
    let mapped = [0, 0x1000, 0x1_0000, 0x1_1000, 0x2_0000, 0x2_1000].map(|page| image.is_mapped(page));
    assert_eq!(mapped, [true, false, true, false, true, false]);
}

#[test]
fn an_image_whose_sections_share_pages_lies_in_memory_as_in_the_file() {
    let shared = |b: &mut Builder| {
        b.u32(SECTION_ALIGNMENT, 0x200).u32(SIZE_OF_IMAGE, 0x600).u32(OPTIONAL + 16, 0x200);
        b.u32(TEXT_HEADER + VIRTUAL_ADDRESS, 0x200).u32(DATA_HEADER + VIRTUAL_ADDRESS, 0x400);
        for directory in [1, 5, 10] {
            b.u32(OPTIONAL + 112 + 8 * directory, 0).u32(OPTIONAL + 116 + 8 * directory, 0);
        }
    };
    let builder = built(shared);
    let memory = memory(&builder);
    assert_eq!(memory[..0x600], builder.file[..0x600]);
    assert_eq!(memory.len(), 0x1000);
    let image = DriverImage::parse(&builder.file).unwrap();
    let [section] = image.sections() else { panic!("one protection for all") };
    assert!(section.write && section.execute);
    let elsewhere = refusal(|b| {
        shared(b);
        b.u32(DATA_HEADER + VIRTUAL_ADDRESS, 0x600).u32(SIZE_OF_IMAGE, 0x800);
    });
    assert!(elsewhere.contains("must be the same"), "{elsewhere}");
    let unequal = refusal(|b| {
        b.u32(SECTION_ALIGNMENT, 0x400);
    });
    assert!(unequal.contains("must be equal"), "{unequal}");
}

#[test]
fn sections_follow_one_another_without_gap_or_overlap() {
    let moved = |address: u32| {
        refusal(|b| {
            b.u32(DATA_HEADER + VIRTUAL_ADDRESS, address).u32(SIZE_OF_IMAGE, 0x6000);
        })
    };
    assert!(moved(TEXT).contains("overlaps"));
    assert!(moved(0x3000).contains("leaves a gap"));
    assert!(moved(0x2800).contains("multiples of SectionAlignment"));
    let longer = refusal(|b| {
        b.u32(TEXT_HEADER + VIRTUAL_SIZE, 0x1001);
    });
    assert!(longer.contains("section .data"), "{longer}");
    let beyond = refusal(|b| {
        b.u32(SIZE_OF_IMAGE, 0x2000);
    });
    assert!(beyond.contains("leaves the image"), "{beyond}");
}

#[test]
fn refuses_a_section_whose_place_in_the_file_is_none() {
    for (field, value, part) in [
        (DATA_HEADER + RAW_POINTER, 0x410, "multiples of FileAlignment"),
        (DATA_HEADER + RAW_SIZE, 0x1f0, "multiples of FileAlignment"),
        (DATA_HEADER + RAW_POINTER, 0x2000, "which ends at"),
        (DATA_HEADER + RAW_POINTER, 0x200, "before 0x400"),
    ] {
        let text = refusal(|b| {
            b.u32(field, value);
        });
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn refuses_headers_that_no_kernel_loads() {
    let with = |field: usize, value: u32| {
        refusal(|b| {
            b.u32(field, value);
        })
    };
    assert!(with(SECTION_ALIGNMENT, 0x1800).contains("powers of 2"));
    assert!(with(FILE_ALIGNMENT_FIELD, 0x2000).contains("not less than the second"));
    assert!(with(FILE_ALIGNMENT_FIELD, 0x100).contains("FileAlignment is 0x100"));
    assert!(with(SIZE_OF_IMAGE, 0x3001).contains("multiple of SectionAlignment"));
    assert!(with(SIZE_OF_HEADERS, 0x100).contains("the headers end at"));
    assert!(with(IMAGE_BASE, 0x4000_1000).contains("64 KiB"));
    assert!(with(OPTIONAL + 16, DATA).contains("no section that may be executed"));
    let not_linked = refusal(|b| {
        b.u16(0x56, 0x20);
    });
    assert!(not_linked.contains("IMAGE_FILE_EXECUTABLE_IMAGE"), "{not_linked}");
}

#[test]
fn a_library_is_a_driver_as_well() {
    // Export drivers are linked as libraries.
    let builder = built(|b| {
        b.u16(0x56, 0x2022);
    });
    assert!(DriverImage::parse(&builder.file).is_ok());
}

#[test]
fn a_relocation_of_32_bits_cannot_hold_a_kernels_address() {
    let mut builder = Builder::new();
    let at = 2 * FILE_ALIGNMENT + super::at::RELOCATIONS as usize + 8;
    builder.u16(at, 0x3000);
    let image = DriverImage::parse(&builder.file).unwrap();
    let error = image.lay_out(BASE, 1, |_| Some(1)).unwrap_err();
    assert!(matches!(&error, ImageError::Bounds(text) if text.contains("HIGHLOW")), "{error}");
}

#[test]
fn the_checksum_is_the_files_without_its_own_field() {
    let mut builder = Builder::new();
    let sum = DriverImage::parse(&builder.file).unwrap().computed_checksum();
    builder.u32(CHECKSUM, sum);
    let image = DriverImage::parse(&builder.file).unwrap();
    assert_eq!((image.checksum(), image.computed_checksum()), (sum, sum));
    builder.u32(CHECKSUM, u32::MAX);
    assert_eq!(DriverImage::parse(&builder.file).unwrap().computed_checksum(), sum);
    // Another byte, and a byte more: another checksum.
    builder.file[FILE_ALIGNMENT] ^= 1;
    assert_ne!(DriverImage::parse(&builder.file).unwrap().computed_checksum(), sum);
    builder.file[FILE_ALIGNMENT] ^= 1;
    builder.file.push(0);
    assert_eq!(DriverImage::parse(&builder.file).unwrap().computed_checksum(), sum + 1);
}
