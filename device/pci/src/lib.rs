#![doc = include_str!("../README.md")]

mod card;
mod cli;
mod clock;
mod control;
mod description;
mod dma;
mod function;
mod handle;
mod journal;
mod listener;
mod server;
mod stop;

pub use card::{Access, Card, Fault, Offers, Refusal, Reset};
pub use cli::{RunError, Sockets, run};
pub use description::{Bar, Description, DescriptionError, IO_BYTES_MAX, Msix, VECTORS_MAX, Widths};
pub use dma::DmaError;
pub use handle::Handle;
pub use listener::SocketError;
pub use server::{ServeError, Server};
pub use stop::Stop;
