//! Reads a guest's serial line on a thread of its own.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use guest_protocol::{Deframer, Received, ToHost};

/// Most arrivals that wait for the session. A full queue keeps the guest from sending more.
const ARRIVALS_MAX: usize = 16_384;

/// An arrival on the line.
pub(super) enum Arrival {
    /// A message of the protocol.
    Message(ToHost),
    /// Console text, such as the firmware's.
    Text(Vec<u8>),
    /// The end of the line.
    End,
}

/// Starts to listen to a line. The thread ends with the line, which ends with the guest or with the session.
///
/// # Errors
/// The error of the thread that the host does not let start.
pub(super) fn listen(line: UnixStream) -> io::Result<Receiver<(Instant, Arrival)>> {
    let (sender, incoming) = sync_channel(ARRIVALS_MAX);
    std::thread::Builder::new().name("line".into()).spawn(move || read_line(line, &sender))?;
    Ok(incoming)
}

fn read_line(mut reader: UnixStream, arrivals: &SyncSender<(Instant, Arrival)>) {
    let mut deframer = Deframer::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let at = Instant::now();
        for received in deframer.push(&buffer[..count]) {
            let arrival = match received {
                Received::Message(message) => Arrival::Message(message),
                Received::Text(text) => Arrival::Text(text),
            };
            if arrivals.send((at, arrival)).is_err() {
                return;
            }
        }
    }
    let rest = deframer.rest().to_vec();
    if !rest.is_empty() {
        let _ = arrivals.send((Instant::now(), Arrival::Text(rest)));
    }
    let _ = arrivals.send((Instant::now(), Arrival::End));
}
