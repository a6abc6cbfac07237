//! The driver's image in memory: loading, protections, and which module an address belongs to.
#![allow(unsafe_code, reason = "writes code into memory")]

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::arch::boot::DIRECT_MAP;
use crate::ex::pool;
use crate::inline_irql;
use crate::mm::paging::{self, Access, Caching};
use crate::mm::{PAGE_SIZE, frames, pageable, window};
use crate::pe::{DriverImage, ImageError, Import};
use crate::sync::Uninterrupted;

/// A driver image in memory.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its file name.
    pub name: &'static str,
    /// Where it is.
    pub base: u64,
    /// Bytes, whole pages.
    pub size: u64,
    /// Its entry point.
    pub entry: u64,
    function_table: Option<(u32, u32)>,
    discardable: Vec<core::ops::Range<u64>>,
}

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

static MODULE: Uninterrupted<Option<Module>> = Uninterrupted::new(None);

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
}

/// Begin and end of each function in a function table.
fn functions(memory: &[u8], table: Option<(u32, u32)>) -> Vec<(u32, u32)> {
    let bytes = table.and_then(|(at, bytes)| memory.get(at as usize..)?.get(..bytes as usize)).unwrap_or_default();
    let word = |entry: &[u8], at: usize| entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
    bytes.chunks_exact(12).map(|entry| (word(entry, 0), word(entry, 4))).collect()
}

/// Loads an image: maps, relocates, binds, protects.
///
/// # Errors
/// [`LoadError`].
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
        if section.pageable {
            pageable::add(&range, access);
        }
        if section.discardable {
            discardable.push(range);
        }
    }
    let module = Module {
        name,
        base,
        size,
        entry: base + u64::from(image.entry()),
        function_table: image.function_table(),
        discardable,
    };
    MODULE.with(|slot| *slot = Some(module.clone()));
    Ok(module)
}

pub(crate) use crate::mm::pageable::page_out;

fn unmap(range: core::ops::Range<u64>) {
    pageable::remove(&range);
    for page in range.step_by(PAGE_SIZE as usize) {
        if let Some(frame) = paging::unmap(page) {
            frames::free(frame, PAGE_SIZE);
        }
    }
}

/// Takes away what the image needs for its initialisation only.
pub fn discard_initialisation() {
    let ranges = MODULE.with(|slot| slot.as_mut().map(|module| core::mem::take(&mut module.discardable)));
    ranges.into_iter().flatten().for_each(unmap);
}

/// Takes the image away. Its addresses stay reserved, so that a late call into it faults.
pub fn unload() {
    if let Some(module) = MODULE.with(Option::take) {
        unmap(module.base..module.base + module.size);
        inline_irql::forget();
        UNLOADED.with(|slot| *slot = Some(module));
    }
}

static UNLOADED: Uninterrupted<Option<Module>> = Uninterrupted::new(None);

/// The loaded driver.
#[must_use]
pub fn module() -> Option<Module> {
    MODULE.with(|slot| slot.clone())
}

fn with_module<R>(address: u64, body: impl FnOnce(&Module) -> R) -> Option<R> {
    MODULE.with(|slot| {
        let module = slot.as_ref()?;
        (module.base..module.base + module.size).contains(&address).then(|| body(module))
    })
}

/// Whether an address lies in the driver's image.
#[must_use]
pub fn in_driver(address: u64) -> bool {
    with_module(address, |_| ()).is_some()
}

/// Whether an address lies in the host's code.
#[must_use]
pub fn in_host(address: u64) -> bool {
    ((&raw const __text_start) as u64..(&raw const __text_end) as u64).contains(&address)
}

/// The module that an address lies in, and its offset. The host is linked at its address, so its base is 0.
#[must_use]
pub fn module_and_offset(address: u64) -> (Option<String>, u64) {
    if let Some(found) = with_module(address, |module| (Some(module.name.into()), address - module.base)) {
        found
    } else if in_host(address) {
        (Some("nt-host".into()), address)
    } else {
        (None, address)
    }
}

/// For unwinding: base, size and function table of the driver, if the address lies in it.
pub(crate) fn unwind_table(address: u64) -> Option<Unwind> {
    with_module(address, |module| Unwind { base: module.base, size: module.size, table: module.function_table })
}

/// What unwinding through an image needs.
pub(crate) struct Unwind {
    /// Where the image is.
    pub(crate) base: u64,
    /// Its bytes.
    pub(crate) size: u64,
    /// Its function table: offset and bytes.
    pub(crate) table: Option<(u32, u32)>,
}

/// In which part of the system an address executes.
#[must_use]
pub fn where_is(address: u64) -> &'static str {
    with_module(address, |module| module.name).unwrap_or(if in_host(address) { "nt-host" } else { "no module" })
}

/// Shows a code address as module and offset.
pub struct Place(pub u64);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match module_and_offset(self.0) {
            (Some(module), offset) => write!(f, "{module}+{offset:#x}"),
            (None, address) => write!(f, "{address:#x}"),
        }
    }
}

/// Shows what an address could mean.
pub struct AddressKind(pub u64);

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NULL_PAGES: u64 = 64 << 10;
        let address = self.0;
        let unloaded = UNLOADED.with(|slot| {
            slot.as_ref().filter(|module| (module.base..module.base + module.size).contains(&address)).map(|m| m.name)
        });
        if let Some(name) = unloaded {
            write!(f, "in {name}, which is unloaded")
        } else if address < NULL_PAGES {
            f.write_str("a null pointer, or a field of one")
        } else if address < 1 << 47 {
            f.write_str("a user-mode address, or an uninitialised pointer; no user process exists here")
        } else if address < 0xffff_8000_0000_0000 {
            f.write_str("a non-canonical address")
        } else if let Some(what) = pool::describe(address) {
            f.write_str(&what)
        } else if with_module(address, |_| ()).is_some() {
            write!(f, "in the driver's image at {}", Place(address))
        } else if window::DEVICE.contains(address) {
            f.write_str("device registers that are not mapped any more, or beyond their end")
        } else if window::STACK.contains(address) {
            f.write_str("beyond a kernel stack")
        } else {
            f.write_str("not mapped")
        }
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
