//! A server in this process, a card whose calls are recorded, and a client that says what it likes.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod client;
pub(crate) mod control;
pub(crate) mod memory;
pub(crate) mod qemu;
pub(crate) mod served;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vfio_user_card::{
    Access, Bar, Card, Description, Fault, Handle, MemoryRegion, Msi, Msix, Offers, Refusal, Reset, ServeError, Server,
    Sockets, Stop, Widths,
};

/// How long something may take that takes microseconds: a machine with many busy processes a processor makes it wait.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A call of the crate to its card.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    Read(Access),
    Write(Access, u64),
    Reset(Reset),
    Capability(usize, Vec<u8>),
    BusMaster(bool),
    Mapped(u64, u64),
    Unmapped(u64, u64),
    Tick,
    MidiIn(Vec<u8>),
    Fault(Fault),
}

/// A card that records its calls. Reads return [`READ_VALUE`]; a tick is due each time that the test says.
pub(crate) struct Recorder {
    calls: Arc<Mutex<Vec<Call>>>,
    next_tick: Arc<Mutex<Option<Duration>>>,
    handle: Handle,
    /// The kind of call at which it panics.
    panics: Option<&'static str>,
}

/// What every register of the [`Recorder`] reads as.
pub(crate) const READ_VALUE: u64 = 0x8877_6655_4433_2211;

