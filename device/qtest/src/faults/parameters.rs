//! Requests whose parameters are out of range, or come in a state that forbids them.

use card_spec::control::{
    ClockSync, DownloadHandle, Open, PortParameters, RequestCode, Status, StatusPageLoan, StreamKind, StreamOpen,
    StreamState, VoicePriority, Volume, clock_sync, port_parameter,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{CHANNEL_GROUPS_DEFAULT, FRAME_MAX, SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, STREAMS_MAX};
use card_spec::queue::Queue;
use zerocopy::FromZeros;

use super::downloads;
use crate::driver::{CAPTURE, Driver, DriverState, RENDER, WAVE, stream_open};
use crate::failure::{Result, expect};
use crate::fault::{Expected, Fault, Rows, on};
use crate::machine::BAR_BASE;
use crate::ram::RAM;

const ROW: fn(Diagnosis) -> Expected = |diagnosis| on(Queue::CONTROL, diagnosis);

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("parameters of requests");
    open(&mut rows);
    streams(&mut rows);
    clock(&mut rows);
    port(&mut rows);
    status_page(&mut rows);
    rows.done()
}

fn open(rows: &mut Rows) {
    let mut row = |name: String, diagnosis, status, change: Box<dyn Fn(&mut Open) + Send + Sync>| {
        rows.add(name, DriverState::Started, ROW(diagnosis), move |d| {
            let mut open = d.open_request();
            change(&mut open);
            d.request_with(RequestCode::OPEN, &open)?.ended(status).map(|_| ())
        });
    };
    for major in [0, 2, 0xffff] {
        let name = format!("OPEN of ABI version {major}");
        let change = Box::new(move |open: &mut Open| open.abi_major = major.into());
        row(name, Diagnosis::ABI_MISMATCH, Status::ABI_MISMATCH, change);
    }
    for queue in Queue::ALL {
        for size in [0, 64, 0xffff] {
            let name = format!("OPEN declares {size} entries for {queue}");
            let change = Box::new(move |open: &mut Open| open.queue_sizes[queue.index()] = size.into());
            row(name, Diagnosis::QUEUE_SIZE_DECLARED, Status::OK, change);
        }
    }
    rows.add("OPEN a hundred times while it plays", DriverState::Playing, Expected::NOTHING, |d| {
        for _ in 0..100 {
            d.post_wave(WAVE, 4096, 16_384)?;
            d.wait_wave()?;
            d.open()?.ended(Status::OK)?;
            d.play()?;
        }
        Ok(())
    });
    rows.add("CLOSE twice", DriverState::Open, ROW(Diagnosis::NO_SESSION), |d| {
        d.request(RequestCode::CLOSE, &[])?.ended(Status::OK)?;
        d.request(RequestCode::CLOSE, &[])?.ended(Status::NO_SESSION).map(|_| ())
    });
    rows.add("CLOSE with a wave buffer under way", DriverState::Playing, Expected::NOTHING, |d| {
        d.state(WAVE, StreamState::PAUSE)?;
        d.post_wave(WAVE, 4096, 16_384)?;
        d.request(RequestCode::CLOSE, &[])?.ended(Status::OK)?;
        expect("frames of the buffer", &0, &d.wait_wave()?.header.frames.get())
    });
}

