//! Requests of every code that are malformed, or come before a session.

use card_spec::control::{
    ClockSync, DownloadHandle, DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode,
    RequestHeader, ResponseHeader, Statistics, Status, StatusPageLoan, StreamId, StreamOpen, StreamStateChange,
    VoicePriority, Volume,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::REQUEST_BYTES_MAX;
use card_spec::queue::Queue;
use zerocopy::{FromBytes, IntoBytes};

use crate::driver::{Driver, DriverState, RESPONSE_HEADER};
use crate::failure::{Failure, Result, expect};
use crate::fault::{Expected, Fault, Rows, on};
use crate::ring::Piece;

/// A request: its code, and the bytes of payload that it and its answer have.
struct Form {
    code: RequestCode,
    payload: usize,
    answer: usize,
}

const fn form(code: RequestCode, payload: usize, answer: usize) -> Form {
    Form { code, payload, answer }
}

const FORMS: [Form; 16] = [
    form(RequestCode::OPEN, size_of::<Open>(), size_of::<OpenResponse>()),
    form(RequestCode::CLOSE, 0, 0),
    form(RequestCode::STATISTICS, 0, size_of::<Statistics>()),
    form(RequestCode::STATUS_PAGE, size_of::<StatusPageLoan>(), 0),
    form(RequestCode::PARAMETERS, size_of::<PortParameters>(), size_of::<PortParameters>()),
    form(RequestCode::LATENCY, 0, size_of::<Latency>()),
    form(RequestCode::ALL_SOUND_OFF, 0, 0),
    form(RequestCode::STREAM_OPEN, size_of::<StreamOpen>(), 0),
    form(RequestCode::STREAM_CLOSE, size_of::<StreamId>(), 0),
    form(RequestCode::STREAM_STATE, size_of::<StreamStateChange>(), 0),
    form(RequestCode::CLOCK_SYNC, size_of::<ClockSync>(), 0),
    form(RequestCode::VOLUME, size_of::<Volume>(), 0),
    form(RequestCode::VOICE_PRIORITY, size_of::<VoicePriority>(), size_of::<VoicePriority>()),
    // The smallest buffer there can be is a header without anything.
    form(RequestCode::DLS_DOWNLOAD, 16, size_of::<DownloadResponse>()),
    form(RequestCode::DLS_UNLOAD, size_of::<DownloadHandle>(), 0),
    form(RequestCode::DLS_COMPACT, 0, 0),
];

/// Bytes of room for any answer.
const ROOM: u32 = 256;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("requests");
    for Form { code, payload, answer } in FORMS {
        malformed(&mut rows, code, payload, answer);
    }
    for code in [0, 8, 0x14, 0x22, 0x33, 0x0001_0001, u32::MAX] {
        let expected = on(Queue::CONTROL, Diagnosis::UNKNOWN_REQUEST);
        rows.add(format!("request code {code:#x}"), DriverState::Open, expected, move |d| {
            d.request(RequestCode(code), &[])?.ended(Status::UNSUPPORTED).map(|_| ())
        });
        rows.add(format!("request code {code:#x} before OPEN"), DriverState::Started, expected, move |d| {
            d.request(RequestCode(code), &[])?.ended(Status::UNSUPPORTED).map(|_| ())
        });
    }
    headers(&mut rows);
    rows.done()
}

/// Sends a request of these bytes with so much room, and expects this status where there is room for one.
fn send(driver: &mut Driver, bytes: &[u8], room: u32, status: Status) -> Result {
    let answer = driver.request_raw(bytes, room)?;
    if room < RESPONSE_HEADER {
        return expect("bytes of the answer", &0, &answer.len());
    }
    let (header, _) = ResponseHeader::read_from_prefix(&answer).map_err(|_| Failure::Unexpected {
        what: "the answer".into(),
        expected: format!("{RESPONSE_HEADER} bytes"),
        found: format!("{} bytes", answer.len()),
    })?;
    expect("the answer's status", &status, &Status(header.status.get()))
}

fn malformed(rows: &mut Rows, code: RequestCode, payload: usize, answer: usize) {
    let row = |diagnosis| on(Queue::CONTROL, diagnosis);
    if payload > 0 && code != RequestCode::DLS_DOWNLOAD {
        let expected = row(Diagnosis::READABLE_TOO_SHORT);
        for short in [payload - 1, 0] {
            rows.add(format!("{code} with {short} bytes of payload"), DriverState::Open, expected, move |d| {
                d.request(code, &vec![0; short])?.ended(Status::MALFORMED).map(|_| ())
            });
        }
    }
    for (name, more) in [("one byte", 1), ("4 GiB", u32::MAX - payload as u32)] {
        let name = format!("{code} says {name} more than it has");
        rows.add(name, DriverState::Open, row(Diagnosis::LENGTH), move |d| {
            let mut bytes = d.request_bytes(code, &vec![0; payload]);
            let length = payload as u32 + more;
            bytes[4..8].copy_from_slice(&length.to_le_bytes());
            send(d, &bytes, ROOM, Status::MALFORMED)
        });
    }
    for (name, room) in [("no room", 0), ("15 bytes", RESPONSE_HEADER - 1)] {
        let name = format!("{code} with {name} for an answer");
        rows.add(name, DriverState::Open, row(Diagnosis::WRITABLE_TOO_SHORT), move |d| {
            let bytes = d.request_bytes(code, &vec![0; payload]);
            send(d, &bytes, room, Status::MALFORMED)
        });
    }
    if answer > 0 {
        let room = RESPONSE_HEADER + answer as u32 - 1;
        let name = format!("{code} with one byte too little for its answer");
        rows.add(name, DriverState::Open, row(Diagnosis::WRITABLE_TOO_SHORT), move |d| {
            let bytes = d.request_bytes(code, &vec![0; payload]);
            send(d, &bytes, room, Status::MALFORMED)
        });
    }
    if code != RequestCode::OPEN {
        rows.add(format!("{code} before OPEN"), DriverState::Started, row(Diagnosis::NO_SESSION), move |d| {
            d.request(code, &vec![0; payload])?.ended(Status::NO_SESSION).map(|_| ())
        });
        rows.add(format!("{code} after CLOSE"), DriverState::Open, row(Diagnosis::NO_SESSION), move |d| {
            d.request(RequestCode::CLOSE, &[])?.ended(Status::OK)?;
            d.request(code, &vec![0; payload])?.ended(Status::NO_SESSION).map(|_| ())
        });
    }
}

