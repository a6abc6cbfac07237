//! Models of what several processors may do at once, tried in every order (`loom`).
//!
//!     RUSTFLAGS="--cfg loom" cargo test --release -p dmus-miniport --test models
#![cfg(loom)]
#![allow(unsafe_code, reason = "locks, memory and levels are promises between kernel and driver")]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use dmus_miniport::dma::{Memory, Window};
use dmus_miniport::doorbell::Doorbell;
use dmus_miniport::exchange::Exchange;
use dmus_miniport::irql::{AtMostDispatch, Passive};
use dmus_miniport::kernel::{Kernel, PendingRequest, Signal};
use dmus_miniport::pending::{Pending, cause};
use dmus_miniport::ring::{RING_BYTES, Ring, Segment};
use dmus_miniport::rundown::Rundown;
use dmus_miniport::unloads::{Unload, Unloads};
use loom::sync::atomic::{AtomicBool, Ordering, fence};
use loom::thread;
use portcls::NtStatus;

/// Tries every execution, and prints how many there are.
fn model(work: impl Fn() + Sync + Send + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    loom::model(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        work();
    });
    println!("{} executions", executions.load(std::sync::atomic::Ordering::Relaxed));
}

/// Makes a token for models, which run at no interrupt request level.
fn level() -> Passive {
    // SAFETY: models may wait.
    unsafe { Passive::assume() }
}

/// The ring's device: the other half of the protocol, as virtio 1.2, section 2.7, has it.
struct Device {
    window: Window,
    taken: u16,
    returned: u16,
}

/// Offsets in a ring of two descriptors.
mod at {
    pub(super) const AVAILABLE_INDEX: usize = 34;
    pub(super) const AVAILABLE: usize = 36;
    pub(super) const USED_EVENT: usize = 40;
    pub(super) const USED_INDEX: usize = 46;
    pub(super) const USED: usize = 48;
    pub(super) const AVAILABLE_EVENT: usize = 64;
}

impl Device {
    const fn new(window: Window) -> Self {
        Self { window, taken: 0, returned: 0 }
    }

    /// Takes the next chain, if there is one.
    fn take(&mut self) -> Option<u16> {
        if self.window.load_acquire(at::AVAILABLE_INDEX) == self.taken {
            return None;
        }
        let mut head = [0; 2];
        self.window.read_bytes(at::AVAILABLE + 2 * usize::from(self.taken % 2), &mut head);
        self.taken = self.taken.wrapping_add(1);
        Some(u16::from_le_bytes(head))
    }

    /// Enables the kick for the next chain.
    fn want_kicks(&self) {
        self.window.store_release(at::AVAILABLE_EVENT, self.taken);
        fence(Ordering::SeqCst);
    }

    /// Returns a chain to the driver. True: the driver wants an interrupt for it.
    fn give_back(&mut self, head: u16) -> bool {
        let mut element = [0; 8];
        element[..2].copy_from_slice(&head.to_le_bytes());
        self.window.write_bytes(at::USED + 8 * usize::from(self.returned % 2), &element);
        let old = self.returned;
        self.returned = old.wrapping_add(1);
        self.window.store_release(at::USED_INDEX, self.returned);
        fence(Ordering::SeqCst);
        let event = self.window.load_acquire(at::USED_EVENT);
        self.returned.wrapping_sub(event).wrapping_sub(1) < self.returned.wrapping_sub(old)
    }
}

/// Makes a ring of two chains of one descriptor, and its device.
fn ring() -> (Memory, Ring, Device) {
    let memory = Memory::new(RING_BYTES);
    let ring = Ring::new(memory.window(), 2, 1, true).unwrap();
    let device = Device::new(memory.window());
    (memory, ring, device)
}

const BUFFER: Segment = Segment { address: 0, length: 8, writable: true };

