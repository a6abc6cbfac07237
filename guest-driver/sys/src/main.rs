//! `dmuscard.sys`: the DirectMusic card's Windows driver.
//!
//! This crate holds the parts that call Windows: entry points, COM objects, kernel services. The driver's logic is in
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
//! | `adapter` | `DriverEntry`, `AddDevice`, `StartDevice` |
//! | `bus` | the function's PCI configuration space, through the bus driver |
//! | `com` | objects with counted references, and references to PortCls' objects |
//! | `function` | the card's PCI function: its structures, mapped |
//! | `kernel` | the kernel services that `dmus-miniport` needs |
//! | `miniport` | `IMiniportDMus` |
//! | `nt`, `pc` | the imports from the kernel and from PortCls |
//! | `panic` | the panic handler, which is never reached |
//! | `pending_request` | property requests that stay pending |
//! | `pool` | memory |
//! | `power` | `IAdapterPowerManagement` |
//! | `property` | the property handler |
//! | `recovery` | the work item that recovers a card |
//! | `running` | the started card |
//! | `service` | the service sink, called from the deferred procedure call |
//! | `status` | `NTSTATUS` values as results |
//! | `stream` | `IMXF` and `ISynthSinkDMus` |
//!
//! On other systems than Windows this crate is empty.
#![cfg_attr(windows, no_std, no_main)]

#[cfg(windows)]
extern crate alloc;

#[cfg(windows)]
mod adapter;
#[cfg(windows)]
mod bus;
#[cfg(windows)]
mod com;
#[cfg(windows)]
mod function;
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
mod pending_request;
#[cfg(windows)]
mod pool;
#[cfg(windows)]
mod power;
#[cfg(windows)]
mod property;
#[cfg(windows)]
mod recovery;
#[cfg(windows)]
mod running;
#[cfg(windows)]
mod service;
#[cfg(windows)]
mod status;
#[cfg(windows)]
mod stream;

/// Does nothing: the image exists on Windows only, where the kernel calls `DriverEntry`.
#[cfg(not(windows))]
const fn main() {}