impl Recorder {
    fn record(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

impl Card for Recorder {
    fn read(&mut self, access: Access) -> u64 {
        assert!(self.panics != Some("read"), "the card panics at a read");
        self.record(Call::Read(access));
        READ_VALUE
    }

    fn write(&mut self, access: Access, value: u64) {
        self.record(Call::Write(access, value));
        if access.bar == 2 {
            // Registers that do what a driver says: trigger a vector, move the line, copy memory.
            match access.offset {
                0 => self.handle.trigger(value as u16),
                4 => self.handle.set_line(value != 0),
                _ => {
                    let _ = self.handle.write_memory(value, b"written by the card");
                }
            }
        }
    }

    fn reset(&mut self, reset: Reset) {
        self.record(Call::Reset(reset));
    }

    fn tick(&mut self, now: Duration) -> Option<Duration> {
        assert!(self.panics != Some("tick"), "the card panics at a tick");
        self.record(Call::Tick);
        self.next_tick.lock().unwrap().take().map(|after| now + after)
    }

    fn capability_written(&mut self, index: usize, bytes: &[u8], _: std::ops::Range<usize>) {
        self.record(Call::Capability(index, bytes.to_vec()));
    }

    fn bus_master(&mut self, on: bool) {
        self.record(Call::BusMaster(on));
    }

    fn memory_mapped(&mut self, region: &MemoryRegion<'_>) {
        self.record(Call::Mapped(region.address, region.bytes));
    }

    fn memory_unmapped(&mut self, address: u64, bytes: u64) {
        self.record(Call::Unmapped(address, bytes));
    }

    fn offers(&self) -> Offers {
        Offers { bytes: true, midi_in: true, faults: &["none", "late"] }
    }

    fn midi_in(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.is_empty() {
            return Err(Refusal::Failed("no bytes".into()));
        }
        self.record(Call::MidiIn(bytes.to_vec()));
        Ok(())
    }

    fn inject_fault(&mut self, fault: &Fault) -> Result<(), Refusal> {
        assert!(self.panics != Some("fault"), "the card panics at a fault");
        self.record(Call::Fault(fault.clone()));
        Ok(())
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("seven", 7)]
    }
}

/// The vectors of [`description`].
pub(crate) const VECTORS: u16 = 70;
/// Where its MSI-X table and pending bits are in BAR 4.
pub(crate) const TABLE: u64 = 0;
pub(crate) const PENDING: u64 = 0x800;

/// A function with everything: BAR 0 I/O ports with rules, BAR 1 32-bit memory, BAR 2 registers that act (see
/// [`Recorder`]), BAR 4 64-bit prefetchable memory with the MSI-X structures; all capabilities.
pub(crate) fn description() -> Description {
    let ports = Bar::io(16)
        .allow(0..2, Widths::BYTE)
        .allow(4..8, Widths::WORD.or(Widths::DWORD))
        .allow_unaligned(8..12, Widths::WORD);
    Description::new("recorder", 0x4242, 0x1001)
        .subsystem(0x4243, 0x1002)
        .class(4, 1, 0x55)
        .revision(9)
        .bar(0, ports)
        .bar(1, Bar::memory(4096))
        .bar(2, Bar::memory(16).allow(0..16, Widths::DWORD))
        .bar(4, Bar::memory_64(1 << 20).prefetchable())
        .interrupt_pin()
        .msix(Msix { vectors: VECTORS, bar: 4, table: TABLE, pending: PENDING })
        .power_management()
        .function_reset()
        .vendor_capability(&[1, 2, 3, 4, 5], &[0, 0xf0, 0, 0xff])
        .vendor_capability(b"fixed", &[])
}

/// The image of the expansion ROM of [`express`].
pub(crate) const ROM: &[u8] = b"\x55\xaa an expansion ROM";
/// The page of BAR 0 that the guest of [`express`] maps.
pub(crate) const PAGE: std::ops::Range<u64> = 0x1000..0x2000;

/// An endpoint of PCI Express: BAR 0 registers and a mapped page, BAR 2 registers that act (see [`Recorder`]), MSI with
/// eight vectors that can be masked, an expansion ROM, a serial number.
pub(crate) fn express() -> Description {
    Description::new("express", 0x4242, 0x1003)
        .class(4, 3, 0)
        .bar(0, Bar::memory(0x4000).allow(0..0x100, Widths::DWORD).map(PAGE))
        .bar(2, Bar::memory(16).allow(0..16, Widths::DWORD))
        .interrupt_pin()
        .msi(Msi { vectors: 8, maskable: true })
        .power_management()
        .express()
        .function_reset()
        .extended_capability(3, 1, &[1, 2, 3, 4, 5, 6, 7, 8], &[])
        .extended_capability(0xb, 1, &[0xaa; 12], &[0, 0, 0, 0, 0xff])
        .rom(ROM)
}

/// A server with a [`Recorder`], in this process.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) handle: Handle,
    pub(crate) stop: Stop,
    calls: Arc<Mutex<Vec<Call>>>,
    next_tick: Arc<Mutex<Option<Duration>>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(description(), None)
    }

    pub(crate) fn with(description: Description, panics: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sockets = Sockets { socket: folder.path().join("vfio"), control: Some(folder.path().join("control")) };
        let server = Server::bind(description, &sockets).unwrap();
        let stop = server.stop();
        let (calls, next_tick) = <(Arc<Mutex<Vec<Call>>>, Arc<Mutex<Option<Duration>>>)>::default();
        let (sender, receiver): (Sender<Handle>, Receiver<Handle>) = channel();
        let (recorded, ticked) = (Arc::clone(&calls), Arc::clone(&next_tick));
        let thread = std::thread::spawn(move || {
            server.run(move |handle| {
                sender.send(handle.clone()).unwrap();
                Recorder { calls: recorded, next_tick: ticked, handle, panics }
            })
        });
        let handle = receiver.recv_timeout(SOON).unwrap();
        Self { folder, handle, stop, calls, next_tick, thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("vfio")
    }

    pub(crate) fn control_path(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    pub(crate) fn client(&self) -> client::Raw {
        client::Raw::greeted(&self.socket())
    }

    pub(crate) fn control(&self) -> control::Control {
        control::Control::connect(&self.control_path())
    }

    /// Takes the calls since the last time, without the ticks and those that only tell of memory.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let mut calls = self.all_calls();
        calls.retain(|call| !matches!(call, Call::Mapped(..) | Call::Unmapped(..) | Call::BusMaster(_)));
        calls
    }

    /// Takes the calls since the last time, without the ticks.
    pub(crate) fn all_calls(&self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut *self.calls.lock().unwrap());
        calls.retain(|call| *call != Call::Tick);
        calls
    }

    pub(crate) fn ticks(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| **call == Call::Tick).count()
    }

    pub(crate) fn tick_after(&self, time: Duration) {
        *self.next_tick.lock().unwrap() = Some(time);
    }

    /// Ends the server, and returns how its thread ended.
    pub(crate) fn end(mut self) -> std::thread::Result<Result<(), ServeError>> {
        self.stop.request();
        self.thread.take().unwrap().join()
    }

    /// Waits for a server that ends by itself.
    pub(crate) fn ended(mut self) -> std::thread::Result<Result<(), ServeError>> {
        let thread = self.thread.take().unwrap();
        until("the server ends", || thread.is_finished().then_some(()));
        thread.join()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the server has panicked");
        }
    }
}

/// Waits until something is there.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns a path in a folder whose own path is longer than a socket's address can be.
pub(crate) fn long_path(folder: &Path) -> PathBuf {
    let long = folder.join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    long.join("socket")
}
