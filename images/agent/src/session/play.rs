//! Plays records into a render pin: written ahead of their time, in the buffers that a music client writes.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use guest_protocol::{
    Delivery, Event, Failure, FailureKind, Handle, KsState, Pace, PlayMidi, Reply, Statistics, StreamFormat,
};

use super::{Session, properties, request, status, unsupported};
use crate::guid;
use crate::layout::{self, Width};
use crate::outlet::Outlet;
use crate::records::{self, Record};
use crate::system::{Buffers, RawHandle, System};

/// `STATUS_DATA_ERROR`.
pub(super) const STATUS_DATA_ERROR: u32 = 0xc000_003e;

/// What becomes due together: 10 ms, in 100 ns units.
const QUANTUM: i64 = 100_000;

/// Writes that are under way at a time.
const WRITES_MAX: usize = 32;

/// How long a stream may keep a write after its time. 100 ns units.
const STUCK_LIMIT: i64 = 200_000_000;

/// How often progress is reported. 100 ns units.
const PROGRESS_EVERY: i64 = 2_500_000;

/// 100 ns units in a millisecond.
const MILLISECOND: i64 = 10_000;

/// A song that is being written.
struct Writing<R> {
    raw: RawHandle,
    format: StreamFormat,
    /// The master time of the first record's time 0.
    start: i64,
    /// Writes under way, and how many records each has.
    writes: VecDeque<(R, u64)>,
    written: u64,
    completed: u64,
}

impl<R> Session<R> {
    /// Plays records into a render pin in STOP, and leaves it in RUN; in STOP where it fails.
    pub(super) fn play_midi<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        play: &PlayMidi,
    ) -> Result<Reply, Failure> {
        let bytes = self.ranges.bytes(play.events)?.to_vec();
        let pin = self.pin(play.render)?;
        let (raw, format, filter) = (pin.raw, pin.format, pin.filter);
        if !pin.flow_in || pin.state != KsState::Stop || matches!(format, StreamFormat::Pcm { .. }) {
            return Err(request("PlayMidi takes a music render pin in STOP"));
        }
        match (play.delivery, format) {
            (Delivery::InOrder, _) | (Delivery::Reversed, StreamFormat::DirectMusic) => {}
            (Delivery::Reversed, _) => return Err(unsupported("records of a MIDI pin have no order but that of time")),
            (Delivery::Packages, _) => return Err(unsupported("a client writes records: packages are the port's own")),
        }
        let records = records::read(format, &bytes, Some(play.event_count))
            .map_err(|malformed| request(format!("the events: {malformed}")))?;
        let filter = self.raw(filter)?;
        let result = self.set_state(system, outlet, play.render, KsState::Run).and_then(|()| {
            let start = master_time(system, outlet, filter)?;
            let mut writing = Writing { raw, format, start, writes: VecDeque::new(), written: 0, completed: 0 };
            let result = writing.play(system, outlet, &records, play);
            writing.give_up(system, result.is_err());
            result.map(|()| (writing.written, writing.completed))
        });
        match result {
            Ok((events, returned)) => {
                self.counts.events_put += events;
                self.counts.events_returned += returned;
                let statistics = Statistics { events_put: events, events_returned: returned, ..Statistics::default() };
                Ok(Reply::Played { frames: 0, events, statistics })
            }
            Err(failure) => {
                // What failed is the answer, not what follows from it.
                let _ = self.stop(system, outlet, play.render);
                Err(failure)
            }
        }
    }

    fn stop<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        pin: Handle,
    ) -> Result<(), Failure> {
        self.set_state(system, outlet, pin, KsState::Stop)
    }
}

/// Returns the time of the port's master clock; that of the system's clock, by which the port's runs, where it does not say.
fn master_time<S: System>(system: &mut S, outlet: &mut dyn Outlet, filter: RawHandle) -> Result<i64, Failure> {
    let input = layout::property(&guid::PROPERTIES_SYNTH_CLOCK, layout::SYNTH_MASTER_CLOCK, layout::PROPERTY_GET, None);
    let buffers = Buffers { input: input.into(), output: alloc::vec![0; 8].into(), ..Buffers::default() };
    let sent = system.begin(filter, layout::IOCTL_KS_PROPERTY, buffers);
    let (completion, buffers) = properties::finish(system, outlet, sent, filter, "the master clock's time")?;
    match buffers.output.first_chunk() {
        Some(time) if completion.is_success() && completion.information == 8 => Ok(i64::from_le_bytes(*time)),
        _ => Ok(system.now()),
    }
}

