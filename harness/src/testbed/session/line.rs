//! The line to a guest: read on a thread of its own, and the rings in guest memory that the guest may lend in its place.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use guest_protocol::{DOORBELL, Deframer, Event, FrameError, Received, ToGuest, ToHost, encode, encode_message};

use super::arrival::Arrival;
use super::marks::MarksPlace;
use super::reliable::SharedLine;
use super::rings::{self, RingReader, RingWriter};
use crate::machine::GuestMemory;

/// Most arrivals that wait for the session. A full queue keeps the guest from sending more.
const ARRIVALS_MAX: usize = 16_384;

/// The harness's end of a guest's serial line, and the guest's memory where the harness has it.
#[derive(Debug)]
pub struct GuestLine {
    stream: UnixStream,
    memory: Option<GuestMemory>,
    reliable: bool,
}

impl GuestLine {
    /// Creates the line of a guest whose memory the harness has, so that the guest can lend rings in it.
    #[must_use]
    pub const fn with_memory(stream: UnixStream, memory: GuestMemory) -> Self {
        Self { stream, memory: Some(memory), reliable: false }
    }

    /// Creates the line of a guest that speaks [`guest_protocol::line`] on it: one with a system of its own, whose firmware,
    /// consoles and queues share the port.
    #[must_use]
    pub const fn reliable(stream: UnixStream) -> Self {
        Self { stream, memory: None, reliable: true }
    }
}

impl From<UnixStream> for GuestLine {
    fn from(stream: UnixStream) -> Self {
        Self { stream, memory: None, reliable: false }
    }
}

/// What writes to the guest.
pub(super) struct Writer {
    stream: UnixStream,
    way: Way,
}

/// The way to the guest.
enum Way {
    /// Frames, through the ring to the guest once the guest has lent it.
    Frames(Arc<Mutex<Option<RingWriter>>>),
    /// A reliable line.
    Reliable(SharedLine),
}

impl Writer {
    /// Encodes a message as [`Writer::send`] takes it.
    ///
    /// # Errors
    /// [`FrameError`], as of [`encode`].
    pub(super) fn encode(&self, message: &ToGuest) -> Result<Vec<u8>, FrameError> {
        match self.way {
            Way::Frames(_) => encode(message),
            Way::Reliable(_) => encode_message(message),
        }
    }

    /// Sends a message; a frame through the ring where there is one with room for it, else byte by byte. The guest answers a frame before
    /// it gets the next one, so that the two ways need no order.
    ///
    /// # Errors
    /// The error of the line, or of the host that cannot reach guest memory.
    pub(super) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let ring = match &self.way {
            Way::Reliable(line) => return line.send(&mut self.stream, frame),
            Way::Frames(ring) => ring,
        };
        let mut ring = ring.lock().unwrap_or_else(PoisonError::into_inner);
        let through_ring = ring.as_mut().map_or(Ok(false), |ring| ring.put(frame))?;
        self.stream.write_all(if through_ring { &[DOORBELL] } else { frame })
    }
}

/// What writes to a guest, what arrives from it, and where its marks are.
pub(super) type Listening = (Writer, Receiver<(Instant, Arrival)>, MarksPlace);

/// Starts to listen to a line. The thread ends with the line, which ends with the guest or with the session.
///
/// # Errors
/// The error of the thread that the host does not let start, or of the line that cannot be cloned.
pub(super) fn listen(line: GuestLine) -> io::Result<Listening> {
    let GuestLine { stream, memory, reliable } = line;
    let (arrivals, incoming) = sync_channel(ARRIVALS_MAX);
    let own = stream.try_clone()?;
    let thread = std::thread::Builder::new().name("line".into());
    let marks = MarksPlace::default();
    if reliable {
        let line = SharedLine::new();
        let writer = Writer { stream: own, way: Way::Reliable(line.clone()) };
        thread.spawn(move || line.read(stream, &arrivals))?;
        return Ok((writer, incoming, marks));
    }
    let ring: Arc<Mutex<Option<RingWriter>>> = Arc::default();
    let writer = Writer { stream: own, way: Way::Frames(ring.clone()) };
    let listener = Listener {
        arrivals,
        memory: memory.map(Arc::new),
        ring: None,
        to_guest: ring,
        marks: marks.clone(),
        at: Instant::now(),
    };
    thread.spawn(move || listener.read_line(stream))?;
    Ok((writer, incoming, marks))
}

/// The session does not take arrivals any more.
struct Unheard;

/// What reads from the guest.
struct Listener {
    arrivals: SyncSender<(Instant, Arrival)>,
    memory: Option<Arc<GuestMemory>>,
    ring: Option<(RingReader, Deframer)>,
    to_guest: Arc<Mutex<Option<RingWriter>>>,
    marks: MarksPlace,
    /// When the bytes that are being decoded were read.
    at: Instant,
}