fn streams(rows: &mut Rows) {
    let mut row = |name: &str, diagnosis, status, change: fn(&mut StreamOpen)| {
        rows.add(format!("STREAM_OPEN of {name}"), DriverState::Open, ROW(diagnosis), move |d| {
            d.open_stream(RENDER, StreamKind::RENDER)?.ended(Status::OK)?;
            let mut open = stream_open(WAVE, StreamKind::WAVE);
            change(&mut open);
            d.request_with(RequestCode::STREAM_OPEN, &open)?.ended(status).map(|_| ())
        });
    };
    use Diagnosis as D;
    let invalid = Status::INVALID_PARAMETER;
    row("stream 18 of 18", D::PARAMETER, invalid, |open| open.stream = (STREAMS_MAX as u32).into());
    row("stream 2^32 - 1", D::PARAMETER, invalid, |open| open.stream = u32::MAX.into());
    row("a stream that is open", D::STREAM, Status::INVALID_STATE, |open| open.stream = RENDER.into());
    row("kind 3", D::PARAMETER, invalid, |open| open.kind = 3.into());
    row("kind 2^32 - 1", D::PARAMETER, invalid, |open| open.kind = u32::MAX.into());
    row("0 Hz", D::PARAMETER, invalid, |open| open.sample_rate = 0.into());
    row("a rate below the lowest", D::PARAMETER, invalid, |open| open.sample_rate = (SAMPLE_RATE_MIN - 1).into());
    row("a rate above the highest", D::PARAMETER, invalid, |open| open.sample_rate = (SAMPLE_RATE_MAX + 1).into());
    row("4 GHz", D::PARAMETER, invalid, |open| open.sample_rate = u32::MAX.into());
    row("no channels", D::PARAMETER, invalid, |open| open.channels = 0.into());
    row("3 channels", D::PARAMETER, invalid, |open| open.channels = 3.into());
    row("65535 channels", D::PARAMETER, invalid, |open| open.channels = u16::MAX.into());
    row("no bits", D::PARAMETER, invalid, |open| open.bits = 0.into());
    row("8 bits", D::PARAMETER, invalid, |open| open.bits = 8.into());
    row("65535 bits", D::PARAMETER, invalid, |open| open.bits = u16::MAX.into());
    rows.add("STREAM_OPEN of a second wave stream", DriverState::Playing, ROW(D::STREAM), |d| {
        d.open_stream(9, StreamKind::WAVE)?.ended(Status::NO_RESOURCES).map(|_| ())
    });
    rows.add("STREAM_OPEN of all eighteen, and of one more", DriverState::Open, ROW(D::PARAMETER), |d| {
        for stream in 0..STREAMS_MAX as u32 {
            d.open_stream(stream, StreamKind::RENDER)?.ended(Status::OK)?;
        }
        d.open_stream(STREAMS_MAX as u32, StreamKind::RENDER)?.ended(Status::INVALID_PARAMETER).map(|_| ())
    });
    for stream in [3, 18, u32::MAX] {
        rows.add(
            format!("STREAM_CLOSE of stream {stream}, not open"),
            DriverState::Playing,
            ROW(D::STREAM),
            move |d| d.close_stream(stream)?.ended(Status::NOT_FOUND).map(|_| ()),
        );
        rows.add(
            format!("STREAM_STATE of stream {stream}, not open"),
            DriverState::Playing,
            ROW(D::STREAM),
            move |d| d.state(stream, StreamState::RUN)?.ended(Status::NOT_FOUND).map(|_| ()),
        );
    }
    rows.add("STREAM_CLOSE twice", DriverState::Playing, ROW(D::STREAM), |d| {
        d.close_stream(WAVE)?.ended(Status::OK)?;
        d.close_stream(WAVE)?.ended(Status::NOT_FOUND).map(|_| ())
    });
    for state in [4, u32::MAX] {
        rows.add(format!("STREAM_STATE {state}"), DriverState::Playing, ROW(D::PARAMETER), move |d| {
            d.state(WAVE, StreamState(state))?.ended(invalid).map(|_| ())
        });
    }
    rows.add("every state of every stream after every other", DriverState::Playing, Expected::NOTHING, |d| {
        let all = [StreamState::STOP, StreamState::ACQUIRE, StreamState::PAUSE, StreamState::RUN];
        for stream in [RENDER, WAVE, CAPTURE] {
            for before in all {
                for after in all {
                    d.state(stream, before)?.ended(Status::OK)?;
                    d.state(stream, after)?.ended(Status::OK)?;
                }
            }
        }
        Ok(())
    });
}

fn clock(rows: &mut Rows) {
    let sync = |d: &mut Driver, stream: u32, flags: u32, frame: i64| {
        let sync = ClockSync { stream: stream.into(), flags: flags.into(), master_time: 0.into(), frame: frame.into() };
        d.request_with(RequestCode::CLOCK_SYNC, &sync)
    };
    for (name, stream) in [("a render stream", RENDER), ("stream 17, not open", 17), ("stream 2^32 - 1", u32::MAX)] {
        rows.add(format!("CLOCK_SYNC of {name}"), DriverState::Playing, ROW(Diagnosis::STREAM), move |d| {
            sync(d, stream, 0, 0)?.ended(Status::NOT_FOUND).map(|_| ())
        });
    }
    for flags in [2, u32::MAX] {
        rows.add(
            format!("CLOCK_SYNC with flags {flags:#x}"),
            DriverState::Playing,
            ROW(Diagnosis::PARAMETER),
            move |d| sync(d, WAVE, flags, 0)?.ended(Status::INVALID_PARAMETER).map(|_| ()),
        );
    }
    for frame in [-1, i64::MIN] {
        let name = format!("CLOCK_SYNC starts the clock at frame {frame}");
        rows.add(name, DriverState::Playing, ROW(Diagnosis::PARAMETER), move |d| {
            sync(d, WAVE, clock_sync::START, frame)?.ended(Status::INVALID_PARAMETER).map(|_| ())
        });
    }
    for (name, flags, time, frame) in extremes() {
        let (expected, status) = verdict(flags, frame);
        rows.add(format!("CLOCK_SYNC {name}, then plays"), DriverState::Playing, expected, move |d| {
            d.synchronise(flags, time, frame)?.ended(status)?;
            let times = [i64::MIN, -1, 0, 1, i64::MAX];
            let events: Vec<(i64, u16, &[u8])> = times.iter().map(|time| (*time, 1, &[0x90, 60, 1][..])).collect();
            d.send(RENDER, &events)?;
            d.record(64)?;
            d.record(4096).map(|_| ())
        });
    }
}

