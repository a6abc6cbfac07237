//! A function without a client.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::card::{Card, Reset};
use crate::description::Description;
use crate::function::{Function, Shared};
use crate::handle::Handle;
use crate::server::ServeError;
use crate::tap::Taps;

/// A function whose accesses are calls of this process, and not messages of a machine: for tests of a card, and to repeat recorded accesses.
///
/// It has configuration space, BARs and interrupts as [`Server`](crate::Server) serves them; interrupts go nowhere, there is no guest memory, no page
/// that a guest maps, and [`Card::tick`] is not called.
pub struct Detached {
    function: Function,
}

impl Detached {
    /// Makes the function of a description, with the card that `make` makes.
    ///
    /// # Errors
    /// [`ServeError`], when the description cannot be a PCI function or the host refuses something.
    pub fn new<C: Card + 'static>(
        mut description: Description,
        make: impl FnOnce(Handle) -> C,
    ) -> Result<Self, ServeError> {
        description.check()?;
        // Nothing maps them, and a replay may be confined: no descriptor is needed.
        description.bars.iter_mut().flatten().for_each(|bar| bar.mapped.clear());
        let shared = Arc::new(Shared::new(description, None, Taps::default())?);
        let card = Box::new(make(Handle::new(Arc::clone(&shared))));
        Ok(Self { function: Function { shared, card: Mutex::new(card) } })
    }

    /// Reads `data.len()` bytes, 8 at most, from a BAR. What is not there, or not allowed, reads as all ones.
    pub fn read(&self, bar: usize, offset: u64, data: &mut [u8]) {
        match data.len() {
            1..=8 => self.function.read_bar(bar, offset, data),
            _ => data.fill(0xff),
        }
    }

    /// Writes 1 to 8 bytes to a BAR. What is not there, or not allowed, changes nothing.
    pub fn write(&self, bar: usize, offset: u64, data: &[u8]) {
        if matches!(data.len(), 1..=8) {
            self.function.write_bar(bar, offset, data);
        }
    }

    /// Reads from configuration space; what is beyond its end reads as all ones.
    pub fn read_config(&self, offset: u64, data: &mut [u8]) {
        self.function.read_config(offset, data);
    }

    /// Writes to configuration space, and does what follows from that.
    pub fn write_config(&self, offset: u64, data: &[u8]) {
        self.function.write_config(offset, data);
    }

    /// Resets function and card.
    pub fn reset(&self, reset: Reset) {
        self.function.reset(reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Access;
    use crate::description::{Bar, Widths};

    /// Keeps what was written.
    struct Latch {
        value: u64,
        resets: Vec<Reset>,
        master: bool,
    }

    struct Shown(Arc<Mutex<Latch>>);

    impl Card for Shown {
        fn read(&mut self, access: Access) -> u64 {
            self.0.lock().value.wrapping_add(access.offset)
        }

        fn write(&mut self, _: Access, value: u64) {
            self.0.lock().value = value;
        }

        fn reset(&mut self, reset: Reset) {
            self.0.lock().resets.push(reset);
        }

        fn bus_master(&mut self, on: bool) {
            self.0.lock().master = on;
        }
    }

    #[test]
    fn accesses_reach_the_card_as_those_of_a_machine_do() {
        let latch = Arc::new(Mutex::new(Latch { value: 0, resets: Vec::new(), master: false }));
        let description = Description::new("latch", 0x1234, 1).bar(0, Bar::memory(0x1000).allow(0..16, Widths::ALL));
        let function = Detached::new(description, |_| Shown(Arc::clone(&latch))).unwrap();
        let mut word = [0; 4];
        function.read(0, 4, &mut word);
        assert_eq!(word, [0xff; 4], "memory space is off");
        function.write_config(4, &[6, 0]);
        assert!(latch.lock().master);
        function.write(0, 8, &[7, 0, 0, 0]);
        function.read(0, 4, &mut word);
        assert_eq!(u32::from_le_bytes(word), 11);
        function.read_config(0, &mut word);
        assert_eq!(word, [0x34, 0x12, 1, 0]);
        function.read(0, 0, &mut [0; 9]);
        function.write(0, 0, &[]);
        function.reset(Reset::Machine);
        assert_eq!(latch.lock().resets, [Reset::Machine]);
    }
}
