//! Seeds of target `rings`.

use card_spec::control::{
    ClockSync, Open, PortParameters, RequestCode, StreamKind, StreamOpen, StreamState, StreamStateChange, clock_sync,
    port_parameter,
};
use card_spec::limits::{DOWNLOAD_BYTES_MAX, QUEUE_SIZE_MAX, VOICES_MAX};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{ABI_MAJOR, ABI_MINOR};
use dmus_card::fake::{Descriptor, flag};
use zerocopy::{FromZeros, IntoBytes};

use super::super::guest::{FEATURES, RAM_LENGTH, RAM_START};
use super::super::racer::Write;
use super::super::record::Act;
use super::super::rings::{EVENTS_MAX, RawPiece, Verb, WRITABLE};
use super::{Seed, download, part};

/// The render stream that the seeds open.
const RENDER: u32 = 0;

/// The wave stream.
const WAVE: u32 = 1;

/// Memory that nothing else uses.
const SCRATCH: u64 = 3 << 20;

/// An address that is no offset in guest memory, and outside it.
const OUTSIDE: u64 = 1 << 44;

/// Queue sizes as they are.
pub(super) const fn queue_sizes() -> [u16; QUEUE_COUNT] {
    [QUEUE_SIZE_MAX; QUEUE_COUNT]
}

/// Returns the payload of `OPEN`.
pub(super) fn open(queue_sizes: [u16; QUEUE_COUNT]) -> Vec<u8> {
    let open = Open {
        abi_major: ABI_MAJOR.into(),
        abi_minor: ABI_MINOR.into(),
        queue_sizes: queue_sizes.map(Into::into),
        reserved: 0.into(),
        session: 7.into(),
    };
    open.as_bytes().to_vec()
}

/// An input that is being written.
struct Script(Vec<u8>);

impl Script {
    /// Returns an input that runs in lockstep.
    fn lockstep() -> Self {
        Self(vec![0])
    }

    /// Returns an input that runs in real time.
    fn realtime() -> Self {
        Self(vec![1])
    }

    fn act(mut self, verb: Verb, which: u32, number: u32, wide: u64, data: &[u8]) -> Self {
        Act { kind: verb as u8, which: which as u8, number, wide, data }.write(&mut self.0);
        self
    }

    /// Returns an act on a queue.
    fn on(self, verb: Verb, queue: Queue, number: u32, wide: u64, data: &[u8]) -> Self {
        self.act(verb, queue.0.into(), number, wide, data)
    }

    fn start(self) -> Self {
        self.act(Verb::Start, 0, 0, 0, &[])
    }

    fn again(self, times: u32) -> Self {
        self.act(Verb::Again, 0, times, 0, &[])
    }

    fn settle(self, queue: Queue) -> Self {
        self.on(Verb::Settle, queue, 0, 0, &[])
    }

    fn request(self, code: RequestCode, payload: &[u8]) -> Self {
        self.act(Verb::Request, 0, code.0, 0, payload)
    }

    fn open(self) -> Self {
        self.request(RequestCode::OPEN, &open(queue_sizes()))
    }

    fn stream(self, stream: u32, kind: StreamKind) -> Self {
        let open = StreamOpen {
            stream: stream.into(),
            kind: kind.0.into(),
            sample_rate: 48_000.into(),
            channels: 2.into(),
            bits: 16.into(),
        };
        self.request(RequestCode::STREAM_OPEN, open.as_bytes())
    }

    fn state(self, stream: u32, state: StreamState) -> Self {
        let change = StreamStateChange { stream: stream.into(), state: state.0.into() };
        self.request(RequestCode::STREAM_STATE, change.as_bytes())
    }

    fn sync(self, flags: u32, master_time: i64, frame: i64) -> Self {
        let sync = ClockSync {
            stream: WAVE.into(),
            flags: flags.into(),
            master_time: master_time.into(),
            frame: frame.into(),
        };
        self.request(RequestCode::CLOCK_SYNC, sync.as_bytes())
    }

