//! Macros that state a fact once, so that it is checked and listed.

/// States the documented layout of a structure: `C name`, size and field offsets as `64-bit / 32-bit` figures.
///
/// The figures of the pointer width in force become compile-time assertions. 32-bit figures are those of Windows, where
/// an `i64` is aligned to 8 bytes, which other 32-bit x86 systems do not do.
macro_rules! layout {
    ($name:ident = $c:literal, $size64:literal / $size32:literal { $($field:ident = $cfield:literal, $at64:literal / $at32:literal;)* }) => {
        impl $name {
            /// The documented layout.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: $c,
                size: $crate::layout::Figure { bits64: $size64, bits32: $size32 },
                fields: &[$($crate::layout::Field {
                    name: $cfield,
                    offset: $crate::layout::Figure { bits64: $at64, bits32: $at32 },
                },)*],
            };
        }

        #[cfg(target_pointer_width = "64")]
        const _: () = {
            assert!(size_of::<$name>() == $size64, concat!("size of ", stringify!($name)));
            $(assert!(core::mem::offset_of!($name, $field) == $at64, concat!("offset of ", stringify!($field)));)*
        };
        #[cfg(all(target_pointer_width = "32", windows))]
        const _: () = {
            assert!(size_of::<$name>() == $size32, concat!("size of ", stringify!($name)));
            $(assert!(core::mem::offset_of!($name, $field) == $at32, concat!("offset of ", stringify!($field)));)*
        };
    };
}

/// States the offsets of the named fields of a structure that is not defined here as a whole.
macro_rules! beginning {
    ($name:ident = $c:literal { $($field:ident = $cfield:literal, $at64:literal / $at32:literal;)* }) => {
        impl $name {
            /// The documented offsets of its fields. Its size has no meaning.
            pub const BEGINNING: $crate::layout::Layout = $crate::layout::Layout {
                name: $c,
                size: $crate::layout::Figure { bits64: 0, bits32: 0 },
                fields: &[$($crate::layout::Field {
                    name: $cfield,
                    offset: $crate::layout::Figure { bits64: $at64, bits32: $at32 },
                },)*],
            };
        }

        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(assert!(core::mem::offset_of!($name, $field) == $at64, concat!("offset of ", stringify!($field)));)*
        };
        #[cfg(all(target_pointer_width = "32", windows))]
        const _: () = {
            $(assert!(core::mem::offset_of!($name, $field) == $at32, concat!("offset of ", stringify!($field)));)*
        };
    };
}

/// States an interface: its virtual table, whose slots are checked, and its table of slots.
///
/// `Interface, Table: BaseTable` then `slot method "CName" (arguments) -> result;` in slot order.
macro_rules! interface {
    ($(#[$meta:meta])* $name:ident, $table:ident : $base:ident {
        $($(#[$mmeta:meta])* $slot:literal $method:ident $cname:literal ( $($arg:ident : $ty:ty),* $(,)? ) $(-> $ret:ty)?;)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            /// The virtual table.
            pub table: *const $table,
        }

        #[doc = concat!("The virtual table of [`", stringify!($name), "`].")]
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $table {
            /// The base interface's slots.
            pub base: $base,
            $($(#[$mmeta])* pub $method: unsafe extern "system" fn(this: *mut $name $(, $arg: $ty)*) $(-> $ret)?,)*
        }

        impl $name {
            /// The interface's own slots, after those of its base.
            pub const INTERFACE: $crate::interface::Interface = $crate::interface::Interface {
                name: stringify!($name),
                slots: size_of::<$table>() / size_of::<usize>(),
                methods: &[$($crate::interface::Method { name: $cname, slot: $slot },)*],
            };
        }

        const _: () = {
            $(assert!(
                core::mem::offset_of!($table, $method) == $slot * size_of::<usize>(),
                concat!("slot of ", stringify!($method))
            );)*
        };
    };
}

/// States GUIDs, and lists them under a name.
macro_rules! guids {
    ($(#[$lmeta:meta])* $list:ident; $($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$meta])* pub const $name: $crate::guid::Guid = $crate::guid::Guid::parse($text);)*
        $(#[$lmeta])*
        pub const $list: &[(&str, $crate::guid::Guid)] = &[$((stringify!($name), $name),)*];
    };
}
