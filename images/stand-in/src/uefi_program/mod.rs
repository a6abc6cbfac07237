//! The stages of an installation: from the disc, and three times from the disk.

mod agent;
mod disks;
mod heap;
mod idle;
mod kernel;
mod line;
mod panic;
mod screen;
mod stages;

use uefi::prelude::*;

#[entry]
fn main() -> Status {
    line::init();
    stages::run()
}
