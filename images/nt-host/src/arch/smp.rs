//! The second processor: started by INIT and SIPI, it takes the driver's interrupts and runs the DPCs that they queue,
//! while threads run on the first.
//!
//! Specifications: Intel SDM volume 3, section 10.4 (multiple-processor initialisation) and 11.6 (interprocessor
//! interrupts).
#![allow(unsafe_code, reason = "the first instructions of a processor")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::boot::DIRECT_MAP;
use super::cpu::{self, PROCESSORS_MAX};
use super::{apic, clock, paging, stop, trap};

/// Where the processor begins, in real mode: any page below 1 MiB that is memory.
const TRAMPOLINE: u64 = 0x8000;
/// How long a processor may take to come up: of an emulated one, until its host runs it.
const START_LIMIT_NS: u64 = 60_000_000_000;
/// How long it gets to see that it must wait to be started, and between two attempts to start it.
const START_PAUSE_NS: u64 = 10_000_000;
/// Stack of the second processor: interrupts and DPCs nest on it.
const STACK_BYTES: usize = 64 * 1024;

global_asm!(
    r#"
    .section .rodata.trampoline, "a", @progbits
    .global trampoline_start
    .global trampoline_end
trampoline_start:
    .code16
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl (5f - trampoline_start + {at})
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x8, $(2f - trampoline_start + {at})
    .code32
2:  movl $0x20, %eax
    movl %eax, %ds
    movl %eax, %ss
    movl $0x620, %eax
    movl %eax, %cr4
    movl (6f - trampoline_start + {at}), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    movl $0x80010023, %eax
    movl %eax, %cr0
    ljmp $0x10, $(3f - trampoline_start + {at})
    .code64
3:  movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq (7f - trampoline_start + {at}), %rsp
    movq (8f - trampoline_start + {at}), %rax
    xorl %ebp, %ebp
    call *%rax
    ud2
    .balign 8
    /* Null, 32-bit code, 64-bit code and data as the system's, 32-bit data. */
4:  .quad 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf93000000ffff
5:  .short 39
    .long 4b - trampoline_start + {at}
    .balign 8
6:  .quad 0
7:  .quad 0
8:  .quad 0
trampoline_end:
    "#,
    at = const TRAMPOLINE,
    options(att_syntax)
);

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_end: u8;
}

#[repr(C, align(4096))]
struct Stack(core::cell::UnsafeCell<[u8; STACK_BYTES]>);
// SAFETY: the second processor's alone.
unsafe impl Sync for Stack {}
static STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK_BYTES]));

/// How many processors run.
static ONLINE: AtomicUsize = AtomicUsize::new(1);
/// The processors' numbers on the interrupt bus.
static APIC_IDS: [AtomicU32; PROCESSORS_MAX] = [const { AtomicU32::new(0) }; PROCESSORS_MAX];
/// Processors that must forget translations before they go on.
static FLUSH: [AtomicBool; PROCESSORS_MAX] = [const { AtomicBool::new(false) }; PROCESSORS_MAX];
/// Processors that wait for an interrupt and will look at [`FLUSH`] when one comes.
static IDLE: [AtomicBool; PROCESSORS_MAX] = [const { AtomicBool::new(false) }; PROCESSORS_MAX];
/// Counts the interrupts that the second processor begins and ends: odd while it works.
static WORK: AtomicU64 = AtomicU64::new(0);

/// Returns how many processors run.
#[must_use]
pub fn online() -> usize {
    ONLINE.load(Ordering::Acquire)
}

/// Returns the processor that takes devices' interrupts, on the interrupt bus.
#[must_use]
pub fn interrupt_target() -> u32 {
    APIC_IDS[online() - 1].load(Ordering::Relaxed)
}

