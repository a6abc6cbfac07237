//! The harness's session client at the port: the whole song of the demo, in the calls that the harness makes for it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use dmus::event::Silent;
use dmus::machine::NoProcesses;
use dmus::sound::midi::TICKS_A_SECOND;
use dmus::sound::songs;
use dmus::testbed::session::{GuestLine, Session, SessionError};
use dmus::testbed::{MusicFormat, PinOptions, TestBedError, open_song_pins};
use guest_protocol::{Bulk, BulkAccess, Delivery, KsState, Pace, PlayMidi, Request};
use rustix::event::{PollFd, PollFlags, poll};

use crate::guest::Guest;
use crate::hex;

/// Longest time for a step without progress: Wine on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What follows a song, as in `dmus demo`.
const TAIL: u64 = 2 * TICKS_A_SECOND;

/// The states of the render pin in a playback of the NT host, `KSSTATE` by number: `run` and `play` of its player
/// (`images/nt-host/src/agent/player.rs`) take it to PAUSE, to RUN, and to STOP after the song, through all states between.
const NT_HOST_STATES: [&str; 6] = ["1", "2", "3", "2", "1", "0"];

/// What the card got from the driver of the NT host in that playback.
const NT_HOST: &str = include_str!("nt-host.txt");

/// Bytes of a record's header: length, channel group, time, flags.
const HEADER: usize = 20;

/// Returns records as lines of [`NT_HOST`].
fn lines_of(mut records: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while !records.is_empty() {
        let word = |at: usize| u32::from_le_bytes(records[at..at + 4].try_into().unwrap());
        let time = u64::from(word(8)) | u64::from(word(12)) << 32;
        let end = HEADER + word(0) as usize;
        lines.push(format!("{time} {} {}", word(4), hex(&records[HEADER..end])));
        records = &records[end.next_multiple_of(8)..];
    }
    lines
}

/// Returns the name of a state, given by number.
fn state_name(number: &str) -> &'static str {
    ["STOP", "ACQUIRE", "PAUSE", "RUN"][number.parse::<usize>().unwrap()]
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Carries bytes between the port's terminal and a socket, as QEMU does for a machine's port, until the session has closed its end.
fn socket_of(mut port: File) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let mut ends = [PollFd::new(&port, PollFlags::IN), PollFd::new(&theirs, PollFlags::IN)];
            poll(&mut ends, None).unwrap();
            let ready = ends.map(|end| !end.revents().is_empty());
            if ready[0] {
                // The terminal ends with its guest, and the session may end in the middle of what the agent says.
                let Ok(count) = port.read(&mut buffer) else { return };
                let _ = theirs.write_all(&buffer[..count]);
            }
            if ready[1] {
                match theirs.read(&mut buffer) {
                    Ok(count @ 1..) => port.write_all(&buffer[..count]).unwrap(),
                    _ => return,
                }
            }
        }
    });
    ours
}

