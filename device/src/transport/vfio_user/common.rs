//! The common configuration (virtio 1.2, section 4.1.4.3), with exact semantics.

use std::sync::Arc;

use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::identity::IdentityBlock;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{COMMON, common, device_status as status};
use zerocopy::IntoBytes;

use super::interrupts::Interrupts;
use super::rings::{Described, Rings};
use super::status::Status;
use crate::bus::FEATURES;
use crate::card::Link;
use crate::diagnosis::DriverError;

/// The common configuration.
pub(super) struct Common {
    // Runtime glue.
    link: Link,
    interrupts: Arc<Interrupts>,
    shown: Arc<Status>,

    // Guest-visible volatile state.
    pub(super) rings: Rings,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    device_status: u8,
    queue_select: u16,
    generation: u8,
    /// The device configuration that the generation is of.
    identity: Option<IdentityBlock>,
}

impl Common {
    /// Returns the configuration of a card, as after power-on.
    pub(super) fn new(link: Link, interrupts: Arc<Interrupts>, shown: Arc<Status>) -> Self {
        let rings = Rings::new(link.clone(), Arc::clone(&interrupts));
        Self {
            link,
            interrupts,
            shown,
            rings,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            device_status: 0,
            queue_select: 0,
            generation: 0,
            identity: None,
        }
    }

    /// Returns to the state after power-on, with bus mastering off.
    pub(super) fn reset(&mut self) {
        self.rings.reset();
        self.shown.set_active(false);
        self.interrupts.reset();
        (self.device_feature_select, self.driver_feature_select, self.driver_features) = (0, 0, 0);
        (self.device_status, self.queue_select) = (0, 0);
    }

    /// Returns whether a write of this value to this register resets the device (virtio 1.2, section 4.1.4.3.1).
    pub(super) const fn is_reset(offset: u32, value: u32) -> bool {
        offset == COMMON.wrapping_add(common::DEVICE_STATUS) && value == 0
    }

    /// Returns the device status.
    pub(super) fn device_status(&self) -> u8 {
        self.device_status | if self.interrupts.needs_reset() { status::NEEDS_RESET } else { 0 }
    }

    /// Reads the device configuration as it is now. The generation changes when it has changed.
    pub(super) fn identity(&mut self) -> IdentityBlock {
        let now = self.link.identity.read();
        if self.identity.is_some_and(|before| before.as_bytes() != now.as_bytes()) {
            self.generation = self.generation.wrapping_add(1);
        }
        self.identity = Some(now);
        now
    }

    /// Returns the queue that is selected, if it exists.
    fn selected(&self) -> Option<Queue> {
        Queue::ALL.into_iter().find(|queue| queue.0 == self.queue_select)
    }

    fn described(&self) -> Option<&Described> {
        self.selected().and_then(|queue| self.rings.queues.get(queue.index()))
    }

