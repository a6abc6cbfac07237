//! The loop on the serial line.

use guest_protocol::{Deframer, Event, Level, Received, Reply, Request, ToGuest, ToHost, exit};

use super::session::Session;
use crate::bugcheck::{findings, response};
use crate::harness::{link, marks};
use crate::{arch, ke};

/// How long the loop sleeps when nothing comes: it wakes by itself when something does.
const SLEEP_NS: u64 = 1_000_000_000;

/// Bytes read at once.
const CHUNK_BYTES: usize = 4096;

/// Serves the harness, for as long as the guest lives.
pub fn serve() -> ! {
    if !arch::serial::is_reliable() {
        link::send_event(Event::Ready);
    }
    let mut session = Session::default();
    let mut deframer = Deframer::new();
    let mut chunk = alloc::vec![0; CHUNK_BYTES];
    loop {
        if arch::serial::take_connected() {
            // A harness that connects has heard nothing of what was said before.
            link::send_event(Event::Ready);
        }
        let count = arch::serial::read(&mut chunk);
        if count == 0 {
            ke::idle(SLEEP_NS);
            continue;
        }
        for received in deframer.push::<ToGuest>(&chunk[..count]) {
            match received {
                Received::Message(ToGuest { id, request }) => {
                    let last = request == Request::Shutdown;
                    // Behind the last work of the driver that is worth a time, and not where the answer is the last thing said.
                    let stops = request == Request::StopDevice;
                    let result = session.answer(request);
                    if last && response::unjudged() != 0 {
                        crate::warn!("{} violations were not judged: option verifier=off", response::unjudged());
                    }
                    findings::send_counts();
                    marks::pair_if_due(stops);
                    let done = last && result == Ok(Reply::Done);
                    link::send(&ToHost::Answer { id, result });
                    if done {
                        arch::cpu::exit(exit::COMPLETED);
                    }
                }
                Received::Text(text) => {
                    link::log(
                        Level::Warn,
                        "agent",
                        format_args!(
                            "{} bytes on the line are no request: the harness speaks another protocol version?",
                            text.len()
                        ),
                    );
                }
            }
        }
    }
}
