//! An MPU-401 in UART mode: a data port, and a port that is status when read and command when written.
//!
//! Status bit 6 (DRR, active low): the device takes a byte or command. Bit 7 (DSR, active low): a byte can be read.
//! Commands: `FF` resets, `3F` enters UART mode; each is acknowledged by `FE` in the data port, but a reset in UART mode
//! is not. From then on data is MIDI, and an interrupt comes when a byte can be read; reading it takes the interrupt
//! back. (MPU-401 Technical Reference; any driver for it.)

#![allow(unsafe_code, reason = "allocators are called by slot number; DPC and timer are shared with the kernel")]

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering};

use super::ring::{Received, Ring};
use crate::nt::{KDPC, KTIMER, PVOID};
use crate::portcls::com::abi::KernelEvent;
use crate::portcls::com::slots;
use crate::portcls::kernel;
use crate::portcls::kernel::irql::Raised;
use crate::portcls::kernel::lock::Lock;

/// Ports that the device takes.
pub(crate) const PORTS: u32 = 2;

/// Status: set while the device takes no byte and no command, and while no byte can be read.
const NOT_READY: u8 = 0x40;
const NO_DATA: u8 = 0x80;

/// Commands, and their acknowledgement.
const RESET: u8 = 0xFF;
const ENTER_UART: u8 = 0x3F;
const ACKNOWLEDGE: u8 = 0xFE;

/// How long a command may take, 100 ns units: some devices take tens of milliseconds to reset.
const COMMAND_LIMIT: i64 = 2_000_000;

/// Bytes that one interrupt takes at most: many times what any of these devices buffers.
const DRAINED_MAX: usize = 1024;

/// Bytes that are written without a pause: a device that is always ready is no reason to stay at `DISPATCH_LEVEL`.
const WRITTEN_MAX: usize = 512;

/// When a busy device is tried again, and how often one without an interrupt is looked at: 1 ms, in 100 ns units and as
/// a period.
const TICK: i64 = -10_000;
const TICK_MS: i32 = 1;

/// Bytes of streams of bytes that wait at most; streams of events are bounded by their allocators.
const WAITING_MAX: usize = 1024;

/// How long the device may take nothing before it counts as broken, 100 ns units.
const STUCK_LIMIT: i64 = 50_000_000;

/// `SynchronizationTimer`.
const SYNCHRONIZATION_TIMER: i32 = 1;

/// What a device does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mpu401Error {
    /// It takes no command.
    #[error("the device at port {0:#x} takes no command: status bit 6 stays set")]
    Busy(u16),
    /// It does not acknowledge UART mode.
    #[error("the device at port {0:#x} does not acknowledge the command 3F with FE")]
    Silent(u16),
}

/// Bytes on their way to the device.
struct Item {
    /// The stream, by address.
    owner: usize,
    bytes: Vec<u8>,
    written: usize,
    /// The event that is given back when they are written, with its allocator; both by address.
    event: Option<(usize, usize)>,
}

/// The device. Miniports with the same ports share it.
pub(crate) struct Mpu401 {
    base: u16,
    powered: AtomicBool,
    /// A command waits for its acknowledgement, and has it.
    commanding: AtomicBool,
    acknowledged: AtomicBool,
    received: Ring,
    /// A capture stream is open, and takes what is received.
    capture_open: AtomicBool,
    captures: AtomicBool,
    outgoing: Lock<VecDeque<Item>>,
    writing: AtomicBool,
    more: AtomicBool,
    /// Since when the device takes nothing; 0: it does.
    stuck: AtomicI64,
    /// The service group that is served when a device without an interrupt has received something.
    polled: AtomicPtr<c_void>,
    dpc: UnsafeCell<KDPC>,
    timer: UnsafeCell<KTIMER>,
}

// SAFETY: DPC and timer are the kernel's to synchronise; everything else says by its own types how it is shared.
unsafe impl Send for Mpu401 {}
// SAFETY: as above.
unsafe impl Sync for Mpu401 {}

/// The devices in use, by their first port.
static DEVICES: Lock<Vec<(u16, Weak<Mpu401>)>> = Lock::new(Vec::new());

