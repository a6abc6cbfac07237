//! The server that is driven, with a card that does what a driver says; one for the whole process.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::OnceLock;
use std::sync::mpsc::channel;

use vfio_user_card::{Access, Bar, Card, Description, Handle, MemoryRegion, Msi, Msix, Reset, Server, Widths};

/// The vendor and the device id of the function.
pub(super) const IDENTITY: u32 = 0x1001_4242;

/// A running server.
pub(super) struct Running {
    /// Where it listens.
    pub(super) socket: SocketAddr,
    /// The card's access to its function.
    pub(super) handle: Handle,
}

/// A card whose registers trigger vectors, move the line and copy memory, and which checks what it learns of memory.
struct Acting {
    handle: Handle,
    mapped: Vec<(u64, u64)>,
    /// The client is gone, and its memory goes next.
    ended: bool,
}

impl Card for Acting {
    fn read(&mut self, access: Access) -> u64 {
        assert!(matches!(access.width, 1 | 2 | 4 | 8), "{access:?}");
        u64::MAX / 3
    }

    fn write(&mut self, access: Access, value: u64) {
        assert!(access.offset.is_multiple_of(access.width as u64), "{access:?}");
        match access.offset {
            0 => self.handle.trigger(value as u16),
            4 => self.handle.set_line(value != 0),
            8 => drop(self.handle.write_memory(value, &[0x5a; 70])),
            _ => drop(self.handle.read_memory(value, &mut [0; 5000])),
        }
    }

    fn reset(&mut self, reset: Reset) {
        assert!(!self.handle.is_bus_master());
        assert!(!self.ended, "a client is gone, and its memory is not");
        self.ended = reset == Reset::Disconnected && !self.mapped.is_empty();
    }

    fn memory_mapped(&mut self, region: &MemoryRegion<'_>) {
        assert!(!self.ended, "a client is gone, and its memory is not");
        let end = region.address.checked_add(region.bytes).expect("a region ends within the address space");
        assert!(self.mapped.iter().all(|(address, bytes)| end <= *address || address + bytes <= region.address));
        self.mapped.push((region.address, region.bytes));
    }

    fn memory_unmapped(&mut self, address: u64, bytes: u64) {
        let index = self.mapped.iter().position(|known| *known == (address, bytes));
        self.mapped.swap_remove(index.expect("what is unmapped was mapped"));
        self.ended &= !self.mapped.is_empty();
    }
}

/// Describes a function with everything.
fn description() -> Description {
    Description::new("fuzzed", IDENTITY as u16, (IDENTITY >> 16) as u16)
        .bar(0, Bar::io(16).allow(0..4, Widths::BYTE).allow_unaligned(4..16, Widths::ALL))
        .bar(1, Bar::memory(0x4000).allow(0..0x40, Widths::ALL).map(0x1000..0x2000).map(0x3000..0x4000))
        .bar(2, Bar::memory_64(1 << 40).prefetchable())
        .bar(4, Bar::memory(0x1000))
        .interrupt_pin()
        .msi(Msi { vectors: 4, maskable: true })
        .msix(Msix { vectors: 70, bar: 4, table: 0, pending: 0x800 })
        .power_management()
        .express()
        .function_reset()
        .vendor_capability(&[0; 5], &[0xff; 3])
        .extended_capability(3, 1, &[7; 8], &[])
        .rom(&[0x55; 3000])
}

/// Starts the server when it is needed first.
///
/// # Panics
/// When the host has no descriptors or threads.
pub(super) fn running() -> &'static Running {
    static RUNNING: OnceLock<Running> = OnceLock::new();
    RUNNING.get_or_init(|| {
        // No file is left of an abstract name.
        let name = format!("vfio-user-card-fuzz-{}", std::process::id());
        let socket = SocketAddr::from_abstract_name(name).expect("a name");
        let listener = UnixListener::bind_addr(&socket).expect("a socket");
        let server = Server::listening(description(), listener).expect("a server");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let served = server.run(|handle| {
                sender.send(handle.clone()).expect("the first input waits");
                Acting { handle, mapped: Vec::new(), ended: false }
            });
            // It never ends by itself, and a panic of the card ends it.
            eprintln!("the server has ended: {served:?}");
            std::process::abort();
        });
        let handle = receiver.recv().expect("the server runs");
        Running { socket, handle }
    })
}
