//! The fake card's registers, as the driver maps them.

use super::card::{FakeCard, Region};
use crate::kernel::Registers;
use crate::transport::Mapped;

/// One structure of the card's registers, mapped.
#[derive(Clone, Debug)]
pub struct FakeRegisters {
    pub(super) card: FakeCard,
    pub(super) region: Region,
}

impl Registers for FakeRegisters {
    fn len(&self) -> usize {
        4096
    }
    fn read8(&self, offset: usize) -> u8 {
        self.card.read(self.region, offset, 1) as u8
    }
    fn read16(&self, offset: usize) -> u16 {
        self.card.read(self.region, offset, 2) as u16
    }
    fn read32(&self, offset: usize) -> u32 {
        self.card.read(self.region, offset, 4)
    }
    fn write8(&self, offset: usize, value: u8) {
        self.card.write(self.region, offset, value.into());
    }
    fn write16(&self, offset: usize, value: u16) {
        self.card.write(self.region, offset, value.into());
    }
    fn write32(&self, offset: usize, value: u32) {
        self.card.write(self.region, offset, value);
    }
}

impl FakeCard {
    /// Maps the card's structures.
    #[must_use]
    pub fn mapped(&self) -> Mapped<FakeRegisters> {
        let region = |region| FakeRegisters { card: self.clone(), region };
        Mapped {
            common: region(Region::Common),
            notify: region(Region::Notify),
            notify_multiplier: 4,
            isr: region(Region::Isr),
            device: region(Region::Device),
            interrupt: self.with(|card| card.behaviour.interrupt),
        }
    }
}