    /// Sets the device up, opens a session, and runs the streams.
    fn play(self) -> Self {
        self.start()
            .open()
            .stream(RENDER, StreamKind::RENDER)
            .stream(WAVE, StreamKind::WAVE)
            .sync(clock_sync::START, 0, 0)
            .state(RENDER, StreamState::RUN)
            .state(WAVE, StreamState::RUN)
            .settle(Queue::CONTROL)
    }

    fn events(self, count: u32, time: i64, message: &[u8]) -> Self {
        self.act(Verb::Events, RENDER, count, time as u64, message)
    }

    fn wave(self, frames: u32) -> Self {
        self.act(Verb::Wave, WAVE, frames, 0, &[])
    }

    fn wait_wave(self) -> Self {
        self.settle(Queue::WAVE)
    }

    /// Moves a part of a ring to another address.
    fn place(self, queue: Queue, part: u32, at: u64) -> Self {
        self.on(Verb::Place, queue, part, at, &[])
    }

    fn buffers(self, queue: Queue, count: u32, bytes: u64) -> Self {
        self.on(Verb::Buffers, queue, count, bytes, &[])
    }

    fn race(self, writes: &[Write]) -> Self {
        self.act(Verb::Race, 0, 0, 0, writes.as_bytes())
    }

    fn end(self, name: &'static str) -> Seed {
        (name, self.0)
    }
}

/// Returns a write of two bytes by the second processor, whose value grows by `step` each round.
fn rewrite(offset: u64, value: u16, step: u16) -> Write {
    Write { offset: (offset as u32).into(), width: (2 | u32::from(step) << 16).into(), value: u64::from(value).into() }
}

fn pieces(pieces: &[(u64, u32)]) -> Vec<u8> {
    let raw = |(offset, length): &(u64, u32)| RawPiece { offset: (*offset as u32).into(), length: (*length).into() };
    pieces.iter().map(raw).flat_map(|piece| piece.as_bytes().to_vec()).collect()
}

fn table(descriptors: &[Descriptor]) -> Vec<u8> {
    descriptors.iter().flat_map(Descriptor::bytes).collect()
}

/// Returns every seed.
#[must_use]
pub fn all() -> Vec<Seed> {
    [conforming(), overlaps(), races(), costs(), numbers(), chains()].concat()
}

/// Returns the seeds of conforming drivers.
fn conforming() -> Vec<Seed> {
    let song = |script: Script| {
        script
            .play()
            .buffers(Queue::EVENT, 8, 64)
            .buffers(Queue::MIDI_IN, 8, 4096)
            .events(12, 0, &[0x90, 60, 100])
            .events(12, 50_000, &[0x80, 60, 0])
            .wave(480)
            .again(6)
            .wait_wave()
            .state(WAVE, StreamState::PAUSE)
            .state(WAVE, StreamState::STOP)
            .request(RequestCode::STATISTICS, &[])
            .request(RequestCode::LATENCY, &[])
            .request(RequestCode::ALL_SOUND_OFF, &[])
            .request(RequestCode::CLOSE, &[])
            .settle(Queue::CONTROL)
    };
    let downloads = Script::lockstep()
        .play()
        .request(RequestCode::DLS_DOWNLOAD, &download::wave(3, 0))
        .request(RequestCode::DLS_DOWNLOAD, &download::instrument(5, 2, 3, 3))
        .events(1, 0, &[0xc0, 5])
        .events(4, 0, &[0x90, 60, 100])
        .wave(480)
        .wait_wave()
        .request(RequestCode::DLS_UNLOAD, &[1, 0, 0, 0, 0, 0, 0, 0])
        .request(RequestCode::DLS_COMPACT, &[])
        .wave(480)
        .wait_wave();
    let small = Script::lockstep();
    let small = Queue::ALL.into_iter().fold(small, |script, queue| script.on(Verb::Size, queue, 8, 0, &[]));
    let mut open_small = small.start();
    open_small = open_small.request(RequestCode::OPEN, &open([8; QUEUE_COUNT]));
    let page = (RAM_START + SCRATCH).to_le_bytes();
    vec![
        song(Script::lockstep()).end("song_in_lockstep"),
        song(Script::realtime()).end("song_in_real_time"),
        downloads.end("downloads_that_play"),
        open_small.end("rings_of_eight"),
        Script::lockstep()
            .play()
            .wave(480)
            .start()
            .play()
            .act(Verb::Start, 1, 0, 0, &[])
            .wave(480)
            .end("reset_and_resume"),
        Script::lockstep().play().request(RequestCode::STATUS_PAGE, &page).wave(480).end("status_page"),
        Script::lockstep().play().act(Verb::Features, 0, 0, 1 << 32, &[]).play().wave(64).end("without_event_idx"),
        Script::lockstep().play().events(3, 0, &[0xf0, 0x7e, 0x7f, 9, 1, 0xf7]).wave(64).end("system_exclusive"),
    ]
}

