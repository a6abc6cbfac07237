//! A session: the harness's requests in order, and the handles that they opened.

#![allow(unsafe_code, reason = "file objects and IRPs are structures shared with the kernel")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use guest_protocol::{
    Bulk, BulkAccess, Caller, CapturedEvent, CheckMethod, DataRange, DevicePower, Failure, FailureKind, Figure, Handle,
    KsState, LINE_BULK_BYTES_MAX, PinFactory, Play, PlayMidi, Probe, PropertyRequest, RegisteredInterface, Reply,
    Request, RuleState, Starvation, Statistics, StreamFormat, VERSION,
};

use sha2::{Digest as _, Sha256};

use super::bulk::Ranges;
use super::libraries::LIBRARIES;
use super::player::{self, Leave, MidiPiece, Piece, PlayError, Played};
use super::property::{self, SentProperty};
use super::{device, inspect};
use crate::arch::frames;
use crate::conformance::cycles::Cycles;
use crate::conformance::{self, Figures};
use crate::contract::{lacks, midi, ports, rules};
use crate::harness::{failure, link};
use crate::io::names;
use crate::ke::{self, interrupt};
use crate::mm::pool;
use crate::mm::user::UserMemory;
use crate::pci::registers;
use crate::pnp;
use crate::portcls::adapter::{self, leftovers};
use crate::portcls::com::object::Com;
use crate::portcls::com::{abi, guids};
use crate::portcls::kernel;
use crate::portcls::ks::{descriptor, formats};
use crate::portcls::pin::Pin;
use crate::portcls::pin::allocator::{self, starve};
use crate::portcls::pin::capture::Captured;
use crate::portcls::port::Port;
use crate::portcls::request::{self, Target, intersection};
use crate::portcls::services::statistics;

/// Most bytes of a property's value that a request may ask for.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Cycles between two reports of progress.
const PROGRESS_CYCLES: u32 = 50;

/// An open handle.
enum Open {
    /// A filter.
    Filter(Com<Port>),
    /// A pin, and the filter that it was created on.
    Pin { pin: Box<Pin>, filter: Handle },
}

/// Returns the device interfaces that the driver has registered and enabled.
fn interfaces() -> Vec<RegisteredInterface> {
    let enabled = names::interfaces().into_iter().filter(|interface| interface.enabled);
    enabled
        .map(|interface| RegisteredInterface {
            class: guids::to_bytes(&interface.class),
            reference: interface.reference,
        })
        .collect()
}

/// How far the driver has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum DriverState {
    #[default]
    NotLoaded,
    Loaded,
    Started,
}

/// A session.
#[derive(Default)]
pub(super) struct Session {
    driver: DriverState,
    handles: BTreeMap<u32, Open>,
    last_handle: u32,
    ranges: Ranges,
    /// Pins that were paused because the device lost power, and the states to resume.
    paused: Vec<(u32, abi::KsState)>,
    /// The device is gone without having been asked.
    removed: bool,
    /// What processes have mapped, until the session ends.
    mapped: Vec<UserMemory>,
    /// Property requests whose answers have not been taken.
    properties: BTreeMap<u32, SentProperty>,
}

