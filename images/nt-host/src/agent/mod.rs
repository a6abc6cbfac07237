//! The guest agent: executes the harness's requests, which come over the serial line, by PortCls and the driver.

#![cfg(any(test, target_os = "none"))]
#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "tests on the build machine reach what needs no machine of its own")
)]

#[cfg(target_os = "none")]
mod bulk;
#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod inspect;
#[cfg(target_os = "none")]
mod libraries;
pub(crate) mod player;
#[cfg(target_os = "none")]
mod property;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod session;

#[cfg(target_os = "none")]
pub use serve::serve;
