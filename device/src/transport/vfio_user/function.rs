//! The card behind the PCI function: each access of a driver, guest memory, resets.

use std::ops::Range;
use std::sync::Arc;

use card_control::log::FRONT_END_DISCONNECTED;
use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;
use card_spec::registers::{
    Access as Kind, BAR, COMMON, COMMON_BYTES, DEVICE, FILE, FILE_BYTES, ISR, NOTIFY, NOTIFY_BYTES, NOTIFY_MULTIPLIER,
    Register,
};
use card_trace::Kind as Record;
use vfio_user_card::{Access, Card, Handle, MemoryRegion, Reset, Stop};
use zerocopy::IntoBytes;

use super::access::{Target, locate};
use super::common::Common;
use super::description::WINDOW;
use super::interrupts::Interrupts;
use super::register_file::RegisterFile;
use super::status::Status;
use super::trace::{self, Verb};
use super::window;
use crate::bus::{Region, SharedBus};
use crate::card::Link;
use crate::diagnosis::DriverError;
use crate::log_limited;

/// The card as crate `vfio-user-card` calls it.
pub(super) struct Function {
    link: Link,
    interrupts: Arc<Interrupts>,
    common: Common,
    file: RegisterFile,
    status: Arc<Status>,
    /// Accesses through the window in configuration space reach registers.
    window: bool,
    /// Requested when the first QEMU has gone, if there is to be no second.
    leave: Option<Stop>,
}

impl Function {
    /// Returns the function of the card behind `link`.
    pub(super) fn new(link: Link, handle: Handle, leave: Option<Stop>) -> Self {
        let function = Self { leave, window: true, ..Self::without_machine(link, handle) };
        function.attach(&function.link.bus);
        function
    }

    /// Returns the function of a card that a replay steps, on whose bus it is not attached. Accesses through the window are recorded as
    /// those of the registers that they reach, so that it has none.
    pub(super) fn without_machine(link: Link, handle: Handle) -> Self {
        let status = Arc::new(Status::new(handle.mapped(BAR.into())));
        let interrupts = Arc::new(Interrupts::new(handle.clone()));
        let common = Common::new(link.clone(), Arc::clone(&interrupts), Arc::clone(&status));
        let file = RegisterFile::new(link.clone(), handle, Arc::clone(&interrupts), Arc::clone(&status));
        Self { link, interrupts, common, file, status, window: false, leave: None }
    }

    /// Has the card behind a bus publish its status here, and request resets.
    pub(super) fn attach(&self, bus: &SharedBus) {
        let mut bus = bus.lock();
        bus.set_status_sink(Some(Arc::<Status>::clone(&self.status)));
        bus.set_reset_request(Some(Arc::<Interrupts>::clone(&self.interrupts)));
    }

    fn read_target(&mut self, target: Target, width: usize) -> u32 {
        let value = match target {
            Target::Identity(at) => {
                let identity = self.common.identity();
                let mut word = [0; 4];
                let bytes = identity.as_bytes().iter().skip(at).take(width);
                word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                u32::from_le_bytes(word)
            }
            Target::Register(register) => self.read_register(register),
        };
        trace::access(Verb::Read, target, width, value);
        value
    }

    fn read_register(&mut self, register: &Register) -> u32 {
        match area(register.offset) {
            Area::Common => self.common.read(register.offset),
            Area::Isr => self.interrupts.take_status().into(),
            // A doorbell is written.
            Area::Notify(_) => 0,
            Area::File => self.file.read(register.offset, self.common.device_status()),
        }
    }

    fn write_target(&mut self, target: Target, width: usize, value: u32) {
        trace::access(Verb::Write, target, width, value);
        match target {
            Target::Identity(at) => {
                let offset = DEVICE.wrapping_add(at as u32);
                self.link.registers.report(DriverError::new(Diagnosis::CONFIG_WRITE).at(offset).got(value));
            }
            Target::Register(Register { offset, access: Kind::ReadOnly | Kind::ReadClears, .. }) => {
                self.link.registers.report(DriverError::new(Diagnosis::REGISTER_READ_ONLY).at(*offset).got(value));
            }
            Target::Register(register) => match area(register.offset) {
                Area::Common => {
                    self.common.write(register.offset, value);
                    if Common::is_reset(register.offset, value) {
                        self.file.reset();
                    }
                }
                Area::Isr => {}
                Area::Notify(queue) => self.notify(queue, register.offset, value),
                Area::File => self.file.write(register.offset, value),
            },
        }
    }

    /// Serves a queue that the driver notifies. The value is the queue's number (virtio 1.2, section 4.1.5.2).
    fn notify(&mut self, queue: Queue, offset: u32, value: u32) {
        if value != u32::from(queue.0) {
            let error = DriverError::new(Diagnosis::REGISTER_VALUE).on(queue).at(offset);
            self.link.registers.report(error.expected(queue.0.into(), value));
        }
        let enabled = self.common.rings.queues.get(queue.index()).is_some_and(|described| described.enabled);
        if enabled && self.common.rings.are_up() {
            self.link.kicked(queue, 1);
        } else {
            let status = self.common.device_status();
            self.link.registers.report(DriverError::new(Diagnosis::QUEUE_NOT_READY).on(queue).got(status.into()));
        }
    }

