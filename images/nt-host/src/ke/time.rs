//! Time: the clock interrupt with its watchdogs, the shared data page, the functions that drivers ask for the time.
#![allow(unsafe_code, reason = "the shared data page, the time-stamp counter, the real-time clock")]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use x86_64::instructions::port::Port;

use super::{thread, timer};
use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, clock, cpu, frames, smp, trap};
use crate::contract::verifier;
use crate::export_functions;
use crate::harness::options;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::{KI_USER_SHARED_DATA, KIRQL, KSYSTEM_TIME};

/// 100 ns units from 1601 to 1970.
const UNIX_EPOCH: u64 = 116_444_736_000_000_000;

/// The shared data page and what is counted for it.
struct Shared {
    page: *mut u8,
    /// 100 ns since 1601 at nanosecond 0.
    system_base: u64,
    ticks: u64,
}

// SAFETY: the pointer is to the shared data page, which lives as long as the guest.
unsafe impl Send for Shared {}

static SHARED: Uninterrupted<Option<Shared>> = Uninterrupted::new(None);

impl Shared {
    fn publish(&self) {
        let now = clock::nanoseconds();
        let interrupt = now / 100;
        // SAFETY: the page is this module's; fields are where `ntddk.h` says. Readers compare the two high words.
        unsafe {
            write_time(self.page.add(0x08), interrupt);
            write_time(self.page.add(0x14), self.system_base + interrupt);
            write_time(self.page.add(0x320), now / clock::TICK_NS);
        }
    }
}

unsafe fn write_time(field: *mut u8, value: u64) {
    let time = field.cast::<KSYSTEM_TIME>();
    // SAFETY: the caller gives a field of the shared page; 4-byte aligned.
    unsafe {
        (&raw mut (*time).High2Time).write_volatile((value >> 32) as i32);
        (&raw mut (*time).LowPart).write_volatile(value as u32);
        (&raw mut (*time).High1Time).write_volatile((value >> 32) as i32);
    }
}

/// Starts the clock and maps the shared page.
///
/// # Panics
/// If the machine has no HPET, or there is no memory for the page.
pub(super) fn init() {
    clock::init();
    let shared = frames::allocate().expect("memory for the shared data page");
    paging::map(KI_USER_SHARED_DATA, shared, Access::Read, Caching::Cached).expect("memory for page tables");
    let page = (DIRECT_MAP + shared) as *mut u8;
    let (major, minor, build) = options::current().windows.version;
    for (place, part) in VERSION.iter().zip([major, minor, build]) {
        place.store(part, Ordering::Relaxed);
    }

    // SAFETY: the page was just allocated; offsets of KUSER_SHARED_DATA by `ntddk.h`.
    unsafe {
        page.write_bytes(0, PAGE_SIZE as usize);
        page.add(0x004).cast::<u32>().write(1 << 24);
        page.add(0x260).cast::<u32>().write(build);
        page.add(0x264).cast::<u32>().write(1);
        page.add(0x268).cast::<u8>().write(1);
        page.add(0x26a).cast::<u16>().write(9);
        page.add(0x26c).cast::<u32>().write(major);
        page.add(0x270).cast::<u32>().write(minor);
        // PF_COMPARE_EXCHANGE_DOUBLE, MMX, XMMI, RDTSC, PAE, XMMI64, NX, SSE3 absent.
        for feature in [2, 3, 6, 8, 9, 10, 12] {
            page.add(0x274 + feature).write(1);
        }
        page.add(0x300).cast::<u64>().write(PERFORMANCE_FREQUENCY);
        page.add(0x3c0).cast::<u32>().write(1);
    }
    let shared = Shared { page, system_base: real_time_clock().saturating_sub(clock::nanoseconds() / 100), ticks: 0 };
    shared.publish();
    clock::arm(0);
    SHARED.with(|slot| *slot = Some(shared));
    trap::set_handler(trap::CLOCK_VECTOR, |_| tick());
}