impl Session {
    /// Serves a request of the harness.
    pub(super) fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        // Another device on the line goes on interrupting, whatever state the driver's own is in.
        interrupt::share_line();
        match request {
            Request::Hello { version } => hello(version),
            Request::LoadDriver => self.load_driver(),
            Request::StartDevice => self.start_device(),
            Request::OpenFilter { subdevice } => self.open_filter(&subdevice),
            Request::CreatePin { filter, pin, format } => self.create_pin(filter, pin, format),
            Request::SetState { pin, state } => self.set_state(pin, state),
            Request::Property(request) => self.property(&request),
            Request::AllocateBulk { bytes } => self.ranges.allocate(bytes).map(Reply::Bulk),
            Request::FreeBulk(bulk) => self.ranges.free(bulk).map(|()| Reply::Done),
            Request::Play(play) => self.play(&play, Leave::Stopped),
            Request::PlayOn(play) => self.play(&play, Leave::Running),
            Request::PlayMidi(play) => self.play_midi(&play),
            Request::Close(handle) => self.close(handle),
            Request::StopDevice => self.stop_device(),
            Request::UnloadDriver => self.unload_driver(),
            Request::Statistics => Ok(Reply::Statistics(count())),
            Request::Shutdown => Ok(Reply::Done),
            Request::Contract => Ok(Reply::Contract(contract())),
            Request::Allocators { piece_bytes } => {
                allocator::set_piece_bytes(piece_bytes);
                Ok(Reply::Done)
            }
            Request::TakeCaptured { pin } => self.take_captured(pin),
            Request::ConnectCapture { pin, connected } => {
                self.pin(pin)?.connect_capture(connected);
                Ok(Reply::Done)
            }
            Request::Starve { pin, what } => {
                self.pin(pin)?.starve(match what {
                    Starvation::Nothing => starve::NOTHING,
                    Starvation::Events => starve::EVENTS,
                    Starvation::Buffers => starve::BUFFERS,
                });
                Ok(Reply::Done)
            }
            Request::RunProbe(Probe::Events { filter, pin }) => self.run_event_probe(filter, pin),
            Request::RunProbe(probe) => self.run_probe(probe),
            Request::SetPower(power) => self.set_power(power),
            Request::RestartDevice => self.restart_device(),
            Request::SurpriseRemoval => self.surprise_removal(),
            Request::MapUser { bulk, caller } => self.map_user(bulk, caller),
            Request::BeginProperty(request) => {
                let sent = self.begin_property(&request)?;
                self.last_handle += 1;
                self.properties.insert(self.last_handle, sent);
                self.take_property(Handle(self.last_handle))
            }
            Request::TakeProperty(handle) => self.take_property(handle),
            Request::Peek { space, address, bytes, width } => {
                inspect::peek(space, address, bytes, width).map(Reply::Bytes)
            }
            Request::Poke { space, address, value, width } => {
                inspect::poke(space, address, value, width).map(|()| Reply::Done)
            }
            Request::Inspect(book) => Ok(Reply::Inspected(inspect::inspect(book))),
            Request::ReadBulk(bulk) => self.line_bulk(bulk).map(|bytes| Reply::Bytes(bytes.to_vec())),
            Request::WriteBulk { address, bytes } => {
                let bulk = Bulk { address, length: bytes.len() as u64 };
                self.line_bulk(bulk)?.copy_from_slice(&bytes);
                Ok(Reply::Done)
            }
            Request::HashBulk(bulk) => self.ranges.bytes(bulk).map(|bytes| Reply::Hash(Sha256::digest(bytes).into())),
            Request::RunProgram { .. } => Err(unsupported("runs no programs")),
            Request::ReadFile { .. } => Err(unsupported("has no files")),
            Request::InstallDriver { .. } => Err(unsupported("gets its installation with its options")),
            Request::RemoveDevice => Err(unsupported("keeps no books of devices: StopDevice removes one")),
            Request::DeviceProblem => Err(unsupported("has no problem codes: it answers with the driver's status")),
            Request::Reboot => Err(unsupported("is started anew by QEMU")),
            Request::CancelProperty(handle) => {
                let sent = self.properties.get(&handle.0).ok_or_else(|| no_handle(handle))?;
                sent.cancel();
                Ok(Reply::Done)
            }
        }
    }

    /// Returns the bytes of a range that pass through the line.
    fn line_bulk(&mut self, bulk: Bulk) -> Result<&mut [u8], Failure> {
        if bulk.length > LINE_BULK_BYTES_MAX.into() {
            return Err(failure::request(format!(
                "at most {LINE_BULK_BYTES_MAX} bytes pass at once, not {}",
                bulk.length
            )));
        }
        self.ranges.bytes(bulk)
    }

    /// Returns the place of a mark for the harness: 8 bytes in a range that it was given, of which only it and the
    /// agent know.
    fn mark_of(&mut self, bulk: Bulk) -> Result<*mut u64, Failure> {
        let place = self.ranges.bytes(bulk)?.as_mut_ptr().cast::<u64>();
        if bulk.length < size_of::<u64>() as u64 || !place.is_aligned() {
            return Err(failure::request("a mark takes 8 bytes at an address that 8 divides"));
        }
        Ok(place)
    }

    fn run_probe(&mut self, probe: Probe) -> Result<Reply, Failure> {
        let no_pins = |of: Handle| {
            if self.handles.values().any(|open| matches!(open, Open::Pin { filter, .. } if *filter == of)) {
                return Err(failure::request("the probe opens pins of its own: close the filter's first"));
            }
            self.filter(of)
        };
        let figures = match probe {
            Probe::Start => {
                self.expect(DriverState::Loaded, "the start probe comes before StartDevice")?;
                conformance::start::run()?
            }
            Probe::Streams { filter } => conformance::streams::run(no_pins(filter)?),
            Probe::Properties { filter, pin } => conformance::properties::run(self.filter(filter)?, self.pin(pin)?),
            Probe::Events { .. } => return Err(failure::request("the event probe opens a pin of its own")),
            Probe::Filter { filter } => conformance::filters::run(self.filter(filter)?)?,
            Probe::Power { filter } => conformance::power::run(no_pins(filter)?),
            Probe::Burst { pin, events } => conformance::cycles::burst(self.pin(pin)?, events),
            Probe::Cycles { filter, pin, format, wave, cycles, events } => {
                let on_cycle = |cycle, sent| {
                    if cycle % PROGRESS_CYCLES == 0 {
                        link::send_event(guest_protocol::Event::Progress { frames: u64::from(cycle), events: sent });
                    }
                };
                let (format, wave) = (data_format(format), wave.map(|(pin, format)| (pin, data_format(format))));
                let wave = wave.as_ref().map(|(pin, format)| (*pin, &format[..]));
                let count = Cycles { cycles, events };
                conformance::cycles::run(no_pins(filter)?, (pin, &format), wave, count, on_cycle)
                    .map_err(|error| failure::request(error.to_string()))?
            }
            Probe::Put { pin, events, each, wrapping, begun } => {
                let begun = self.mark_of(begun)?;
                // SAFETY: see `mark_of`.
                let begun = || unsafe { begun.write_volatile(begun.read_volatile().wrapping_add(1)) };
                conformance::timing::put(self.pin(pin)?, events, each, wrapping, begun)
                    .map_err(|error| failure::request(error.to_string()))?
            }
            Probe::Interrupts { pin, count } => conformance::timing::capture(self.pin(pin)?, count)
                .map_err(|error| failure::request(error.to_string()))?,
        };
        Ok(passed(figures))
    }

    fn run_event_probe(&mut self, filter: Handle, pin: Handle) -> Result<Reply, Failure> {
        let port = self.filter(filter)?.clone();
        let Some(Open::Pin { pin: mut stream, filter }) = self.handles.remove(&pin.0) else { return Err(no_pin(pin)) };
        let figures = conformance::events::run(&port, &mut stream);
        self.handles.insert(pin.0, Open::Pin { pin: stream, filter });
        figures.map(passed)
    }

    fn set_power(&mut self, power: DevicePower) -> Result<Reply, Failure> {
        self.expect(DriverState::Started, "SetPower comes after StartDevice")?;
        if power == DevicePower::D0 {
            device::set_power(power)?;
            for (handle, state) in core::mem::take(&mut self.paused) {
                if let Some(Open::Pin { pin, .. }) = self.handles.get_mut(&handle) {
                    let name = format!("the stream of handle {handle} does not resume");
                    pin.set_state(state).map_err(|code| failure::status(code, &name))?;
                }
            }
            rules::POWER_CYCLE.held();
            return Ok(Reply::Done);
        }
        for (handle, open) in &mut self.handles {
            if let Open::Pin { pin, .. } = open
                && pin.state() == abi::KsState::Run
            {
                let _ = pin.set_state(abi::KsState::Pause);
                self.paused.push((*handle, abi::KsState::Run));
            }
        }
        device::set_power(power)?;
        Ok(Reply::Done)
    }

    fn restart_device(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::Started, "RestartDevice comes after StartDevice")?;
        self.close_all();
        let resources = device::restart()?;
        rules::RESTART.held();
        let subdevices = adapter::subdevices().into_iter().map(|(name, _)| name).collect();
        let (device, install) = ("the same".into(), None);
        Ok(Reply::DeviceStarted { device, resources, subdevices, interfaces: interfaces(), install })
    }

    fn surprise_removal(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::Started, "SurpriseRemoval comes after StartDevice")?;
        rules::blame(Some(rules::SURPRISE_REMOVAL));
        device::surprise_removal()?;
        self.removed = true;
        Ok(Reply::Done)
    }

    fn map_user(&mut self, bulk: Bulk, caller: Caller) -> Result<Reply, Failure> {
        // Only to see that it is in a range that the harness was given.
        self.ranges.bytes(bulk)?;
        let process = property::process(caller)
            .ok_or_else(|| failure::request("memory is mapped for a process, not for the kernel"))?;
        let memory =
            UserMemory::of_physical(process, bulk.address, bulk.length).map_err(|_| failure::memory(bulk.length))?;
        let address = memory.address();
        self.mapped.push(memory);
        Ok(Reply::UserMapping { address })
    }

    fn take_captured(&self, pin: Handle) -> Result<Reply, Failure> {
        let pin = self.pin(pin)?;
        let events = pin.take_captured().ok_or_else(|| failure::request("the pin captures nothing"))?;
        let event = |event: Captured| {
            let Captured { time, channel_group, flags, data } = event;
            CapturedEvent { time, channel_group, flags, data }
        };
        Ok(Reply::Captured { events: events.into_iter().map(event).collect(), discarded: pin.captured_dropped() })
    }

    fn load_driver(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::NotLoaded, "LoadDriver comes first, once")?;
        let info = pnp::load_driver(&LIBRARIES)?;
        self.driver = DriverState::Loaded;
        Ok(Reply::DriverLoaded(info))
    }

    fn start_device(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::Loaded, "StartDevice comes after LoadDriver, or after StopDevice")?;
        let started = pnp::start_device()?;
        self.driver = DriverState::Started;
        let subdevices = adapter::subdevices().into_iter().map(|(name, _)| name).collect();
        let pnp::StartedDevice { device, resources, install } = started;
        Ok(Reply::DeviceStarted { device, resources, subdevices, interfaces: interfaces(), install })
    }

    fn stop_device(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::Started, "StopDevice comes after StartDevice")?;
        self.close_all();
        if core::mem::take(&mut self.removed) {
            pnp::driver::remove()?;
            registers::set(registers::Registers::Live);
            rules::SURPRISE_REMOVAL.held();
            rules::blame(None);
        } else {
            pnp::stop_device()?;
        }
        self.driver = DriverState::Loaded;
        Ok(Reply::Done)
    }

    fn unload_driver(&mut self) -> Result<Reply, Failure> {
        self.expect(DriverState::Loaded, "UnloadDriver comes after StopDevice")?;
        pnp::unload_driver(&LIBRARIES)?;
        leftovers::check();
        self.driver = DriverState::NotLoaded;
        Ok(Reply::DriverUnloaded)
    }

    fn open_filter(&mut self, subdevice: &str) -> Result<Reply, Failure> {
        self.expect(DriverState::Started, "OpenFilter comes after StartDevice")?;
        let subdevices = adapter::subdevices();
        let Some((_, port)) = subdevices.iter().find(|(name, _)| name.eq_ignore_ascii_case(subdevice)) else {
            let names: Vec<&str> = subdevices.iter().map(|(name, _)| name.as_str()).collect();
            return Err(failure::request(format!(
                "no subdevice is named \"{subdevice}\"; the driver registered {names:?}"
            )));
        };
        let Some(filter) = port.filter() else {
            return Err(failure::request(format!("the subdevice \"{subdevice}\" is going away")));
        };
        intersection::check(port);
        let handle = self.insert(Open::Filter(port.clone()));
        Ok(Reply::FilterOpened {
            handle,
            pins: filter.pins.iter().map(describe_pin).collect(),
            nodes: filter.nodes.iter().map(|node| guids::to_bytes(&node.node_type)).collect(),
            data_path: port.kind().is_music(),
        })
    }

    fn create_pin(&mut self, filter: Handle, id: u32, format: StreamFormat) -> Result<Reply, Failure> {
        let port = self.filter(filter)?.clone();
        let format = data_format(format);
        let pin =
            Pin::open(&port, id, &format).map_err(|code| failure::status(code, &format!("pin {id} does not open")))?;
        let schedule_prefetch = pin.prefetch();
        Ok(Reply::PinCreated { handle: self.insert(Open::Pin { pin, filter }), schedule_prefetch })
    }

    fn set_state(&mut self, handle: Handle, state: KsState) -> Result<Reply, Failure> {
        let target = match state {
            KsState::Stop => abi::KsState::Stop,
            KsState::Acquire => abi::KsState::Acquire,
            KsState::Pause => abi::KsState::Pause,
            KsState::Run => abi::KsState::Run,
        };
        let Some(Open::Pin { pin, .. }) = self.handles.get_mut(&handle.0) else { return Err(no_pin(handle)) };
        pin.set_state(target).map_err(|code| {
            failure::status(
                code,
                &format!("the stream refuses a state on the way to {state:?}; it stays in {:?}", pin.state()),
            )
        })?;
        Ok(Reply::Done)
    }

    /// Sends a property request and waits until the driver completes it.
    fn property(&self, request: &PropertyRequest) -> Result<Reply, Failure> {
        let sent = self.begin_property(request)?;
        if !request::property::await_driver(|| sent.is_complete()) {
            // The driver may still complete it, so that what its packet points to stays.
            core::mem::forget(sent);
            return Err(Failure {
                kind: FailureKind::Timeout,
                message: "the driver keeps the property request and does not complete it".to_string(),
            });
        }
        Ok(sent.answer())
    }

    /// Returns the answer of a request, if the driver does not keep it any more.
    fn take_property(&mut self, handle: Handle) -> Result<Reply, Failure> {
        let sent = self.properties.get(&handle.0).ok_or_else(|| no_handle(handle))?;
        if !sent.is_complete() {
            return Ok(Reply::PropertyPending(handle));
        }
        self.properties.remove(&handle.0).map(SentProperty::answer).ok_or_else(|| no_handle(handle))
    }

    fn begin_property(&self, request: &PropertyRequest) -> Result<SentProperty, Failure> {
        let target = match self.handles.get(&request.target.0) {
            Some(Open::Filter(port)) => Target::Filter(port),
            Some(Open::Pin { pin, .. }) => Target::Pin(pin),
            None => return Err(no_handle(request.target)),
        };
        if request.value.len() > VALUE_BYTES_MAX {
            return Err(failure::request(format!("a value of more than {VALUE_BYTES_MAX} bytes is requested")));
        }
        property::send(request, &target)
    }

    fn play(&mut self, play: &Play, leave: Leave) -> Result<Reply, Failure> {
        let is_pin = |handle: Handle| matches!(self.handles.get(&handle.0), Some(Open::Pin { .. }));
        if play.render == play.wave || !is_pin(play.render) || !is_pin(play.wave) {
            return Err(failure::request("Play takes two open pins, a render pin and a wave pin"));
        }
        let mut taken = [play.render, play.wave].map(|handle| (handle, self.handles.remove(&handle.0)));
        let result = match &mut taken {
            [(_, Some(Open::Pin { pin: render, .. })), (_, Some(Open::Pin { pin: wave, .. }))] => {
                self.play_pins(play, leave, render, wave)
            }
            _ => Err(no_pin(play.render)),
        };
        self.handles.extend(taken.into_iter().filter_map(|(handle, open)| Some((handle.0, open?))));
        result
    }

    fn play_midi(&mut self, play: &PlayMidi) -> Result<Reply, Failure> {
        let events = self.ranges.bytes(play.events)?.to_vec();
        let Some(Open::Pin { pin, .. }) = self.handles.get_mut(&play.render.0) else {
            return Err(no_pin(play.render));
        };
        let before = count();
        let piece = MidiPiece {
            events: &events,
            event_count: play.event_count,
            duration: play.duration,
            pace: play.pace,
            delivery: play.delivery,
        };
        let progress = |Played { frames, events }| link::send_event(guest_protocol::Event::Progress { frames, events });
        let Played { frames, events } =
            player::play_midi(pin, &piece, progress, kernel::pause).map_err(|error| play_failure(&error))?;
        Ok(Reply::Played { frames, events, statistics: count().since(&before) })
    }

    fn play_pins(&mut self, play: &Play, leave: Leave, render: &mut Pin, wave: &mut Pin) -> Result<Reply, Failure> {
        // The events are copied: the two ranges may be parts of one, and the driver sees neither.
        let events = self.ranges.bytes(play.events)?.to_vec();
        let pcm = self.ranges.bytes_and_slack(play.pcm)?;
        let before = count();
        let mut piece = Piece {
            events: &events,
            event_count: play.event_count,
            frames: play.frames,
            pcm,
            quantum: play.quantum_frames,
            pace: play.pace,
            delivery: play.delivery,
        };
        let progress = |Played { frames, events }| link::send_event(guest_protocol::Event::Progress { frames, events });
        let Played { frames, events } = player::play(render, wave, &mut piece, leave, progress, kernel::pause)
            .map_err(|error| play_failure(&error))?;
        Ok(Reply::Played { frames, events, statistics: count().since(&before) })
    }

    fn close(&mut self, handle: Handle) -> Result<Reply, Failure> {
        match self.handles.remove(&handle.0) {
            Some(Open::Pin { pin, .. }) => pin.close(),
            Some(Open::Filter(port)) => {
                if self.handles.values().any(|open| matches!(open, Open::Pin { filter, .. } if *filter == handle)) {
                    self.handles.insert(handle.0, Open::Filter(port));
                    return Err(failure::request("the filter has open pins: close them first"));
                }
                let is_other = |open: &Open| matches!(open, Open::Filter(other) if other.as_raw() == port.as_raw());
                if !self.handles.values().any(is_other) {
                    request::event::close_filter(&port);
                }
            }
            None => return Err(no_handle(handle)),
        }
        Ok(Reply::Done)
    }

    fn close_all(&mut self) {
        for (_, open) in core::mem::take(&mut self.handles) {
            if let Open::Pin { pin, .. } = open {
                pin.close();
            }
        }
    }

    fn expect(&self, expected: DriverState, rule: &str) -> Result<(), Failure> {
        if self.driver == expected {
            Ok(())
        } else {
            Err(failure::request(format!("{rule}; the driver is {:?}", self.driver)))
        }
    }

    fn filter(&self, handle: Handle) -> Result<&Com<Port>, Failure> {
        match self.handles.get(&handle.0) {
            Some(Open::Filter(port)) => Ok(port),
            _ => Err(failure::request(format!("handle {} is no open filter", handle.0))),
        }
    }

    fn pin(&self, handle: Handle) -> Result<&Pin, Failure> {
        match self.handles.get(&handle.0) {
            Some(Open::Pin { pin, .. }) => Ok(pin),
            _ => Err(no_pin(handle)),
        }
    }

    fn insert(&mut self, open: Open) -> Handle {
        self.last_handle += 1;
        self.handles.insert(self.last_handle, open);
        Handle(self.last_handle)
    }
}

