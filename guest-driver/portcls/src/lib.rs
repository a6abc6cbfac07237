//! PortCls and DMus in Rust: the binary interface between Windows' port class library and a DirectMusic miniport.
//!
//! This crate is a specification: interfaces as virtual tables, GUIDs, status codes, structures. It has no logic and
//! imports nothing, so that a driver, a double of PortCls and a test can share it. Sources: the Windows Driver Kit's
//! reference pages for `portcls`, `dmusicks`, `dmusprop`, `ks` and `ksmedia`, and the public mingw-w64 headers.
//!
//! Every structure carries its documented sizes and offsets for both pointer widths ([`layout::Layout`]); the compiler
//! checks those of the width it compiles for, and a test checks both against the mingw-w64 headers with a C compiler.
//! Every interface carries its slot numbers ([`interface::Interface`]), which are checked in the same way.
//!
//! Calling convention: every method and every call-back is `extern "system"`, which is `__stdcall` on 32-bit x86 and
//! the Microsoft convention on x86-64 when compiled for Windows.

#![no_std]

#[macro_use]
mod macros;

pub mod descriptor;
pub mod dmus;
pub mod download;
pub mod event;
pub mod guid;
pub mod interface;
pub mod ks;
pub mod layout;
pub mod power;
pub mod resource;
pub mod services;
pub mod status;
pub mod synth;
pub mod wave;
pub mod wdm;

pub use guid::Guid;
pub use status::NtStatus;

/// An opaque kernel object that is only ever passed on: `DEVICE_OBJECT`, `IRP`, `KINTERRUPT` and the like.
pub type Opaque = core::ffi::c_void;

/// Time in units of 100 ns (`REFERENCE_TIME`).
pub type ReferenceTime = i64;
