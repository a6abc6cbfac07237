//! The processor's own state: descriptor tables, the processor control region, IRQL, the interrupt flag.
//!
//! There is one processor. Code that must not be interrupted raises the IRQL or clears the interrupt flag; nothing
//! else can run beside it.
#![allow(unsafe_code, reason = "descriptor tables, control registers and model-specific registers")]

use core::cell::UnsafeCell;
use core::mem::size_of;

use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, lidt, load_tss};
use x86_64::registers::control::Cr8;
use x86_64::registers::model_specific::GsBase;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::SegmentSelector;
use x86_64::structures::tss::TaskStateSegment;

use super::trap;
use crate::nt::KIRQL;

/// Ring-0 code, as Windows numbers its selectors (`KGDT64_R0_CODE`).
pub const CODE_SELECTOR: u16 = 0x10;
/// Ring-0 data.
pub const DATA_SELECTOR: u16 = 0x18;
const TSS_SELECTOR: u16 = 0x40;

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

static GDT: Own<[u64; 10]> = Own(UnsafeCell::new([0; 10]));
static IDT: Own<[[u64; 2]; 256]> = Own(UnsafeCell::new([[0; 2]; 256]));
static TSS: Own<TaskStateSegment> = Own(UnsafeCell::new(TaskStateSegment::new()));
static IST_STACKS: Own<[[u8; IST_STACK_BYTES]; 2]> = Own(UnsafeCell::new([[0; IST_STACK_BYTES]; 2]));
static PCR: Own<ProcessorControlRegion> = Own(UnsafeCell::new(ProcessorControlRegion([0; 512])));

/// What `gs` points to: as much of the KPCR and KPRCB as inlined WDK functions read. Offsets: `ntddk.h`, x64.
#[repr(C)]
struct ProcessorControlRegion([u64; 512]);

mod pcr {
    pub(super) const SELF: usize = 0x18 / 8;
    pub(super) const CURRENT_PRCB: usize = 0x20 / 8;
    pub(super) const PRCB: usize = 0x180;
    pub(super) const CURRENT_THREAD: usize = 0x188 / 8;
}

/// Loads descriptor tables, task state and processor control region.
pub fn init() {
    // SAFETY: runs once, before interrupts are enabled, on the only processor.
    unsafe {
        let tss = TSS.0.get();
        let stacks = IST_STACKS.0.get() as u64;
        (*tss).interrupt_stack_table[IST_DOUBLE_FAULT] = VirtAddr::new(stacks + IST_STACK_BYTES as u64);
        (*tss).interrupt_stack_table[IST_NMI] = VirtAddr::new(stacks + 2 * IST_STACK_BYTES as u64);

        let gdt = GDT.0.get();
        (*gdt)[(CODE_SELECTOR / 8) as usize] = 0x00af_9b00_0000_ffff;
        (*gdt)[(DATA_SELECTOR / 8) as usize] = 0x00cf_9300_0000_ffff;
        let base = tss as u64;
        let limit = size_of::<TaskStateSegment>() as u64 - 1;
        (*gdt)[(TSS_SELECTOR / 8) as usize] = limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56;
        (*gdt)[(TSS_SELECTOR / 8) as usize + 1] = base >> 32;
        lgdt(&DescriptorTablePointer { limit: size_of::<[u64; 10]>() as u16 - 1, base: VirtAddr::new(gdt as u64) });
        load_tss(SegmentSelector(TSS_SELECTOR));

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

        let region = PCR.0.get();
        (*region).0[pcr::SELF] = region as u64;
        (*region).0[pcr::CURRENT_PRCB] = region as u64 + pcr::PRCB as u64;
        GsBase::write(VirtAddr::new(region as u64));
    }
}

/// Tells inlined `KeGetCurrentThread` who runs.
pub fn set_current_thread(thread: *mut ()) {
    // SAFETY: the region is this module's; a naturally aligned store.
    unsafe { (&raw mut (*PCR.0.get()).0[pcr::CURRENT_THREAD]).write_volatile(thread as u64) };
}

/// The current IRQL, which is the task-priority register.
#[inline]
#[must_use]
pub fn irql() -> KIRQL {
    Cr8::read_raw() as KIRQL
}

/// Sets the IRQL. Lowering it lets pending interrupts in before it returns.
#[inline]
pub fn set_irql(level: KIRQL) {
    // SAFETY: only masks interrupts; every level from 0 to 15 is legal.
    unsafe { core::arch::asm!("mov cr8, {}", in(reg) u64::from(level & 15)) };
}

/// Whether interrupts are enabled.
#[must_use]
pub fn interrupts_enabled() -> bool {
    x86_64::instructions::interrupts::are_enabled()
}

/// Runs `body` with interrupts disabled.
#[inline]
pub fn without_interrupts<T>(body: impl FnOnce() -> T) -> T {
    x86_64::instructions::interrupts::without_interrupts(body)
}

/// Leaves by QEMU's `isa-debug-exit`, when the line has taken the last word; if the machine has none, halts.
pub fn exit(code: u8) -> ! {
    super::serial::drain();
    // SAFETY: the port is `isa-debug-exit`'s or nobody's.
    unsafe { x86_64::instructions::port::Port::<u32>::new(guest_protocol::exit::PORT).write(u32::from(code)) };
    x86_64::instructions::interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}
