//! Windows driver images: validation, imports, relocation, sections. Pure: from bytes of a file to bytes of memory.
//!
//! Specification: Microsoft, "PE Format". Headers and tables are read by the `object` crate; what is here is what a
//! kernel loader demands beyond being well-formed.

mod checksum;
pub mod cr8;
mod headers;
pub mod unwind;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use object::LittleEndian as LE;
use object::pe;
use object::read::pe::{
    ImageNtHeaders, ImageOptionalHeader, Import as PeImport, ImportTable, PeFile64, RelocationBlockIterator,
};

/// Largest image taken; drivers have some MiB at most.
pub const IMAGE_BYTES_MAX: u32 = 64 << 20;
/// Most imported functions: the kernel exports fewer.
const IMPORTS_MAX: usize = 16 << 10;
/// Offset of `CheckSum` from the signature: the file header is before the optional header.
const CHECKSUM_OFFSET: usize = 24 + 64;
/// Offset of `SecurityCookie` in the 64-bit load configuration.
const LOAD_CONFIG_COOKIE: usize = 0x58;

/// Why a file cannot be loaded as a driver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not a PE32+ file at all.
    #[error("the file is no PE32+ image: {0}")]
    Malformed(String),
    /// For another processor.
    #[error("the image is for machine {0:#06x}; this guest is x64 (0x8664)")]
    Machine(u16),
    /// A program or a library.
    #[error("the image's subsystem is {0}; a driver's is 1 (native): link with /SUBSYSTEM:NATIVE")]
    Subsystem(u16),
    /// Relocations were stripped.
    #[error("the image has no base relocations: link with /DYNAMICBASE, or without /FIXED")]
    Fixed,
    /// A number in a header is out of its bounds.
    #[error("{0}")]
    Bounds(String),
    /// An import that is not there; the loader asks for all of them before.
    #[error("{0}!{1} is not exported")]
    Unresolved(String, String),
}

fn malformed(error: object::Error) -> ImageError {
    ImageError::Malformed(error.to_string())
}

/// An imported function, and where its address goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The module, in lower case.
    pub module: String,
    /// The name, or `#n` for an ordinal.
    pub name: String,
    /// Offset of the address table's entry in the image.
    pub slot: u32,
}

/// What a section allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its range in the image, in whole pages.
    pub range: Range<u32>,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Is not needed after initialisation.
    pub discardable: bool,
    /// May be paged out: its name begins with `PAGE`.
    pub pageable: bool,
}

/// A driver image that can be loaded.
pub struct DriverImage<'a> {
    file: PeFile64<'a>,
    data: &'a [u8],
    sections: Vec<Section>,
    /// The image as the file has it, in whole pages.
    memory: Vec<u8>,
}

impl<'a> DriverImage<'a> {
    /// Reads and validates an image.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] for no PE32+ file, [`ImageError::Machine`] and [`ImageError::Subsystem`] for no x64
    /// driver, [`ImageError::Fixed`] without relocations, [`ImageError::Bounds`] for a header whose numbers do not fit.
    pub fn parse(data: &'a [u8]) -> Result<Self, ImageError> {
        let file = PeFile64::parse(data).map_err(malformed)?;
        let headers::Layout { sections, placements } = headers::lay_out(&file, data)?;
        let size = page_up(u64::from(file.nt_headers().optional_header().size_of_image()));
        let mut memory = alloc::vec![0u8; size as usize];
        for headers::Placement { at, file } in placements {
            let target = memory.get_mut(at as usize..at as usize + file.len());
            let target = target.ok_or_else(|| ImageError::Bounds("a section leaves the image".into()))?;
            target.copy_from_slice(&data[file]);
        }
        Ok(Self { file, data, sections, memory })
    }

