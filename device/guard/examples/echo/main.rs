//! Runs the device for tests, and to try the guard by hand:
//!
//!     cargo run -p vhost-user-guard --example echo -- /tmp/echo.sock
//!     cargo run -p vhost-user-guard -- --socket /tmp/guard.sock --backend /tmp/echo.sock

mod device;

use std::sync::Arc;

use vhost::vhost_user::Listener;
use vhost_user_backend::VhostUserDaemon;
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().expect("the path to listen on");
    let life = arguments.next().map_or(1, |life| life.parse().expect("the life that the configuration ends with"));
    let mut listener = Listener::new(path, true).expect("a socket at the path");
    loop {
        let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let device = Arc::new(device::Echo::new(life, None));
        let mut daemon = VhostUserDaemon::new("echo".into(), device, memory).expect("a daemon");
        daemon.start(&mut listener).expect("a connection");
        if let Err(error) = daemon.wait() {
            eprintln!("the connection has ended: {error}");
        }
    }
}