impl<R> Writing<R> {
    /// Writes the records quantum by quantum, and waits until the end.
    fn play<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        records: &[Record<'_>],
        play: &PlayMidi,
    ) -> Result<(), Failure> {
        let began = system.now();
        let total = i64::try_from(play.duration).unwrap_or(i64::MAX);
        let lead = match play.pace {
            // The port delivers by its clock, whatever the pace: so everything is there in time.
            Pace::Lockstep => i64::MAX,
            Pace::Realtime { lead_ms } => i64::from(lead_ms).saturating_mul(MILLISECOND),
        };
        let (mut rest, mut before, mut reported) = (records, 0, began);
        loop {
            let now = system.now() - began;
            let horizon = now.saturating_add(lead);
            while let Some(first) = rest.first().filter(|first| first.time < horizon && self.writes.len() < WRITES_MAX)
            {
                let end = (first.time / QUANTUM + 1).saturating_mul(QUANTUM);
                let due = rest.iter().take_while(|record| record.time < end.min(horizon)).count();
                let (group, after) = rest.split_at(due);
                self.write(system, group, before, play.delivery);
                before = group.last().map_or(before, |last| last.time);
                rest = after;
            }
            self.collect(system)?;
            if now >= total && rest.is_empty() && self.writes.is_empty() {
                return Ok(());
            }
            if now > total.saturating_add(STUCK_LIMIT) {
                let message = format!(
                    "the render stream has kept {} writes for 20 s; {} records are not written",
                    self.writes.len(),
                    rest.len()
                );
                return Err(Failure { kind: FailureKind::Timeout, message });
            }
            if now - (reported - began) >= PROGRESS_EVERY {
                reported = began + now;
                outlet.event(Event::Progress { frames: 0, events: self.written });
            }
            if !outlet.pump(1) {
                return Err(request("the harness has begun anew"));
            }
        }
    }

    /// Writes the records of a group as one buffer. Times in DirectMusic records count from the buffer's time, which is the start;
    /// those in MIDI records from record to record, and in the first from the buffer's time, which is that of the record `before`.
    fn write<S: System<Request = R>>(&mut self, system: &mut S, group: &[Record<'_>], before: i64, delivery: Delivery) {
        let mut data: Vec<u8> = Vec::new();
        let mut append = |record: &Record<'_>| data.extend(record.bytes);
        match delivery {
            Delivery::Reversed => {
                let together: Vec<_> = group.chunk_by(|one, next| one.time == next.time).collect();
                together.into_iter().rev().flatten().for_each(&mut append);
            }
            Delivery::InOrder | Delivery::Packages => group.iter().for_each(&mut append),
        }
        let time = match self.format {
            StreamFormat::DirectMusic => self.start,
            _ => self.start.saturating_add(before),
        };
        let data = data.into_boxed_slice();
        let bytes = data.len() as u32;
        let header = layout::stream_header(Width::OWN, data.as_ptr().addr() as u64, bytes, bytes, time);
        let buffers = Buffers { output: header.into(), data, ..Buffers::default() };
        let sent = system.begin(self.raw, layout::IOCTL_KS_WRITE_STREAM, buffers);
        self.written += group.len() as u64;
        self.writes.push_back((sent, group.len() as u64));
    }

    /// Takes back what has been written.
    fn collect<S: System<Request = R>>(&mut self, system: &mut S) -> Result<(), Failure> {
        while let Some(completion) = self.writes.front().and_then(|(write, _)| system.completed(write)) {
            let Some((write, count)) = self.writes.pop_front() else { break };
            drop(system.finish(write));
            if !completion.is_success() {
                return Err(status("the render stream fails a write", completion.status));
            }
            self.completed += count;
        }
        Ok(())
    }

    /// Takes back what is still under way, or leaves it to the driver.
    fn give_up<S: System<Request = R>>(&mut self, system: &mut S, failed: bool) {
        if failed {
            system.cancel(self.raw);
        }
        for (write, _) in self.writes.drain(..) {
            match system.completed(&write) {
                Some(_) => drop(system.finish(write)),
                None => system.abandon(write),
            }
        }
    }
}
