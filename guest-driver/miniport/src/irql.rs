//! Zero-sized tokens that prove the interrupt request level that code runs at.
//!
//! A function that waits, allocates or touches pageable memory takes a [`Passive`]; one that takes a spin lock takes an
//! [`AtMostDispatch`]. Tokens are made where the system calls the driver and the documentation says at which level,
//! and handed down from there. What they cannot prove: a closure that runs under a spin lock may still name a `Passive`
//! from outside. Such closures are few and short.
#![allow(unsafe_code, reason = "making a token is a promise that the compiler cannot check")]

use core::marker::PhantomData;

/// The code runs at `PASSIVE_LEVEL`.
#[derive(Clone, Copy, Debug)]
pub struct Passive(PhantomData<*mut ()>);

/// The code runs at `DISPATCH_LEVEL` or below.
#[derive(Clone, Copy, Debug)]
pub struct AtMostDispatch(PhantomData<*mut ()>);

impl Passive {
    /// Makes the token.
    ///
    /// # Safety
    /// The code runs at `PASSIVE_LEVEL`, and the token does not outlive the call that it was made in.
    #[must_use]
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}

impl AtMostDispatch {
    /// Makes the token.
    ///
    /// # Safety
    /// The code runs at `DISPATCH_LEVEL` or below, and the token does not outlive the call that it was made in.
    #[must_use]
    pub const unsafe fn assume() -> Self {
        Self(PhantomData)
    }
}

impl From<Passive> for AtMostDispatch {
    fn from(_: Passive) -> Self {
        Self(PhantomData)
    }
}
