//! Chooses an implementation of the inner loops.

use super::kernels::Kernels;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::scalar;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use super::x86;
use crate::config::{ConfigError, Kernel};

impl Kernels {
    /// Returns the implementation with this name, or the fastest for `Auto`.
    pub(crate) fn choose(kernel: Kernel) -> Result<Self, ConfigError> {
        let found = match kernel {
            Kernel::Auto => Kernel::BY_SPEED.into_iter().find_map(Self::of),
            named => Self::of(named),
        };
        found.ok_or(ConfigError::Kernel(kernel))
    }

    /// Returns the named implementation, if this processor can run it.
    pub(super) fn of(kernel: Kernel) -> Option<Self> {
        match kernel {
            Kernel::Scalar => Some(scalar::KERNELS),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Sse41 => x86::sse41(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Avx2 => x86::avx2(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Avx512 => x86::avx512(),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::neon(),
            _ => None,
        }
    }
}