#[test]
fn kicks_for_a_chain_that_the_device_does_not_see_before_it_sleeps() {
    model(|| {
        let (memory, mut ring, mut device) = ring();
        assert!(ring.submit(0, &[BUFFER]) && ring.needs_kick());
        assert_eq!(device.take(), Some(0));
        let sleeper = thread::spawn(move || {
            device.want_kicks();
            device.take().is_some()
        });
        assert!(ring.submit(1, &[BUFFER]));
        let kicked = ring.needs_kick();
        let seen = sleeper.join().unwrap();
        assert!(seen || kicked, "the chain waits for ever");
        drop(memory);
    });
}

#[test]
fn sees_a_returned_chain_before_it_sleeps_or_is_interrupted() {
    model(|| {
        let (memory, mut ring, mut device) = ring();
        ring.want_interrupts(false);
        assert!(ring.submit(0, &[BUFFER]));
        let returner = thread::spawn(move || {
            let head = device.take().unwrap();
            device.give_back(head)
        });
        let seen = ring.reap().is_some() || ring.want_interrupts(true);
        let interrupted = returner.join().unwrap();
        assert!(seen || interrupted, "the driver waits for ever");
        assert!(ring.fault().is_none());
        drop(memory);
    });
}

#[test]
fn passes_every_interrupt_cause_to_a_deferred_call_when_calls_collapse() {
    model(|| {
        let pending = Arc::new(Pending::new());
        let queued = Arc::new(AtomicBool::new(false));
        let interrupts: Vec<_> = [cause::QUEUE, cause::CONFIGURATION]
            .into_iter()
            .map(|seen| {
                let (pending, queued) = (pending.clone(), queued.clone());
                thread::spawn(move || {
                    pending.raise(seen);
                    // As queueing a call that may be queued already does.
                    queued.swap(true, Ordering::AcqRel);
                })
            })
            .collect();
        let run = || if queued.swap(false, Ordering::AcqRel) { pending.take() } else { 0 };
        let mut served = run();
        for interrupt in interrupts {
            interrupt.join().unwrap();
        }
        served |= run();
        assert_eq!(served, cause::QUEUE | cause::CONFIGURATION, "a status bit is lost");
    });
}

#[test]
fn accesses_no_register_of_a_card_without_power() {
    model(|| {
        let rundown = Arc::new(Rundown::new());
        // Loom reports a change that is concurrent with an access.
        let registers = Arc::new(loom::cell::UnsafeCell::new(true));
        let users: Vec<_> = (0..2)
            .map(|_| {
                let (rundown, registers) = (rundown.clone(), registers.clone());
                thread::spawn(move || {
                    if let Some(_guard) = rundown.acquire() {
                        // SAFETY: the model checks that this is never concurrent with a change.
                        let powered = registers.with(|registers| unsafe { *registers });
                        assert!(powered, "a register is accessed without power");
                    }
                })
            })
            .collect();
        rundown.wait_for_release(thread::yield_now);
        // SAFETY: as above.
        registers.with_mut(|registers| unsafe { *registers = false });
        // SAFETY: as above.
        registers.with_mut(|registers| unsafe { *registers = true });
        rundown.reinitialize();
        for user in users {
            user.join().unwrap();
        }
        assert!(!rundown.is_run_down());
    });
}

mod kernel {
    //! A kernel whose locks and events are the model checker's.

    use core::ptr::NonNull;

    use dmus_miniport::irql::{AtMostDispatch, Passive};
    use dmus_miniport::kernel::{DmaBuffer, EventAllocator, Kernel, RawMutex, RawSpinLock, Registers, Signal};
    use dmus_miniport::log::Part;
    use loom::sync::{Condvar, Mutex};
    use portcls::event::DmusKernelEvent;

    pub(super) struct Model;

    /// A lock whose waiters sleep: the checker need not try how long they spin.
    pub(super) struct Lock {
        held: Mutex<bool>,
        freed: Condvar,
    }

    impl Lock {
        fn new() -> Self {
            Self { held: Mutex::new(false), freed: Condvar::new() }
        }

        fn take(&self) {
            let mut held = self.held.lock().unwrap();
            while *held {
                held = self.freed.wait(held).unwrap();
            }
            *held = true;
        }

