//! Filters and pins: what they have, how they open, their states, what capture pins fill in.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use guest_protocol::{
    CapturedEvent, DataRange, Failure, FailureKind, Handle, KsState, PinFactory, Reply, StreamFormat,
};

use super::{Open, Session, failed, no_handle, properties, request, status, unsupported};
use crate::guid::{self, Guid};
use crate::layout::{self, Width};
use crate::outlet::Outlet;
use crate::records;
use crate::system::{Buffers, RawHandle, System};

/// Why a wave pin is not streamed.
pub(super) const NO_WAVE: &str =
    "a source pin calls the sink pin of a renderer that it is connected to, and no client is one";

/// Most pins of a filter that are described.
const PINS_MAX: u32 = 64;

/// Most bytes of a list that a filter returns.
const LIST_BYTES: usize = 4096;

/// Buffers that wait to be filled by a capture pin, and their length: a second of dense MIDI.
const CAPTURE_BUFFERS: usize = 4;
const CAPTURE_BYTES: usize = 4096;

/// An open filter.
pub(super) struct Filter {
    pub(super) raw: RawHandle,
    pins: Vec<PinFactory>,
}

/// An open pin.
pub(super) struct Pin<R> {
    pub(super) raw: RawHandle,
    pub(super) filter: Handle,
    pub(super) format: StreamFormat,
    pub(super) flow_in: bool,
    pub(super) state: KsState,
    /// Buffers that the driver fills.
    reads: VecDeque<R>,
    captured: Vec<CapturedEvent>,
    /// What a capture buffer could not be read as.
    malformed: Option<records::Malformed>,
}

/// A property of a filter that was asked for.
struct Asked {
    status: u32,
    value: Vec<u8>,
}

impl Asked {
    fn word(&self) -> Option<u32> {
        Some(u32::from_le_bytes(*self.value.first_chunk()?))
    }
}

fn ask<S: System>(
    system: &mut S,
    outlet: &mut dyn Outlet,
    raw: RawHandle,
    input: Vec<u8>,
    bytes: usize,
) -> Result<Asked, Failure> {
    let buffers = Buffers { input: input.into(), output: alloc::vec![0; bytes].into(), ..Buffers::default() };
    let sent = system.begin(raw, layout::IOCTL_KS_PROPERTY, buffers);
    let (completion, buffers) = properties::finish(system, outlet, sent, raw, "a property of its own")?;
    let mut value = buffers.output.into_vec();
    value.truncate(if completion.is_success() { completion.information } else { 0 });
    Ok(Asked { status: completion.status, value })
}

/// Returns the items of a `KSMULTIPLE_ITEM`: the bytes behind its header, and how many.
fn items(value: &[u8]) -> Option<(&[u8], u32)> {
    let (header, rest) = value.split_first_chunk::<8>()?;
    let size = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let count = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    Some((rest.get(..size.checked_sub(8)?)?, count))
}

fn guid_at(bytes: &[u8], at: usize) -> Option<Guid> {
    bytes.get(at..)?.first_chunk().copied()
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Reads a `KSDATARANGE` and what extends it.
fn data_range(bytes: &[u8]) -> Option<DataRange> {
    let (major, sub, specifier) = (guid_at(bytes, 16)?, guid_at(bytes, 32)?, guid_at(bytes, 48)?);
    if major == guid::TYPE_AUDIO && specifier == guid::SPECIFIER_WAVEFORMATEX && bytes.len() >= 84 {
        return Some(DataRange::Pcm {
            channels: word_at(bytes, 64)?,
            bits_min: word_at(bytes, 68)?,
            bits: word_at(bytes, 72)?,
            sample_rate_min: word_at(bytes, 76)?,
            sample_rate_max: word_at(bytes, 80)?,
        });
    }
    Some(match sub {
        guid::SUBTYPE_DIRECTMUSIC => DataRange::DirectMusic,
        guid::SUBTYPE_MIDI => DataRange::Midi,
        // Music of any kind.
        sub if sub == Guid::default() && major == guid::TYPE_MUSIC => DataRange::DirectMusic,
        _ => DataRange::Other,
    })
}

/// Reads the list of a pin's data ranges, each at a multiple of 8.
fn data_ranges(value: &[u8]) -> Option<Vec<DataRange>> {
    let (mut rest, count) = items(value)?;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let bytes = word_at(rest, 0)? as usize;
        ranges.push(data_range(rest.get(..bytes)?)?);
        rest = rest.get(bytes.next_multiple_of(8)..).unwrap_or_default();
    }
    Some(ranges)
}

