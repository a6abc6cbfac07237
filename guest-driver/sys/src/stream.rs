//! `IMXF` and `ISynthSinkDMus`: a stream.
//!
//! All kinds share one virtual table, that of `ISynthSinkDMus`, which begins with that of `IMXF`. `QueryInterface`
//! returns the longer interface of the wave stream only.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use dmus_miniport::card::{CAPTURE_STREAM, WAVE_STREAM};
use dmus_miniport::format::StreamFormat;
use dmus_miniport::irql::{AtMostDispatch, Passive};
use dmus_miniport::kernel::EventAllocator;
use dmus_miniport::log::Part;
use dmus_miniport::midi_in::Outlet;
use dmus_miniport::midi_out::Groups;
use portcls::dmus::{
    DmusStreamType, IAllocatorMXF, IMXF, IMXFTable, IMasterClock, ISynthSinkDMus, ISynthSinkDMusTable,
};
use portcls::event::DmusKernelEvent;
use portcls::guid::{IID_IMXF, IID_ISynthSinkDMus};
use portcls::ks::KsState;
use portcls::{Guid, NtStatus, ReferenceTime};

use crate::com::{Class, Foreign, Object, Owned, call, unknown};
use crate::kernel::{Allocator, log};
use crate::miniport::Miniport;
use crate::nt;
use crate::running::Running;

/// The kind of a stream.
#[derive(Clone, Copy)]
enum Kind {
    /// Not yet open on the card.
    Closed,
    /// A render stream, with its number on the card.
    Render(u32),
    /// The capture stream.
    Capture,
    /// The wave stream.
    Wave,
}

/// The capture stream's allocator and sink.
struct CaptureOutlet<'a> {
    allocator: *mut IAllocatorMXF,
    sink: &'a AtomicPtr<IMXF>,
    stream: &'a Stream,
}

impl Outlet for CaptureOutlet<'_> {
    fn event(&self, _: AtMostDispatch) -> *mut DmusKernelEvent {
        let mut event = ptr::null_mut();
        // SAFETY: the stream keeps the allocator; a place for a pointer.
        let status = unsafe { call!(self.allocator, get_message, &raw mut event) };
        if status.is_success() { event } else { ptr::null_mut() }
    }

    fn buffer(&self, _: AtMostDispatch) -> *mut u8 {
        let mut buffer = ptr::null_mut();
        // SAFETY: the stream keeps the allocator; a place for a pointer.
        let status = unsafe { call!(self.allocator, get_buffer, &raw mut buffer) };
        if status.is_success() { buffer } else { ptr::null_mut() }
    }

    fn buffer_bytes(&self) -> usize {
        // SAFETY: the stream keeps the allocator.
        unsafe { call!(self.allocator, get_buffer_size) }.into()
    }

    fn now(&self) -> Option<ReferenceTime> {
        self.stream.time()
    }

    unsafe fn pass_on(&self, event: *mut DmusKernelEvent, level: AtMostDispatch) {
        let sink = self.sink.load(Ordering::Acquire);
        if sink.is_null() {
            // SAFETY: the caller's promise.
            unsafe { self.give_back(event, level) };
        } else {
            // SAFETY: a sink lives until it has been disconnected, which waits for this; the event goes with the call.
            _ = unsafe { call!(sink, put_message, event) };
        }
    }

    unsafe fn give_back(&self, event: *mut DmusKernelEvent, level: AtMostDispatch) {
        // SAFETY: the caller's promise.
        unsafe { Allocator(self.allocator).give_back(event, level) };
    }
}

/// A stream.
pub(crate) struct Stream {
    kind: Kind,
    pin: u32,
    allocator: Option<Foreign<IAllocatorMXF>>,
    clock: Option<Foreign<IMasterClock>>,
    /// The sink of captured events, or null. Not referenced: the port's sink references the stream, and a reference
    /// back would keep both for ever. It lives until it is disconnected.
    sink: AtomicPtr<IMXF>,
    /// The reference that keeps the card.
    miniport: Owned<Miniport>,
}

impl Stream {
    /// Opens a stream of a started miniport. The pin's instance is uncounted when the stream is dropped, and when this
    /// fails.
    pub(crate) fn open(
        level: Passive,
        miniport: Owned<Miniport>,
        pin: u32,
        kind: DmusStreamType,
        format: StreamFormat,
        allocator: Option<Foreign<IAllocatorMXF>>,
        clock: Option<Foreign<IMasterClock>>,
    ) -> Result<Owned<Self>, NtStatus> {
        let sink = AtomicPtr::new(ptr::null_mut());
        let mut stream = Self { kind: Kind::Closed, pin, allocator, clock, sink, miniport };
        let now = stream.time();
        let card = &stream.running().ok_or(NtStatus::DEVICE_NOT_READY)?.card;
        let kind = match format {
            _ if kind == DmusStreamType::MIDI_CAPTURE => card.open_capture(level, now).map(|()| Kind::Capture),
            StreamFormat::Pcm(format) => card.open_wave(level, format).map(|()| Kind::Wave),
            StreamFormat::Midi | StreamFormat::DirectMusic => {
                let home = stream.allocator.as_ref().ok_or(NtStatus::INVALID_PARAMETER)?;
                let groups = if format == StreamFormat::Midi { Groups::First } else { Groups::AsGiven };
                card.open_render(level, groups, Allocator(home.as_ptr())).map(Kind::Render)
            }
        };
        stream.kind = kind.map_err(|error| {
            log(&[
                Part::Text("pin "),
                Part::Number(pin.into()),
                Part::Text(" does not open: "),
                Part::Reason(error.into()),
            ]);
            NtStatus::from(error)
        })?;
        Object::make(level, stream).ok_or(NtStatus::INSUFFICIENT_RESOURCES)
    }

