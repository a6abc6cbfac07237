//! What a kernel's loader demands of an image's headers, and where its sections go in memory.
//!
//! Each refusal names the field, what it holds and what "PE Format" allows.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64};

use super::{IMAGE_BYTES_MAX, ImageError, Section, page_up};

/// Bytes of a page.
const PAGE: u32 = 4096;
/// Most sections: the limit of the Windows loader (PE Format, NumberOfSections).
const SECTIONS_MAX: u16 = 96;
/// What `ImageBase` is a multiple of.
const BASE_ALIGNMENT: u64 = 64 << 10;
/// Smallest and largest `FileAlignment` of an image whose sections begin at pages.
const FILE_ALIGNMENT: (u32, u32) = (512, 64 << 10);
/// Bytes of the signature and the file header, and of a section header.
const FILE_HEADER_BYTES: u64 = 24;
const SECTION_HEADER_BYTES: u64 = 40;

/// Where bytes of the file go in memory.
pub(super) struct Placement {
    /// Offset in memory.
    pub(super) at: u32,
    /// Range of the file.
    pub(super) file: Range<usize>,
}

/// The layout of an image in memory.
pub(super) struct Layout {
    /// The sections, ascending, or one for all of an image whose sections share pages.
    pub(super) sections: Vec<Section>,
    /// What is copied from the file; everything else is zero.
    pub(super) placements: Vec<Placement>,
}

fn bounds<T>(message: String) -> Result<T, ImageError> {
    Err(ImageError::Bounds(message))
}

/// Checks the headers, in the order in which a loader reads them, and lays the sections out.
pub(super) fn lay_out(file: &PeFile64<'_>, data: &[u8]) -> Result<Layout, ImageError> {
    check_file_header(file)?;
    check_optional_header(file, data)?;
    let optional = file.nt_headers().optional_header();
    let layout = if optional.section_alignment() < PAGE { shared_pages(file, data)? } else { whole_pages(file, data)? };
    let entry = optional.address_of_entry_point();
    if entry == 0 {
        return bounds("the image has no entry point (AddressOfEntryPoint is 0): link with /ENTRY:DriverEntry".into());
    }
    if !layout.sections.iter().any(|section| section.execute && section.range.contains(&entry)) {
        return bounds(format!("the entry point at {entry:#x} is in no section that may be executed"));
    }
    Ok(layout)
}

fn check_file_header(file: &PeFile64<'_>) -> Result<(), ImageError> {
    let header = file.nt_headers().file_header();
    let machine = header.machine.get(LE);
    if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
        return Err(ImageError::Machine(machine.0));
    }
    let subsystem = file.nt_headers().optional_header().subsystem();
    if subsystem != pe::IMAGE_SUBSYSTEM_NATIVE {
        return Err(ImageError::Subsystem(subsystem.0));
    }
    let flags = header.characteristics.get(LE).0;
    if flags & pe::IMAGE_FILE_RELOCS_STRIPPED.0 != 0 {
        return Err(ImageError::Fixed);
    }
    if flags & pe::IMAGE_FILE_EXECUTABLE_IMAGE.0 == 0 {
        return bounds(format!(
            "Characteristics are {flags:#x}, without IMAGE_FILE_EXECUTABLE_IMAGE (0x2): the linker reported an error and \
             left an image that cannot be run"
        ));
    }
    let sections = header.number_of_sections.get(LE);
    if sections == 0 || sections > SECTIONS_MAX {
        return bounds(format!("NumberOfSections is {sections}; it may be 1 to {SECTIONS_MAX}"));
    }
    Ok(())
}