/// Returns seeds of rings whose parts share memory, or are not in memory.
fn overlaps() -> Vec<Seed> {
    let same = |queue: Queue| {
        Script::lockstep()
            .place(queue, 2, part(queue.0.into(), 1))
            .start()
            .open()
            .settle(Queue::CONTROL)
            .buffers(queue, 1, 64)
    };
    let endless = |queue: Queue| {
        let chains = pieces(&[(SCRATCH, 16), (SCRATCH + 64, 64 | WRITABLE)]);
        Script::lockstep()
            .place(queue, 2, part(queue.0.into(), 1))
            .on(Verb::Size, queue, 128, 5, &[])
            .on(Verb::Index, queue, 6, 0, &[])
            .act(Verb::Start, 2, 0, 0, &[])
            .open()
            .settle(Queue::CONTROL)
            .on(Verb::Chain, queue, 0, 0, &chains)
            .request(RequestCode(0xffff), &[])
            .on(Verb::Kick, queue, 1, 0, &[])
    };
    let other = |queue: Queue, part_of: u32, with: Queue, at: u32| {
        Script::lockstep().place(queue, part_of, part(with.0.into(), at)).start().open().buffers(queue, 1, 64)
    };
    vec![
        same(Queue::CONTROL).end("control_used_ring_is_its_available_ring"),
        same(Queue::MIDI_OUT).end("midi_out_used_ring_is_its_available_ring"),
        same(Queue::MIDI_IN).end("midi_in_used_ring_is_its_available_ring"),
        same(Queue::WAVE).end("wave_used_ring_is_its_available_ring"),
        same(Queue::EVENT).end("news_used_ring_is_its_available_ring"),
        other(Queue::EVENT, 2, Queue::MIDI_OUT, 1).end("news_used_ring_is_the_available_ring_of_midi_out"),
        other(Queue::MIDI_OUT, 2, Queue::CONTROL, 0).end("midi_out_used_ring_is_the_table_of_control"),
        other(Queue::WAVE, 1, Queue::WAVE, 0).end("wave_available_ring_is_its_table"),
        Script::lockstep()
            .place(Queue::MIDI_OUT, 2, part(1, 1) + 4)
            .start()
            .open()
            .buffers(Queue::MIDI_OUT, 1, 64)
            .end("midi_out_used_ring_begins_in_its_available_ring"),
        // The card goes on where it was, one chain behind an index that it moves itself.
        endless(Queue::CONTROL).end("control_chases_its_own_used_index"),
        endless(Queue::MIDI_OUT).end("midi_out_chases_its_own_used_index"),
        endless(Queue::MIDI_IN).end("midi_in_chases_its_own_used_index"),
        endless(Queue::WAVE).end("wave_chases_its_own_used_index"),
        endless(Queue::EVENT).end("news_chases_its_own_used_index"),
        Script::lockstep().place(Queue::WAVE, 2, RAM_LENGTH - 4).start().open().end("used_ring_leaves_memory"),
        Script::lockstep().place(Queue::WAVE, 0, OUTSIDE).start().open().end("table_outside_memory"),
        // Buffers that are rings.
        Script::lockstep()
            .play()
            .on(Verb::Chain, Queue::EVENT, 0, 0, &pieces(&[(part(4, 1), 64 | WRITABLE)]))
            .on(Verb::Chain, Queue::EVENT, 0, 0, &pieces(&[(part(1, 1), 64 | WRITABLE)]))
            .on(Verb::Write, Queue::EVENT, 0, 0, &[])
            .request(RequestCode(0xffff), &[])
            .end("news_record_lands_in_available_rings"),
        Script::lockstep()
            .play()
            .request(RequestCode::STATUS_PAGE, &(RAM_START + part(1, 1)).to_le_bytes())
            .wave(64)
            .again(8)
            .end("status_page_lies_on_an_available_ring"),
        Script::lockstep()
            .play()
            .on(
                Verb::Chain,
                Queue::WAVE,
                0,
                0,
                &pieces(&[(SCRATCH, 8), (part(1, 0), 32 | WRITABLE), (part(0, 0), 4096 | WRITABLE)]),
            )
            .end("wave_buffer_lies_on_rings"),
    ]
}