    /// Returns the started card.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.miniport.running()
    }

    /// Returns the stream's number on the card.
    pub(crate) fn id(&self) -> u32 {
        match self.kind {
            Kind::Render(id) => id,
            Kind::Capture => CAPTURE_STREAM,
            Kind::Closed | Kind::Wave => WAVE_STREAM,
        }
    }

    /// Reads the master clock, in 100 ns units. `None`: there is no clock, or it fails.
    pub(crate) fn time(&self) -> Option<ReferenceTime> {
        let clock = self.clock.as_ref()?.as_ptr();
        let mut time = 0;
        // SAFETY: the clock is referenced; may be called at any level.
        let status = unsafe { call!(clock, get_time, &raw mut time) };
        status.is_success().then_some(time)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the last reference to a stream goes at PASSIVE_LEVEL.
        let level = unsafe { Passive::assume() };
        if let Some(running) = self.running() {
            match self.kind {
                Kind::Closed => {}
                Kind::Render(id) => running.card.close_render(level, id),
                Kind::Capture => running.card.close_capture(level),
                Kind::Wave => running.card.close_wave(level),
            }
        }
        self.miniport.give_instance(self.pin);
    }
}

impl Class for Stream {
    type Table = ISynthSinkDMusTable;
    const TABLE: &'static ISynthSinkDMusTable = &ISynthSinkDMusTable {
        base: IMXFTable { base: unknown::<Self>(), set_state, put_message, connect_output, disconnect_output },
        render,
        sync_to_master,
        sample_to_ref_time,
        ref_time_to_sample,
    };
    type Others = ();
    const OTHERS: () = ();

    fn has(&self, iid: &Guid) -> bool {
        *iid == IID_IMXF || (*iid == IID_ISynthSinkDMus && matches!(self.kind, Kind::Wave))
    }
}

/// Returns the stream behind an interface pointer.
///
/// # Safety
/// Called through the table of a stream.
unsafe fn stream<'a>(this: *mut impl Sized) -> &'a Stream {
    // SAFETY: the caller's promise.
    &unsafe { Object::<Stream>::of(this) }.class
}

unsafe extern "system" fn set_state(this: *mut IMXF, state: KsState) -> NtStatus {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    let Some(running) = stream.running() else { return NtStatus::DEVICE_NOT_READY };
    if state > KsState::RUN {
        return NtStatus::INVALID_PARAMETER;
    }
    let result = match stream.kind {
        Kind::Closed => return NtStatus::INVALID_DEVICE_STATE,
        Kind::Render(id) => running.card.set_render_state(level, id, state),
        Kind::Capture => running.card.set_capture_state(level, state),
        Kind::Wave => running.card.set_wave_state(level, state),
    };
    match result {
        Ok(()) => NtStatus::SUCCESS,
        Err(error) => {
            log(&[
                Part::Text("the card does not take state "),
                Part::Number(state.0.into()),
                Part::Text(": "),
                Part::Reason(error.into()),
            ]);
            // Stopping must not fail: held events have been given back, and no more are sent.
            if state == KsState::RUN { error.into() } else { NtStatus::SUCCESS }
        }
    }
}

unsafe extern "system" fn put_message(this: *mut IMXF, event: *mut DmusKernelEvent) -> NtStatus {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    // SAFETY: documented for DISPATCH_LEVEL.
    let level = unsafe { AtMostDispatch::assume() };
    if event.is_null() {
        // A request for service, which only the capture stream handles: the service sink serves the card.
        if let (Kind::Capture, Some(running), Some(allocator)) = (stream.kind, stream.running(), &stream.allocator) {
            let outlet = CaptureOutlet { allocator: allocator.as_ptr(), sink: &stream.sink, stream };
            running.card.drain_capture(level, Some(&outlet));
        }
        return NtStatus::SUCCESS;
    }
    match (stream.kind, stream.running(), &stream.allocator) {
        (Kind::Render(id), Some(running), _) => {
            // SAFETY: the port hands the events over with the call.
            unsafe { running.card.put(level, id, event) };
            NtStatus::SUCCESS
        }
        (_, _, Some(allocator)) => {
            // SAFETY: the port hands the events over with the call.
            unsafe { Allocator(allocator.as_ptr()).give_back(event, level) };
            NtStatus::SUCCESS
        }
        _ => NtStatus::INVALID_DEVICE_REQUEST,
    }
}