    /// Returns the checksum in the header.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.file.nt_headers().optional_header().check_sum()
    }

    /// Returns the checksum of the file, which the header should have.
    #[must_use]
    pub fn computed_checksum(&self) -> u32 {
        checksum::compute(self.data, self.file.dos_header().nt_headers_offset() as usize + CHECKSUM_OFFSET)
    }

    /// Returns whether a page, given by its offset, is in the headers or in a section: others are not mapped.
    #[must_use]
    pub fn is_mapped(&self, page: u32) -> bool {
        let headers = page_up(u64::from(self.file.nt_headers().optional_header().size_of_headers()));
        u64::from(page) < headers || self.sections.iter().any(|section| section.range.contains(&page))
    }

    /// Returns the bytes in memory, whole pages.
    #[must_use]
    pub fn size(&self) -> u32 {
        page_up(u64::from(self.file.nt_headers().optional_header().size_of_image())) as u32
    }

    /// Returns the offset of the entry point.
    #[must_use]
    pub fn entry(&self) -> u32 {
        self.file.nt_headers().optional_header().address_of_entry_point()
    }

    /// Returns the sections, ascending.
    #[must_use]
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns the function table that stack walks need, as offset and bytes.
    #[must_use]
    pub fn function_table(&self) -> Option<(u32, u32)> {
        let range = self.file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION)?.address_range();
        (range.1 > 0 && range.0.checked_add(range.1)? <= self.size()).then_some(range)
    }

    /// Returns the imported functions.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] or [`ImageError::Bounds`] for a table that leaves the image.
    pub fn imports(&self) -> Result<Vec<Import>, ImageError> {
        let mut imports = Vec::new();
        let Some((at, _)) = headers::table(&self.file, &self.memory, pe::IMAGE_DIRECTORY_ENTRY_IMPORT, "import table")?
        else {
            return Ok(imports);
        };
        // In memory: what the tables say is where things are then, whatever part of a section the file has.
        let table = ImportTable::new(&self.memory, 0, at);
        let mut descriptors = table.descriptors().map_err(malformed)?;
        while let Some(descriptor) = descriptors.next().map_err(malformed)? {
            let module = table.name(descriptor.name.get(LE)).map_err(malformed)?;
            let module = String::from_utf8_lossy(module).to_ascii_lowercase();
            let first = descriptor.first_thunk.get(LE);
            let lookup = match descriptor.original_first_thunk.get(LE) {
                0 => first,
                original => original,
            };
            let mut thunks = table.thunks(lookup).map_err(malformed)?;
            let mut slot = first;
            while let Some(thunk) = thunks.next::<pe::ImageNtHeaders64>().map_err(malformed)? {
                let name = match table.import::<pe::ImageNtHeaders64>(thunk).map_err(malformed)? {
                    PeImport::Ordinal(ordinal) => alloc::format!("#{ordinal}"),
                    PeImport::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                };
                if imports.len() == IMPORTS_MAX || u64::from(slot) + 8 > u64::from(self.size()) {
                    return Err(ImageError::Bounds("the import address table leaves the image".into()));
                }
                imports.push(Import { module: module.clone(), name, slot });
                slot += 8;
            }
        }
        Ok(imports)
    }

    /// Returns the image as it is in memory at `base`: headers and sections copied, relocated, imports bound, the
    /// security cookie seeded.
    ///
    /// # Errors
    /// [`ImageError::Bounds`] for a table that leaves the image or a relocation of an unknown kind,
    /// [`ImageError::Unresolved`] for an import that `resolve` does not know.
    pub fn lay_out(
        &self,
        base: u64,
        cookie: u64,
        resolve: impl Fn(&Import) -> Option<u64>,
    ) -> Result<Vec<u8>, ImageError> {
        let mut memory = self.memory.clone();
        self.relocate(&mut memory, base)?;
        for import in self.imports()? {
            let address =
                resolve(&import).ok_or_else(|| ImageError::Unresolved(import.module.clone(), import.name.clone()))?;
            memory[import.slot as usize..][..8].copy_from_slice(&address.to_le_bytes());
        }
        if let Some(at) = self.cookie_offset(&memory, base) {
            memory[at..at + 8].copy_from_slice(&cookie.to_le_bytes());
        }
        Ok(memory)
    }

    fn relocate(&self, memory: &mut [u8], base: u64) -> Result<(), ImageError> {
        let delta = base.wrapping_sub(self.file.nt_headers().optional_header().image_base());
        let directory = pe::IMAGE_DIRECTORY_ENTRY_BASERELOC;
        let Some((_, table)) = headers::table(&self.file, &self.memory, directory, "base relocation table")? else {
            return Ok(());
        };
        let mut blocks = RelocationBlockIterator::new(table);
        while let Some(block) = blocks.next().map_err(malformed)? {
            for relocation in block {
                match relocation.typ {
                    pe::IMAGE_REL_BASED_ABSOLUTE => {}
                    pe::IMAGE_REL_BASED_DIR64 => {
                        let at = relocation.virtual_address as usize;
                        let slot: &mut [u8; 8] = memory
                            .get_mut(at..at.saturating_add(8))
                            .and_then(|slot| slot.try_into().ok())
                            .ok_or_else(|| ImageError::Bounds("a base relocation leaves the image".into()))?;
                        *slot = u64::from_le_bytes(*slot).wrapping_add(delta).to_le_bytes();
                    }
                    pe::IMAGE_REL_BASED_HIGHLOW => {
                        return Err(ImageError::Bounds(
                            "a base relocation of 32 bits (HIGHLOW): the kernel is above 4 GiB, so addresses take 64 bits"
                                .into(),
                        ));
                    }
                    kind => return Err(ImageError::Bounds(alloc::format!("base relocation of kind {kind}"))),
                }
            }
        }
        Ok(())
    }

    /// Returns where the load configuration says that the security cookie is.
    fn cookie_offset(&self, memory: &[u8], base: u64) -> Option<usize> {
        let (start, bytes) = self.file.data_directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG)?.address_range();
        if (bytes as usize) < LOAD_CONFIG_COOKIE + 8 {
            return None;
        }
        let field = memory.get(start as usize + LOAD_CONFIG_COOKIE..)?.get(..8)?;
        let address = u64::from_le_bytes(field.try_into().ok()?);
        let offset = usize::try_from(address.checked_sub(base)?).ok()?;
        (offset.checked_add(8)? <= memory.len()).then_some(offset)
    }
}

const fn page_up(bytes: u64) -> u64 {
    bytes.div_ceil(4096) * 4096
}

#[cfg(test)]
mod tests;