/// Anchors at the ends of the range: what they are, flags, master time, frame.
pub(super) fn extremes() -> [(&'static str, u32, i64, i64); 9] {
    let start = clock_sync::START;
    [
        ("starts at frame 2^63 - 1", start, 0, i64::MAX),
        ("starts at the last frame", start, 0, FRAME_MAX),
        ("starts at the frame after the last", start, 0, FRAME_MAX + 1),
        ("starts at the first master time", start, i64::MIN, 0),
        ("starts at the last master time", start, i64::MAX, 0),
        ("starts at the last frame and master time", start, i64::MAX, FRAME_MAX),
        ("starts at the last frame and first master time", start, i64::MIN, FRAME_MAX),
        ("moves the anchor to the first of both", 0, i64::MIN, i64::MIN),
        ("moves the anchor to the last of both", 0, i64::MAX, i64::MAX),
    ]
}

/// Returns the diagnosis and status of such an anchor: times saturate, and a clock that starts has a last frame to start
/// at.
pub(super) fn verdict(flags: u32, frame: i64) -> (Expected, Status) {
    if flags & clock_sync::START != 0 && frame > FRAME_MAX {
        (ROW(Diagnosis::PARAMETER), Status::INVALID_PARAMETER)
    } else {
        (Expected::NOTHING, Status::OK)
    }
}

fn port(rows: &mut Rows) {
    for item in [2, u32::MAX] {
        rows.add(format!("VOLUME of item {item}"), DriverState::Open, ROW(Diagnosis::PARAMETER), move |d| {
            let volume = Volume { item: item.into(), hundredths_db: 0.into() };
            d.request_with(RequestCode::VOLUME, &volume)?.ended(Status::INVALID_PARAMETER).map(|_| ())
        });
    }
    rows.add("VOLUME at the ends of the range", DriverState::Playing, Expected::NOTHING, |d| {
        for value in [i32::MIN, i32::MAX] {
            for item in [0, 1] {
                let volume = Volume { item: item.into(), hundredths_db: value.into() };
                d.request_with(RequestCode::VOLUME, &volume)?.ended(Status::ALTERED)?;
            }
            d.send(RENDER, &[(0, 1, &[0x90, 60, 127])])?;
            d.record(256)?;
        }
        Ok(())
    });
    let priorities: [(&str, [u32; 3]); 6] = [
        ("group 2 of 2", [u32::from(CHANNEL_GROUPS_DEFAULT), 0, 0]),
        ("group 2^32 - 1", [u32::MAX, 0, 0]),
        ("channel 16", [0, 16, 0]),
        ("channel 2^32 - 1", [0, u32::MAX, 0]),
        ("set 2", [0, 0, 2]),
        ("set 2^32 - 1", [0, 0, u32::MAX]),
    ];
    for (name, [group, channel, set]) in priorities {
        rows.add(format!("VOICE_PRIORITY of {name}"), DriverState::Open, ROW(Diagnosis::PARAMETER), move |d| {
            let (channel_group, channel, set) = (group.into(), channel.into(), set.into());
            let requested = VoicePriority { channel_group, channel, priority: u32::MAX.into(), set };
            d.request_with(RequestCode::VOICE_PRIORITY, &requested)?.ended(Status::INVALID_PARAMETER).map(|_| ())
        });
    }
    for (name, value) in [("0", 0), ("2^32 - 1", u32::MAX)] {
        rows.add(format!("PARAMETERS of {name} each"), DriverState::Open, Expected::NOTHING, move |d| {
            let requested = PortParameters {
                valid: u32::MAX.into(),
                voices: value.into(),
                channel_groups: value.into(),
                audio_channels: value.into(),
                sample_rate: value.into(),
                effects: value.into(),
                share: value.into(),
            };
            d.request_with(RequestCode::PARAMETERS, &requested)?.ended(Status::ALTERED).map(|_| ())
        });
    }
    rows.add("PARAMETERS change the rate while it plays", DriverState::Playing, ROW(Diagnosis::STREAM_STATE), |d| {
        let valid = port_parameter::SAMPLE_RATE.into();
        let requested = PortParameters { valid, sample_rate: 22_050.into(), ..PortParameters::new_zeroed() };
        d.request_with(RequestCode::PARAMETERS, &requested)?.ended(Status::INVALID_STATE).map(|_| ())
    });
    rows.add(
        "PARAMETERS change voices and groups 200 times while it plays",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            for round in 0..200_u32 {
                let valid = (port_parameter::VOICES | port_parameter::CHANNEL_GROUPS).into();
                let (voices, channel_groups) = ((1 + round * 5).into(), (1 + round % 64).into());
                let requested = PortParameters { valid, voices, channel_groups, ..PortParameters::new_zeroed() };
                d.request_with(RequestCode::PARAMETERS, &requested)?.ended(Status::OK)?;
                d.send(RENDER, &[(0, 1, &[0x90, 60, 127])])?;
            }
            d.record(64).map(|_| ())
        },
    );
    for handle in [0, 1, u32::MAX] {
        rows.add(format!("DLS_UNLOAD of handle {handle}"), DriverState::Open, ROW(Diagnosis::HANDLE), move |d| {
            unload(d, handle)?.ended(Status::NOT_FOUND).map(|_| ())
        });
    }
    rows.add("DLS_UNLOAD twice", DriverState::Open, ROW(Diagnosis::HANDLE), |d| {
        let handle = downloads::take(d, &downloads::wave(1, 100))?;
        unload(d, handle)?.ended(Status::OK)?;
        unload(d, handle)?.ended(Status::NOT_FOUND).map(|_| ())
    });
    rows.add("DLS_UNLOAD of an earlier session's handle", DriverState::Open, ROW(Diagnosis::HANDLE), |d| {
        let handle = downloads::take(d, &downloads::wave(1, 100))?;
        d.open()?.ended(Status::OK)?;
        unload(d, handle)?.ended(Status::NOT_FOUND).map(|_| ())
    });
}