/// Connects the sink of captured events. Only the capture stream has one.
unsafe extern "system" fn connect_output(this: *mut IMXF, sink: *mut IMXF) -> NtStatus {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    if !matches!(stream.kind, Kind::Capture) || sink.is_null() {
        return NtStatus::UNSUCCESSFUL;
    }
    match stream.sink.compare_exchange(ptr::null_mut(), sink, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => NtStatus::SUCCESS,
        Err(_) => NtStatus::UNSUCCESSFUL,
    }
}

/// Disconnects the sink of captured events; null names the connected one. When this returns the sink is not used any
/// more.
unsafe extern "system" fn disconnect_output(this: *mut IMXF, sink: *mut IMXF) -> NtStatus {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    let connected = stream.sink.load(Ordering::Acquire);
    if !matches!(stream.kind, Kind::Capture) || (!sink.is_null() && sink != connected) {
        return NtStatus::UNSUCCESSFUL;
    }
    stream.sink.store(ptr::null_mut(), Ordering::Release);
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    if let Some(running) = stream.running() {
        running.card.wait_for_capture(level);
    }
    NtStatus::SUCCESS
}

/// Renders `frames` frames into the buffer. The unit of length and position is the frame: the reference page says
/// bytes, but the public sample and user mode's `IDirectMusicSynth::Render` count frames.
unsafe extern "system" fn render(this: *mut ISynthSinkDMus, buffer: *mut u8, frames: u32, _position: i64) {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    if buffer.is_null() || nt::current_irql() > nt::PASSIVE_LEVEL {
        // The buffer may be pageable, and rendering waits, neither of which is allowed at a higher level.
        log(&[
            Part::Text("Render without a buffer or at IRQL "),
            Part::Number(nt::current_irql().into()),
            Part::Text(": nothing is written"),
        ]);
        return;
    }
    // SAFETY: just checked.
    let level = unsafe { Passive::assume() };
    let Some(running) = stream.running() else { return };
    let Ok(frame_bytes) = running.card.frame_bytes(level.into()) else { return };
    // SAFETY: the caller gives a buffer of that many frames.
    let pcm = unsafe { core::slice::from_raw_parts_mut(buffer, frames as usize * frame_bytes) };
    match running.card.render(level, pcm) {
        Ok(None) => {}
        Ok(Some(rendered)) => {
            log(&[Part::Number(frames.into()), Part::Text(" frames: "), Part::Reason(rendered.into())]);
        }
        Err(error) => log(&[Part::Number(frames.into()), Part::Text(" frames: "), Part::Reason(error.into())]),
    }
}

unsafe extern "system" fn sync_to_master(
    this: *mut ISynthSinkDMus,
    master_time: ReferenceTime,
    start: i32,
) -> NtStatus {
    // SAFETY: called through the table of a stream.
    let stream = unsafe { stream(this) };
    if nt::current_irql() > nt::PASSIVE_LEVEL {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    // SAFETY: just checked.
    let level = unsafe { Passive::assume() };
    let Some(running) = stream.running() else { return NtStatus::DEVICE_NOT_READY };
    match running.card.sync(level, master_time, start != 0) {
        Ok(()) => NtStatus::SUCCESS,
        Err(error) => {
            log(&[Part::Text("the card does not synchronise: "), Part::Reason(error.into())]);
            error.into()
        }
    }
}

unsafe extern "system" fn sample_to_ref_time(
    this: *mut ISynthSinkDMus,
    sample: i64,
    out: *mut ReferenceTime,
) -> NtStatus {
    // SAFETY: called through the table of a stream.
    unsafe { convert(this, out, |anchor, rate| anchor.time_of(sample, rate)) }
}

unsafe extern "system" fn ref_time_to_sample(
    this: *mut ISynthSinkDMus,
    time: ReferenceTime,
    out: *mut i64,
) -> NtStatus {
    // SAFETY: called through the table of a stream.
    unsafe { convert(this, out, |anchor, rate| anchor.frame_at(time, rate)) }
}

/// Converts between master time and frames by the anchor in force.
///
/// # Safety
/// Called through the table of a stream; `out` is null or a place for a number.
unsafe fn convert(
    this: *mut ISynthSinkDMus,
    out: *mut i64,
    conversion: impl FnOnce(dmus_miniport::clock::Anchor, u32) -> i64,
) -> NtStatus {
    // SAFETY: the caller's promise.
    let stream = unsafe { stream(this) };
    // SAFETY: neither sample nor reference says at which level; nothing above DISPATCH_LEVEL asks for sample times.
    let level = unsafe { AtMostDispatch::assume() };
    let Some(running) = stream.running() else { return NtStatus::DEVICE_NOT_READY };
    if out.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    match running.card.anchor(level) {
        Ok((anchor, rate)) => {
            // SAFETY: a place for a number.
            unsafe { out.write(conversion(anchor, rate)) };
            NtStatus::SUCCESS
        }
        Err(error) => error.into(),
    }
}