/// Returns the version of the Windows that this guest poses as: major, minor, build.
#[must_use]
pub fn version() -> (u32, u32, u32) {
    let [major, minor, build] = &VERSION;
    let read = |part: &AtomicU32| part.load(Ordering::Relaxed);
    (read(major), read(minor), read(build))
}

/// The version, once the options are read: pool is allocated often.
static VERSION: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

/// `KeQueryPerformanceCounter` counts at 10 MHz, as Windows 10 does.
const PERFORMANCE_FREQUENCY: u64 = 10_000_000;

/// How many ticks in a row may find the processor at `DISPATCH_LEVEL` or above: two seconds or more of its own running
/// time, however long the emulator was stopped meanwhile. Windows allows a DPC 100 ms; only what never ends is caught.
const WATCHDOG_TICKS: u32 = 2_000;
const DPC_WATCHDOG_VIOLATION: u32 = 0x133;

/// Ticks in a row that found the processor at `DISPATCH_LEVEL` or above.
static HIGH_TICKS: AtomicU32 = AtomicU32::new(0);

/// Stops a processor that does not come down from `DISPATCH_LEVEL` any more.
fn watch(interrupted: KIRQL) {
    if interrupted < DISPATCH_LEVEL {
        HIGH_TICKS.store(0, Ordering::Relaxed);
    } else if HIGH_TICKS.fetch_add(1, Ordering::Relaxed) > WATCHDOG_TICKS {
        verifier::stop(
            DPC_WATCHDOG_VIOLATION,
            "the clock",
            [1, WATCHDOG_TICKS.into(), WATCHDOG_TICKS.into(), interrupted.into()],
            format_args!(
                "the processor has been at IRQL {interrupted} for {WATCHDOG_TICKS} clock ticks: a DPC, an interrupt \
                 service routine or code under a spin lock does not end"
            ),
        );
    }
}

/// Ticks in a row that found the second processor at the same work.
static OTHER_TICKS: AtomicU32 = AtomicU32::new(0);
static OTHER_WORK: AtomicU64 = AtomicU64::new(0);

/// Stops the second processor if its work does not end, by the interrupt that says where it is.
fn watch_other() {
    let work = smp::work().unwrap_or(0);
    if work == 0 || OTHER_WORK.swap(work, Ordering::Relaxed) != work {
        OTHER_TICKS.store(0, Ordering::Relaxed);
    } else if OTHER_TICKS.fetch_add(1, Ordering::Relaxed) == WATCHDOG_TICKS {
        smp::stop_other();
    }
}

fn tick() {
    watch(trap::interrupted_irql());
    watch_other();
    clock::interrupted();
    clock::discipline();
    SHARED.with(|shared| {
        let Some(shared) = shared else { return };
        shared.ticks += 1;
        shared.publish();
    });
    let due = timer::next_due();
    let now = clock::nanoseconds();
    if due.is_some_and(|due| due * 100 <= now) {
        trap::request_dispatch();
    }
    thread::quantum_tick();
    rearm();
}

/// Programs the clock for the next timer or the next tick.
pub(super) fn rearm() {
    if cpu::number() != 0 {
        // The clock is the first processor's: its dispatch interrupt arms it.
        smp::request_dispatch_of(0);
        return;
    }
    let due = timer::next_due();
    let now = clock::nanoseconds();
    // A timer that is due already is on its way; the next tick will look again.
    clock::arm(due.map(|due| due * 100).filter(|&due| due > now).unwrap_or(u64::MAX));
}

/// Returns the ticks of the clock, which come while the first processor runs and not while its host keeps it waiting.
/// At any IRQL.
#[must_use]
pub fn ticks() -> u64 {
    SHARED.with(|shared| shared.as_ref().map_or(0, |shared| shared.ticks))
}

/// Returns the interrupt time: 100 ns units since the machine started.
#[must_use]
pub fn interrupt_time() -> u64 {
    clock::nanoseconds() / 100
}

