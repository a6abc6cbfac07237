//! The NT host: a guest kernel that loads a Windows driver and serves the harness.
//!
//! Built for `x86_64-unknown-none` this is the image that QEMU's `-kernel` takes. Built for anything else it is only a
//! program that says so, which keeps `cargo build` and `cargo test` of the whole workspace working.
#![cfg_attr(target_os = "none", no_std, no_main)]

// The image's entry point, memory allocator and panic handler are in the library.
#[cfg(target_os = "none")]
use nt_host as _;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("nt-host is a guest: build it for x86_64-unknown-none and start it with QEMU's -kernel");
    std::process::exit(1);
}
