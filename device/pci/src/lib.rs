#![doc = include_str!("../README.md")]

mod card;
mod cli;
mod clock;
mod control;
mod description;
mod detached;
mod diagnosis;
mod dma;
mod function;
mod handle;
mod journal;
mod layout;
mod listener;
mod mapped;
mod register_file;
pub mod registers;
mod server;
pub mod sigbus;
mod stop;
mod tap;
mod waker;

pub use card::{Access, Card, Fault, Offers, Refusal, Reset};
pub use cli::{Recorder, RunError, run, run_recorded};
pub use description::{
    Bar, Description, DescriptionError, IO_BYTES_MAX, MSI_VECTORS_MAX, Msi, Msix, PAGE_BYTES, ROM_BYTES_MAX,
    VECTORS_MAX, Widths,
};
pub use detached::Detached;
pub use dma::{DmaError, MemoryRegion};
pub use handle::Handle;
pub use listener::{SocketError, Sockets};
pub use mapped::{Mapped, NotMapped};
pub use register_file::{RegisterFile, Written};
pub use registers::{BitAccess, Field, REGISTERS_MAX, Register, RegisterTable, RegisterValue, TableError};
pub use server::{ServeError, Server};
pub use stop::Stop;
pub use tap::{Act, Tap};