fn headers(rows: &mut Rows) {
    let row = |diagnosis| on(Queue::CONTROL, diagnosis);
    for bytes in [0, 1, 15] {
        let expected = row(Diagnosis::READABLE_TOO_SHORT);
        rows.add(format!("request of {bytes} bytes"), DriverState::Open, expected, move |d| {
            let response = d.machine.ram.allocate(u64::from(ROOM))?;
            let request = d.machine.ram.allocate(16)?;
            let mut pieces = vec![Piece::writable(response, ROOM)];
            if bytes > 0 {
                pieces.insert(0, Piece::readable(request, bytes));
            }
            d.machine.ring(Queue::CONTROL).offer(&pieces)?;
            d.machine.kick(Queue::CONTROL)?;
            d.machine.wait(Queue::CONTROL).map(|_| ())
        });
    }
    rows.add("request one byte beyond the largest", DriverState::Open, row(Diagnosis::LENGTH), |d| {
        let bytes = d.request_bytes(RequestCode::DLS_DOWNLOAD, &vec![0; REQUEST_BYTES_MAX as usize + 1 - 16]);
        send(d, &bytes, ROOM, Status::MALFORMED)
    });
    rows.add("request of 40 MiB in one buffer", DriverState::Open, row(Diagnosis::LENGTH), |d| {
        let response = d.machine.ram.allocate(u64::from(ROOM))?;
        d.machine
            .ring(Queue::CONTROL)
            .offer(&[Piece::readable(0x10_0000, 40 << 20), Piece::writable(response, ROOM)])?;
        d.machine.kick(Queue::CONTROL)?;
        d.machine.wait(Queue::CONTROL).map(|_| ())
    });
    // A driver of a later minor version sends more.
    for Form { code, payload, .. } in FORMS {
        if payload == 0 || matches!(code, RequestCode::OPEN | RequestCode::DLS_DOWNLOAD | RequestCode::STATUS_PAGE) {
            continue;
        }
        // Zeroes name a stream that is open, one that is no wave stream, no handle.
        let expected = match code {
            RequestCode::STREAM_OPEN | RequestCode::CLOCK_SYNC => row(Diagnosis::STREAM),
            RequestCode::DLS_UNLOAD => row(Diagnosis::HANDLE),
            _ => Expected::NOTHING,
        };
        let name = format!("{code} with a kilobyte after its payload is as good as without");
        rows.add(name, DriverState::Playing, expected, move |d| {
            let exact = d.request(code, &vec![0; payload])?.status;
            d.begin(DriverState::Playing)?;
            let longer = d.request(code, &[vec![0; payload], vec![0xa5; 1024]].concat())?.status;
            expect("the status of the longer request", &exact, &longer)
        });
    }
    rows.add("64 requests at once, the answers into one buffer", DriverState::Open, Expected::NOTHING, |d| {
        let request = d.request_bytes(RequestCode::STATISTICS, &[]);
        let request = Piece::readable(d.machine.ram.place(&request)?, size_of::<RequestHeader>() as u32);
        let answer = Piece::writable(d.machine.ram.allocate(64)?, 64);
        for _ in 0..64 {
            d.machine.ring(Queue::CONTROL).offer(&[request, answer])?;
        }
        d.machine.kick(Queue::CONTROL)?;
        (0..64).try_for_each(|_| d.machine.wait(Queue::CONTROL).map(|_| ()))
    });
    rows.add(
        "request byte by byte, in as many descriptors as a chain may have",
        DriverState::Open,
        Expected::NOTHING,
        |d| {
            let open = d.open_request();
            let bytes = d.request_bytes(RequestCode::OPEN, open.as_bytes());
            let at = d.machine.ram.place(&bytes)?;
            let answer = d.machine.ram.allocate(64)?;
            let mut pieces: Vec<Piece> = (0..bytes.len() as u64).map(|byte| Piece::readable(at + byte, 1)).collect();
            pieces.push(Piece::writable(answer, 56));
            d.machine.ring(Queue::CONTROL).offer(&pieces)?;
            d.machine.kick(Queue::CONTROL)?;
            expect("bytes of the answer", &56, &d.machine.wait(Queue::CONTROL)?.1)
        },
    );
}
