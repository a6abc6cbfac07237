//! A PCI function over vfio-user, as a client sees it: one program, because each is linked with the whole crate.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod config_space;
mod control;
mod dma;
mod express;
mod hostile;
mod interrupts;
mod lifecycle;
mod mailbox;
mod mapped;
mod mpu401;
mod registers;