        fn give(&self) {
            *self.held.lock().unwrap() = false;
            self.freed.notify_one();
        }
    }

    // SAFETY: taken by one at a time.
    unsafe impl RawSpinLock for Lock {
        type Saved = ();
        fn acquire(&self, _: AtMostDispatch) {
            self.take();
        }
        unsafe fn release(&self, (): ()) {
            self.give();
        }
    }

    // SAFETY: taken by one at a time.
    unsafe impl RawMutex for Lock {
        fn acquire(&self, _: Passive) {
            self.take();
        }
        unsafe fn release(&self, _: Passive) {
            self.give();
        }
    }

    /// An event whose wait does not time out: after a lost wake-up a thread never ends, which loom reports.
    pub(super) struct Event {
        set: Mutex<bool>,
        changed: Condvar,
    }

    impl Signal for Event {
        fn set(&self, _: AtMostDispatch) {
            *self.set.lock().unwrap() = true;
            self.changed.notify_one();
        }
        fn clear(&self, _: AtMostDispatch) {
            *self.set.lock().unwrap() = false;
        }
        fn wait(&self, _: Passive, _: u32) -> bool {
            let mut set = self.set.lock().unwrap();
            while !*set {
                set = self.changed.wait(set).unwrap();
            }
            *set = false;
            true
        }
    }

    /// Registers and memory that no model uses.
    pub(super) struct Nothing;

    impl Registers for Nothing {
        fn len(&self) -> usize {
            0
        }
        fn read8(&self, _: usize) -> u8 {
            0
        }
        fn read16(&self, _: usize) -> u16 {
            0
        }
        fn read32(&self, _: usize) -> u32 {
            0
        }
        fn write8(&self, _: usize, _: u8) {}
        fn write16(&self, _: usize, _: u16) {}
        fn write32(&self, _: usize, _: u32) {}
    }