impl<R> Session<R> {
    /// Opens a filter by the name of its subdevice, and describes it.
    pub(super) fn open_filter<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        subdevice: &str,
    ) -> Result<Reply, Failure> {
        let Some((_, path)) = self.filters.iter().find(|(name, _)| name.eq_ignore_ascii_case(subdevice)) else {
            let names: Vec<&str> = self.filters.iter().map(|(name, _)| name.as_str()).collect();
            return Err(request(format!("no subdevice is named \"{subdevice}\"; the device has {names:?}")));
        };
        let raw = system.open(path).map_err(|error| failed(format!("{path} does not open"), error))?;
        match describe(system, outlet, raw) {
            Ok((pins, nodes)) => {
                let handle = self.insert(Open::Filter(Filter { raw, pins: pins.clone() }));
                Ok(Reply::FilterOpened { handle, pins, nodes, data_path: true })
            }
            Err(failure) => {
                system.close(raw);
                Err(failure)
            }
        }
    }

    /// Creates a pin that the agent reads or writes by itself.
    pub(super) fn create_pin<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        filter: Handle,
        pin: u32,
        format: StreamFormat,
    ) -> Result<Reply, Failure> {
        let Some(Open::Filter(Filter { raw, pins })) = self.handles.get(&filter.0) else {
            return Err(request(format!("handle {} is no open filter", filter.0)));
        };
        // A pin that the filter does not have is the driver's to refuse.
        let factory = pins.get(pin as usize);
        if let Some(reason) = factory.and_then(|factory| factory.not_streamed.as_ref()) {
            return Err(unsupported(format!("pin {pin}: {reason}")));
        }
        let flow_in = factory.is_none_or(|factory| factory.flow_in);
        let connect = layout::pin_connect(Width::OWN, pin, format);
        let raw = system
            .create_pin(*raw, &connect, flow_in)
            .map_err(|error| failed(format!("KsCreatePin of pin {pin}"), error))?;
        let pin = Pin {
            raw,
            filter,
            format,
            flow_in,
            state: KsState::Stop,
            reads: VecDeque::new(),
            captured: Vec::new(),
            malformed: None,
        };
        Ok(Reply::PinCreated { handle: self.insert(Open::Pin(pin)), schedule_prefetch: 0 })
    }

    /// Returns an open pin.
    pub(super) fn pin(&mut self, handle: Handle) -> Result<&mut Pin<R>, Failure> {
        match self.handles.get_mut(&handle.0) {
            Some(Open::Pin(pin)) => Ok(pin),
            _ => Err(request(format!("handle {} is no open pin", handle.0))),
        }
    }

    /// Sets a pin's state, through all states between. A capture pin gets its buffers before it runs.
    pub(super) fn set_state<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        handle: Handle,
        state: KsState,
    ) -> Result<(), Failure> {
        const LADDER: [KsState; 4] = [KsState::Stop, KsState::Acquire, KsState::Pause, KsState::Run];
        let pin = self.pin(handle)?;
        while pin.state != state {
            let at = layout::state_value(pin.state) as usize;
            let next = if state > pin.state { LADDER[at + 1] } else { LADDER[at - 1] };
            let input =
                layout::property(&guid::PROPERTIES_CONNECTION, layout::CONNECTION_STATE, layout::PROPERTY_SET, None);
            let output = layout::state_value(next).to_le_bytes().to_vec();
            let buffers = Buffers { input: input.into(), output: output.into(), ..Buffers::default() };
            let sent = system.begin(pin.raw, layout::IOCTL_KS_PROPERTY, buffers);
            let (completion, _) = properties::finish(system, outlet, sent, pin.raw, "a change of state")?;
            if !completion.is_success() {
                let text = format!("the stream refuses {next:?} on the way to {state:?}; it stays in {:?}", pin.state);
                return Err(status(text, completion.status));
            }
            pin.state = next;
            if next == KsState::Run && !pin.flow_in {
                pin.lend(system);
            }
        }
        Ok(())
    }

    /// Returns what a capture pin has filled in since the last time, and lends it new buffers while it runs.
    pub(super) fn take_captured<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        handle: Handle,
    ) -> Result<Reply, Failure> {
        let pin = self.pin(handle)?;
        if pin.flow_in {
            return Err(request("the pin captures nothing"));
        }
        pin.collect(system)?;
        if pin.state == KsState::Run {
            pin.lend(system);
        }
        if let Some(malformed) = pin.malformed.take() {
            let message = format!("a capture buffer is filled with what are no records: {malformed}");
            return Err(Failure { kind: FailureKind::Status(super::play::STATUS_DATA_ERROR), message });
        }
        // What the port discards, it discards without a word.
        Ok(Reply::Captured { events: core::mem::take(&mut pin.captured), discarded: 0 })
    }

    /// Closes a filter or a pin; a pin's stream is stopped first.
    pub(super) fn close<S: System<Request = R>>(&mut self, system: &mut S, handle: Handle) -> Result<(), Failure> {
        let of_filter = |open: &Open<R>| matches!(open, Open::Pin(pin) if pin.filter == handle);
        match self.handles.remove(&handle.0) {
            Some(Open::Pin(mut pin)) => {
                system.cancel(pin.raw);
                system.close(pin.raw);
                for read in pin.reads.drain(..) {
                    match system.completed(&read) {
                        Some(_) => drop(system.finish(read)),
                        None => system.abandon(read),
                    }
                }
                Ok(())
            }
            Some(open) if self.handles.values().any(of_filter) => {
                self.handles.insert(handle.0, open);
                Err(request("the filter has open pins: close them first"))
            }
            Some(Open::Filter(filter)) => {
                system.close(filter.raw);
                Ok(())
            }
            None => Err(no_handle(handle)),
        }
    }
}

