//! A driver on a fake card.
#![allow(dead_code, reason = "each test file uses its own part")]

use dmus_miniport::card::{Card, CardError};
use dmus_miniport::fake::{Behaviour, FakeAllocator, FakeCard, FakeKernel, dispatch, passive};
use dmus_miniport::format::PcmFormat;
use dmus_miniport::midi_out::Groups;
use portcls::event::DmusKernelEvent;
use portcls::ks::KsState;

/// The usual PCM format.
pub(crate) const PCM: PcmFormat = PcmFormat { sample_rate: 48_000, channels: 2 };

/// A note-on.
pub(crate) const NOTE: &[u8] = &[0x90, 60, 100];

/// A started driver and its card.
pub(crate) struct TestDriver {
    pub(crate) fake: FakeCard,
    pub(crate) card: Card<FakeKernel>,
}

/// A render stream.
pub(crate) struct Render<'a> {
    pub(crate) driver: &'a TestDriver,
    pub(crate) id: u32,
    pub(crate) allocator: FakeAllocator,
}

impl TestDriver {
    pub(crate) fn new() -> Self {
        Self::with(Behaviour::default())
    }

    pub(crate) fn with(behaviour: Behaviour) -> Self {
        let fake = FakeCard::new(behaviour);
        let card = start(&fake).expect("the driver starts");
        card.open(passive()).expect("the session opens");
        Self { fake, card }
    }

    pub(crate) fn render(&self) -> Render<'_> {
        self.render_for(Groups::AsGiven)
    }

    pub(crate) fn render_for(&self, groups: Groups) -> Render<'_> {
        let allocator = FakeAllocator::leaked();
        let id = self.card.open_render(passive(), groups, allocator).expect("a stream is free");
        Render { driver: self, id, allocator }
    }

    /// Opens and runs the wave stream, with frame 0 at master time 0.
    pub(crate) fn run_wave(&self) {
        self.card.open_wave(passive(), PCM).unwrap();
        self.card.set_wave_state(passive(), KsState::RUN).unwrap();
        self.card.sync(passive(), 0, true).unwrap();
    }
}

impl Render<'_> {
    pub(crate) fn running(self) -> Self {
        self.set(KsState::RUN);
        self
    }

    pub(crate) fn set(&self, state: KsState) {
        self.driver.card.set_render_state(passive(), self.id, state).unwrap();
    }

    #[allow(unsafe_code, reason = "the driver takes raw events")]
    pub(crate) fn put(&self, events: *mut DmusKernelEvent) {
        // SAFETY: events of the stream's allocator, or null.
        unsafe { self.driver.card.put(dispatch(), self.id, events) };
    }

    pub(crate) fn close(self) -> FakeAllocator {
        self.driver.card.close_render(passive(), self.id);
        self.allocator
    }
}

/// Brings a card to life, without a session.
pub(crate) fn start(fake: &FakeCard) -> Result<Card<FakeKernel>, CardError> {
    Card::start(FakeKernel::new(fake), passive(), fake.mapped())
}

/// Returns the times and data of the events that the card has played.
pub(crate) fn played(fake: &FakeCard) -> Vec<(i64, Vec<u8>)> {
    fake.events().into_iter().map(|event| (event.time, event.data)).collect()
}