impl Mpu401 {
    /// Returns the device at these ports, in UART mode. At `PASSIVE_LEVEL`.
    ///
    /// # Errors
    /// [`Mpu401Error`] when no MPU-401 answers there.
    pub(crate) fn at(base: u16) -> Result<Arc<Self>, Mpu401Error> {
        let known = DEVICES.with(|devices| {
            devices.retain(|(_, device)| device.strong_count() > 0);
            devices.iter().find(|(at, _)| *at == base).and_then(|(_, device)| device.upgrade())
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let device = Arc::new(Self {
            base,
            powered: AtomicBool::new(true),
            commanding: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
            received: Ring::new(),
            capture_open: AtomicBool::new(false),
            captures: AtomicBool::new(false),
            outgoing: Lock::new(VecDeque::new()),
            writing: AtomicBool::new(false),
            more: AtomicBool::new(false),
            stuck: AtomicI64::new(0),
            polled: AtomicPtr::new(core::ptr::null_mut()),
            // SAFETY: all zero is a valid value of plain C structures; the kernel initialises them below.
            dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            timer: UnsafeCell::new(unsafe { core::mem::zeroed() }),
        });
        // SAFETY: the structures are in the device, which stays where it is and takes both back before it goes.
        unsafe {
            kernel::KeInitializeDpc(device.dpc.get(), Some(tick), Arc::as_ptr(&device).cast_mut().cast());
            kernel::KeInitializeTimerEx(device.timer.get(), SYNCHRONIZATION_TIMER);
        }
        device.enter_uart_mode()?;
        DEVICES.with(|devices| devices.push((base, Arc::downgrade(&device))));
        Ok(device)
    }

    fn status(&self) -> u8 {
        kernel::read_port(self.base + 1)
    }

    /// Resets the device and enters UART mode.
    fn enter_uart_mode(&self) -> Result<(), Mpu401Error> {
        // What it had for the host before the reset is no acknowledgement.
        (0..DRAINED_MAX).any(|_| self.read_byte().is_none());
        self.command(RESET)?;
        // In UART mode it acknowledges no reset.
        self.await_acknowledgement();
        self.command(ENTER_UART)?;
        if self.await_acknowledgement() { Ok(()) } else { Err(Mpu401Error::Silent(self.base)) }
    }

    fn command(&self, command: u8) -> Result<(), Mpu401Error> {
        if !Self::within_limit(|| self.status() & NOT_READY == 0) {
            return Err(Mpu401Error::Busy(self.base));
        }
        self.acknowledged.store(false, Ordering::Release);
        self.commanding.store(true, Ordering::Release);
        kernel::write_port(self.base + 1, command);
        Ok(())
    }

    /// Waits for the acknowledgement, which the service routine may take.
    fn await_acknowledgement(&self) -> bool {
        let acknowledged = Self::within_limit(|| {
            self.acknowledged.load(Ordering::Acquire) || self.read_byte().is_some_and(|byte| byte == ACKNOWLEDGE)
        });
        self.commanding.store(false, Ordering::Release);
        acknowledged
    }

    fn within_limit(mut done: impl FnMut() -> bool) -> bool {
        let end = kernel::ran() + COMMAND_LIMIT;
        loop {
            if done() {
                return true;
            }
            if kernel::ran() > end {
                return false;
            }
            kernel::while_spinning();
        }
    }

    /// Reads a byte, if there is one. A device that is gone reads all ones: no data.
    fn read_byte(&self) -> Option<u8> {
        (self.status() & NO_DATA == 0).then(|| kernel::read_port(self.base))
    }

    /// Takes what the device has received: at the interrupt's IRQL. Returns whether there was anything.
    pub(super) fn drain(&self) -> bool {
        if !self.powered.load(Ordering::Acquire) {
            return false;
        }
        let mut any = false;
        for _ in 0..DRAINED_MAX {
            let Some(byte) = self.read_byte() else { break };
            any = true;
            if self.commanding.load(Ordering::Acquire) {
                if byte == ACKNOWLEDGE {
                    self.acknowledged.store(true, Ordering::Release);
                }
            } else if self.captures.load(Ordering::Acquire) {
                self.received.put(Received { byte, time: kernel::interrupt_time().cast_signed() });
            }
        }
        any
    }

    /// Takes the device for a capture stream; there is one at a time.
    pub(super) fn open_capture(&self) -> bool {
        !self.capture_open.swap(true, Ordering::AcqRel)
    }

    /// Gives the device up that [`Self::open_capture`] took.
    pub(super) fn close_capture(&self) {
        self.set_captures(false, core::ptr::null_mut());
        self.capture_open.store(false, Ordering::Release);
    }

    /// Lets what is received go to the capture stream, or drops it. `polled` is the group to serve where no interrupt
    /// says that something has come; null where one does.
    pub(super) fn set_captures(&self, captures: bool, polled: PVOID) {
        let before = self.captures.swap(captures, Ordering::AcqRel);
        if before == captures {
            return;
        }
        self.polled.store(if captures { polled } else { core::ptr::null_mut() }, Ordering::Release);
        if captures && !polled.is_null() {
            // SAFETY: initialised when the device was made.
            unsafe { kernel::KeSetTimerEx(self.timer.get(), TICK, TICK_MS, self.dpc.get()) };
        } else if !captures {
            self.received.clear();
        }
    }

    /// Takes a received byte. From the stream's service, one at a time.
    pub(super) fn take(&self) -> Option<Received> {
        self.received.take()
    }

    /// Returns whether the device has power.
    pub(super) fn is_powered(&self) -> bool {
        self.powered.load(Ordering::Acquire)
    }

    /// Notes that the device loses or has its power; it is in UART mode when it has. At `PASSIVE_LEVEL`.
    ///
    /// # Errors
    /// [`Mpu401Error`] when it does not come back.
    pub(super) fn set_power(&self, on: bool) -> Result<(), Mpu401Error> {
        let before = self.powered.swap(on, Ordering::AcqRel);
        if on && !before {
            self.enter_uart_mode()?;
            self.write_all();
        }
        Ok(())
    }

    /// Queues the bytes of an event, which is given back to its allocator when they are written.
    ///
    /// # Safety
    /// Both are live until the event is given back; the owner calls [`Self::withdraw`] before it goes.
    pub(super) unsafe fn queue_event(&self, owner: PVOID, bytes: Vec<u8>, allocator: PVOID, event: *mut KernelEvent) {
        let event = Some((allocator as usize, event as usize));
        self.outgoing.with(|outgoing| outgoing.push_back(Item { owner: owner as usize, bytes, written: 0, event }));
        self.write_all();
    }

    /// Queues bytes as far as there is room: all, or a multiple of four. `None` when the device has taken nothing for
    /// long.
    pub(super) fn queue_bytes(&self, owner: PVOID, bytes: &[u8]) -> Option<usize> {
        let since = self.stuck.load(Ordering::Relaxed);
        if since != 0 && kernel::ran() - since > STUCK_LIMIT {
            return None;
        }
        let taken = self.outgoing.with(|outgoing| {
            let waiting: usize = outgoing.iter().map(|item| item.bytes.len() - item.written).sum();
            let room = WAITING_MAX.saturating_sub(waiting);
            let taken = if bytes.len() <= room { bytes.len() } else { room & !3 };
            if taken > 0 {
                let bytes = bytes[..taken].to_vec();
                outgoing.push_back(Item { owner: owner as usize, bytes, written: 0, event: None });
            }
            taken
        });
        self.write_all();
        Some(taken)
    }

    /// Gives back what a stream has queued, written or not.
    pub(super) fn withdraw(&self, owner: PVOID) {
        loop {
            let own = self.outgoing.with(|outgoing| {
                let index = outgoing.iter().position(|item| item.owner == owner as usize)?;
                outgoing.remove(index)
            });
            let Some(item) = own else { return };
            give_back(item.event);
        }
    }

    /// Writes what waits as far as the device is ready; a timer goes on with the rest.
    fn write_all(&self) {
        self.more.store(true, Ordering::SeqCst);
        while !self.writing.swap(true, Ordering::SeqCst) {
            self.more.store(false, Ordering::SeqCst);
            let done = self.write_some();
            self.writing.store(false, Ordering::SeqCst);
            done.into_iter().for_each(|event| give_back(Some(event)));
            if !self.more.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Writes some of what waits. Returns the events that are done with.
    fn write_some(&self) -> Vec<(usize, usize)> {
        let mut done = Vec::new();
        if !self.is_powered() {
            return done;
        }
        let mut left = WRITTEN_MAX;
        let rest = self.outgoing.with(|outgoing| {
            while let Some(item) = outgoing.front_mut() {
                while let Some(byte) = item.bytes.get(item.written) {
                    if left == 0 || self.status() & NOT_READY != 0 {
                        return true;
                    }
                    kernel::write_port(self.base, *byte);
                    item.written += 1;
                    left -= 1;
                }
                done.extend(outgoing.pop_front().and_then(|item| item.event));
            }
            false
        });
        if left < WRITTEN_MAX || !rest {
            self.stuck.store(0, Ordering::Relaxed);
        } else {
            let now = kernel::ran().max(1);
            let _ = self.stuck.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
        if rest && self.polled.load(Ordering::Acquire).is_null() {
            // SAFETY: initialised when the device was made.
            unsafe { kernel::KeSetTimerEx(self.timer.get(), TICK, 0, self.dpc.get()) };
        }
        done
    }
}

/// Gives an event back to its allocator.
fn give_back(event: Option<(usize, usize)>) {
    let Some((allocator, event)) = event else { return };
    let raised = Raised::to_dispatch();
    // SAFETY: by the contract of `queue_event` both are live.
    unsafe { slots::allocator_mxf::put_message(allocator as PVOID, event as *mut KernelEvent) };
    drop(raised);
}

/// Goes on writing, and looks at a device without an interrupt: the timer's DPC.
unsafe extern "win64" fn tick(_dpc: *mut KDPC, context: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the device takes its timer and its DPC back before it goes.
    let device = unsafe { &*context.cast_const().cast::<Mpu401>() };
    device.write_all();
    let polled = device.polled.load(Ordering::Acquire);
    if !polled.is_null() {
        if device.drain() {
            // SAFETY: the stream that set the group holds it until it has taken it back.
            unsafe { slots::request_service_at_any_irql(polled) };
        }
        return;
    }
    if !device.captures.load(Ordering::Acquire) {
        // The period of a stream that is stopped ends here.
        // SAFETY: initialised when the device was made.
        unsafe { kernel::KeCancelTimer(device.timer.get()) };
        device.write_all();
    }
}

impl Drop for Mpu401 {
    fn drop(&mut self) {
        // SAFETY: initialised when the device was made, and taken back once.
        unsafe {
            kernel::KeCancelTimer(self.timer.get());
            kernel::KeRemoveQueueDpc(self.dpc.get());
        }
        kernel::flush_dpcs();
    }
}
