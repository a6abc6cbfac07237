//! Plug and Play: the bus driver with its physical device objects, and the life of the driver under test.

pub mod bus;
pub mod driver;
pub mod driver_image;
pub mod installation;
mod load_checks;
pub mod resources;

pub use driver::{Libraries, StartedDevice, load_driver, start_device, stop_device, unload_driver};
