//! Looks functions up by module and name.

use super::{guarded, routine};
use crate::alloc_faults::{self, entry_points};
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::export::Export;
use crate::{ex, io, ke, ks, mm, rtl};

/// Modules whose functions this guest's kernel has. Windows forwards many names between them.
const KERNEL_MODULES: [&str; 2] = ["ntoskrnl.exe", "hal.dll"];
/// The module whose functions [`crate::ks`] has.
const KS_MODULE: &str = "ks.sys";

/// What a module exports.
pub type Tables = &'static [&'static [Export]];

/// A module above the kernel, by its name, and what it exports.
static LIBRARY: Uninterrupted<Option<(&str, Tables)>> = Uninterrupted::new(None);

/// Adds a module that drivers can import from. `module` is its name in lower case.
pub fn add_library(module: &'static str, tables: Tables) {
    LIBRARY.with(|slot| *slot = Some((module, tables)));
}

fn kernel_tables() -> impl Iterator<Item = &'static &'static [Export]> {
    // The guarded entry points first: they stand before functions that the other tables have too.
    [&guarded::EXPORTS, &routine::EXPORTS]
        .into_iter()
        .chain([rtl::EXPORTS, ke::EXPORTS, ex::EXPORTS, io::EXPORTS, mm::EXPORTS].into_iter().flatten())
}

/// Returns the address of a function by module (lower case) and name.
#[must_use]
pub fn find(module: &str, name: &str) -> Option<u64> {
    let mut found = None;
    let mut search = |table: &'static [Export]| {
        found = found.or_else(|| table.iter().find(|export| export.name == name).map(Export::address));
    };
    if KERNEL_MODULES.contains(&module) {
        kernel_tables().for_each(|table| search(table));
    } else if module == KS_MODULE {
        ks::EXPORT_TABLES.iter().for_each(|table| search(table));
    } else if let Some((_, tables)) = LIBRARY.with(|library| library.filter(|(name, _)| *name == module)) {
        tables.iter().for_each(|table| search(table));
    }
    found
}

/// Returns the address to bind an import to: the function's, or that of its entry point that can be made to fail. Warns
/// about a function of `ks.sys` that this guest does not have.
#[must_use]
pub fn bind(module: &str, name: &str) -> Option<u64> {
    let Some(address) = find(module, name) else {
        if module == KS_MODULE
            && let Some(what) = ks::missing(name)
        {
            crate::warn!("{module}!{name} is not here: it belongs to {what}");
        }
        return None;
    };
    Some(if alloc_faults::on() { entry_points::entry_of(name, address) } else { address })
}
