//! The headers, sections and imports of an image.

use std::collections::{BTreeMap, BTreeSet};

use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile};
use object::{LittleEndian as LE, Object, ObjectSection};
use serde::Serialize;

use crate::AuditError;

/// The processor that an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Machine {
    /// x86-64.
    X64,
    /// x86, 32 bits.
    X86,
}

/// The headers that a loader reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The processor.
    pub machine: Machine,
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Bytes in memory.
    pub memory_bytes: u32,
    /// Sections: names and bytes in memory.
    pub sections: Vec<(String, u32)>,
    /// Sections that can be both written and executed.
    pub writable_code: Vec<String>,
    /// `IMAGE_SUBSYSTEM_*`: 1 is a driver's.
    pub subsystem: u16,
    /// The checksum in its header is that of its bytes.
    pub checksum_is_right: bool,
    /// It can be loaded at any address, and has relocations.
    pub relocatable: bool,
    /// Its data need not be executable.
    pub nx: bool,
    /// The Windows version in its header: major and minor.
    pub subsystem_version: (u16, u16),
    /// It has no exception handlers: on x86 a system then calls none in it.
    pub no_handlers: bool,
    /// The imported names, by module in lower case.
    pub imports: BTreeMap<String, BTreeSet<String>>,
}

/// An image with its bytes as a loader would lay them out.
#[derive(Debug)]
pub struct Loaded {
    /// The headers.
    pub image: Image,
    /// Its preferred base address.
    pub base: u64,
    /// Code: relative address and bytes.
    pub code: Vec<(u32, Vec<u8>)>,
    /// Imports: the relative address of each one's pointer.
    pub pointers: BTreeMap<u32, String>,
    /// Relative addresses to which some pointer in the image leads.
    pub pointed_at: BTreeSet<u32>,
    /// The entry point.
    pub entry: u32,
    /// On x86-64: bytes of each function's frame from its unwind information, by relative address.
    pub frames: BTreeMap<u32, u32>,
}

impl Loaded {
    /// Reads an image.
    ///
    /// # Errors
    /// [`AuditError::Image`] when it is no PE image; [`AuditError::Machine`] when its processor is not known.
    pub fn parse(file: &[u8]) -> Result<Self, AuditError> {
        match object::FileKind::parse(file)? {
            object::FileKind::Pe32 => Self::read::<pe::ImageNtHeaders32>(file, Machine::X86),
            _ => Self::read::<pe::ImageNtHeaders64>(file, Machine::X64),
        }
    }

    fn read<H: ImageNtHeaders>(file: &[u8], machine: Machine) -> Result<Self, AuditError> {
        let image = PeFile::<H>::parse(file)?;
        let headers = image.nt_headers();
        let wanted = if machine == Machine::X64 { pe::IMAGE_FILE_MACHINE_AMD64 } else { pe::IMAGE_FILE_MACHINE_I386 };
        let found = headers.file_header().machine.get(LE);
        if found != wanted {
            return Err(AuditError::Machine(found.0));
        }
        let optional = headers.optional_header();
        let base = optional.image_base();
        let at = |address: u64| u32::try_from(address.wrapping_sub(base)).unwrap_or(u32::MAX);

        let (mut sections, mut writable_code, mut code) = (Vec::new(), Vec::new(), Vec::new());
        for section in image.sections() {
            let name = section.name()?.to_owned();
            let header = section.pe_section();
            let flags = header.characteristics.get(LE).0;
            sections.push((name.clone(), header.virtual_size.get(LE)));
            if flags & pe::IMAGE_SCN_MEM_EXECUTE.0 != 0 {
                if flags & pe::IMAGE_SCN_MEM_WRITE.0 != 0 {
                    writable_code.push(name);
                }
                code.push((header.virtual_address.get(LE), section.data()?.to_vec()));
            }
        }

        let (mut imports, mut pointers) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeMap::new());
        if let Some(table) = image.import_table()? {
            let mut descriptors = table.descriptors()?;
            while let Some(descriptor) = descriptors.next()? {
                let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).to_ascii_lowercase();
                let first = descriptor.first_thunk.get(LE);
                let names = imports.entry(module.clone()).or_default();
                let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
                let mut place = first;
                while let Some(thunk) = thunks.next::<H>()? {
                    let name = match table.import::<H>(thunk)? {
                        Import::Ordinal(ordinal) => format!("#{ordinal}"),
                        Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                    };
                    pointers.insert(place, format!("{module}!{name}"));
                    names.insert(name);
                    place += if machine == Machine::X64 { 8 } else { 4 };
                }
            }
        }

        let directories = image.data_directories();
        let sections_table = image.section_table();
        let mut pointed_at = BTreeSet::new();
        let mut has_relocations = false;
        if let Some(mut blocks) = directories.relocation_blocks(file, &sections_table)? {
            while let Some(block) = blocks.next()? {
                for relocation in block {
                    let width = match relocation.typ {
                        pe::IMAGE_REL_BASED_DIR64 => 8,
                        pe::IMAGE_REL_BASED_HIGHLOW => 4,
                        _ => continue,
                    };
                    has_relocations = true;
                    let Some(bytes) = sections_table.pe_data_at(file, relocation.virtual_address) else { continue };
                    let Some(bytes) = bytes.get(..width) else { continue };
                    let mut pointer = [0; 8];
                    pointer[..width].copy_from_slice(bytes);
                    pointed_at.insert(at(u64::from_le_bytes(pointer)));
                }
            }
        }
        let frames = frames(file, &directories, &sections_table)?;
        let flags = optional.dll_characteristics().0;
        Ok(Self {
            image: Image {
                machine,
                file_bytes: file.len(),
                memory_bytes: optional.size_of_image(),
                sections,
                writable_code,
                subsystem: optional.subsystem().0,
                checksum_is_right: optional.check_sum() == checksum(file),
                relocatable: has_relocations && flags & pe::IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE.0 != 0,
                nx: flags & pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT.0 != 0,
                subsystem_version: (optional.major_subsystem_version(), optional.minor_subsystem_version()),
                no_handlers: flags & pe::IMAGE_DLLCHARACTERISTICS_NO_SEH.0 != 0,
                imports,
            },
            base,
            code,
            pointers,
            pointed_at,
            entry: optional.address_of_entry_point(),
            frames,
        })
    }

    /// Returns the bytes of code from a relative address on, at most `length`.
    #[must_use]
    pub fn code_at(&self, address: u32, length: usize) -> Option<&[u8]> {
        let (start, bytes) = self.code.iter().rev().find(|(start, _)| *start <= address)?;
        let rest = bytes.get((address - start) as usize..)?;
        Some(&rest[..rest.len().min(length)])
    }
}

