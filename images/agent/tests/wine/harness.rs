//! The harness's end of the line.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use guest_protocol::line::{Arrived, LineCounts, ReliableLine, Side};
use guest_protocol::{Event, Failure, Reply, Request, ToGuest, ToHost, decode_message, encode_message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::guest::Guest;

/// Longest time for a step: Wine on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Harness {
    port: File,
    line: ReliableLine,
    since: Instant,
    next: u32,
    /// One of so many writes and reads is damaged, at uneven distances; 0 for none.
    pub(crate) damage: u32,
    exchanged: u32,
}

impl Harness {
    /// Connects to an agent, and waits until it is ready.
    pub(crate) fn connect(guest: &Guest) -> Self {
        let since = Instant::now();
        let epoch = std::process::id() ^ rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_nsec as u32;
        let line = ReliableLine::new(Side::Harness, epoch);
        let mut harness = Self { port: guest.port(), line, since, next: 1, damage: 0, exchanged: 0 };
        assert_eq!(harness.reconnected(), Event::Ready);
        harness
    }

    pub(crate) fn counts(&self) -> LineCounts {
        self.line.counts()
    }

    fn exchange(&mut self) -> Vec<Arrived> {
        let now = self.since.elapsed().as_millis() as u64;
        self.exchanged += 1;
        // Even distances could meet each repetition of the same packet.
        let mixed = self.exchanged.wrapping_mul(0x9e37_79b1) >> 16;
        let damaged = self.damage != 0 && mixed.is_multiple_of(self.damage);
        let mut bytes = self.line.transmit(now);
        if damaged {
            bytes.truncate(bytes.len() / 2);
            bytes.extend(b"\0kd> \0");
        }
        self.port.write_all(&bytes).unwrap();
        let mut fds = [PollFd::new(&self.port, PollFlags::IN)];
        let mut buffer = [0; 4096];
        let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let count = if poll(&mut fds, Some(&wait)).unwrap() > 0 { self.port.read(&mut buffer).unwrap_or(0) } else { 0 };
        let kept = if damaged { count / 2 } else { count };
        self.line.receive(&buffer[..kept], now)
    }

    fn next_message(&mut self, what: &str) -> ToHost {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            for arrived in self.exchange() {
                if let Arrived::Message(bytes) = arrived {
                    // One request at a time: no message follows another before it is asked for.
                    let message = decode_message(&bytes).expect("a message of this version");
                    if !matches!(message, ToHost::Event(Event::Progress { .. })) {
                        return message;
                    }
                }
            }
        }
        panic!("no answer to {what}");
    }

    /// Waits for an event of an agent that has connected.
    pub(crate) fn reconnected(&mut self) -> Event {
        match self.next_message("the connection") {
            ToHost::Event(event) => event,
            other @ ToHost::Answer { .. } => panic!("{other:?}"),
        }
    }

    fn call(&mut self, request: Request) -> Result<Reply, Failure> {
        let (id, what) = (self.next, format!("{request:?}"));
        self.next += 1;
        self.line.send(&encode_message(&ToGuest { id, request }).unwrap()).unwrap();
        match self.next_message(&what) {
            ToHost::Answer { id: answered, result } if answered == id => result,
            other => panic!("{what}: {other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        let what = format!("{request:?}");
        self.call(request).unwrap_or_else(|failure| panic!("{what}: {failure:?}"))
    }

    pub(crate) fn refused(&mut self, request: Request) -> Failure {
        let what = format!("{request:?}");
        match self.call(request) {
            Err(failure) => failure,
            Ok(reply) => panic!("{what} is not refused: {reply:?}"),
        }
    }
}
