//! `dmuscard.sys`: the DirectMusic card's Windows driver.
//!
//! Here is what touches Windows: entry points, COM objects, kernel services. What the driver does is in
//! `dmus-miniport`.
//!
//! ```text
//!  DriverEntry ─► AddDevice ─► StartDevice ─► port driver ─► Miniport::Init ─► Card
//!                                                          └► Miniport::NewStream ─► Stream
//!  interrupt ─► service routine ─► Notify ─► service group ─► Sink::RequestService ─► Card::service
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`adapter`] | `DriverEntry`, `AddDevice`, `StartDevice` |
//! | [`bus`] | the function's PCI configuration space, through the bus driver |
//! | [`com`] | objects that others count references to, and references to others' objects |
//! | [`kernel`] | the kernel services that `dmus-miniport` needs |
//! | [`miniport`] | `IMiniportDMus` |
//! | [`nt`], [`pc`] | what is imported from the kernel and from PortCls |
//! | [`pool`], [`panic`] | memory, and the end |
//! | [`power`] | `IAdapterPowerManagement` |
//! | [`property`] | the property handler |
//! | [`repair`] | the reset of a card in trouble |
//! | [`service`] | the deferred procedure call's way in |
//! | [`stream`] | `IMXF` and `ISynthSinkDMus` |
//! | [`waiting`] | property requests that are not answered yet |
//!
//! On anything but Windows this crate is empty.
#![cfg_attr(windows, no_std)]

#[cfg(windows)]
extern crate alloc;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod bus;
#[cfg(windows)]
mod com;
#[cfg(windows)]
mod kernel;
#[cfg(windows)]
mod miniport;
#[cfg(windows)]
mod nt;
#[cfg(windows)]
mod panic;
#[cfg(windows)]
mod pc;
#[cfg(windows)]
mod pool;
#[cfg(windows)]
mod power;
#[cfg(windows)]
mod property;
#[cfg(windows)]
mod repair;
#[cfg(windows)]
mod service;
#[cfg(windows)]
mod stream;
#[cfg(windows)]
mod waiting;