    /// Reads a register, by its offset.
    pub(super) fn read(&mut self, offset: u32) -> u32 {
        let half = |features: u64, select: u32| match select {
            0 => features as u32,
            1 => (features >> 32) as u32,
            _ => 0,
        };
        let address = |select: fn(&Described) -> u64| self.described().map_or(0, select);
        match offset.wrapping_sub(COMMON) {
            common::DEVICE_FEATURE_SELECT => self.device_feature_select,
            common::DEVICE_FEATURE => half(FEATURES, self.device_feature_select),
            common::DRIVER_FEATURE_SELECT => self.driver_feature_select,
            common::DRIVER_FEATURE => half(self.driver_features, self.driver_feature_select),
            common::CONFIG_MSIX_VECTOR => self.interrupts.vector(None).into(),
            common::NUM_QUEUES => QUEUE_COUNT as u32,
            common::DEVICE_STATUS => self.device_status().into(),
            common::CONFIG_GENERATION => {
                self.identity();
                self.generation.into()
            }
            common::QUEUE_SELECT => self.queue_select.into(),
            common::QUEUE_SIZE => self.described().map_or(0, |queue| queue.setup.size),
            common::QUEUE_MSIX_VECTOR => {
                self.selected().map_or(u32::from(u16::MAX), |queue| self.interrupts.vector(Some(queue)).into())
            }
            common::QUEUE_ENABLE => self.described().is_some_and(|queue| queue.enabled).into(),
            common::QUEUE_NOTIFY_OFF | common::QUEUE_NOTIFY_DATA => self.selected().map_or(0, |queue| queue.0.into()),
            common::QUEUE_DESC => address(|queue| queue.setup.descriptors) as u32,
            offset if offset == common::QUEUE_DESC.wrapping_add(4) => {
                (address(|queue| queue.setup.descriptors) >> 32) as u32
            }
            common::QUEUE_DRIVER => address(|queue| queue.setup.available) as u32,
            offset if offset == common::QUEUE_DRIVER.wrapping_add(4) => {
                (address(|queue| queue.setup.available) >> 32) as u32
            }
            common::QUEUE_DEVICE => address(|queue| queue.setup.used) as u32,
            offset if offset == common::QUEUE_DEVICE.wrapping_add(4) => {
                (address(|queue| queue.setup.used) >> 32) as u32
            }
            _ => 0,
        }
    }

    /// Writes a register, by its offset.
    pub(super) fn write(&mut self, offset: u32, value: u32) {
        let refused = |expected: u32| {
            let error = DriverError::new(Diagnosis::REGISTER_VALUE).at(offset).expected(expected, value);
            self.link.registers.report(error);
        };
        match offset.wrapping_sub(COMMON) {
            common::DEVICE_FEATURE_SELECT => self.device_feature_select = value,
            common::DRIVER_FEATURE_SELECT => self.driver_feature_select = value,
            common::DRIVER_FEATURE => self.write_features(offset, value),
            common::CONFIG_MSIX_VECTOR => {
                if !self.interrupts.set_vector(None, value as u16) {
                    refused(card_spec::registers::VECTORS.into());
                }
            }
            common::DEVICE_STATUS => self.write_status(offset, value as u8),
            common::QUEUE_SELECT => self.queue_select = value as u16,
            common::QUEUE_MSIX_VECTOR => match self.selected() {
                Some(queue) if self.interrupts.set_vector(Some(queue), value as u16) => {}
                Some(_) => refused(card_spec::registers::VECTORS.into()),
                None => self.refuse_queue(offset),
            },
            other => self.write_queue(other, offset, value),
        }
    }

    /// Refuses a write to a register of a queue that does not exist.
    fn refuse_queue(&self, offset: u32) {
        let error = DriverError::new(Diagnosis::REGISTER_VALUE).at(offset);
        self.link.registers.report(error.expected(QUEUE_COUNT as u32, self.queue_select.into()));
    }

    /// Takes over features, until the driver has said that these are all.
    fn write_features(&mut self, offset: u32, value: u32) {
        let shift = match self.driver_feature_select {
            0 => 0,
            1 => 32,
            // No features are there, and none may be accepted.
            _ if value == 0 => return,
            _ => return self.refuse(offset, 0, value),
        };
        if self.device_status & status::FEATURES_OK != 0 {
            return self.refuse(offset, (self.driver_features >> shift) as u32, value);
        }
        let half = u64::from(u32::MAX).wrapping_shl(shift);
        self.driver_features = self.driver_features & !half | u64::from(value).wrapping_shl(shift);
    }

    fn refuse(&self, offset: u32, expected: u32, got: u32) {
        self.link.registers.report(DriverError::new(Diagnosis::REGISTER_VALUE).at(offset).expected(expected, got));
    }

