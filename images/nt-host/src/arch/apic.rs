//! The local APIC and the I/O APIC.
//!
//! Specifications: Intel SDM volume 3, chapter 11 (local APIC); Intel 82093AA datasheet (I/O APIC).
#![allow(unsafe_code, reason = "memory-mapped registers")]

use x86_64::instructions::port::Port;

use super::boot::DIRECT_MAP;
use super::smp;
use super::trap::{DISPATCH_VECTOR, SPURIOUS_VECTOR};

const LOCAL_APIC: u64 = 0xfee0_0000;
const IO_APIC: u64 = 0xfec0_0000;

const ID: u64 = 0x20;
const END_OF_INTERRUPT: u64 = 0xb0;
const SPURIOUS: u64 = 0xf0;
const COMMAND_LOW: u64 = 0x300;
const COMMAND_HIGH: u64 = 0x310;
const TIMER_ENTRY: u64 = 0x320;
const LINT0: u64 = 0x350;
const LINT1: u64 = 0x360;
const TIMER_INITIAL: u64 = 0x380;
const TIMER_CURRENT: u64 = 0x390;
const TIMER_DIVIDE: u64 = 0x3e0;

const MASKED: u32 = 1 << 16;
/// A non-maskable interrupt from outside (QMP `inject-nmi`) stops a guest that hangs, and its report says where.
const DELIVER_NMI: u32 = 4 << 8;
const LEVEL_TRIGGERED: u32 = 1 << 15;
const ACTIVE_LOW: u32 = 1 << 13;

fn read(register: u64) -> u32 {
    // SAFETY: the local APIC's page is in the direct map and always present.
    unsafe { ((DIRECT_MAP + LOCAL_APIC + register) as *const u32).read_volatile() }
}

fn write(register: u64, value: u32) {
    // SAFETY: as above.
    unsafe { ((DIRECT_MAP + LOCAL_APIC + register) as *mut u32).write_volatile(value) }
}

fn io_read(index: u32) -> u32 {
    // SAFETY: the I/O APIC's page is in the direct map and present on every PC.
    unsafe {
        ((DIRECT_MAP + IO_APIC) as *mut u32).write_volatile(index);
        ((DIRECT_MAP + IO_APIC + 0x10) as *const u32).read_volatile()
    }
}

fn io_write(index: u32, value: u32) {
    // SAFETY: as above.
    unsafe {
        ((DIRECT_MAP + IO_APIC) as *mut u32).write_volatile(index);
        ((DIRECT_MAP + IO_APIC + 0x10) as *mut u32).write_volatile(value);
    }
}

/// Silences the 8259 pair, turns the local APIC on, masks everything.
pub fn init() {
    // SAFETY: the interrupt mask registers of the two 8259 controllers.
    unsafe {
        Port::<u8>::new(0x21).write(0xff);
        Port::<u8>::new(0xa1).write(0xff);
    }
    init_local();
    write(LINT1, DELIVER_NMI);
    write(TIMER_DIVIDE, TIMER_DIVIDE_BY_16);
    for pin in 0..io_pins() {
        io_write(0x10 + 2 * pin, MASKED);
    }
}

/// Turns the local APIC of this processor on, its own sources masked.
pub fn init_local() {
    write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
    write(TIMER_ENTRY, MASKED);
    write(LINT0, MASKED);
    write(LINT1, MASKED);
}

/// Returns this processor's number on the interrupt bus.
#[must_use]
pub fn id() -> u32 {
    read(ID) >> 24
}

const DELIVERY_PENDING: u32 = 1 << 12;

fn command(target: u32, low: u32) {
    crate::arch::cpu::exclusively(|| {
        while read(COMMAND_LOW) & DELIVERY_PENDING != 0 {
            core::hint::spin_loop();
        }
        write(COMMAND_HIGH, target << 24);
        write(COMMAND_LOW, low);
    });
}

const ASSERT: u32 = 1 << 14;

/// Interrupts another processor at a vector.
pub fn send(target: u32, vector: u8) {
    command(target, ASSERT | u32::from(vector));
}

/// Interrupts another processor by a non-maskable interrupt.
pub fn send_nmi(target: u32) {
    command(target, ASSERT | DELIVER_NMI);
}

/// All processors but this one.
const OTHERS: u32 = 0b11 << 18;

/// Makes all other processors wait to be started.
pub fn init_others() {
    const INIT: u32 = 5 << 8;
    command(0, OTHERS | ASSERT | INIT);
}

/// Starts all other processors that wait for it at a page below 1 MiB.
pub fn start_others(page: u8) {
    const STARTUP: u32 = 6 << 8;
    command(0, OTHERS | ASSERT | STARTUP | u32::from(page));
}

/// Divide configuration: by 16, so that 32 bits last for minutes.
const TIMER_DIVIDE_BY_16: u32 = 3;

/// Returns how many pins the I/O APIC has.
#[must_use]
pub fn io_pins() -> u32 {
    (io_read(1) >> 16 & 0xff) + 1
}

/// How an interrupt line behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// ISA: rising edge.
    Edge,
    /// PCI: level, active low.
    LevelLow,
}

/// Routes an I/O APIC pin to a vector of the processor that takes devices' interrupts.
pub fn route(pin: u32, vector: u8, trigger: Trigger) {
    io_write(0x11 + 2 * pin, smp::interrupt_target() << 24);
    let mode = match trigger {
        Trigger::Edge => 0,
        Trigger::LevelLow => LEVEL_TRIGGERED | ACTIVE_LOW,
    };
    io_write(0x10 + 2 * pin, u32::from(vector) | mode);
}

/// Masks an I/O APIC pin.
pub fn mask(pin: u32) {
    io_write(0x10 + 2 * pin, MASKED);
}

/// Ends the interrupt in service.
#[inline]
pub fn end_of_interrupt() {
    write(END_OF_INTERRUPT, 0);
}

/// Requests the software interrupt at `DISPATCH_LEVEL`, which comes as soon as the IRQL allows.
pub fn request_dispatch() {
    /// Destination shorthand "self", fixed delivery, edge.
    const TO_SELF: u32 = 0b01 << 18 | 1 << 14;
    write(COMMAND_LOW, TO_SELF | u32::from(DISPATCH_VECTOR));
}

/// Lets the one-shot timer interrupt at `vector`.
pub fn route_timer(vector: u8) {
    write(TIMER_ENTRY, u32::from(vector));
}

/// Starts the one-shot timer; it interrupts when `count` ticks are over.
pub fn arm_timer(count: u32) {
    write(TIMER_INITIAL, count.max(1));
}

/// Starts the timer masked, to measure it.
pub fn start_timer_for_measurement() {
    write(TIMER_ENTRY, MASKED);
    write(TIMER_INITIAL, u32::MAX);
}

/// Returns the ticks since [`start_timer_for_measurement`].
#[must_use]
pub fn measured_ticks() -> u32 {
    u32::MAX - read(TIMER_CURRENT)
}

/// Returns where a message-signalled interrupt is written.
#[must_use]
pub fn message_address() -> u64 {
    LOCAL_APIC | u64::from(smp::interrupt_target()) << 12
}