impl Listener {
    fn read_line(mut self, mut stream: UnixStream) {
        let mut deframer = Deframer::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            self.at = Instant::now();
            if self.decode(&mut deframer, &buffer[..count]).and_then(|()| self.read_ring()).is_err() {
                return;
            }
        }
        self.at = Instant::now();
        // What the guest wrote last is in its memory, whether or not its doorbell arrived.
        let _ = self.read_ring();
        let rest = deframer.rest().to_vec();
        if !rest.is_empty() {
            let _ = self.arrived(Arrival::Text(rest));
        }
        let _ = self.arrived(Arrival::End);
    }

    fn arrived(&self, arrival: Arrival) -> Result<(), Unheard> {
        self.arrivals.send((self.at, arrival)).map_err(|_| Unheard)
    }

    fn decode(&mut self, deframer: &mut Deframer, bytes: &[u8]) -> Result<(), Unheard> {
        for received in deframer.push(bytes) {
            let arrival = match received {
                Received::Message(ToHost::Event(Event::Rings(range))) => match self.open_rings(range) {
                    Ok(()) => continue,
                    Err(error) => Arrival::Text(format!("the guest's rings are not used: {error}").into_bytes()),
                },
                Received::Message(ToHost::Event(Event::Marks(range))) => match self.take_marks(range) {
                    Ok(()) => continue,
                    Err(error) => Arrival::Text(format!("the guest's marks are not used: {error}").into_bytes()),
                },
                Received::Message(message @ ToHost::Event(Event::BugCheck(_))) => {
                    self.arrived(Arrival::Message(message))?;
                    if let Some(memory) = &self.memory {
                        self.marks.stopped(memory);
                    }
                    continue;
                }
                Received::Message(message) => Arrival::Message(message),
                Received::Text(text) => Arrival::Text(text),
            };
            self.arrived(arrival)?;
        }
        Ok(())
    }

    fn open_rings(&mut self, range: guest_protocol::Bulk) -> io::Result<()> {
        let without = || io::Error::new(io::ErrorKind::Unsupported, "the harness does not have this guest's memory");
        let memory = self.memory.as_ref().ok_or_else(without)?;
        let (reader, writer) = rings::open(memory, range)?;
        self.ring = Some((reader, Deframer::new()));
        *self.to_guest.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        Ok(())
    }

    fn take_marks(&self, range: guest_protocol::Bulk) -> io::Result<()> {
        let without = || io::Error::new(io::ErrorKind::Unsupported, "the harness does not have this guest's memory");
        self.marks.lent(self.memory.as_ref().ok_or_else(without)?, range)
    }

    fn read_ring(&mut self) -> Result<(), Unheard> {
        let Some((mut reader, mut deframer)) = self.ring.take() else { return Ok(()) };
        let result = match reader.take() {
            Ok(bytes) => self.decode(&mut deframer, &bytes),
            // The guest writes its count anew with its next frame.
            Err(error) => self.arrived(Arrival::Text(error.to_string().into_bytes())),
        };
        // A guest that enters anew lends new ones.
        self.ring.get_or_insert((reader, deframer));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use guest_protocol::{Bulk, RingPlace};

    use super::*;

    const RANGE: Bulk = Bulk { address: 0x4000, length: 0x400 };

    fn next(incoming: &Receiver<(Instant, Arrival)>) -> Arrival {
        incoming.recv_timeout(Duration::from_secs(60)).expect("an arrival").1
    }

    fn frame(event: Event) -> Vec<u8> {
        encode(&ToHost::Event(event)).unwrap()
    }

    #[test]
    fn takes_frames_from_the_ring_and_sends_through_the_other_what_fits() {
        let memory = GuestMemory::new(1 << 20).unwrap();
        let guests = Arc::new(memory.share().unwrap());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut writer, incoming, _) = listen(GuestLine::with_memory(ours, memory)).unwrap();
        theirs.write_all(&frame(Event::Entered)).unwrap();
        assert!(matches!(next(&incoming), Arrival::Message(ToHost::Event(Event::Entered))));

        // The guest's ends are the harness's, with the rings exchanged.
        let (to_host, to_guest) = RingPlace::both(RANGE).unwrap();
        let mut guest_writer = RingWriter::new(guests.clone(), to_host);
        let mut guest_reader = RingReader::new(guests, to_guest);
        theirs.write_all(&frame(Event::Rings(RANGE))).unwrap();
        assert!(guest_writer.put(&frame(Event::Ready)).unwrap());
        theirs.write_all(&[DOORBELL]).unwrap();
        assert!(matches!(next(&incoming), Arrival::Message(ToHost::Event(Event::Ready))));

        let mut bytes = [1];
        writer.send(b"request").unwrap();
        theirs.read_exact(&mut bytes).unwrap();
        assert_eq!((bytes, guest_reader.take().unwrap()), ([DOORBELL], b"request".to_vec()));
        let long = vec![7; RANGE.length as usize];
        writer.send(&long).unwrap();
        let mut received = vec![0; long.len()];
        theirs.read_exact(&mut received).unwrap();
        assert_eq!(received, long);

        // What is in the ring when the line ends has been said.
        assert!(guest_writer.put(&frame(Event::Progress { frames: 1, events: 2 })).unwrap());
        drop(theirs);
        assert!(matches!(next(&incoming), Arrival::Message(ToHost::Event(Event::Progress { .. }))));
        assert!(matches!(next(&incoming), Arrival::End));
    }

    #[test]
    fn says_why_rings_are_not_used_and_goes_on_without() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut writer, incoming, _) = listen(ours.into()).unwrap();
        theirs.write_all(&frame(Event::Rings(RANGE))).unwrap();
        assert!(matches!(next(&incoming), Arrival::Text(text) if text.starts_with(b"the guest's rings are not used")));
        writer.send(b"request").unwrap();
        let mut received = [0; 7];
        theirs.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"request");
    }
}