fn hello(version: u16) -> Result<Reply, Failure> {
    if version != VERSION {
        return Err(failure::request(format!(
            "the harness speaks version {version} of the guest protocol and this guest version {VERSION}: build both from one tree"
        )));
    }
    Ok(Reply::Hello {
        version: VERSION,
        guest: concat!("nt-host ", env!("CARGO_PKG_VERSION")).to_string(),
        memory: frames::total(),
        bulk: BulkAccess::Mapped,
    })
}

fn data_format(format: StreamFormat) -> Vec<u8> {
    match format {
        StreamFormat::DirectMusic => formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC),
        StreamFormat::Midi => formats::music(guids::KSDATAFORMAT_SUBTYPE_MIDI),
        StreamFormat::Pcm { sample_rate, channels, bits } => formats::pcm(sample_rate, channels, bits),
    }
}

fn contract() -> Vec<RuleState> {
    let inapplicable = |rule: &rules::Rule| midi::inapplicable(rule).or_else(|| lacks::reason(rule));
    let how = |rule: &rules::Rule| match (inapplicable(rule), rule.check_method) {
        (Some(reason), _) | (None, rules::CheckMethod::NotApplicable(reason)) => {
            CheckMethod::NotApplicable(reason.to_string())
        }
        (None, rules::CheckMethod::Always) => CheckMethod::Always,
        (None, rules::CheckMethod::Probe(name)) => CheckMethod::Probe(name.to_string()),
    };
    let state = |rule: &&'static rules::Rule| RuleState {
        number: rule.number,
        title: rule.title.to_string(),
        source: rule.source.to_string(),
        how: how(rule),
        held: rule.count(),
    };
    let of_midi = if midi::applies() { midi::TABLE } else { &[] };
    let of_ports = if ports::applies() { ports::TABLE } else { &[] };
    rules::TABLE.iter().chain(of_midi).chain(of_ports).map(state).collect()
}