/// Returns the system time: 100 ns units since 1601, UTC.
#[must_use]
pub fn system_time() -> u64 {
    SHARED.with(|shared| shared.as_ref().map_or(0, |shared| shared.system_base + clock::nanoseconds() / 100))
}

/// Returns the battery-backed clock, as system time.
fn real_time_clock() -> u64 {
    let cmos = |register: u8| {
        // SAFETY: the CMOS ports; bit 7 of the index is the NMI mask and stays clear.
        unsafe {
            Port::<u8>::new(0x70).write(register);
            Port::<u8>::new(0x71).read()
        }
    };
    let status = cmos(0x0b);
    let number = |register: u8| {
        let value = cmos(register);
        u64::from(if status & 4 == 0 { (value >> 4) * 10 + (value & 15) } else { value })
    };
    let (year, month, day) = (2000 + number(9), number(8).clamp(1, 12), number(7).max(1));
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    // Days since 1970 by the civil calendar.
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(4) * 3600 + number(2) * 60 + number(0);
    UNIX_EPOCH + seconds * 10_000_000
}

/// Holds the processor for some microseconds.
fn stall(microseconds: u64) {
    let until = clock::nanoseconds() + microseconds * 1000;
    while clock::nanoseconds() < until {
        core::hint::spin_loop();
    }
}

/// Longest stall that the documentation allows: 50 microseconds; this many times that is taken for a mistake.
const STALL_MAX_US: u32 = 100_000;

export_functions! {
    /// Time.
    pub static EXPORTS;

    /// Writes the system time.
    [ANY] fn KeQuerySystemTime(time: *mut i64) { time.write(system_time() as i64) }

    /// Writes the system time, to the 100 ns.
    [ANY] fn KeQuerySystemTimePrecise(time: *mut i64) { time.write(system_time() as i64) }

    /// Returns the interrupt time.
    [ANY] fn KeQueryInterruptTime() -> u64 { interrupt_time() }

    /// Returns the interrupt time and writes the performance counter.
    [ANY] fn KeQueryInterruptTimePrecise(counter: *mut u64) -> u64 {
        let now = interrupt_time();
        if !counter.is_null() { counter.write(now) }
        now
    }

    /// Returns the interrupt time without sleep; this machine never sleeps.
    [ANY] fn KeQueryUnbiasedInterruptTime() -> u64 { interrupt_time() }

    /// Returns the performance counter and its frequency.
    [ANY] fn KeQueryPerformanceCounter(frequency: *mut i64) -> i64 {
        if !frequency.is_null() { frequency.write(PERFORMANCE_FREQUENCY as i64) }
        interrupt_time() as i64
    }

    /// Writes the clock ticks since the start.
    [ANY] fn KeQueryTickCount(count: *mut i64) { count.write((clock::nanoseconds() / clock::TICK_NS) as i64) }

    /// Returns the length of a clock tick in 100 ns.
    [ANY] fn KeQueryTimeIncrement() -> u32 { (clock::TICK_NS / 100) as u32 }

    /// Sets the clock's resolution; it is always the best.
    [APC] fn ExSetTimerResolution(_desired: u32, _set: u8) -> u32 { (clock::TICK_NS / 100) as u32 }

    /// Holds the processor.
    [ANY] fn KeStallExecutionProcessor(microseconds: u32) {
        if microseconds > STALL_MAX_US {
            verifier::broken(None, 0xc4, "KeStallExecutionProcessor", [u64::from(microseconds), 0, 0, 0],
                format_args!("a stall of {microseconds} microseconds holds the whole processor; the documented limit is 50. Use a timer or KeDelayExecutionThread"));
        }
        stall(u64::from(microseconds));
    }

    /// Converts system time to local time: this machine's zone is UTC.
    [ANY] fn ExSystemTimeToLocalTime(system: *const i64, local: *mut i64) { local.write(system.read()) }

    /// Converts local time to system time.
    [ANY] fn ExLocalTimeToSystemTime(local: *const i64, system: *mut i64) { system.write(local.read()) }
}