    fn locate(&self, access: Access) -> Option<Target> {
        locate(access.offset, access.width).map_err(|error| self.link.registers.report(error)).ok()
    }
}

/// An area of BAR 0 with registers.
enum Area {
    Common,
    Isr,
    Notify(Queue),
    File,
}

/// Returns the area of a register of the datasheet.
fn area(offset: u32) -> Area {
    let inside = |start: u32, bytes: u32| offset.checked_sub(start).filter(|at| *at < bytes);
    if let Some(at) = inside(NOTIFY, NOTIFY_BYTES) {
        return Area::Notify(Queue((at / NOTIFY_MULTIPLIER) as u16));
    }
    if inside(COMMON, COMMON_BYTES).is_some() {
        Area::Common
    } else if inside(FILE, FILE_BYTES).is_some() {
        Area::File
    } else {
        debug_assert_eq!(offset, ISR);
        Area::Isr
    }
}

impl Card for Function {
    fn read(&mut self, access: Access) -> u64 {
        let target = self.locate(access);
        // What no register takes reads as all ones.
        let value = target.map_or(u64::MAX, |target| self.read_target(target, access.width).into());
        let Access { offset, width, .. } = access;
        self.link.registers.trace().register(Record::REGISTER_READ, offset, width, value, target.is_some());
        value
    }

    fn write(&mut self, access: Access, value: u64) {
        let target = self.locate(access);
        let Access { offset, width, .. } = access;
        self.link.registers.trace().register(Record::REGISTER_WRITE, offset, width, value, target.is_some());
        if let Some(target) = target {
            self.write_target(target, access.width, value as u32);
        }
    }

    fn reset(&mut self, reset: Reset) {
        log_limited!(
            log::Level::Info,
            "{}",
            match reset {
                Reset::Machine => "the machine resets the card",
                Reset::Function => "the driver resets the function",
                Reset::Power => "the driver takes the card from D3hot to D0",
                Reset::Disconnected => FRONT_END_DISCONNECTED,
            }
        );
        self.common.reset();
        self.file.reset();
        if reset == Reset::Disconnected {
            self.link.bus.lock().disconnect();
            self.link.wake();
            if let Some(leave) = &self.leave {
                leave.request();
            }
        }
    }

    fn bus_master(&mut self, on: bool) {
        log::trace!("bus mastering is {}", if on { "on" } else { "off" });
        self.common.rings.set_bus_master(on);
    }

    fn memory_mapped(&mut self, region: &MemoryRegion<'_>) {
        let MemoryRegion { address, bytes, readable, writable, file } = *region;
        log::trace!("guest memory at {address:#x}: {bytes:#x} bytes, shared: {}", file.is_some());
        // Firmware and BARs come without a file, and nothing of a driver is in memory that the card cannot write.
        let Some((file, offset)) = file.filter(|_| readable && writable) else { return };
        let region = Region { guest_address: address, length: bytes, user_address: 0, file_offset: offset };
        let added = file.try_clone().map_err(crate::bus::MemoryError::File);
        if let Err(error) = added.and_then(|file| self.link.bus.lock().memory_mut().add(region, file)) {
            log_limited!(log::Level::Error, "{error}; the card cannot use this memory");
        }
    }

    fn memory_unmapped(&mut self, address: u64, bytes: u64) {
        log::trace!("guest memory at {address:#x}: {bytes:#x} bytes are taken back");
        // Memory that was not added is not there.
        let _ = self.link.bus.lock().memory_mut().remove(address, bytes);
    }

    fn config_read(&mut self, offset: usize, data: &[u8]) {
        self.link.registers.trace().config(Record::CONFIG_READ, offset, data);
    }

    fn config_written(&mut self, offset: usize, data: &[u8]) {
        self.link.registers.trace().config(Record::CONFIG_WRITE, offset, data);
    }

    fn capability_written(&mut self, index: usize, bytes: &[u8], written: Range<usize>) {
        if let Some(window) = window::of(bytes, &written).filter(|_| self.window && index == WINDOW) {
            let access = Access { bar: BAR.into(), offset: window.offset, width: window.width };
            let bits = u32::BITS.saturating_sub((window.width as u32).saturating_mul(8));
            self.write(access, (window::data(bytes) & u32::MAX.wrapping_shr(bits)).into());
        }
    }

    fn capability_read(&mut self, index: usize, bytes: &mut [u8], read: Range<usize>) {
        if let Some(window) = window::of(bytes, &read).filter(|_| self.window && index == WINDOW) {
            let value = self.read(Access { bar: BAR.into(), offset: window.offset, width: window.width });
            window::set_data(bytes, value as u32);
        }
    }
}
