//! A fake guest for tests of the session: the other end of the serial line, on a thread, with memory but without a
//! processor.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use guest_protocol::{
    BugCheck, Bulk, BulkAccess, DataRange, Deframer, DriverInfo, Event, Failure, FailureKind, Handle, PinFactory, Play,
    Received, Reply, Request, Statistics, StreamFormat, ToGuest, ToHost, VERSION, encode,
};

use crate::machine::GuestMemory;
use crate::sound::midi::EVENT_HEADER_BYTES;
use crate::sound::pcm::FRAME_BYTES;

/// A fault of the fake guest.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Stops with a bug check at `Play`.
    BugCheckAtPlay(Box<BugCheck>),
    /// Falls silent at `Play`.
    HangAtPlay,
    /// Closes the line at `Play`.
    EndAtPlay,
    /// Speaks another version of the protocol.
    OtherVersion,
    /// Answers a request that was not made.
    WrongAnswer,
    /// Opens a pin in any format.
    OpensAnything,
    /// Is of a kind that does not serve `Play`.
    CannotPlay,
}

/// A fake guest.
#[derive(Debug)]
pub struct FakeGuest {
    /// Its memory.
    pub memory: GuestMemory,
    /// The SHA-256 of the driver that it reports.
    pub driver_sha256: [u8; 32],
    /// Its filters: name and pins.
    pub filters: Vec<(String, Vec<PinFactory>)>,
    /// Its fault, if it has one.
    pub fault: Option<Fault>,
}

/// Returns the pin factories of a DirectMusic filter: render and wave, and one of another kind before them.
#[must_use]
pub fn directmusic_pins() -> Vec<PinFactory> {
    let pin =
        |flow_in, data_ranges| PinFactory { flow_in, communication: 1, instances: 1, data_ranges, not_streamed: None };
    let pcm = DataRange::Pcm { sample_rate_min: 11_025, sample_rate_max: 96_000, channels: 2, bits: 16, bits_min: 16 };
    vec![
        pin(false, vec![DataRange::Other]),
        pin(false, vec![pcm]),
        pin(true, vec![DataRange::Midi, DataRange::DirectMusic]),
    ]
}

impl FakeGuest {
    /// Serves a line on a thread until it is shut down or the line ends.
    #[must_use]
    pub fn serve(self, line: UnixStream) -> JoinHandle<()> {
        std::thread::spawn(move || {
            // The session closes the line when a test is over.
            let _ = self.run(line);
        })
    }

    fn run(mut self, mut line: UnixStream) -> std::io::Result<()> {
        line.write_all(b"fake firmware 1.0\r\n")?;
        let mut send = {
            let mut line = line.try_clone()?;
            move |message: ToHost| line.write_all(&encode(&message).expect("every message can be framed"))
        };
        send(ToHost::Event(Event::Entered))?;
        send(ToHost::Event(Event::Ready))?;
        let mut next_bulk = 1 << 20;
        let mut deframer = Deframer::new();
        let mut buffer = [0; 4096];
        loop {
            let count = line.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            for received in deframer.push::<ToGuest>(&buffer[..count]) {
                let Received::Message(ToGuest { id, request }) = received else { continue };
                let leaving = request == Request::Shutdown;
                if let (Request::Play(_), Some(fault)) = (&request, &self.fault) {
                    match fault.clone() {
                        Fault::BugCheckAtPlay(bug_check) => {
                            send(ToHost::Event(Event::BugCheck(*bug_check)))?;
                            return Ok(());
                        }
                        Fault::HangAtPlay => {
                            // Until the session closes the line.
                            while line.read(&mut buffer)? > 0 {}
                            return Ok(());
                        }
                        Fault::EndAtPlay => return Ok(()),
                        Fault::OtherVersion | Fault::WrongAnswer | Fault::OpensAnything | Fault::CannotPlay => {}
                    }
                }
                let id = if self.fault == Some(Fault::WrongAnswer) { id + 7 } else { id };
                let result = self.answer(request, &mut next_bulk, &mut send);
                send(ToHost::Answer { id, result })?;
                if leaving {
                    return Ok(());
                }
            }
        }
    }