fn unload(driver: &mut Driver, handle: u32) -> Result<crate::driver::Response> {
    driver.request_with(RequestCode::DLS_UNLOAD, &DownloadHandle { handle: handle.into(), reserved: 0.into() })
}

fn status_page(rows: &mut Rows) {
    let lend = |d: &mut Driver, address: u64| {
        d.request_with(RequestCode::STATUS_PAGE, &StatusPageLoan { address: address.into() })
    };
    for offset in [1, 64, 4095] {
        let name = format!("STATUS_PAGE {offset} bytes off a page's beginning");
        rows.add(name, DriverState::Playing, ROW(Diagnosis::PARAMETER), move |d| {
            lend(d, 0x20_0000 + offset)?.ended(Status::INVALID_PARAMETER).map(|_| ())
        });
    }
    let outside = [
        ("past the end of memory", RAM),
        ("at the top of the address space", 0xffff_ffff_ffff_f000),
        ("at 2^63", 1 << 63),
        ("below 1 MiB, where ROMs are", 0xd_0000),
        ("in the function's own BAR", u64::from(BAR_BASE)),
        ("in the firmware", 0xffff_f000),
    ];
    for (name, address) in outside {
        let expected = ROW(Diagnosis::BUFFER_OUTSIDE_MEMORY);
        rows.add(format!("STATUS_PAGE {name}"), DriverState::Playing, expected, move |d| {
            lend(d, address)?.ended(Status::INVALID_PARAMETER).map(|_| ())
        });
    }
    rows.add(
        "STATUS_PAGE in the last page of memory, lent and taken back",
        DriverState::Playing,
        Expected::NOTHING,
        move |d| {
            for _ in 0..20 {
                lend(d, RAM - 4096)?.ended(Status::OK)?;
                d.record(16)?;
                lend(d, 0)?.ended(Status::OK)?;
            }
            Ok(())
        },
    );
    for queue in Queue::ALL {
        for (part, name) in super::rings::PARTS.into_iter().enumerate() {
            // The meaning of the page's bytes to a ring is chance.
            let name = format!("STATUS_PAGE over {queue}'s {name}");
            rows.add(name, DriverState::Playing, Expected::Anything, move |d| {
                let address = d.machine.ring(queue).plan.parts[part];
                lend(d, address)?;
                for _ in 0..8 {
                    d.post_wave(WAVE, 64, 256)?;
                    d.machine.settle()?;
                    Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))?;
                }
                Ok(())
            });
        }
    }
}