impl<R> Pin<R> {
    /// Lends the driver buffers to fill.
    fn lend<S: System<Request = R>>(&mut self, system: &mut S) {
        while self.reads.len() < CAPTURE_BUFFERS {
            // Buffers and headers are new each time: some drivers append.
            let data = alloc::vec![0; CAPTURE_BYTES].into_boxed_slice();
            let header = layout::stream_header(Width::OWN, data.as_ptr().addr() as u64, CAPTURE_BYTES as u32, 0, 0);
            let buffers = Buffers { output: header.into(), data, ..Buffers::default() };
            self.reads.push_back(system.begin(self.raw, layout::IOCTL_KS_READ_STREAM, buffers));
        }
    }

    /// Reads what the driver has filled in.
    fn collect<S: System<Request = R>>(&mut self, system: &mut S) -> Result<(), Failure> {
        while let Some(completion) = self.reads.front().and_then(|read| system.completed(read)) {
            let Some(read) = self.reads.pop_front() else { break };
            let Buffers { output, data, .. } = system.finish(read);
            if !completion.is_success() {
                // A stream that was stopped gives its buffers back.
                if self.state == KsState::Run {
                    return Err(status("the capture stream fails a read", completion.status));
                }
                continue;
            }
            let used = word_at(&output, layout::DATA_USED).unwrap_or(0) as usize;
            let start = output[layout::PRESENTATION_TIME..].first_chunk().map_or(0, |time| i64::from_le_bytes(*time));
            match records::captured(self.format, data.get(..used).unwrap_or(&data), start) {
                Ok(events) => self.captured.extend(events),
                Err(malformed) => self.malformed = Some(malformed),
            }
        }
        Ok(())
    }
}

/// Asks a filter for its pins and nodes.
fn describe<S: System>(
    system: &mut S,
    outlet: &mut dyn Outlet,
    raw: RawHandle,
) -> Result<(Vec<PinFactory>, Vec<Guid>), Failure> {
    let mut of_pin = |id: u32, pin: u32, bytes: usize| ask(system, outlet, raw, layout::pin_property(id, pin), bytes);
    let refused = |what: &str, asked: &Asked| status(format!("the filter does not answer {what}"), asked.status);
    let count = of_pin(layout::pin::CTYPES, 0, 4)?;
    let count = count.word().ok_or_else(|| refused("KSPROPERTY_PIN_CTYPES", &count))?;
    let mut pins = Vec::new();
    for pin in 0..count.min(PINS_MAX) {
        let flow = of_pin(layout::pin::DATAFLOW, pin, 4)?;
        let flow = flow.word().ok_or_else(|| refused("KSPROPERTY_PIN_DATAFLOW", &flow))?;
        let communication = of_pin(layout::pin::COMMUNICATION, pin, 4)?;
        let communication =
            communication.word().ok_or_else(|| refused("KSPROPERTY_PIN_COMMUNICATION", &communication))?;
        let instances = of_pin(layout::pin::GLOBALCINSTANCES, pin, 8)?;
        let ranges = of_pin(layout::pin::DATARANGES, pin, LIST_BYTES)?;
        let ranges = data_ranges(&ranges.value).ok_or_else(|| refused("KSPROPERTY_PIN_DATARANGES", &ranges))?;
        let not_streamed = match communication {
            layout::COMMUNICATION_NONE | layout::COMMUNICATION_BRIDGE => Some("clients do not connect to such a pin"),
            layout::COMMUNICATION_SOURCE => Some(NO_WAVE),
            _ => None,
        };
        pins.push(PinFactory {
            flow_in: flow == layout::DATAFLOW_IN,
            communication,
            // A filter need not count; pins that are not for clients have none.
            instances: instances.word().unwrap_or(u32::from(not_streamed.is_none())),
            data_ranges: ranges,
            not_streamed: not_streamed.map(str::to_owned),
        });
    }
    let input = layout::property(&guid::PROPERTIES_TOPOLOGY, layout::TOPOLOGY_NODES, layout::PROPERTY_GET, None);
    let nodes = ask(system, outlet, raw, input, LIST_BYTES)?;
    let nodes =
        items(&nodes.value).map(|(bytes, _)| bytes.chunks_exact(16).filter_map(|node| guid_at(node, 0)).collect());
    Ok((pins, nodes.unwrap_or_default()))
}
