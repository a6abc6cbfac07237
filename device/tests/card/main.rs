//! The card, from outside and through its public parts: one program, because each is linked with all of the card.

#[path = "../common/mod.rs"]
mod common;

mod control;
mod doorbells;
mod downloads;
mod faults;
mod floods;
mod hostile_chains;
mod hostile_messages;
mod hostile_rings;
mod process;
mod replay;
mod reset;
mod session;
mod sockets;
mod stop;
mod tools;
mod trace;
mod vfio_user;
mod wave;