fn check_optional_header(file: &PeFile64<'_>, data: &[u8]) -> Result<(), ImageError> {
    let optional = file.nt_headers().optional_header();
    let size = optional.size_of_image();
    if size == 0 || size > IMAGE_BYTES_MAX {
        return bounds(format!("SizeOfImage is {size:#x}; it may be 1 to {IMAGE_BYTES_MAX:#x}"));
    }
    let base = optional.image_base();
    if !base.is_multiple_of(BASE_ALIGNMENT) {
        return bounds(format!("ImageBase is {base:#x}; it must be a multiple of 64 KiB: link with another /BASE"));
    }
    let (alignment, in_file) = (optional.section_alignment(), optional.file_alignment());
    if !alignment.is_power_of_two() || !in_file.is_power_of_two() || alignment < in_file {
        return bounds(format!(
            "SectionAlignment is {alignment:#x} and FileAlignment {in_file:#x}; both must be powers of 2, and the first \
             not less than the second"
        ));
    }
    if alignment < PAGE && alignment != in_file {
        return bounds(format!(
            "SectionAlignment is {alignment:#x}, less than a page, and FileAlignment {in_file:#x}; then they must be equal"
        ));
    }
    let (smallest, largest) = FILE_ALIGNMENT;
    if alignment >= PAGE && !(smallest..=largest).contains(&in_file) {
        return bounds(format!("FileAlignment is {in_file:#x}; it may be {smallest:#x} to {largest:#x}"));
    }
    if !size.is_multiple_of(alignment) {
        return bounds(format!("SizeOfImage is {size:#x}; it must be a multiple of SectionAlignment, {alignment:#x}"));
    }
    let headers = optional.size_of_headers();
    let signature = u64::from(file.dos_header().nt_headers_offset());
    let table_end = signature
        + FILE_HEADER_BYTES
        + u64::from(file.nt_headers().file_header().size_of_optional_header.get(LE))
        + SECTION_HEADER_BYTES * file.section_table().len() as u64;
    if headers > size || headers as usize > data.len() || u64::from(headers) < table_end {
        return bounds(format!(
            "SizeOfHeaders is {headers:#x}; the headers end at {table_end:#x}, the file at {:#x} and the image at {size:#x}",
            data.len()
        ));
    }
    Ok(())
}

/// A section as its header has it.
struct Raw {
    name: String,
    at: u32,
    bytes: u32,
    /// Its range in the file; empty where the header has none.
    file: Range<usize>,
    flags: u32,
}

/// Reads the section headers: each range is within the file.
fn raw_sections(file: &PeFile64<'_>, data: &[u8]) -> Result<Vec<Raw>, ImageError> {
    let in_file = file.nt_headers().optional_header().file_alignment();
    let mut found = Vec::new();
    let mut end = 0;
    for header in file.section_table().iter() {
        let name = String::from_utf8_lossy(header.raw_name()).to_string();
        let (pointer, raw) = (header.pointer_to_raw_data.get(LE), header.size_of_raw_data.get(LE));
        // Without a pointer there is nothing in the file, whatever the size says: uninitialised data.
        let (start, length) = if pointer == 0 { (0, 0) } else { (pointer, raw) };
        if !start.is_multiple_of(in_file) || !length.is_multiple_of(in_file) {
            return bounds(format!(
                "section {name} has PointerToRawData {start:#x} and SizeOfRawData {length:#x}; both must be multiples of \
                 FileAlignment, {in_file:#x}"
            ));
        }
        let range = start as usize..start as usize + length as usize;
        if range.end > data.len() {
            return bounds(format!(
                "section {name} is at {:#x}..{:#x} of the file, which ends at {:#x}",
                range.start,
                range.end,
                data.len()
            ));
        }
        if length != 0 && range.start < end {
            return bounds(format!(
                "section {name} begins at {:#x} of the file, before {end:#x}, where the section before it ends",
                range.start
            ));
        }
        end = end.max(range.end);
        // A section without a size in memory takes that in the file.
        let bytes = if header.virtual_size.get(LE) == 0 { length } else { header.virtual_size.get(LE) };
        let flags = header.characteristics.get(LE).0;
        found.push(Raw { name, at: header.virtual_address.get(LE), bytes, file: range, flags });
    }
    Ok(found)
}

