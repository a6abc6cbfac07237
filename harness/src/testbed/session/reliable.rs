//! A guest's line that loses or mixes bytes: messages pass through a [`ReliableLine`], whose ticks the reading thread gives.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guest_protocol::decode_message;
use guest_protocol::line::{Arrived, ReliableLine, Side};

use super::arrival::Arrival;

/// How often the line looks whether something has to be sent again.
const TICK: Duration = Duration::from_millis(100);

/// The line's state, which reader and writer share. What is written under its lock is bounded by the line's window, which a
/// socket's buffer holds: the writer does not wait there for the reader.
#[derive(Clone, Debug)]
pub(super) struct SharedLine {
    line: Arc<Mutex<ReliableLine>>,
    since: Instant,
}

impl SharedLine {
    /// Creates the harness's end with an epoch of its own.
    pub(super) fn new() -> Self {
        // The last bits of a version 7 identifier are random.
        let epoch = uuid::Uuid::now_v7().as_u128() as u32;
        Self { line: Arc::new(Mutex::new(ReliableLine::new(Side::Harness, epoch))), since: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }

    /// Sends a message, and again what is due.
    ///
    /// # Errors
    /// The error of the stream, or that the guest takes nothing.
    pub(super) fn send(&self, stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.send(message).map_err(io::Error::other)?;
        stream.write_all(&line.transmit(self.now_ms()))
    }

    /// Takes what was read, if anything, and writes what is due.
    fn exchange(&self, stream: &mut UnixStream, bytes: &[u8]) -> io::Result<Vec<Arrived>> {
        let now = self.now_ms();
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = line.receive(bytes, now);
        stream.write_all(&line.transmit(now))?;
        Ok(arrived)
    }

    /// Reads a line until it ends or the session does.
    pub(super) fn read(self, mut stream: UnixStream, arrivals: &SyncSender<(Instant, Arrival)>) {
        let mut buffer = vec![0; 64 << 10];
        let mut connected = false;
        // Without the limit nothing would be sent again, but what arrives would still be read.
        let _ = stream.set_read_timeout(Some(TICK));
        loop {
            let count = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => 0,
                    io::ErrorKind::Interrupted => continue,
                    _ => break,
                },
            };
            let at = Instant::now();
            let Ok(arrived) = self.exchange(&mut stream, &buffer[..count]) else { break };
            for arrived in arrived {
                let arrival = match arrived {
                    Arrived::Connected { .. } if !std::mem::replace(&mut connected, true) => continue,
                    Arrived::Connected { .. } => Arrival::Restarted,
                    Arrived::Message(bytes) => match decode_message(&bytes) {
                        Some(message) => Arrival::Message(message),
                        None => Arrival::Text(
                            format!("{} bytes of the guest's are no message of this protocol's version", bytes.len())
                                .into(),
                        ),
                    },
                    Arrived::Text(text) => Arrival::Text(text),
                };
                if arrivals.send((at, arrival)).is_err() {
                    return;
                }
            }
        }
        let rest = self.line.lock().unwrap_or_else(PoisonError::into_inner).rest().to_vec();
        if !rest.is_empty() {
            let _ = arrivals.send((Instant::now(), Arrival::Text(rest)));
        }
        let _ = arrivals.send((Instant::now(), Arrival::End));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use guest_protocol::{Event, Request, ToGuest, ToHost, encode_message};

    use super::super::line::{GuestLine, listen};
    use super::*;

    /// A guest's end of the line.
    struct Guest {
        stream: UnixStream,
        line: ReliableLine,
        since: Instant,
    }

    impl Guest {
        fn new(stream: &UnixStream, epoch: u32) -> Self {
            let stream = stream.try_clone().unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            Self { stream, line: ReliableLine::new(Side::Guest, epoch), since: Instant::now() }
        }

        /// Serves the line until a message arrives, or every message has been acknowledged. What it writes first is damaged.
        fn serve(&mut self, damaged: usize) -> Option<Vec<u8>> {
            let mut damaged = damaged;
            loop {
                let now = self.since.elapsed().as_millis() as u64;
                let mut bytes = self.line.transmit(now);
                if damaged > 0 && bytes.len() > 40 {
                    bytes[10] ^= 2;
                    damaged -= 1;
                }
                self.stream.write_all(&bytes).unwrap();
                let mut buffer = [0; 4096];
                let count = self.stream.read(&mut buffer).unwrap_or(0);
                for arrived in self.line.receive(&buffer[..count], now) {
                    if let Arrived::Message(message) = arrived {
                        let bytes = self.line.transmit(now);
                        self.stream.write_all(&bytes).unwrap();
                        return Some(message);
                    }
                }
                if self.line.is_connected() && self.line.is_idle() {
                    return None;
                }
            }
        }
    }

    fn next(incoming: &Receiver<(Instant, Arrival)>) -> Arrival {
        incoming.recv_timeout(Duration::from_secs(60)).expect("an arrival").1
    }

    #[test]
    fn messages_pass_a_line_that_damages_them_and_a_guest_that_starts_anew_is_seen() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut writer, incoming, _) = listen(GuestLine::reliable(ours)).unwrap();
        let mut guest = Guest::new(&theirs, 7);
        (&theirs).write_all(b"firmware\r\n").unwrap();
        assert_eq!(guest.serve(0), None);
        assert!(matches!(next(&incoming), Arrival::Text(text) if text == b"firmware\r\n"));
        guest.line.send(&encode_message(&ToHost::Event(Event::Ready)).unwrap()).unwrap();
        guest.line.send(b"\xff\xff").unwrap();
        assert_eq!(guest.serve(1), None);
        let message = std::iter::repeat_with(|| next(&incoming)).find(|arrival| !matches!(arrival, Arrival::Text(_)));
        assert!(matches!(message, Some(Arrival::Message(ToHost::Event(Event::Ready)))));
        assert!(
            matches!(next(&incoming), Arrival::Text(text) if text.starts_with(b"2 bytes of the guest's are no message"))
        );

        let message = writer.encode(&ToGuest { id: 1, request: Request::LoadDriver }).unwrap();
        writer.send(&message).unwrap();
        assert_eq!(guest.serve(0), Some(message));
        assert_eq!(Guest::new(&theirs, 8).serve(0), None);
        assert!(matches!(next(&incoming), Arrival::Restarted));
        drop((guest, theirs));
        assert!(matches!(next(&incoming), Arrival::End));
    }
}
