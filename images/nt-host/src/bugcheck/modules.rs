//! The modules of the system, the host and the driver's image: which one an address belongs to.
#![allow(unsafe_code, reason = "symbols of the linker script")]

use alloc::string::String;
use core::fmt;

use crate::arch::uninterrupted::Uninterrupted;

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
    /// Its function table: offset and bytes.
    pub function_table: Option<(u32, u32)>,
}

static MODULE: Uninterrupted<Option<Module>> = Uninterrupted::new(None);
static UNLOADED: Uninterrupted<Option<Module>> = Uninterrupted::new(None);

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
}

/// Makes `module` the loaded driver.
pub fn add(module: Module) {
    MODULE.with(|slot| *slot = Some(module));
}

/// Makes the loaded driver one that is unloaded, and returns it.
pub fn remove() -> Option<Module> {
    let module = MODULE.with(Option::take)?;
    UNLOADED.with(|slot| *slot = Some(module.clone()));
    Some(module)
}

/// Returns the name of the driver that was unloaded last, if the address was in its image.
#[must_use]
pub fn unloaded(address: u64) -> Option<&'static str> {
    UNLOADED.with(|slot| {
        slot.as_ref().filter(|module| (module.base..module.base + module.size).contains(&address)).map(|m| m.name)
    })
}

/// Returns the loaded driver.
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

/// Returns whether an address is in the driver's image.
#[must_use]
pub fn in_driver(address: u64) -> bool {
    with_module(address, |_| ()).is_some()
}

/// Returns whether an address is in the host's code.
#[must_use]
pub fn in_host(address: u64) -> bool {
    ((&raw const __text_start) as u64..(&raw const __text_end) as u64).contains(&address)
}

/// Returns the module that an address is in, and its offset. The host is linked at its address, so its base is 0.
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

/// Returns base, size and function table of the driver if the address is in it: for unwinding.
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

/// Returns the name of the part of the system that an address executes in.
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