    // SAFETY: none is made.
    unsafe impl DmaBuffer for Nothing {
        fn pointer(&self) -> NonNull<u8> {
            NonNull::dangling()
        }
        fn address(&self) -> u64 {
            0
        }
        fn len(&self) -> usize {
            0
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct NoAllocator;

    impl EventAllocator for NoAllocator {
        unsafe fn give_back(&self, _: *mut DmusKernelEvent, _: AtMostDispatch) {}
    }

    impl Kernel for Model {
        type Registers = Nothing;
        type Dma = Nothing;
        type SpinLock = Lock;
        type Mutex = Lock;
        type Signal = Event;
        type Allocator = NoAllocator;
        type PendingRequest = super::Request;

        fn allocate_dma(&self, _: Passive, _: usize) -> Option<Nothing> {
            None
        }
        fn spin_lock(&self) -> Lock {
            Lock::new()
        }
        fn mutex(&self, _: Passive) -> Option<Lock> {
            Some(Lock::new())
        }
        fn signal(&self, _: Passive) -> Option<Event> {
            Some(Event { set: Mutex::new(false), changed: Condvar::new() })
        }
        fn pause(&self, _: Passive, _: u32) {
            loom::thread::yield_now();
        }
        fn time(&self) -> u64 {
            0
        }
        fn log(&self, _: &[Part]) {}
    }
}

/// A doorbell that wakes the card's thread.
struct Bell(Arc<kernel::Event>);

impl Doorbell for Bell {
    fn ring(&self, _: u16) {
        self.0.set(level().into());
    }
    fn is_gone(&self, _: AtMostDispatch) -> bool {
        false
    }
    fn wait_for_card(&self, _: Passive) {}
}

#[test]
fn wakes_the_thread_that_waits_for_a_response_without_a_time_out() {
    model(|| {
        let (memory, ring, mut device) = ring();
        let exchange = Arc::new(Exchange::new(&kernel::Model, level(), 0, ring).unwrap());
        let bell = Arc::new(kernel::Model.signal(level()).unwrap());
        let card = {
            let (exchange, bell) = (exchange.clone(), bell.clone());
            thread::spawn(move || {
                bell.wait(level(), 0);
                let head = device.take().expect("a chain is available before the kick");
                if device.give_back(head) {
                    // The interrupt's deferred procedure call.
                    exchange.service(level().into());
                }
            })
        };
        assert_eq!(exchange.submit_and_wait(level(), &Bell(bell), 1000, |_| [BUFFER]), Ok(0));
        card.join().unwrap();
        drop(memory);
    });
}

/// An IRP that can be cancelled.
#[derive(Default)]
struct Packet {
    routine: AtomicBool,
    mark: AtomicBool,
    completed: loom::sync::atomic::AtomicU32,
}

/// A pending request, as `dmuscard` has it, with a flag for the cancel routine.
#[derive(Clone)]
struct Request(Arc<Packet>);

impl PendingRequest for Request {
    fn arm(&self) -> bool {
        self.0.routine.swap(true, Ordering::SeqCst);
        !self.0.mark.load(Ordering::SeqCst) || !self.claim()
    }
    fn claim(&self) -> bool {
        self.0.routine.swap(false, Ordering::SeqCst)
    }
    fn complete(self, _: AtMostDispatch, _: NtStatus) {
        assert_eq!(self.0.completed.fetch_add(1, Ordering::Relaxed), 0, "a request is completed twice");
    }
}

/// Enters an unload, and makes an IRP of a client for it.
fn entered(handle: u32) -> (Arc<Unloads<kernel::Model>>, Arc<Packet>) {
    let unloads = Arc::new(Unloads::new(&kernel::Model).unwrap());
    assert!(unloads.enter(level().into(), handle));
    (unloads, Arc::new(Packet::default()))
}

/// Cancels an IRP, as `IoCancelIrp` does.
fn cancel(unloads: &Unloads<kernel::Model>, packet: &Packet) {
    packet.mark.store(true, Ordering::SeqCst);
    if packet.routine.swap(false, Ordering::SeqCst) {
        unloads.cancel(level().into(), |_| true);
    }
}

fn assert_completed_once(unloads: &Unloads<kernel::Model>, packet: &Packet, unload: Unload) {
    let completed = packet.completed.load(Ordering::Relaxed);
    assert_eq!(completed, u32::from(unload == Unload::Pending), "{unload:?}, completed {completed} times");
    assert_eq!(unloads.pending(level().into()), 0);
}

const HANDLE: u32 = 7;

#[test]
fn completes_an_unload_once_when_the_notice_overtakes_the_response() {
    model(|| {
        let (unloads, packet) = entered(HANDLE);
        let notice = {
            let unloads = unloads.clone();
            thread::spawn(move || unloads.sound_ended(level().into(), HANDLE))
        };
        let unload = unloads.make_pending(level().into(), HANDLE, 0, Request(packet.clone()));
        notice.join().unwrap();
        assert_completed_once(&unloads, &packet, unload);
    });
}

#[test]
fn completes_an_unload_once_when_it_is_cancelled_while_it_becomes_pending() {
    model(|| {
        let (unloads, packet) = entered(HANDLE);
        let canceller = {
            let (unloads, packet) = (unloads.clone(), packet.clone());
            thread::spawn(move || cancel(&unloads, &packet))
        };
        let unload = unloads.make_pending(level().into(), HANDLE, 0, Request(packet.clone()));
        canceller.join().unwrap();
        assert_completed_once(&unloads, &packet, unload);
    });
}

#[test]
fn completes_an_unload_once_by_the_notice_or_by_its_cancel_routine() {
    model(|| {
        let (unloads, packet) = entered(HANDLE);
        let unload = unloads.make_pending(level().into(), HANDLE, 0, Request(packet.clone()));
        let notice = {
            let unloads = unloads.clone();
            thread::spawn(move || unloads.sound_ended(level().into(), HANDLE))
        };
        cancel(&unloads, &packet);
        notice.join().unwrap();
        assert_completed_once(&unloads, &packet, unload);
    });
}
