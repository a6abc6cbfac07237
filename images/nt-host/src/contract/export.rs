//! What a kernel module offers to drivers: the table of exports, and the macro that declares them with their IRQL
//! rules.
#![allow(unsafe_code, reason = "addresses of functions are shared between threads")]

use crate::nt::{KIRQL, irql};

/// One exported function or variable.
#[derive(Clone, Copy)]
pub struct Export {
    /// The name that drivers import.
    pub name: &'static str,
    address: *const (),
}

// SAFETY: the address of code or of a static; it is not written through.
unsafe impl Sync for Export {}
// SAFETY: as above.
unsafe impl Send for Export {}

impl Export {
    /// Makes an export of `address` by `name`.
    #[must_use]
    pub const fn new(name: &'static str, address: *const ()) -> Self {
        Self { name, address }
    }

    /// Returns where it is.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address as u64
    }
}

/// Why an import cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The module exports no such name on Windows; this one does.
    ExportedBy(&'static str),
    /// The module exports it on Windows, and this guest does not have it.
    NotHere,
    /// It came with a Windows that is younger than the one that this guest poses as.
    Younger {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
        /// Its build; 0 where the version says it.
        build: u32,
    },
    /// No public list of a module's exports has the name.
    Unlisted,
    /// This guest has no such module.
    NoModule,
}

/// The IRQLs at which a function may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IrqlRule {
    /// Lowest.
    pub min: KIRQL,
    /// Highest.
    pub max: KIRQL,
}

impl IrqlRule {
    /// `PASSIVE_LEVEL` only.
    pub const PASSIVE: Self = Self { min: irql::PASSIVE_LEVEL, max: irql::PASSIVE_LEVEL };
    /// At most `APC_LEVEL`.
    pub const APC: Self = Self { min: irql::PASSIVE_LEVEL, max: irql::APC_LEVEL };
    /// At most `DISPATCH_LEVEL`.
    pub const DISPATCH: Self = Self { min: irql::PASSIVE_LEVEL, max: irql::DISPATCH_LEVEL };
    /// `DISPATCH_LEVEL` exactly.
    pub const AT_DISPATCH: Self = Self { min: irql::DISPATCH_LEVEL, max: irql::DISPATCH_LEVEL };
    /// At least `DISPATCH_LEVEL`.
    pub const FROM_DISPATCH: Self = Self { min: irql::DISPATCH_LEVEL, max: irql::HIGH_LEVEL };
    /// Device level at most.
    pub const DEVICE: Self = Self { min: irql::PASSIVE_LEVEL, max: irql::DEVICE_LEVEL_MAX };
    /// Any.
    pub const ANY: Self = Self { min: irql::PASSIVE_LEVEL, max: irql::HIGH_LEVEL };

    /// Returns whether `level` keeps the rule.
    #[must_use]
    pub const fn allows(self, level: KIRQL) -> bool {
        self.min <= level && level <= self.max
    }
}

/// Declares functions that drivers call: `extern "win64"`, named as the WDK names them, checked for IRQL on entry, and
/// listed in a table.
///
/// ```text
/// export_functions! {
///     /// The module's functions.
///     pub static EXPORTS;
///     [DISPATCH] fn KeSetEvent(event: *mut KEVENT, increment: i32, wait: u8) -> i32 { ... }
/// }
/// ```
///
/// The word in brackets names an [`IrqlRule`]. The body is an unsafe context: a kernel function takes its callers'
/// pointers on the terms of the WDK's documentation, which no type here can express; a bad pointer faults and becomes
/// a bug check that names it. Functions that only the host calls must not be declared this way.
#[macro_export]
macro_rules! export_functions {
    ($(#[$tm:meta])* $tv:vis static $table:ident;
     $($(#[$m:meta])* [$rule:ident] fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$m])*
            ///
            /// # Safety
            /// As the WDK's documentation of this function demands.
            #[allow(unused_unsafe, reason = "the macro opens the unsafe context for every body")]
            #[allow(non_snake_case, unreachable_pub, clippy::too_many_arguments, reason = "the WDK's names and signatures")]
            #[allow(clippy::macro_metavars_in_unsafe, reason = "giving the body an unsafe context is what the macro is for")]
            pub unsafe extern "win64" fn $name($($arg: $ty),*) $(-> $ret)? {
                $crate::contract::verifier::check_irql(stringify!($name), $crate::contract::export::IrqlRule::$rule);
                // SAFETY: the caller keeps the documented contract of this export; see the macro's documentation.
                unsafe { $body }
            }
        )*
        $(#[$tm])*
        $tv static $table: &[$crate::contract::export::Export] =
            &[$($crate::contract::export::Export::new(stringify!($name), $name as *const ()),)*];
    };
}
