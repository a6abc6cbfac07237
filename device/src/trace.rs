//! Records what a guest can see of the card (crate `card-trace`): the taps, one call a place.
//!
//! Without a trace a tap is one comparison.

use std::sync::atomic::{AtomicBool, Ordering};

use card_control::Command;
use card_spec::control::RequestHeader;
use card_spec::queue::Queue;
use card_spec::status_page::StatusPage;
use card_spec::wave::WaveHeader;
use card_trace::{CardStart, Head, Kind, Setup, Source, VoiceStart, Writer, Written, memory_payload, pcm_hash};

/// The trace of a card, if it has one.
#[derive(Debug, Default)]
pub struct Trace {
    writer: Option<Writer>,
    /// Recording is switched off: only marks are recorded.
    off: AtomicBool,
}

impl Trace {
    /// Returns a trace that records with `writer`.
    #[must_use]
    pub const fn with(writer: Writer) -> Self {
        Self { writer: Some(writer), off: AtomicBool::new(false) }
    }

    /// Returns what records; `None` without a trace, and while recording is switched off.
    #[inline]
    fn recording(&self) -> Option<&Writer> {
        self.writer.as_ref().filter(|_| !self.off.load(Ordering::Relaxed))
    }

    /// Returns whether anything is recorded.
    #[inline]
    pub(crate) fn records(&self) -> bool {
        self.recording().is_some()
    }

    /// Switches recording off or on, and records that. False without a trace.
    pub fn switch(&self, on: bool) -> bool {
        let Some(writer) = &self.writer else { return false };
        if self.off.swap(!on, Ordering::Relaxed) == on {
            writer.record(Source::HARNESS, Head::recording(on));
        }
        true
    }

    /// Returns what has been written; `None` without a trace.
    #[must_use]
    pub fn written(&self) -> Option<Written> {
        self.writer.as_ref().map(Writer::written)
    }

    /// Records a mark of a client of the control socket. False without a trace.
    pub fn mark(&self, text: &str) -> bool {
        let Some(writer) = &self.writer else { return false };
        writer.record_with(Source::HARNESS, Head::mark(), &[text.as_bytes()]);
        true
    }

