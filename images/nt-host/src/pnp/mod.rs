//! Plug and Play: the PCI bus driver with its physical device objects, and the life of the driver under test.

pub mod bus;
pub mod driver;
pub mod interrupts;
pub mod node;
pub mod resources;

pub use bus::{instance_path, node};
pub use driver::{StartedDevice, load_driver, start_device, stop_device, unload_driver};
