//! Loads an image as the kernel does: lays its sections out at an address other than its preferred base, relocates it,
//! and binds its imports. It refuses every image that a kernel refuses.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};
use object::pe;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile};
use object::{LittleEndian as LE, Object, ObjectSection};

use crate::symbols::Named;

/// Bytes of a page. Sections of a driver are multiples of it, so that each can have its own protection.
const PAGE: u32 = 4096;

/// Why an image does not load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is no image, or cut off.
    #[error("the image cannot be read: {0}")]
    Unreadable(String),
    /// A header has a value that the kernel's loader refuses.
    #[error("{0}")]
    Header(String),
    /// A section is not where it may be.
    #[error("section {name}: {what}")]
    Section {
        /// Its name.
        name: String,
        /// The reason.
        what: &'static str,
    },
    /// A relocation cannot be carried out.
    #[error("the relocation at {at:#x} {what}")]
    Relocation {
        /// The relative address of what is to be changed.
        at: u32,
        /// The reason.
        what: &'static str,
    },
    /// An import is not exported.
    #[error("{0} is not exported")]
    Import(String),
}

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its bytes, from its base on.
    pub memory: Vec<u8>,
    /// The address of the entry point.
    pub entry: u64,
    /// Relative addresses that were relocated.
    pub relocated: BTreeSet<u32>,
    /// Relative addresses of the bound imports, and the imports' names.
    pub bound: Vec<(u32, String)>,
}

/// Loads an image at `base`. `find` returns the address of a module's function.
///
/// # Errors
/// [`LoadError`] for the first thing that a kernel's loader refuses.
pub fn load(file: &[u8], base: u64, find: impl Fn(&str, &str) -> Option<u64>) -> Result<Placed, LoadError> {
    match object::FileKind::parse(file) {
        Ok(object::FileKind::Pe32) => place::<pe::ImageNtHeaders32>(file, base, 4, find),
        Ok(object::FileKind::Pe64) => place::<pe::ImageNtHeaders64>(file, base, 8, find),
        _ => Err(LoadError::Unreadable("it is no PE image".into())),
    }
}

fn unreadable(error: object::Error) -> LoadError {
    LoadError::Unreadable(error.to_string())
}

fn place<H: ImageNtHeaders>(
    file: &[u8],
    base: u64,
    width: usize,
    find: impl Fn(&str, &str) -> Option<u64>,
) -> Result<Placed, LoadError> {
    let image = PeFile::<H>::parse(file).map_err(unreadable)?;
    let optional = image.nt_headers().optional_header();
    let size = optional.size_of_image();
    let (alignment, in_file) = (optional.section_alignment(), optional.file_alignment());
    let header = |what: &str| Err(LoadError::Header(what.to_owned()));
    if !alignment.is_power_of_two() || alignment < PAGE {
        return header("sections are not aligned to pages");
    }
    if !in_file.is_power_of_two() || !(512..=0x1_0000).contains(&in_file) || in_file > alignment {
        return header("sections in the file are not aligned to sectors");
    }
    if !size.is_multiple_of(alignment) || optional.size_of_headers() > size {
        return header("the size in memory is no multiple of the sections' alignment, or too small");
    }
    if !base.is_multiple_of(PAGE.into()) || width == 4 && base + u64::from(size) > 1 << 32 {
        return header("it cannot be loaded at that address");
    }
    let mut memory = vec![0; size as usize];
    let headers = file.get(..optional.size_of_headers() as usize);
    let headers = headers.ok_or_else(|| LoadError::Header("the headers are longer than the file".into()))?;
    memory[..headers.len()].copy_from_slice(headers);

    let mut end = optional.size_of_headers().next_multiple_of(alignment);
    let mut executable = false;
    let entry = optional.address_of_entry_point();
    for section in image.sections() {
        let name = section.name().unwrap_or_default().to_owned();
        let wrong = |what| Err(LoadError::Section { name: name.clone(), what });
        let header = section.pe_section();
        let (at, bytes) = (header.virtual_address.get(LE), header.virtual_size.get(LE));
        if at != end {
            return wrong("it does not follow the one before");
        }
        end = match at.checked_add(bytes).map(|end| end.next_multiple_of(alignment)) {
            Some(end) if end <= size => end,
            _ => return wrong("it ends behind the image"),
        };
        let flags = header.characteristics.get(LE).0;
        let is_code = flags & pe::IMAGE_SCN_MEM_EXECUTE.0 != 0;
        if is_code && flags & pe::IMAGE_SCN_MEM_WRITE.0 != 0 {
            return wrong("it can be both written and executed");
        }
        executable |= is_code && (at..at + bytes).contains(&entry);
        let content = section.data().map_err(unreadable)?;
        let content = &content[..content.len().min(bytes as usize)];
        memory[at as usize..at as usize + content.len()].copy_from_slice(content);
    }
    if end != size {
        return header("the size in memory is not where the last section ends");
    }
    if !executable {
        return header("the entry point is not in code");
    }

    let mut placed = Placed { memory, entry: base + u64::from(entry), relocated: BTreeSet::new(), bound: Vec::new() };
    relocate(file, &image, base, width, &mut placed)?;
    bind(&image, width, find, &mut placed)?;
    Ok(placed)
}