/// What the second processor runs before it takes interrupts.
static ON_START: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Starts the second processor, if the machine has one. It runs `on_start` before it takes interrupts.
///
/// # Panics
/// If it does not come up.
pub fn start(processors: u16, on_start: fn()) {
    ON_START.store(on_start as *mut (), Ordering::Release);
    APIC_IDS[0].store(apic::id(), Ordering::Relaxed);
    if processors < 2 {
        return;
    }
    let page = (DIRECT_MAP + TRAMPOLINE) as *mut u8;
    // SAFETY: low memory that nothing else uses; the trampoline is shorter than a page.
    unsafe {
        let start = &raw const trampoline_start;
        let length = (&raw const trampoline_end) as usize - start as usize;
        core::ptr::copy_nonoverlapping(start, page, length);
        let parameters = page.add(length).cast::<u64>().sub(3);
        parameters.write(paging::boot_tables_with_low_memory());
        parameters.add(1).write(STACK.0.get() as u64 + STACK_BYTES as u64);
        parameters.add(2).write(begin as *const () as u64);
    }
    trap::set_handler(trap::FLUSH_VECTOR, |_| flush_if_asked());
    apic::init_others();
    let until = clock::ran() + START_LIMIT_NS;
    while online() < 2 {
        assert!(clock::ran() < until, "the second processor does not start");
        stall(START_PAUSE_NS);
        // Again and again: an emulated processor that its host did not run meanwhile finds both messages at once, may
        // start and then go back to waiting. One that runs takes no notice.
        if online() < 2 {
            apic::start_others((TRAMPOLINE >> 12) as u8);
        }
    }
}

/// Waits so long for the second processor, or until it runs.
fn stall(nanoseconds: u64) {
    let until = clock::nanoseconds() + nanoseconds;
    while clock::nanoseconds() < until && online() < 2 {
        core::hint::spin_loop();
    }
}

extern "C" fn begin() -> ! {
    paging::leave_low_memory();
    cpu::init(1);
    apic::init_local();
    APIC_IDS[1].store(apic::id(), Ordering::Relaxed);
    // SAFETY: only `start` stores here, and only a function of this type, before this processor runs.
    unsafe { core::mem::transmute::<*mut (), fn()>(ON_START.load(Ordering::Acquire))() };
    ONLINE.store(2, Ordering::Release);
    loop {
        IDLE[1].store(true, Ordering::SeqCst);
        x86_64::instructions::interrupts::enable_and_hlt();
        x86_64::instructions::interrupts::disable();
    }
}

/// Notes that an interrupt begins on this processor, and does what its idleness let it put off if it is the outermost
/// one. Returns whether it is.
#[inline]
pub(super) fn interrupt_begins() -> bool {
    if cpu::number() == 0 {
        return false;
    }
    let outermost = IDLE[1].swap(false, Ordering::SeqCst);
    if outermost {
        WORK.fetch_add(1, Ordering::Relaxed);
    }
    flush_if_asked();
    outermost
}

/// Notes that an interrupt ends on this processor.
#[inline]
pub(super) fn interrupt_ends(outermost: bool) {
    if outermost {
        WORK.fetch_add(1, Ordering::Relaxed);
        IDLE[1].store(true, Ordering::SeqCst);
    }
}

/// Returns whether the second processor works, and since when it is the same work: a count.
#[must_use]
pub fn work() -> Option<u64> {
    let work = WORK.load(Ordering::Relaxed);
    (work % 2 == 1).then_some(work)
}

fn flush_if_asked() {
    let me = cpu::number();
    if FLUSH[me].load(Ordering::SeqCst) {
        x86_64::instructions::tlb::flush_all();
        FLUSH[me].store(false, Ordering::SeqCst);
    }
}

/// Does what a processor must do while it waits for another with interrupts off.
#[inline]
pub fn while_spinning() {
    flush_if_asked();
    core::hint::spin_loop();
}

/// Makes the other processor forget translations, because one was taken away. Returns when no processor uses it any
/// more.
pub fn forget_translations() {
    if online() < 2 {
        return;
    }
    let other = 1 - cpu::number();
    FLUSH[other].store(true, Ordering::SeqCst);
    if IDLE[other].load(Ordering::SeqCst) {
        return;
    }
    apic::send(APIC_IDS[other].load(Ordering::Relaxed), trap::FLUSH_VECTOR);
    while FLUSH[other].load(Ordering::SeqCst) && !stop::stopping() {
        while_spinning();
    }
}

/// Requests the dispatch interrupt of a processor.
pub fn request_dispatch_of(processor: usize) {
    if processor == cpu::number() || online() < 2 {
        trap::request_dispatch();
    } else {
        apic::send(APIC_IDS[processor].load(Ordering::Relaxed), trap::DISPATCH_VECTOR);
    }
}

/// Stops the other processor where it is, by a non-maskable interrupt.
pub fn stop_other() {
    if online() > 1 {
        apic::send_nmi(APIC_IDS[1 - cpu::number()].load(Ordering::Relaxed));
    }
}