fn unsupported(why: &str) -> Failure {
    Failure { kind: FailureKind::Unsupported, message: format!("the NT host {why}") }
}

fn no_handle(handle: Handle) -> Failure {
    failure::request(format!("handle {} is not open", handle.0))
}

fn no_pin(handle: Handle) -> Failure {
    failure::request(format!("handle {} is no open pin", handle.0))
}

fn play_failure(error: &PlayError) -> Failure {
    let kind = match error {
        PlayError::State { status, .. } | PlayError::Sync(status) | PlayError::Refused(status) => {
            FailureKind::Status(status.cast_unsigned())
        }
        PlayError::Stuck(_) => FailureKind::Timeout,
        PlayError::Pins
        | PlayError::Render
        | PlayError::Frames { .. }
        | PlayError::Malformed { .. }
        | PlayError::Order { .. }
        | PlayError::Count { .. } => FailureKind::Request,
    };
    Failure { kind, message: error.to_string() }
}

/// Returns the answer of a probe that the driver passed, with what it counted.
fn passed(figures: Figures) -> Reply {
    let figure = |(name, value): (&str, u64)| Figure { name: name.to_string(), value };
    Reply::ProbePassed { figures: figures.into_iter().map(figure).collect() }
}

fn describe_pin(pin: &descriptor::Pin) -> PinFactory {
    PinFactory {
        flow_in: pin.flows_in(),
        communication: pin.communication,
        instances: pin.max_filter,
        not_streamed: None,
        data_ranges: pin
            .ranges
            .iter()
            .map(|range| match formats::AudioLimits::of(range) {
                Some(limits) => DataRange::Pcm {
                    sample_rate_min: limits.rate_min,
                    sample_rate_max: limits.rate_max,
                    channels: limits.channels,
                    bits: limits.bits_max,
                    bits_min: limits.bits_min,
                },
                None if range.format.sub == guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC => DataRange::DirectMusic,
                None if range.format.sub == guids::KSDATAFORMAT_SUBTYPE_MIDI => DataRange::Midi,
                // Music of any kind.
                None if range.format.major == guids::KSDATAFORMAT_TYPE_MUSIC
                    && range.format.sub == guids::GUID::default() =>
                {
                    DataRange::DirectMusic
                }
                None => DataRange::Other,
            })
            .collect(),
    }
}

/// Returns everything that is counted, since boot.
fn count() -> Statistics {
    let kernel = ke::statistics();
    let (pool_allocations, pool_bytes, pool_bytes_peak) = pool::totals();
    Statistics {
        interrupts: kernel.interrupts,
        interrupts_not_claimed: kernel.interrupts_not_claimed,
        dpcs: kernel.dpcs,
        notifications: statistics::NOTIFICATIONS.get(),
        events_put: statistics::EVENTS_PUT.get(),
        events_returned: statistics::EVENTS_RETURNED.get(),
        pool_allocations,
        pool_bytes,
        pool_bytes_peak,
    }
}