/// Returns the seeds with a second processor.
fn races() -> Vec<Seed> {
    let index = |queue: Queue, step: u16| rewrite(part(queue.0.into(), 1) + 2, 0, step);
    let busy = |queue: Queue| Script::lockstep().play().race(&[index(queue, 1)]).buffers(queue, 8, 64).wave(64);
    let descriptor = |queue: Queue, which: u64| {
        let at = part(queue.0.into(), 0) + 16 * which;
        [rewrite(at + 12, flag::NEXT, 1), rewrite(at + 14, 0, 1), rewrite(at + 8, 0, 4096), rewrite(at, 0, 511)]
    };
    vec![
        busy(Queue::CONTROL).end("race_available_index_of_control"),
        busy(Queue::MIDI_OUT).end("race_available_index_of_midi_out"),
        busy(Queue::MIDI_IN).end("race_available_index_of_midi_in"),
        busy(Queue::WAVE).end("race_available_index_of_wave"),
        busy(Queue::EVENT).request(RequestCode(0xffff), &[]).again(20).end("race_available_index_of_news"),
        Script::lockstep()
            .play()
            .race(&Queue::ALL.map(|queue| index(queue, 1)))
            .open()
            .again(20)
            .act(Verb::Look, 0, 0, 0, &[])
            .end("race_all_available_indices"),
        Script::lockstep()
            .play()
            .race(&Queue::ALL.map(|queue| rewrite(part(queue.0.into(), 1) + 2, 0, 127)))
            .events(16, 0, &[0x90, 60, 100])
            .again(30)
            .end("race_available_indices_in_leaps"),
        Script::lockstep()
            .play()
            .race(&[descriptor(Queue::CONTROL, 0), descriptor(Queue::CONTROL, 1), descriptor(Queue::WAVE, 0)].concat())
            .open()
            .wave(64)
            .again(40)
            .end("race_descriptors"),
        Script::realtime()
            .play()
            .race(&Queue::ALL.map(|queue| index(queue, 1)))
            .wave(480)
            .again(4)
            .end("race_in_real_time"),
        Script::lockstep()
            .play()
            .race(&[rewrite(part(0, 2) + 2, 0, 3), rewrite(part(1, 2) + 2, 0, 3), rewrite(part(3, 2), 0, 1)])
            .open()
            .again(20)
            .wave(64)
            .end("race_used_indices"),
        Script::lockstep()
            .play()
            // Lengths and codes of requests, and headers of batches, in the places that are used in turn.
            .race(&std::array::from_fn::<_, 16, _>(|slot| rewrite(part(5, slot as u32) + 4, 0, 977)))
            .request(RequestCode::DLS_DOWNLOAD, &download::wave(3, 0))
            .events(8, 0, &[0x90, 60, 100])
            .again(40)
            .end("race_what_requests_say"),
    ]
}

