//! The processor's own state: descriptor tables, the processor control region, IRQL, the interrupt flag.
//!
//! There are one or two processors. Host code that nothing may run beside is in [`exclusively`]: interrupts are off,
//! and the other processor is in no such code.
#![allow(unsafe_code, reason = "descriptor tables, control registers and model-specific registers")]

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, lidt, load_tss};
use x86_64::registers::control::Cr8;
use x86_64::registers::model_specific::GsBase;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;
use x86_64::structures::tss::TaskStateSegment;

use super::{smp, stop, trap};
use crate::nt::KIRQL;

/// Ring-0 code, as Windows numbers its selectors (`KGDT64_R0_CODE`).
pub const CODE_SELECTOR: u16 = 0x10;
/// Ring-0 data.
pub const DATA_SELECTOR: u16 = 0x18;
/// One task state segment for each processor, 16 bytes of the table each.
const TSS_SELECTOR: u16 = 0x40;
/// Most processors.
pub const PROCESSORS_MAX: usize = 2;
const GDT_ENTRIES: usize = 8 + 2 * PROCESSORS_MAX;

/// Stacks for traps that may find the current stack unusable.
const IST_STACK_BYTES: usize = 16 * 1024;
/// For the double fault.
const IST_DOUBLE_FAULT: usize = 0;
/// For NMI and machine check.
const IST_NMI: usize = 1;

/// Static memory that this module alone writes, before anything else runs.
#[repr(C, align(4096))]
struct Own<T>(UnsafeCell<T>);
// SAFETY: written once during start on the only processor, read by hardware afterwards.
unsafe impl<T> Sync for Own<T> {}

static GDT: Own<[u64; GDT_ENTRIES]> = Own(UnsafeCell::new([0; GDT_ENTRIES]));
static IDT: Own<[[u64; 2]; 256]> = Own(UnsafeCell::new([[0; 2]; 256]));
static TSS: [Own<TaskStateSegment>; PROCESSORS_MAX] =
    [const { Own(UnsafeCell::new(TaskStateSegment::new())) }; PROCESSORS_MAX];
static IST_STACKS: [Own<[[u8; IST_STACK_BYTES]; 2]>; PROCESSORS_MAX] =
    [const { Own(UnsafeCell::new([[0; IST_STACK_BYTES]; 2])) }; PROCESSORS_MAX];
static PCR: [Own<ProcessorControlRegion>; PROCESSORS_MAX] =
    [const { Own(UnsafeCell::new(ProcessorControlRegion([0; 512]))) }; PROCESSORS_MAX];

/// What `gs` points to: as much of the KPCR and KPRCB as inlined WDK functions read. Offsets: `ntddk.h`, x64.
#[repr(C)]
struct ProcessorControlRegion([u64; 512]);

mod pcr {
    /// `KPCR.Self`, in words.
    pub(super) const SELF: usize = 0x18 / 8;
    /// `KPCR.CurrentPrcb`, in words.
    pub(super) const CURRENT_PRCB: usize = 0x20 / 8;
    /// `KPCR.Prcb`, in bytes.
    pub(super) const PRCB: usize = 0x180;
    /// `KPRCB.CurrentThread`, in words.
    pub(super) const CURRENT_THREAD: usize = 0x188 / 8;
    /// The processor's number is the byte at 0x184, which inlined `KeGetCurrentProcessorNumber` reads.
    pub(super) const NUMBER: usize = 0x180 / 8;
}

/// Loads descriptor tables, task state and processor control region of the processor that calls, the first one before
/// any other.
pub fn init(number: usize) {
    // SAFETY: runs once on each processor, before its interrupts are enabled, on what is its own.
    unsafe {
        let tss = TSS[number].0.get();
        let stacks = IST_STACKS[number].0.get() as u64;
        (*tss).interrupt_stack_table[IST_DOUBLE_FAULT] = VirtAddr::new(stacks + IST_STACK_BYTES as u64);
        (*tss).interrupt_stack_table[IST_NMI] = VirtAddr::new(stacks + 2 * IST_STACK_BYTES as u64);

        let gdt = GDT.0.get();
        (*gdt)[(CODE_SELECTOR / 8) as usize] = 0x00af_9b00_0000_ffff;
        (*gdt)[(DATA_SELECTOR / 8) as usize] = 0x00cf_9300_0000_ffff;
        let base = tss as u64;
        let limit = size_of::<TaskStateSegment>() as u64 - 1;
        let entry = usize::from(TSS_SELECTOR / 8) + 2 * number;
        (*gdt)[entry] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        (*gdt)[entry + 1] = base >> 32;
        lgdt(&DescriptorTablePointer {
            limit: size_of::<[u64; GDT_ENTRIES]>() as u16 - 1,
            base: VirtAddr::new(gdt as u64),
        });
        load_tss(SegmentSelector(8 * entry as u16));

        let idt = IDT.0.get();
        for vector in 0..256 {
            let ist = match vector {
                8 => IST_DOUBLE_FAULT + 1,
                2 | 18 => IST_NMI + 1,
                _ => 0,
            } as u64;
            let stub = trap::stub(vector);
            // Interrupt gate, present, ring 0; ring 3 does not exist here.
            (*idt)[vector] = [
                (stub & 0xffff) | u64::from(CODE_SELECTOR) << 16 | ist << 32 | 0x8e << 40 | (stub >> 16 & 0xffff) << 48,
                stub >> 32,
            ];
        }
        lidt(&DescriptorTablePointer {
            limit: size_of::<[[u64; 2]; 256]>() as u16 - 1,
            base: VirtAddr::new(idt as u64),
        });

        let region = PCR[number].0.get();
        (*region).0[pcr::NUMBER] = (number as u64) << 32;
        (*region).0[pcr::SELF] = region as u64;
        (*region).0[pcr::CURRENT_PRCB] = region as u64 + pcr::PRCB as u64;
        GsBase::write(VirtAddr::new(region as u64));
    }
}

