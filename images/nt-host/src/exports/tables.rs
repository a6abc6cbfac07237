//! Looks functions up by module and name.

use super::modules::{self, DRMK, HAL, KERNEL, KS, PORTCLS, WDFLDR, WMILIB, WPP_RECORDER};
use super::{age, guarded, routine};
use crate::alloc_faults::{self, entry_points};
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::export::{Absent, Export};
use crate::harness::options;
use crate::{drmk, ex, io, ke, ks, mm, po, rtl, wdfldr, wmilib, wpp_recorder};

/// What a module exports.
pub type Tables = &'static [&'static [Export]];

/// What the module above the kernel exports.
static PORTCLS_TABLES: Uninterrupted<Tables> = Uninterrupted::new(&[]);

/// Adds the functions of `portcls.sys`, which is above the kernel.
pub fn add_portcls(tables: Tables) {
    PORTCLS_TABLES.with(|slot| *slot = tables);
}

fn kernel_tables() -> impl Iterator<Item = &'static &'static [Export]> {
    // The guarded entry points first: they stand before functions that the other tables have too.
    [&guarded::EXPORTS, &routine::EXPORTS]
        .into_iter()
        .chain([rtl::EXPORTS, ke::EXPORTS, ex::EXPORTS, io::EXPORTS, mm::EXPORTS, po::EXPORTS].into_iter().flatten())
}

/// Returns the first Windows that has a function, where the one that this guest poses as is older.
fn younger(name: &str) -> Option<age::Version> {
    age::younger_than(options::current().windows.version, name)
}

/// Returns the address of a function by module (lower case) and name: the module exports it, and this guest has it.
#[must_use]
pub fn find(module: &str, name: &str) -> Option<u64> {
    if !modules::of(module)?.names(name) || younger(name).is_some() {
        return None;
    }
    let find_in = |table: &'static [Export]| table.iter().find(|export| export.name == name).map(Export::address);
    match module {
        KERNEL | HAL => kernel_tables().find_map(|table| find_in(table)),
        KS => ks::EXPORT_TABLES.iter().find_map(|table| find_in(table)),
        PORTCLS => PORTCLS_TABLES.with(|tables| *tables).iter().find_map(|table| find_in(table)),
        DRMK => find_in(drmk::EXPORTS),
        WMILIB => find_in(wmilib::EXPORTS),
        WDFLDR => find_in(wdfldr::EXPORTS),
        WPP_RECORDER => find_in(wpp_recorder::EXPORTS),
        _ => None,
    }
}

/// Returns the address of a routine that a driver looks up by name: `MmGetSystemRoutineAddress` knows those of the kernel
/// and of the hardware abstraction layer.
#[must_use]
pub fn system_routine(name: &str) -> Option<u64> {
    [KERNEL, HAL].into_iter().find_map(|module| find(module, name))
}

/// Returns the address to bind an import to: the function's, or that of its entry point that can be made to fail.
#[must_use]
pub fn bind(module: &str, name: &str) -> Option<u64> {
    let address = find(module, name)?;
    Some(if alloc_faults::on() { entry_points::entry_of(name, address) } else { address })
}

/// Says why an import cannot be bound, and what it belongs to where that is known. `module` is in lower case.
#[must_use]
pub fn absent(module: &str, name: &str) -> (Absent, Option<&'static str>) {
    let why = match (modules::absent(module, name), younger(name)) {
        (Absent::NotHere, Some((major, minor, build))) => Absent::Younger { major, minor, build },
        (why, _) => why,
    };
    (why, if module == KS { ks::missing(name) } else { None })
}