/// Returns the seeds whose few acts cost much.
fn costs() -> Vec<Seed> {
    let mut most = PortParameters::new_zeroed();
    most.valid = port_parameter::VOICES.into();
    most.voices = u32::from(VOICES_MAX).into();
    let notes = |script: Script| {
        script
            .play()
            .request(RequestCode::PARAMETERS, most.as_bytes())
            .settle(Queue::CONTROL)
            .events(EVENTS_MAX, 0, &[0x90, 0, 100])
            .again(390)
    };
    // A note of a layered instrument starts a voice for each of its regions.
    let layers = |script: Script| {
        script
            .play()
            .request(RequestCode::PARAMETERS, most.as_bytes())
            .request(RequestCode::DLS_DOWNLOAD, &download::wave(3, 0))
            .request(RequestCode::DLS_DOWNLOAD, &download::instrument(0, 400, 0, 3))
            .settle(Queue::CONTROL)
            .events(EVENTS_MAX, 0, &[0x90, 0, 100])
            .again(390)
    };
    let wrong = open([1; QUEUE_COUNT]);
    let mut requested = PortParameters::new_zeroed();
    requested.valid = port_parameter::VOICES.into();
    requested.voices = 64.into();
    let large = |script: Script, data: &[u8], bytes: u32| {
        script.act(Verb::LargeRequest, 0, RequestCode::DLS_DOWNLOAD.0, bytes.into(), data).settle(Queue::CONTROL)
    };
    let one = large(Script::lockstep().play(), &download::wave(1, DOWNLOAD_BYTES_MAX), DOWNLOAD_BYTES_MAX);
    let many =
        (2..60).fold(one, |script, id| large(script, &download::wave(id, DOWNLOAD_BYTES_MAX), DOWNLOAD_BYTES_MAX));
    let instruments = |regions: u32, connections: u32| {
        Script::lockstep()
            .start()
            .open()
            .request(RequestCode::DLS_DOWNLOAD, &download::wave(3, 0))
            .request(RequestCode::DLS_DOWNLOAD, &download::instrument(0, regions, connections, 3))
            .again(440)
            // Long enough for all of them to be taken, and then for the last request to be begun.
            .settle(Queue::CONTROL)
            .again(500)
            .request(RequestCode::PARAMETERS, requested.as_bytes())
            .act(Verb::Look, 0, 0, 0, &[])
            .again(20)
    };
    vec![
        many.end("downloads_far_longer_than_their_samples"),
        Script::lockstep().start().request(RequestCode::OPEN, &wrong).again(400).end("open_in_a_loop_with_wrong_sizes"),
        Script::lockstep().start().open().start().again(14).end("reset_in_a_loop"),
        notes(Script::lockstep()).wave(64).end("note_ons_for_one_frame"),
        notes(Script::lockstep())
            .wave(64)
            .start()
            .open()
            .act(Verb::Look, 0, 0, 0, &[])
            .end("note_ons_for_one_frame_then_reset"),
        notes(Script::realtime()).end("note_ons_for_one_frame_in_real_time"),
        layers(Script::lockstep()).wave(64).end("note_ons_of_a_layered_instrument_for_one_frame"),
        layers(Script::realtime()).end("note_ons_of_a_layered_instrument_in_real_time"),
        instruments(400, 0).end("instruments_of_many_regions_and_parameters"),
        instruments(200, 1500).end("instruments_of_many_connections_and_parameters"),
        Script::lockstep().play().wave(65_536).again(30).end("large_wave_buffers_then_reset"),
        Script::lockstep().play().on(Verb::Kick, Queue::MIDI_OUT, 63, 0, &[]).again(500).end("kicks_without_work"),
        Script::lockstep().play().request(RequestCode(0xffff), &[]).again(900).end("unknown_requests_in_a_loop"),
        Script::lockstep().play().act(Verb::Batch, 0, 0, 0, &[0xff; 32]).again(900).end("malformed_batches_in_a_loop"),
        Script::lockstep()
            .play()
            .request(RequestCode::DLS_DOWNLOAD, &[0xff; 64])
            .again(900)
            .end("malformed_downloads_in_a_loop"),
    ]
}