#[test]
fn the_demos_song_arrives_in_the_records_and_states_of_the_nt_host() {
    let Some(mut guest) = Guest::new("COM7") else { return };
    let mut agent = guest.serve();
    let line = GuestLine::reliable(socket_of(guest.port()));
    let mut session = Session::new(line, NoProcesses, LIMIT, None, &Silent).unwrap();
    session.ready().unwrap();
    let hello = session.hello().unwrap();
    assert!(hello.guest.starts_with("dmus-agent"), "{hello:?}");
    assert_eq!(session.bulk_access(), BulkAccess::Line);
    let device = session.start_device().unwrap();

    // With PCM, no pins are had, which is no fault of the driver's; without, those of the demo.
    let error = open_song_pins(&mut session, &device, PinOptions::default()).unwrap_err();
    assert!(matches!(&error, TestBedError::Session(error) if error.is_unsupported()), "{error}");
    assert!(error.to_string().contains("sink pin of a renderer"), "{error}");
    let options = PinOptions { without_wave: true, ..PinOptions::default() };
    let pins = open_song_pins(&mut session, &device, options).unwrap();
    assert_eq!((pins.music, pins.wave), (MusicFormat::DirectMusic, None));

    let song = songs::ALL[0].song().unwrap();
    let records = pins.music.records(&song.events);
    let bulk = session.allocate(records.len() as u64).unwrap();
    let events = Bulk { address: bulk.address, length: records.len() as u64 };
    session.write_bulk(events, &records).unwrap();
    assert_eq!(session.read_bulk(events).unwrap(), records);
    let play = PlayMidi {
        render: pins.render,
        events,
        event_count: song.events.len() as u32,
        duration: song.end + TAIL,
        pace: Pace::Lockstep,
        delivery: Delivery::InOrder,
    };
    let played = session.play_midi(play).unwrap();
    let all = song.events.len() as u64;
    assert_eq!((played.events, played.statistics.events_put, played.statistics.events_returned), (all, all, all));
    session.done("stop the render pin", Request::SetState { pin: pins.render, state: KsState::Stop }).unwrap();
    session.done("close the render pin", Request::Close(pins.render)).unwrap();
    session.done("close the filter", Request::Close(pins.filter)).unwrap();
    session.done("give back guest memory", Request::FreeBulk(bulk)).unwrap();

    // What this guest cannot do is refused as that, and the session goes on.
    let unsupported = session.done("unplug the device", Request::SurpriseRemoval);
    assert!(unsupported.as_ref().is_err_and(SessionError::is_unsupported), "{unsupported:?}");
    session.done("shut down", Request::Shutdown).unwrap();
    assert!(agent.wait().success());

    let log = guest.log();
    assert!(!log.contains("wrong"), "{log}");
    let fields = |word: &'static str| {
        log.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(move |fields| fields[0] == word)
    };
    let creates: Vec<_> = fields("create").map(|fields| fields[1..3].join(" ")).collect();
    assert_eq!(creates, ["1 DIRECTMUSIC"]);
    let states: Vec<_> = fields("state").map(|fields| fields[2]).collect();
    assert_eq!(states, NT_HOST_STATES, "{log}");
    let recorded: Vec<&str> = NT_HOST.lines().filter(|line| !line.starts_with('#')).collect();
    let (recorded_states, recorded_events): (Vec<&str>, Vec<&str>) =
        recorded.iter().partition(|line| line.starts_with(char::is_alphabetic));
    let card_states: Vec<_> =
        states[2..].iter().filter(|state| **state != "1").map(|state| state_name(state)).collect();
    assert_eq!(
        recorded_states, card_states,
        "PAUSE follows RUN, and STOP follows ACQUIRE, of which a card knows nothing"
    );
    // The synthesizer's port parameters (3) are read on the open pin before it runs, from its node 0.
    let properties: Vec<_> = fields("property").map(|fields| fields[1..].join(" ")).collect();
    assert_eq!(properties, ["fedfae25 3 10000001 0"]);
    // Every record, byte for byte and in order, in buffers of one presentation time: what the NT host's player adds to each.
    let starts: Vec<_> = fields("write").map(|fields| fields[2]).collect();
    assert!(starts.len() > 100 && starts.iter().all(|start| *start == starts[0]), "{starts:?}");
    let written: String = fields("write").map(|fields| fields[3]).collect();
    assert!(written == hex(&records), "other records than the harness sent: {log}");
    assert_eq!(lines_of(&bytes_of(&written)), recorded_events, "other events than in the NT host");
    let order: Vec<_> = log.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let at = |word: &str| order.iter().position(|found| *found == word).unwrap();
    let last_write = order.iter().rposition(|found| *found == "write").unwrap();
    let runs_at = log.lines().position(|line| line == "state 1 3").unwrap();
    assert!(at("create") < at("property") && runs_at < at("write"), "{log}");
    assert_eq!(order[last_write + 1..], ["state", "state", "state", "cancel", "close", "close"], "{log}");
}
