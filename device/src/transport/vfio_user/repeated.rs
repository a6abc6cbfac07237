//! The card's function without a machine: a replay makes recorded accesses on it again.

use std::sync::Arc;

use card_spec::queue::Queue;
use card_spec::registers::BAR;
use parking_lot::Mutex;
use vfio_user_card::{Detached, Reset, ServeError};

use super::description;
use super::function::Function;
use crate::bus::{Bus, Memory, SharedBus};
use crate::card::{Identity, Link};
use crate::diagnosis::Registers;

/// Most bytes of an access to a register.
const ACCESS_BYTES_MAX: usize = 8;

/// Bytes of an access to configuration space that are recorded.
const CONFIG_BYTES_MAX: usize = 4;

/// The function of a card that a replay steps.
///
/// Its rings are on a bus of its own, which serves nothing: the replay starts those of the card when the recorded card started them. Registers read
/// and report as they do on the function of a machine.
pub struct Repeated {
    function: Detached,
    shadow: SharedBus,
}

impl Repeated {
    /// Returns the function of the card behind `bus` and `registers`, as after power-on.
    ///
    /// # Errors
    /// [`ServeError`], when the host refuses memory or descriptors.
    pub fn new(bus: &SharedBus, registers: &Arc<Registers>, identity: Identity) -> Result<Self, ServeError> {
        let shadow = Arc::new(Mutex::new(Bus::new(Arc::default())));
        let link = Link::stepped(Arc::clone(&shadow), Arc::clone(registers), Arc::new(identity));
        let function = Detached::new(description::describe(), |handle| {
            let function = Function::without_machine(link, handle);
            function.attach(bus);
            function
        })?;
        Ok(Self { function, shadow })
    }

    /// Takes guest memory, for the rings that the driver describes from now on.
    pub fn set_memory(&self, memory: Memory) {
        *self.shadow.lock().memory_mut() = memory;
    }

    /// Reads a register again.
    pub fn read(&self, offset: u16, width: u8) {
        let mut data = [0; ACCESS_BYTES_MAX];
        if let Some(data) = data.get_mut(..usize::from(width)) {
            self.function.read(BAR.into(), offset.into(), data);
        }
    }

    /// Writes a register again.
    pub fn write(&self, offset: u16, width: u8, value: u32) {
        if let Some(data) = u64::from(value).to_le_bytes().get(..usize::from(width)) {
            self.function.write(BAR.into(), offset.into(), data);
        }
    }

    /// Reads configuration space again.
    pub fn read_config(&self, offset: u16, width: u8) {
        let mut data = [0; CONFIG_BYTES_MAX];
        if let Some(data) = data.get_mut(..usize::from(width)) {
            self.function.read_config(offset.into(), data);
        }
    }

    /// Writes configuration space again.
    pub fn write_config(&self, offset: u16, width: u8, value: u32) {
        if let Some(data) = value.to_le_bytes().get(..usize::from(width)) {
            self.function.write_config(offset.into(), data);
        }
    }

    /// Resets the function where the card was reset, if no access has done so already: the machine did.
    pub fn reset_if_up(&self) {
        let is_up = Queue::ALL.into_iter().any(|queue| self.shadow.lock().is_running(queue));
        if is_up {
            self.function.reset(Reset::Machine);
        }
    }

    /// Returns to the state after power-on: the machine has gone.
    pub fn disconnect(&self) {
        self.function.reset(Reset::Disconnected);
    }
}