/// Returns seeds with numbers at the end of their range.
fn numbers() -> Vec<Seed> {
    let with = |script: Script, time: i64, frame: i64| {
        script
            .play()
            .sync(clock_sync::START, time, frame)
            .events(4, i64::MAX, &[0x90, 60, 100])
            .events(4, i64::MIN, &[0x90, 60, 100])
            .wave(480)
            .wait_wave()
            .wave(65_536)
    };
    let sync = |time: i64, frame: i64| {
        Script::lockstep().play().sync(0, time, frame).events(4, 0, &[0x90, 60, 100]).wave(480).wait_wave()
    };
    vec![
        with(Script::lockstep(), 0, i64::MAX).end("clock_sync_at_the_last_frame"),
        with(Script::realtime(), 0, i64::MAX).end("clock_sync_at_the_last_frame_in_real_time"),
        with(Script::lockstep(), i64::MIN, i64::MAX - 100).end("clock_sync_at_the_first_time"),
        with(Script::realtime(), i64::MAX, 0).end("clock_sync_at_the_last_time"),
        sync(i64::MAX, i64::MIN).end("anchor_at_the_last_time_and_the_first_frame"),
        sync(i64::MIN, i64::MAX).end("anchor_at_the_first_time_and_the_last_frame"),
    ]
}

/// Returns seeds with chains that virtio forbids.
fn chains() -> Vec<Seed> {
    let scratch = RAM_START + SCRATCH;
    let readable = Descriptor { address: scratch, length: 16, flags: flag::NEXT, next: 1 };
    let writable = Descriptor { address: scratch + 4096, length: 64, flags: flag::WRITE, next: 0 };
    let pair = table(&[readable, writable]);
    let indirect = |script: Script, flags: u16, at: u64, table: &[u8]| {
        script.on(Verb::Indirect, Queue::CONTROL, flags.into(), at, table)
    };
    let endless = table(&[Descriptor { next: 0, ..readable }]);
    let nested = table(&[Descriptor { flags: flag::INDIRECT, ..readable }, writable]);
    let no_indirect = FEATURES & !(1 << 28);
    vec![
        indirect(Script::lockstep().play(), 0, 0, &pair).end("indirect_chain"),
        indirect(Script::lockstep().act(Verb::Features, 0, 0, no_indirect, &[]).play(), 0, 0, &pair)
            .end("indirect_without_the_feature"),
        indirect(Script::lockstep().play(), flag::NEXT, 0, &pair).end("indirect_with_next"),
        indirect(Script::lockstep().play(), 0, OUTSIDE, &pair).end("indirect_table_outside_memory"),
        indirect(Script::lockstep().play(), 0, RAM_LENGTH - 16, &pair).end("indirect_table_leaves_memory"),
        indirect(Script::lockstep().play(), 0, 0, &pair[..24]).end("indirect_table_of_one_and_a_half"),
        indirect(Script::lockstep().play(), 0, 0, &nested).end("indirect_table_in_an_indirect_table"),
        indirect(Script::lockstep().play(), 0, 0, &endless).end("indirect_chain_without_end"),
        Script::lockstep()
            .act(Verb::Features, 0, 0, FEATURES & !(1 << 32), &[])
            .start()
            .open()
            .again(3)
            .act(Verb::Look, 0, 0, 0, &[])
            .end("open_without_version_1"),
        Script::lockstep()
            .play()
            .on(Verb::Write, Queue::CONTROL, 0, part(0, 0), &endless)
            .on(Verb::Publish, Queue::CONTROL, 0, 0, &[])
            .end("chain_without_end"),
        Script::lockstep().play().on(Verb::Publish, Queue::MIDI_OUT, 0xffff, 0, &[]).end("head_outside_the_table"),
        Script::lockstep().play().on(Verb::Index, Queue::WAVE, 0x8000, 0, &[]).end("available_index_far_ahead"),
        Script::lockstep()
            .play()
            .on(Verb::StopRing, Queue::WAVE, 0, 0, &[])
            .wave(64)
            .on(Verb::Enable, Queue::CONTROL, 0, 0, &[])
            .open()
            .on(Verb::Enable, Queue::CONTROL, 1, 0, &[])
            .end("rings_stopped_and_held_one_by_one"),
    ]
}