    /// Takes over the device status: bits are set one after the other, and cleared by a reset only (virtio 1.2, sections
    /// 2.1.1 and 3.1.1).
    fn write_status(&mut self, offset: u32, value: u8) {
        if value == 0 {
            return self.reset_by_driver();
        }
        let before = self.device_status;
        if before & !value & !status::NEEDS_RESET != 0 {
            self.refuse(offset, before.into(), value.into());
        }
        let mut added = value & !before & !status::NEEDS_RESET;
        if added & status::FEATURES_OK != 0 && !self.features_are_right() {
            added &= !status::FEATURES_OK;
        }
        if added & status::DRIVER_OK != 0 && (before | added) & status::FEATURES_OK == 0 {
            let needed = before | status::FEATURES_OK;
            self.refuse(offset, needed.into(), value.into());
            added &= !status::DRIVER_OK;
        }
        self.device_status = before | added;
        if added & status::DRIVER_OK != 0 {
            self.shown.set_active(true);
            self.rings.start(self.driver_features);
        }
    }

    /// Resets the device for a driver. Bus mastering is not the device's, and stays.
    fn reset_by_driver(&mut self) {
        let bus_master = self.rings.is_bus_master();
        self.reset();
        self.rings.set_bus_master(bus_master);
    }

    /// Returns whether the driver has accepted features that it can work with; what is wrong is reported.
    fn features_are_right(&self) -> bool {
        let accepted = self.driver_features;
        let foreign = accepted & !FEATURES;
        if foreign != 0 {
            let (half, shift) = if foreign as u32 == 0 { (1, 32) } else { (0, 0) };
            let offset = COMMON.wrapping_add(common::DRIVER_FEATURE);
            let error = DriverError::new(Diagnosis::REGISTER_VALUE).at(offset);
            self.link.registers.report(error.expected((FEATURES >> shift) as u32, (accepted >> shift) as u32));
            log::debug!("features of word {half} were accepted that are not offered");
            return false;
        }
        if accepted & feature::VERSION_1 == 0 {
            let error = DriverError::new(Diagnosis::VERSION_1_MISSING).got((accepted >> 32) as u32);
            self.link.registers.report(error);
            return false;
        }
        true
    }

    /// Writes a register of the selected queue. A queue that is enabled keeps what it has, until a reset.
    fn write_queue(&mut self, register: u32, offset: u32, value: u32) {
        let Some(queue) = self.selected() else { return self.refuse_queue(offset) };
        let enabled = self.described().is_some_and(|described| described.enabled);
        if register == common::QUEUE_ENABLE {
            // A driver enables a queue once, and never disables it (section 4.1.4.3.2).
            if value == 1 && !enabled {
                self.rings.enable(queue);
            } else {
                self.refuse(offset, 1, value);
            }
            return;
        }
        if enabled {
            return self.refuse(offset, self.read_back(register), value);
        }
        let Some(described) = self.rings.queues.get_mut(queue.index()) else { return };
        let setup = &mut described.setup;
        let low = |address: &mut u64| *address = *address >> 32 << 32 | u64::from(value);
        let high = |address: &mut u64| *address = u64::from(*address as u32) | u64::from(value) << 32;
        match register {
            common::QUEUE_SIZE => setup.size = value,
            common::QUEUE_DESC => low(&mut setup.descriptors),
            common::QUEUE_DRIVER => low(&mut setup.available),
            common::QUEUE_DEVICE => low(&mut setup.used),
            register if register == common::QUEUE_DESC.wrapping_add(4) => high(&mut setup.descriptors),
            register if register == common::QUEUE_DRIVER.wrapping_add(4) => high(&mut setup.available),
            register if register == common::QUEUE_DEVICE.wrapping_add(4) => high(&mut setup.used),
            _ => {}
        }
    }

    /// Returns the value that a register of an enabled queue keeps.
    fn read_back(&self, register: u32) -> u32 {
        match (register, self.described()) {
            (common::QUEUE_SIZE, Some(described)) => described.setup.size,
            (common::QUEUE_DESC, Some(described)) => described.setup.descriptors as u32,
            (common::QUEUE_DRIVER, Some(described)) => described.setup.available as u32,
            (common::QUEUE_DEVICE, Some(described)) => described.setup.used as u32,
            _ => 0,
        }
    }
}