    fn answer(
        &mut self,
        request: Request,
        next_bulk: &mut u64,
        send: &mut impl FnMut(ToHost) -> std::io::Result<()>,
    ) -> Result<Reply, Failure> {
        Ok(match request {
            Request::Hello { .. } => Reply::Hello {
                version: if self.fault == Some(Fault::OtherVersion) { VERSION + 1 } else { VERSION },
                guest: "fake".into(),
                memory: self.memory.bytes(),
                bulk: BulkAccess::Mapped,
            },
            Request::LoadDriver => Reply::DriverLoaded(DriverInfo {
                file_bytes: 0,
                sha256: self.driver_sha256,
                base: 0,
                image_bytes: 0,
                imports: Vec::new(),
            }),
            Request::StartDevice => Reply::DeviceStarted {
                device: "fake".into(),
                resources: Vec::new(),
                subdevices: self.filters.iter().map(|(name, _)| name.clone()).collect(),
                interfaces: Vec::new(),
                install: None,
            },
            Request::OpenFilter { subdevice } => {
                let found = self.filters.iter().position(|(name, _)| *name == subdevice);
                let number = found.ok_or_else(|| Failure {
                    kind: FailureKind::Request,
                    message: format!("there is no filter {subdevice}"),
                })?;
                let handle = Handle(number as u32 + 1);
                Reply::FilterOpened { handle, pins: self.filters[number].1.clone(), nodes: Vec::new(), data_path: true }
            }
            Request::CreatePin { filter, pin, format } => {
                let carries = &self.filters[filter.0 as usize - 1].1[pin as usize].data_ranges;
                let fits = |carried: &DataRange| {
                    matches!(
                        (carried, format),
                        (DataRange::DirectMusic, StreamFormat::DirectMusic)
                            | (DataRange::Midi, StreamFormat::Midi)
                            | (DataRange::Pcm { .. }, StreamFormat::Pcm { .. })
                    )
                };
                if self.fault != Some(Fault::OpensAnything) && !carries.iter().any(fits) {
                    return Err(Failure {
                        kind: FailureKind::Status(0xc000_0272),
                        message: format!("pin {pin} does not carry {format:?}"),
                    });
                }
                Reply::PinCreated { handle: Handle(filter.0 * 100 + pin), schedule_prefetch: 0 }
            }
            Request::AllocateBulk { bytes } => {
                let bulk = Bulk { address: *next_bulk, length: bytes };
                *next_bulk += bytes.next_multiple_of(4096);
                Reply::Bulk(bulk)
            }
            Request::Play(_) if self.fault == Some(Fault::CannotPlay) => {
                let message = "no client is the sink of a wave pin".into();
                return Err(Failure { kind: FailureKind::Unsupported, message });
            }
            Request::Play(play) => self.play(&play, send)?,
            Request::UnloadDriver => Reply::DriverUnloaded,
            Request::Statistics => Reply::Statistics(Statistics::default()),
            Request::Property { .. } => {
                return Err(Failure { kind: FailureKind::Status(0xc000_0225), message: "it has no properties".into() });
            }
            Request::SetState { .. }
            | Request::FreeBulk(_)
            | Request::Close(_)
            | Request::StopDevice
            | Request::Shutdown => Reply::Done,
            other => {
                return Err(Failure { kind: FailureKind::Request, message: format!("it cannot do {other:?}") });
            }
        })
    }

    /// Fakes a render: at the frame of each event, both channels take the event's first and last byte.
    fn play(&self, play: &Play, send: &mut impl FnMut(ToHost) -> std::io::Result<()>) -> Result<Reply, Failure> {
        let memory = |error: std::io::Error| Failure { kind: FailureKind::Memory, message: error.to_string() };
        let records = self.memory.read(play.events).map_err(memory)?;
        let mut pcm = vec![0; play.pcm.length as usize];
        let (mut at, mut count) = (0, 0);
        while at < records.len() {
            let field =
                |offset: usize| u32::from_le_bytes(records[at + offset..at + offset + 4].try_into().expect("4"));
            let length = field(0) as usize;
            let time = u64::from(field(8)) | u64::from(field(12)) << 32;
            let message = &records[at + EVENT_HEADER_BYTES..at + EVENT_HEADER_BYTES + length];
            let frame = time * 48_000 / 10_000_000;
            let place = (frame * FRAME_BYTES) as usize;
            if let Some(place) = pcm.get_mut(place..place + FRAME_BYTES as usize) {
                let last = *message.last().unwrap_or(&0);
                place.copy_from_slice(&[message[0], last, message[0], last]);
            }
            at += (EVENT_HEADER_BYTES + length).next_multiple_of(8);
            count += 1;
        }
        self.memory.write(play.pcm, &pcm).map_err(memory)?;
        let _ = send(ToHost::Event(Event::Progress { frames: play.frames, events: count }));
        let statistics = Statistics { events_put: count, events_returned: count, ..Statistics::default() };
        Ok(Reply::Played { frames: play.frames, events: count, statistics })
    }
}