/// Lays out an image each of whose sections has pages of its own.
fn whole_pages(file: &PeFile64<'_>, data: &[u8]) -> Result<Layout, ImageError> {
    let optional = file.nt_headers().optional_header();
    let alignment = u64::from(optional.section_alignment());
    let headers = optional.size_of_headers();
    let mut placements = alloc::vec![Placement { at: 0, file: 0..headers as usize }];
    let mut sections = Vec::new();
    let mut next = u64::from(headers).next_multiple_of(alignment);
    for (index, section) in raw_sections(file, data)?.into_iter().enumerate() {
        let Raw { name, at, bytes, file, flags } = section;
        let start = u64::from(at);
        let end = page_up(start + u64::from(bytes));
        let adjacent = if index == 0 { start >= next } else { start == next };
        if !start.is_multiple_of(alignment) || !adjacent || end > page_up(u64::from(optional.size_of_image())) {
            return bounds(format!(
                "section {name} at {start:#x}..{end:#x} overlaps another, leaves a gap or leaves the image: sections follow \
                 one another, here from {next:#x}, at multiples of SectionAlignment, {alignment:#x}"
            ));
        }
        next = end.next_multiple_of(alignment);
        // The last page is mapped from the file to its end, as far as the section's data reach.
        let copied = file.len().min((end - start) as usize);
        placements.push(Placement { at, file: file.start..file.start + copied });
        sections.push(Section {
            pageable: name.starts_with("PAGE"),
            name,
            range: at..end as u32,
            write: flags & pe::IMAGE_SCN_MEM_WRITE.0 != 0,
            execute: flags & pe::IMAGE_SCN_MEM_EXECUTE.0 != 0,
            discardable: flags & pe::IMAGE_SCN_MEM_DISCARDABLE.0 != 0,
        });
    }
    Ok(Layout { sections, placements })
}

/// Lays out an image whose sections share pages: it is laid out in memory as in the file, and its pages have one protection.
fn shared_pages(file: &PeFile64<'_>, data: &[u8]) -> Result<Layout, ImageError> {
    let optional = file.nt_headers().optional_header();
    let size = optional.size_of_image();
    let mut end = u64::from(optional.size_of_headers());
    for Raw { name, at, bytes, file, .. } in raw_sections(file, data)? {
        if !file.is_empty() && file.start != at as usize {
            return bounds(format!(
                "section {name} is at {:#x} of the file and {at:#x} of memory; where SectionAlignment is less than a page \
                 both must be the same",
                file.start
            ));
        }
        let last = u64::from(at) + u64::from(bytes);
        if u64::from(at) < end || last > u64::from(size) || !at.is_multiple_of(optional.section_alignment()) {
            return bounds(format!(
                "section {name} at {at:#x}..{last:#x} overlaps another, leaves the image or is at no multiple of \
                 SectionAlignment, {:#x}",
                optional.section_alignment()
            ));
        }
        end = last;
    }
    let sections = alloc::vec![Section {
        name: "(sections that share pages)".into(),
        range: 0..page_up(u64::from(size)) as u32,
        write: true,
        execute: true,
        discardable: false,
        pageable: false,
    }];
    let placements = alloc::vec![Placement { at: 0, file: 0..data.len().min(size as usize) }];
    Ok(Layout { sections, placements })
}

/// Returns a table of the image in memory: bytes that a data directory names.
pub(super) fn table<'m>(
    file: &PeFile64<'_>,
    memory: &'m [u8],
    directory: usize,
    what: &str,
) -> Result<Option<(u32, &'m [u8])>, ImageError> {
    let Some(entry) = file.data_directory(directory) else { return Ok(None) };
    let (at, bytes) = entry.address_range();
    if at == 0 || bytes == 0 {
        return Ok(None);
    }
    let found = memory.get(at as usize..).and_then(|rest| rest.get(..bytes as usize));
    found
        .map(|found| Some((at, found)))
        .ok_or_else(|| ImageError::Bounds(format!("the {what} at {at:#x} of {bytes:#x} bytes leaves the image")))
}