    /// Records what the card is started with.
    pub fn card(&self, start: &CardStart<'_>) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::CARD, Head::card(), &[&start.payload()]);
        }
    }

    /// Records a command of the control socket that is about to change the card.
    pub(crate) fn command(&self, command: &Command) {
        if self.records() {
            self.command_text(command.to_line().trim_end());
        }
    }

    /// Records a command as the control socket takes it.
    pub(crate) fn command_text(&self, command: &str) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::HARNESS, Head::command(), &[command.as_bytes()]);
        }
    }

    #[inline]
    fn record(&self, head: impl FnOnce() -> Head) {
        if let Some(writer) = self.recording() {
            writer.record(Source::CARD, head());
        }
    }

    /// Records an access to a register; `taken` tells whether one takes it.
    pub(crate) fn register(&self, kind: Kind, offset: u64, width: usize, value: u64, taken: bool) {
        self.record(|| Head::access(kind, offset, width, value, taken));
    }

    /// Records an access to configuration space: its first four bytes.
    pub(crate) fn config(&self, kind: Kind, offset: usize, data: &[u8]) {
        self.record(|| {
            let mut value = [0; 4];
            value.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
            Head::access(kind, offset as u64, data.len(), u32::from_le_bytes(value).into(), true)
        });
    }

    /// Records a read of the identity block.
    pub(crate) fn identity_read(&self, bytes: u64) {
        self.record(|| Head::identity_read(0, bytes));
    }

    /// Records the features that the driver accepted.
    pub(crate) fn features(&self, features: u64) {
        self.record(|| Head::features(features));
    }

    /// Records guest memory as its transport has described it, by address and length of each region.
    pub(crate) fn memory(&self, regions: &[(u64, u64)]) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::CARD, Head::memory(), &[&memory_payload(regions)]);
        }
    }

    /// Records frames that are not rendered.
    pub(crate) fn skipped(&self, frames: u64) {
        self.record(|| Head::skipped(frames));
    }

    /// Records a ring that starts, or is parked for an error with this code.
    pub(crate) fn ring_started(&self, queue: Queue, setup: Setup, error: u16) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::CARD, Head::queue_started(queue, error), &[&setup.payload()]);
        }
    }

    /// Records a ring that stops, with the index to resume from.
    pub(crate) fn ring_stopped(&self, queue: Queue, next: u16) {
        self.record(|| Head::queue_stopped(queue, next));
    }

    /// Records kicks of a queue.
    pub(crate) fn kicked(&self, queue: Queue, kicks: u64) {
        self.record(|| Head::kicked(queue, kicks));
    }

    /// Records a reset of the device.
    pub(crate) fn reset(&self, resets: u64) {
        self.record(|| Head::reset(resets));
    }

    /// Records that the transport has disconnected.
    pub(crate) fn disconnected(&self) {
        self.record(Head::disconnected);
    }

    /// Records a chain that was taken, with what it asks: nothing where it is malformed.
    pub(crate) fn chain_taken(&self, queue: Queue, head: u16, writable: u64, request: Option<&[u8]>) {
        let Some(writer) = self.recording() else { return };
        let head = Head::chain_taken(queue, head, writable, request.is_none());
        let request = request.unwrap_or_default();
        match if queue == Queue::CONTROL { said(request) } else { request } {
            [] => writer.record(Source::CARD, head),
            request => writer.record_with(Source::CARD, head, &[request]),
        }
    }

    /// Records a chain that was returned. `parts` are what was to be written; an injected fault that had it otherwise has been
    /// recorded before.
    pub(crate) fn chain_returned(&self, queue: Queue, head: u16, written: u32, parts: &[&[u8]]) {
        let Some(writer) = self.recording() else { return };
        match parts {
            [header, pcm] if queue == Queue::WAVE && header.len() == size_of::<WaveHeader>() => {
                let hash = pcm_hash(pcm).to_le_bytes();
                let pcm = if writer.wants_pcm() { pcm } else { &[][..] };
                writer.record_with(Source::CARD, Head::wave_returned(queue, head, written), &[&hash, header, pcm]);
            }
            _ if parts.iter().all(|part| part.is_empty()) => {
                writer.record(Source::CARD, Head::chain_returned(queue, head, written));
            }
            _ => writer.record_with(Source::CARD, Head::chain_returned(queue, head, written), parts),
        }
    }

    /// Records an interrupt of a queue, or that the driver takes none.
    pub(crate) fn interrupt(&self, queue: Queue, raised: bool) {
        self.record(|| Head::interrupt(queue, raised));
    }

    /// Records the frame to be rendered next and the voices that sound.
    pub(crate) fn rendered(&self, frame: i64, voices: u32) {
        self.record(|| Head::rendered(frame, voices));
    }

    /// Records a voice that has started.
    pub(crate) fn voice_started(&self, voice: &VoiceStart) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::CARD, voice.head(), &[&voice.payload()]);
        }
    }

    /// Records a voice that has ended before a frame.
    pub(crate) fn voice_ended(&self, lane: u16, frame: i64) {
        self.record(|| Head::voice_ended(lane, frame));
    }

    /// Records a status page that is written.
    pub(crate) fn status_page(&self, page: &StatusPage) {
        self.record(|| Head::status_page(page.frame.get(), page.sequence.get()));
    }

    /// Records an injected fault that strikes.
    pub(crate) fn fault_struck(&self, fault: &impl ToString) {
        if let Some(writer) = self.recording() {
            writer.record_with(Source::CARD, Head::fault_struck(), &[fault.to_string().as_bytes()]);
        }
    }

    /// Records an error of the driver: its code, its place, what was expected and what was found.
    pub(crate) fn driver_error(&self, code: u16, queue: Option<Queue>, numbers: [u32; 3]) {
        if let Some(writer) = self.recording() {
            let numbers = numbers.map(u32::to_le_bytes);
            writer.record_with(Source::CARD, Head::driver_error(code, queue), &[numbers.as_flattened()]);
        }
    }
}

/// Returns the part of a request that its header counts: a driver's buffer may be longer.
fn said(request: &[u8]) -> &[u8] {
    let header = request.first_chunk::<{ size_of::<RequestHeader>() }>();
    let length = header.map_or(0, |[_, _, _, _, a, b, c, d, ..]| u32::from_le_bytes([*a, *b, *c, *d]));
    let end = size_of::<RequestHeader>().saturating_add(length as usize);
    request.get(..end).unwrap_or(request)
}
