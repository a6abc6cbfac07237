//! Starts the QEMU of a bundle with the loader and the libraries that came with it.
//!
//! It stands in the bundle under QEMU's own name, beside `bin`, `lib` and `share`, and needs no shell. Its folder may be moved.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The emulator, in `bin`.
const PROGRAM: &str = "qemu-system-x86_64";

/// The dynamic loader, in `lib`.
const LOADER: &str = "ld-linux-x86-64.so.2";

fn main() -> ExitCode {
    let failed = match std::env::current_exe() {
        Ok(program) => start(program.parent().unwrap_or(Path::new("."))),
        Err(error) => error,
    };
    eprintln!("{PROGRAM}: cannot start the emulator of the bundle: {failed}");
    // As of a shell that finds no program.
    ExitCode::from(127)
}

/// Replaces this process by QEMU. Returns only why that failed.
fn start(folder: &Path) -> std::io::Error {
    let libraries = folder.join("lib");
    Command::new(libraries.join(LOADER))
        .arg("--library-path")
        .arg(&libraries)
        .arg(folder.join("bin").join(PROGRAM))
        .arg("-L")
        .arg(folder.join("share"))
        .args(std::env::args_os().skip(1))
        .env("QEMU_MODULE_DIR", libraries.join("qemu"))
        .exec()
}