fn relocate<H: ImageNtHeaders>(
    file: &[u8],
    image: &PeFile<'_, H>,
    base: u64,
    width: usize,
    placed: &mut Placed,
) -> Result<(), LoadError> {
    let optional = image.nt_headers().optional_header();
    let wanted = optional.image_base();
    let size = u64::from(optional.size_of_image());
    let table = image.section_table();
    let Some(mut blocks) = image.data_directories().relocation_blocks(file, &table).map_err(unreadable)? else {
        return Err(LoadError::Header("it has no relocations: it cannot be moved".into()));
    };
    let kind = if width == 4 { pe::IMAGE_REL_BASED_HIGHLOW } else { pe::IMAGE_REL_BASED_DIR64 };
    while let Some(block) = blocks.next().map_err(unreadable)? {
        for relocation in block {
            let at = relocation.virtual_address;
            let wrong = |what| Err(LoadError::Relocation { at, what });
            if relocation.typ == pe::IMAGE_REL_BASED_ABSOLUTE {
                continue;
            }
            if relocation.typ != kind {
                return wrong("is of a kind that this processor does not have");
            }
            let Some(place) = placed.memory.get_mut(at as usize..at as usize + width) else {
                return wrong("is behind the image");
            };
            let mut address = [0; 8];
            address[..width].copy_from_slice(place);
            let offset = u64::from_le_bytes(address).wrapping_sub(wanted);
            // An address may be that of the image's end.
            if offset > size {
                return wrong("leads out of the image");
            }
            place.copy_from_slice(&(base + offset).to_le_bytes()[..width]);
            if !placed.relocated.insert(at) {
                return wrong("is there twice");
            }
        }
    }
    Ok(())
}

fn bind<H: ImageNtHeaders>(
    image: &PeFile<'_, H>,
    width: usize,
    find: impl Fn(&str, &str) -> Option<u64>,
    placed: &mut Placed,
) -> Result<(), LoadError> {
    let Some(table) = image.import_table().map_err(unreadable)? else { return Ok(()) };
    let mut descriptors = table.descriptors().map_err(unreadable)?;
    while let Some(descriptor) = descriptors.next().map_err(unreadable)? {
        let module = table.name(descriptor.name.get(LE)).map_err(unreadable)?;
        let module = String::from_utf8_lossy(module).to_ascii_lowercase();
        let mut at = descriptor.first_thunk.get(LE);
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE)).map_err(unreadable)?;
        while let Some(thunk) = thunks.next::<H>().map_err(unreadable)? {
            let name = match table.import::<H>(thunk).map_err(unreadable)? {
                Import::Ordinal(ordinal) => format!("#{ordinal}"),
                Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
            };
            let address = find(&module, &name).ok_or_else(|| LoadError::Import(format!("{module}!{name}")))?;
            let place = placed.memory.get_mut(at as usize..at as usize + width);
            let place = place.ok_or_else(|| LoadError::Header("an import is behind the image".into()))?;
            place.copy_from_slice(&address.to_le_bytes()[..width]);
            placed.bound.push((at, format!("{module}!{name}")));
            at += width as u32;
        }
    }
    Ok(())
}

/// Finds the instructions of a 32-bit image that hold an address within it without a relocation. Returns their relative
/// addresses. Code for x86-64 addresses data relative to itself.
///
/// # Errors
/// [`LoadError`] when the image is no 32-bit image or does not load.
pub fn unmoved(file: &[u8], functions: &BTreeMap<u32, Named>) -> Result<Vec<u32>, LoadError> {
    let image = PeFile::<pe::ImageNtHeaders32>::parse(file).map_err(unreadable)?;
    let optional = image.nt_headers().optional_header();
    let base = optional.image_base();
    let inside = base..base + u64::from(optional.size_of_image());
    // At its preferred base no address changes, but the relocations are known.
    let placed = load(file, base, |_, _| Some(0))?;
    let mut unmoved = Vec::new();
    for (start, function) in functions {
        let end = *start as usize + function.length as usize;
        let Some(code) = placed.memory.get(*start as usize..end) else { continue };
        let mut decoder = Decoder::with_ip(32, code, u64::from(*start), DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let places = decoder.get_constant_offsets(&instruction);
            let whole = |size: usize| size == size_of::<u32>();
            let displacement = (whole(places.displacement_size()), instruction.memory_displacement32());
            let immediate = (whole(places.immediate_size()), immediate_of(&instruction));
            let named = [(displacement, places.displacement_offset()), (immediate, places.immediate_offset())];
            if named.into_iter().any(|((is_there, value), offset)| {
                let at = instruction.ip32() + offset as u32;
                is_there && inside.contains(&value.into()) && !placed.relocated.contains(&at)
            }) {
                unmoved.push(instruction.ip32());
            }
        }
    }
    Ok(unmoved)
}

/// Returns an instruction's 32-bit immediate operand, or 0. A branch's target is none.
fn immediate_of(instruction: &Instruction) -> u32 {
    let is_immediate = |operand: &u32| instruction.op_kind(*operand) == OpKind::Immediate32;
    (0..instruction.op_count()).find(is_immediate).map_or(0, |operand| instruction.immediate(operand) as u32)
}
