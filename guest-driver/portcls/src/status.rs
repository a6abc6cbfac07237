//! `NTSTATUS` and the values that PortCls and DMus document (`ntstatus.h`).

/// A kernel status: a warning or error has the top bit set.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// Returns whether it is a success or informational value (`NT_SUCCESS`).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }
}

macro_rules! statuses {
    ($($(#[$meta:meta])* $name:ident = $value:literal;)*) => {
        impl NtStatus {
            $($(#[$meta])* pub const $name: Self = Self($value);)*

            /// Returns the name, without `STATUS_`, of a value that this crate defines.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some(stringify!($name)),)* _ => None }
            }

            /// Every value that this crate knows, with its name.
            pub const ALL: &[(&str, Self)] = &[$((stringify!($name), Self::$name),)*];
        }
    };
}

statuses! {
    /// Done.
    SUCCESS = 0x0000_0000;
    /// Will be completed later.
    PENDING = 0x0000_0103;
    /// There is more; a success.
    MORE_ENTRIES = 0x0000_0105;
    /// Done, but not all of it as requested; a success.
    NOT_ALL_ASSIGNED = 0x0000_0106;
    /// The buffer is too small, and the size needed is returned; a warning, which is no success.
    BUFFER_OVERFLOW = 0x8000_0005;
    /// Failed.
    UNSUCCESSFUL = 0xc000_0001;
    /// Not implemented.
    NOT_IMPLEMENTED = 0xc000_0002;
    /// A bad address.
    ACCESS_VIOLATION = 0xc000_0005;
    /// A parameter is wrong.
    INVALID_PARAMETER = 0xc000_000d;
    /// There is no such device.
    NO_SUCH_DEVICE = 0xc000_000e;
    /// The request makes no sense here.
    INVALID_DEVICE_REQUEST = 0xc000_0010;
    /// A completion routine keeps the IRP.
    MORE_PROCESSING_REQUIRED = 0xc000_0016;
    /// No memory.
    NO_MEMORY = 0xc000_0017;
    /// The buffer is too small.
    BUFFER_TOO_SMALL = 0xc000_0023;
    /// An object is of another type.
    OBJECT_TYPE_MISMATCH = 0xc000_0024;
    /// There is no object of that name.
    OBJECT_NAME_NOT_FOUND = 0xc000_0034;
    /// A resource is used up.
    INSUFFICIENT_RESOURCES = 0xc000_009a;
    /// The device is not ready.
    DEVICE_NOT_READY = 0xc000_00a3;
    /// It took too long.
    IO_TIMEOUT = 0xc000_00b5;
    /// Not supported.
    NOT_SUPPORTED = 0xc000_00bb;
    /// Two revisions do not fit each other.
    REVISION_MISMATCH = 0xc000_0059;
    /// Cancelled.
    CANCELLED = 0xc000_0120;
    /// The device's resources are not what they must be.
    DEVICE_CONFIGURATION_ERROR = 0xc000_0182;
    /// The device's state does not allow it.
    INVALID_DEVICE_STATE = 0xc000_0184;
    /// The device failed.
    IO_DEVICE_ERROR = 0xc000_0185;
    /// The device broke its protocol.
    DEVICE_PROTOCOL_ERROR = 0xc000_0186;
    /// The buffer's size is wrong.
    INVALID_BUFFER_SIZE = 0xc000_0206;
    /// Not found.
    NOT_FOUND = 0xc000_0225;
    /// There is no such property set.
    PROPSET_NOT_FOUND = 0xc000_0230;
    /// Nothing matches.
    NO_MATCH = 0xc000_0272;
    /// The device is gone.
    DEVICE_REMOVED = 0xc000_02b6;
}

impl core::fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "STATUS_{name}"),
            None => write!(f, "NTSTATUS({:#010x})", self.0),
        }
    }
}

impl core::fmt::Display for NtStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self, f)
    }
}
