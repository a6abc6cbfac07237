//! The stand-in installer, a UEFI program.
//!
//! Built for `x86_64-unknown-uefi` this is what the disc starts. Built for anything else it is only a program that says so, which keeps
//! `cargo build` and `cargo test` of the whole workspace working.
#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
extern crate alloc;

#[cfg(target_os = "uefi")]
mod uefi_program;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!("stand-in is a guest: build it for x86_64-unknown-uefi and put it on a disc");
    std::process::exit(1);
}