/// Sets the running thread, for inlined `KeGetCurrentThread`.
pub fn set_current_thread(thread: *mut ()) {
    // SAFETY: the region is this processor's; a naturally aligned store.
    unsafe { (&raw mut (*PCR[number()].0.get()).0[pcr::CURRENT_THREAD]).write_volatile(thread as u64) };
}

/// Returns the thread that runs on this processor.
#[inline]
#[must_use]
pub fn current_thread() -> *mut () {
    let thread: u64;
    // SAFETY: reads the processor control region that `gs` points to.
    unsafe { core::arch::asm!("mov {}, gs:[0x188]", out(reg) thread, options(nostack, readonly, preserves_flags)) };
    thread as *mut ()
}

/// Returns the number of this processor: 0 runs threads, 1, if there is one, takes interrupts.
#[inline]
#[must_use]
pub fn number() -> usize {
    let number: u32;
    // SAFETY: as above.
    unsafe {
        core::arch::asm!("movzx {:e}, byte ptr gs:[0x184]", out(reg) number, options(nostack, readonly, preserves_flags))
    };
    number as usize
}

/// Returns the current IRQL, which is the task-priority register.
#[inline]
#[must_use]
pub fn irql() -> KIRQL {
    Cr8::read_raw() as KIRQL
}

/// Sets the IRQL. Lowering it lets pending interrupts in before it returns. An emulator takes long to write the register, and
/// little to read it; most writes would not change it.
#[inline]
pub fn set_irql(level: KIRQL) {
    if irql() == level & 15 {
        return;
    }
    // SAFETY: only masks interrupts; every level from 0 to 15 is legal.
    unsafe { core::arch::asm!("mov cr8, {}", in(reg) u64::from(level & 15)) };
}

/// Returns whether interrupts are enabled.
#[must_use]
pub fn interrupts_enabled() -> bool {
    x86_64::instructions::interrupts::are_enabled()
}

/// Enables or disables interrupts.
pub fn set_interrupts_enabled(enabled: bool) {
    if enabled {
        x86_64::instructions::interrupts::enable();
    } else {
        x86_64::instructions::interrupts::disable();
    }
}

/// The processor that holds the host's exclusion: its number plus one, or 0.
static EXCLUSIVE: AtomicUsize = AtomicUsize::new(0);
/// How many times over it is held.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Runs `body` with interrupts disabled and no other processor in such a body. May be nested.
#[inline]
pub fn exclusively<T>(body: impl FnOnce() -> T) -> T {
    let enabled = enter_exclusive();
    let result = body();
    leave_exclusive(enabled);
    result
}

/// Begins what [`leave_exclusive`] ends; gives whether interrupts were enabled.
#[inline]
pub fn enter_exclusive() -> bool {
    let me = number() + 1;
    if EXCLUSIVE.load(Ordering::Relaxed) == me {
        // Interrupts are off since this processor entered.
        DEPTH.store(DEPTH.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        return false;
    }
    let enabled = interrupts_enabled();
    x86_64::instructions::interrupts::disable();
    let mut spins = 0u64;
    while EXCLUSIVE.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
        smp::while_spinning();
        spins += 1;
        if spins > SPINS_AT_END && stop::stopping_here() {
            // The other processor was stopped while it held it, and this one has only a report to write.
            EXCLUSIVE.store(me, Ordering::Relaxed);
            DEPTH.store(0, Ordering::Relaxed);
            break;
        }
    }
    DEPTH.store(DEPTH.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    enabled
}

/// How long a processor that stops the system waits for one that it has stopped already.
const SPINS_AT_END: u64 = 10_000_000;

/// Ends what [`enter_exclusive`] began.
#[inline]
pub fn leave_exclusive(enabled: bool) {
    let depth = DEPTH.load(Ordering::Relaxed) - 1;
    DEPTH.store(depth, Ordering::Relaxed);
    if depth == 0 {
        EXCLUSIVE.store(0, Ordering::Release);
    }
    if enabled {
        enable_interrupts();
    }
}

/// Enables interrupts, which come before the next instruction. An emulator ends a block of translated code for that; it ends
/// two for `sti`, which lets the next instruction execute first.
#[inline]
fn enable_interrupts() {
    /// The interrupt flag, and the one that always is.
    const FLAGS: u64 = 1 << 9 | 1 << 1;
    // SAFETY: the flags of a call's return, and interrupts, which were on before.
    unsafe { core::arch::asm!("push {flags}", "popfq", flags = const FLAGS) };
}

/// Returns how many times over this processor holds the exclusion: what a thread keeps when it is switched away from.
#[must_use]
pub fn exclusive_depth() -> usize {
    DEPTH.load(Ordering::Relaxed)
}

/// Takes up what a thread held that is switched to; nothing, for one that begins.
pub fn set_exclusive_depth(depth: usize) {
    DEPTH.store(depth, Ordering::Relaxed);
    if depth == 0 {
        EXCLUSIVE.store(0, Ordering::Release);
    }
}

/// Leaves by QEMU's `isa-debug-exit` when the serial line has sent all; if the machine has no such port, halts.
pub fn exit(code: u8) -> ! {
    super::serial::drain();
    // SAFETY: the port is `isa-debug-exit`'s, or no device has it.
    unsafe { x86_64::instructions::port::Port::<u32>::new(guest_protocol::exit::PORT).write(u32::from(code)) };
    x86_64::instructions::interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}