/// Reads the bytes of each function's frame from its unwind information (x86-64 exception handling, `UNWIND_INFO`).
fn frames(
    file: &[u8],
    directories: &object::read::pe::DataDirectories<'_>,
    sections: &object::read::coff::SectionTable<'_>,
) -> Result<BTreeMap<u32, u32>, AuditError> {
    const FUNCTION: usize = 12;
    let mut frames = BTreeMap::new();
    let Some(directory) = directories.get(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else { return Ok(frames) };
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    for entry in directory.data(file, sections)?.chunks_exact(FUNCTION) {
        let (Some(start), Some(info)) = (word(entry, 0), word(entry, 8)) else { continue };
        let mut bytes = 0;
        let Some(info) = sections.pe_data_at(file, info) else { continue };
        let codes = usize::from(info.get(2).copied().unwrap_or(0));
        let mut at = 0;
        while at < codes {
            let place = 4 + 2 * at;
            let Some(&[_, operation]) = info.get(place..place + 2).and_then(|code| <&[u8; 2]>::try_from(code).ok())
            else {
                break;
            };
            let (operation, value) = (operation & 15, u32::from(operation >> 4));
            let short = || info.get(place + 2..place + 4).map_or(0, |b| u32::from(u16::from_le_bytes([b[0], b[1]])));
            at += match operation {
                // UWOP_PUSH_NONVOL
                0 => {
                    bytes += 8;
                    1
                }
                // UWOP_ALLOC_LARGE
                1 if value == 0 => {
                    bytes += 8 * short();
                    2
                }
                1 => {
                    bytes += word(info, place + 2).unwrap_or(0);
                    3
                }
                // UWOP_ALLOC_SMALL
                2 => {
                    bytes += 8 * value + 8;
                    1
                }
                // UWOP_SAVE_NONVOL, UWOP_SAVE_XMM128
                4 | 8 => 2,
                // ... and their far forms
                5 | 9 => 3,
                _ => 1,
            };
        }
        frames.insert(start, bytes);
    }
    Ok(frames)
}

/// Computes the checksum of a PE image: the sum with carry of its 16-bit words, without the checksum's own, and its
/// length.
#[must_use]
pub fn checksum(file: &[u8]) -> u32 {
    let header = file.get(0x3c..0x40).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])) as usize;
    let own = header + 24 + 64;
    let mut sum = 0_u32;
    for (index, pair) in file.chunks(2).enumerate() {
        if (own..own + 4).contains(&(2 * index)) {
            continue;
        }
        sum += u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum + file.len() as u32
}
