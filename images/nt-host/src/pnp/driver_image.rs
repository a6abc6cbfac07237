//! Loads the driver's image into memory, with the protections of its sections, and takes it away again.
#![allow(unsafe_code, reason = "writes code into memory")]

use alloc::string::ToString;
use alloc::vec::Vec;
use core::ops::Range;

use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames, pageable, window};
use crate::bugcheck::modules::{self, Module};
use crate::contract::watch;
use crate::ke::inline_irql;
use crate::pe::{DriverImage, ImageError, Import};

/// Why an image is not in memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is no image that can be loaded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No frames or addresses left.
    #[error("not enough memory for an image of {0} bytes")]
    Memory(u32),
}

/// What the image needs for its initialisation only.
static DISCARDABLE: Uninterrupted<Vec<Range<u64>>> = Uninterrupted::new(Vec::new());

/// Returns begin and end of each function in a function table.
fn functions(memory: &[u8], table: Option<(u32, u32)>) -> Vec<(u32, u32)> {
    let bytes = table.and_then(|(at, bytes)| memory.get(at as usize..)?.get(..bytes as usize)).unwrap_or_default();
    let word = |entry: &[u8], at: usize| entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    bytes.chunks_exact(12).map(|entry| (word(entry, 0), word(entry, 4))).collect()
}

/// Loads an image: maps, relocates, binds, protects.
///
/// # Errors
/// [`LoadError::Image`] for an image that cannot be laid out, [`LoadError::Memory`] without frames or addresses for it.
pub fn load(
    name: &'static str,
    image: &DriverImage<'_>,
    resolve: impl Fn(&Import) -> Option<u64>,
) -> Result<Module, LoadError> {
    let size = u64::from(image.size());
    let no_memory = LoadError::Memory(image.size());
    let base = window::IMAGE.reserve(size).ok_or_else(|| no_memory.clone())?;
    // SAFETY: reads a counter.
    let cookie = unsafe { core::arch::x86_64::_rdtsc() }.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16 | 1;
    let mut memory = image.lay_out(base, cookie, resolve)?;
    let functions = functions(&memory, image.function_table());
    for section in image.sections().iter().filter(|section| section.execute) {
        inline_irql::replace(&mut memory, base, section.range.clone(), &functions);
    }
    for (index, page) in memory.chunks(PAGE_SIZE as usize).enumerate() {
        if !image.is_mapped((index as u64 * PAGE_SIZE) as u32) {
            continue;
        }
        let frame = frames::allocate().ok_or_else(|| no_memory.clone())?;
        let at = base + index as u64 * PAGE_SIZE;
        paging::map(at, frame, Access::Read, Caching::Cached).map_err(|_| no_memory.clone())?;
        // SAFETY: a fresh frame, seen through the direct map.
        unsafe { core::ptr::copy_nonoverlapping(page.as_ptr(), (DIRECT_MAP + frame) as *mut u8, page.len()) };
    }
    let mut discardable = Vec::new();
    for section in image.sections() {
        let access = match (section.write, section.execute) {
            (false, false) => Access::Read,
            (true, false) => Access::ReadWrite,
            (false, true) => Access::Execute,
            (true, true) => Access::ReadWriteExecute,
        };
        if access == Access::ReadWriteExecute {
            crate::warn!(
                "{name}: section {} is writable and executable: Windows with memory integrity refuses it",
                section.name
            );
        }
        let range = base + u64::from(section.range.start)..base + u64::from(section.range.end);
        for page in range.clone().step_by(PAGE_SIZE as usize) {
            paging::protect(page, access);
        }
        if section.pageable && watch::is_on() {
            pageable::add(&range, access);
        }
        if section.discardable {
            discardable.push(range);
        }
    }
    let module =
        Module { name, base, size, entry: base + u64::from(image.entry()), function_table: image.function_table() };
    DISCARDABLE.with(|ranges| *ranges = discardable);
    modules::add(module.clone());
    Ok(module)
}

fn unmap(range: Range<u64>) {
    pageable::remove(&range);
    for page in range.step_by(PAGE_SIZE as usize) {
        if let Some(frame) = paging::unmap(page) {
            frames::free(frame, PAGE_SIZE);
        }
    }
}

/// Takes away what the image needs for its initialisation only.
pub fn discard_initialisation() {
    DISCARDABLE.with(core::mem::take).into_iter().for_each(unmap);
}

/// Takes the image away. Its addresses stay reserved, so that a late call into it faults.
pub fn unload() {
    if let Some(module) = modules::remove() {
        unmap(module.base..module.base + module.size);
        inline_irql::forget();
        DISCARDABLE.with(Vec::clear);
    }
}

impl From<LoadError> for guest_protocol::Failure {
    fn from(error: LoadError) -> Self {
        let kind = match &error {
            LoadError::Image(_) => guest_protocol::FailureKind::Image,
            LoadError::Memory(_) => guest_protocol::FailureKind::Memory,
        };
        Self { kind, message: error.to_string() }
    }
}
