//! The session on a reliable line: takes requests from a port, answers each once, and says that it is there.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use guest_protocol::line::{Arrived, LineError, ReliableLine, Side};
use guest_protocol::{Event, Level, Reply, Request, ToGuest, ToHost, decode_message, encode_message};

use crate::outlet::Outlet;
use crate::session::{Config, Session};
use crate::system::{System, SystemError};

/// How long the loop waits for bytes at a time: less than an announcement's period.
const WAIT_MS: u32 = 200;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 4096;

/// A serial port.
pub trait Port {
    /// Reads what is there, or waits so many milliseconds at most for something.
    ///
    /// # Errors
    /// The system's.
    fn read(&mut self, buffer: &mut [u8], milliseconds: u32) -> Result<usize, SystemError>;
    /// Writes all bytes.
    ///
    /// # Errors
    /// The system's.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SystemError>;
    /// Returns a steady time in milliseconds.
    fn now_ms(&self) -> u64;
}

/// Why the agent stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// [`Request::Shutdown`] was answered, or the caller wants it.
    Asked,
    /// The port failed.
    Port(SystemError),
}

/// A port with a reliable line on it.
struct Link<'p, P> {
    port: &'p mut P,
    line: ReliableLine,
    arrived: VecDeque<Arrived>,
    failed: Option<SystemError>,
}

impl<P: Port> Link<'_, P> {
    fn exchange(&mut self, milliseconds: u32) {
        let mut chunk = [0; CHUNK_BYTES];
        let mut result = self.port.read(&mut chunk, milliseconds);
        if let Ok(count) = result {
            let now = self.port.now_ms();
            self.arrived.extend(self.line.receive(&chunk[..count.min(CHUNK_BYTES)], now));
            let bytes = self.line.transmit(now);
            if !bytes.is_empty() {
                result = self.port.write(&bytes).map(|()| 0);
            }
        }
        if let Err(error) = result {
            self.failed = Some(error);
        }
    }

    fn send(&mut self, message: &ToHost) {
        let Ok(bytes) = encode_message(message) else { return };
        let sent = self.line.send(&bytes);
        if let (Err(LineError::TooLong(_)), ToHost::Answer { id, .. }) = (sent, message) {
            let message = alloc::format!("the answer has {} bytes, more than a message takes", bytes.len());
            let failure = guest_protocol::Failure { kind: guest_protocol::FailureKind::Request, message };
            if let Ok(bytes) = encode_message(&ToHost::Answer { id: *id, result: Err(failure) }) {
                let _ = self.line.send(&bytes);
            }
        }
        let bytes = self.line.transmit(self.port.now_ms());
        if !bytes.is_empty()
            && let Err(error) = self.port.write(&bytes)
        {
            self.failed = Some(error);
        }
    }
}

impl<P: Port> Outlet for Link<'_, P> {
    fn pump(&mut self, milliseconds: u32) -> bool {
        self.exchange(milliseconds);
        self.failed.is_none() && !self.arrived.iter().any(|arrived| matches!(arrived, Arrived::Connected { .. }))
    }

    fn event(&mut self, event: Event) {
        self.send(&ToHost::Event(event));
    }
}

/// Serves a port until `stop` says so, the harness asks for the end, or the port fails. A harness that connects finds no handle
/// open and nothing under way of the one before.
pub fn serve<S: System, P: Port>(
    system: &mut S,
    port: &mut P,
    config: &Config,
    epoch: u32,
    mut stop: impl FnMut() -> bool,
) -> End {
    let line = ReliableLine::new(Side::Guest, epoch);
    let mut link = Link { port, line, arrived: VecDeque::new(), failed: None };
    let mut session = Session::new(config.clone());
    let end = loop {
        if stop() {
            break End::Asked;
        }
        if let Some(error) = link.failed {
            break End::Port(error);
        }
        let Some(arrived) = link.arrived.pop_front() else {
            link.exchange(WAIT_MS);
            continue;
        };
        match arrived {
            Arrived::Connected { .. } => {
                session.close_all(system);
                link.event(Event::Ready);
            }
            // Console text of the harness's side: there is none, and what is damaged is sent again.
            Arrived::Text(_) => {}
            Arrived::Message(bytes) => {
                let Some(ToGuest { id, request }) = decode_message(&bytes) else {
                    let text = "a message is no request of this protocol's version".into();
                    link.event(Event::Log { level: Level::Error, target: "agent".into(), text });
                    continue;
                };
                let (last, reboots) = (request == Request::Shutdown, request == Request::Reboot);
                let result = session.answer(system, &mut link, request);
                let done = result == Ok(Reply::Done);
                link.send(&ToHost::Answer { id, result });
                if done && (last || reboots) {
                    // The answer has to get through first.
                    for _ in 0..50 {
                        if link.line.is_idle() || !link.pump(100) {
                            break;
                        }
                    }
                    if reboots && let Err(error) = system.reboot() {
                        let text = alloc::format!("the system does not start anew: {error}");
                        link.event(Event::Log { level: Level::Error, target: "agent".into(), text });
                    }
                    if last {
                        break End::Asked;
                    }
                }
            }
        }
    };
    session.close_all(system);
    end
}

/// Returns a number that differs from start to start, for the line's epoch.
#[must_use]
pub fn epoch(parts: &[u64]) -> u32 {
    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
    // FNV-1a.
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
