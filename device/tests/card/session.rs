//! Requests on the control queue, and their answers.

use card_control::Clock;
use card_spec::control::{
    ClockSync, DownloadResponse, Latency, Open, OpenResponse, PortParameters, RequestCode, Statistics, Status,
    StatusPageLoan, StreamKind, StreamState, VoicePriority, Volume, clock_sync, port_parameter,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::{ClockMode, MAGIC, NO_QUEUE};
use card_spec::queue::Queue;
use card_spec::status_page::StatusPage;
use card_spec::{ABI_MAJOR, ABI_MINOR, limits};
use dmus_card::fake::{Board, Driver, Machine, STREAM_RENDER, STREAM_WAVE, no_parameters};
use zerocopy::FromBytes;

fn driver() -> Driver {
    Driver::new(Machine::with_card(Clock::Lockstep))
}

fn opened() -> Driver {
    let mut driver = driver();
    assert_eq!(driver.open().status, Status::OK);
    driver
}

/// Checks that the first error is this one, on this queue.
#[track_caller]
fn assert_diagnosed(driver: &mut Driver, code: Diagnosis, queue: u16) {
    let first = driver.machine.identity().first_error;
    assert_eq!((Diagnosis(first.code.get()), first.queue.get()), (code, queue));
}

#[track_caller]
fn assert_nothing_wrong(driver: &mut Driver) {
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::NONE);
}

#[test]
fn the_identity_block_can_be_read_before_a_driver_starts() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    let identity = machine.identity();
    assert_eq!(identity.magic, MAGIC);
    assert_eq!((identity.abi_major.get(), identity.abi_minor.get()), (ABI_MAJOR, ABI_MINOR));
    assert_eq!(usize::from(identity.length.get()), size_of_val(&identity));
    assert_eq!(identity.clock_mode.get(), ClockMode::LOCKSTEP.0);
    assert!(identity.queue_sizes.iter().all(|size| size.get() == limits::QUEUE_SIZE_MAX));
    assert_eq!(identity.first_error.code.get(), 0);
}

#[test]
fn open_answers_the_session_and_the_parameters_in_force() {
    let mut driver = driver();
    let response = driver.open();
    let opened: OpenResponse = response.read();
    assert_eq!(opened.parameters.sample_rate.get(), limits::SAMPLE_RATE_DEFAULT);
    assert_eq!(opened.parameters.voices.get(), u32::from(limits::VOICES_DEFAULT));
    assert_eq!(opened.parameters.valid.get(), port_parameter::ALL);
    assert_nothing_wrong(&mut driver);
}

#[test]
fn refuses_open_of_another_major_version_with_the_cards_own() {
    let mut driver = driver();
    let open = Open {
        abi_major: (ABI_MAJOR + 1).into(),
        abi_minor: 0.into(),
        queue_sizes: [128.into(); 5],
        reserved: 0.into(),
        session: 1.into(),
    };
    assert_eq!(driver.request_with(RequestCode::OPEN, &open).status, Status::ABI_MISMATCH);
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::ABI_MISMATCH);
    assert_eq!((first.expected.get(), first.got.get()), (u32::from(ABI_MAJOR), u32::from(ABI_MAJOR) + 1));
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::NO_SESSION);
}

#[test]
fn open_that_declares_another_ring_size_works_and_is_diagnosed() {
    let mut driver = driver();
    let open = Open {
        abi_major: ABI_MAJOR.into(),
        abi_minor: ABI_MINOR.into(),
        queue_sizes: [128, 128, 128, 64, 128].map(Into::into),
        reserved: 0.into(),
        session: 1.into(),
    };
    assert_eq!(driver.request_with(RequestCode::OPEN, &open).status, Status::OK);
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::QUEUE_SIZE_DECLARED);
    assert_eq!((first.descriptor.get(), first.expected.get(), first.got.get()), (u32::from(Queue::WAVE.0), 128, 64));
}

#[test]
fn every_request_before_open_is_answered_no_session() {
    let codes = (0..0x40).map(RequestCode).filter(|code| code.name().is_some() && *code != RequestCode::OPEN);
    let mut driver = driver();
    for code in codes {
        assert_eq!(driver.request(code, &[0; 64]).status, Status::NO_SESSION, "{code}");
    }
    assert_diagnosed(&mut driver, Diagnosis::NO_SESSION, Queue::CONTROL.0);
    assert_eq!(driver.open().status, Status::OK);
    assert_nothing_wrong(&mut driver);
}

#[test]
fn a_request_that_the_card_does_not_know_is_unsupported() {
    let mut driver = opened();
    for code in [0, 8, 0x33, 0x7777, u32::MAX] {
        assert_eq!(driver.request(RequestCode(code), &[]).status, Status::UNSUPPORTED);
    }
    assert_diagnosed(&mut driver, Diagnosis::UNKNOWN_REQUEST, Queue::CONTROL.0);
}

#[test]
fn every_request_that_is_too_short_is_malformed_and_does_nothing() {
    let mut driver = opened();
    for code in (1..0x40).map(RequestCode).filter(|code| code.name().is_some()) {
        let status = driver.request(code, &[0xff; 3]).status;
        let takes_nothing = [
            RequestCode::CLOSE,
            RequestCode::STATISTICS,
            RequestCode::LATENCY,
            RequestCode::ALL_SOUND_OFF,
            RequestCode::DLS_COMPACT,
        ];
        if code == RequestCode::CLOSE {
            assert_eq!(status, Status::OK);
            assert_eq!(driver.open().status, Status::OK);
        } else if takes_nothing.contains(&code) {
            assert_eq!(status, Status::OK, "{code}");
        } else {
            assert_eq!(status, Status::MALFORMED, "{code}");
        }
    }
}

#[test]
fn clamps_parameters_and_answers_altered() {
    let mut driver = opened();
    let requested = PortParameters {
        valid: port_parameter::ALL.into(),
        voices: 5000.into(),
        channel_groups: 0.into(),
        audio_channels: 6.into(),
        sample_rate: 8000.into(),
        effects: 0xff.into(),
        share: 1.into(),
    };
    let response = driver.parameters(requested);
    assert_eq!(response.status, Status::ALTERED);
    let given: PortParameters = response.read();
    assert_eq!(given.voices.get(), 1000);
    assert_eq!(given.channel_groups.get(), 1);
    assert_eq!(given.audio_channels.get(), 2);
    assert_eq!(given.sample_rate.get(), limits::SAMPLE_RATE_MIN);
    assert_eq!(given.effects.get(), 3);
    assert_eq!(given.share.get(), 0);

    let requested = PortParameters {
        valid: (port_parameter::VOICES | port_parameter::SAMPLE_RATE).into(),
        voices: 32.into(),
        sample_rate: 22_050.into(),
        ..no_parameters()
    };
    let response = driver.parameters(requested);
    assert_eq!(response.status, Status::OK);
    let given: PortParameters = response.read();
    assert_eq!((given.voices.get(), given.sample_rate.get(), given.channel_groups.get()), (32, 22_050, 1));
}

#[test]
fn the_rate_cannot_change_under_an_open_wave_stream() {
    let mut driver = opened();
    assert_eq!(driver.open_stream(STREAM_WAVE, StreamKind::WAVE, 44_100, 2).status, Status::OK);
    let requested =
        PortParameters { valid: port_parameter::SAMPLE_RATE.into(), sample_rate: 48_000.into(), ..no_parameters() };
    assert_eq!(driver.parameters(requested).status, Status::INVALID_STATE);
    let given: PortParameters = driver.parameters(no_parameters()).read();
    assert_eq!(given.sample_rate.get(), 44_100);
}

#[test]
fn opens_a_stream_once_and_with_a_valid_kind_only() {
    let mut driver = opened();
    assert_eq!(driver.open_stream(18, StreamKind::RENDER, 0, 0).status, Status::INVALID_PARAMETER);
    assert_eq!(driver.open_stream(0, StreamKind(9), 0, 0).status, Status::INVALID_PARAMETER);
    assert_eq!(driver.open_stream(0, StreamKind::RENDER, 0, 0).status, Status::OK);
    assert_eq!(driver.open_stream(0, StreamKind::RENDER, 0, 0).status, Status::INVALID_STATE);
    assert_eq!(driver.open_stream(1, StreamKind::WAVE, 1000, 2).status, Status::INVALID_PARAMETER);
    assert_eq!(driver.open_stream(1, StreamKind::WAVE, 48_000, 3).status, Status::INVALID_PARAMETER);
    assert_eq!(driver.open_stream(1, StreamKind::WAVE, 48_000, 2).status, Status::OK);
    assert_eq!(driver.open_stream(2, StreamKind::WAVE, 48_000, 2).status, Status::NO_RESOURCES);
    assert_eq!(driver.state(7, StreamState::RUN).status, Status::NOT_FOUND);
    assert_eq!(driver.state(0, StreamState(4)).status, Status::INVALID_PARAMETER);
    assert_eq!(driver.close_stream(0).status, Status::OK);
    assert_eq!(driver.close_stream(0).status, Status::NOT_FOUND);
}

#[test]
fn the_clock_is_set_on_the_wave_stream_and_not_before_frame_0() {
    let mut driver = opened();
    assert_eq!(driver.open_stream(STREAM_RENDER, StreamKind::RENDER, 0, 0).status, Status::OK);
    let mut sync = ClockSync {
        stream: STREAM_RENDER.into(),
        flags: clock_sync::START.into(),
        master_time: 0.into(),
        frame: 0.into(),
    };
    assert_eq!(driver.request_with(RequestCode::CLOCK_SYNC, &sync).status, Status::NOT_FOUND);
    assert_eq!(driver.open_stream(STREAM_WAVE, StreamKind::WAVE, 48_000, 2).status, Status::OK);
    sync.stream = STREAM_WAVE.into();
    sync.frame = (-1).into();
    assert_eq!(driver.request_with(RequestCode::CLOCK_SYNC, &sync).status, Status::INVALID_PARAMETER);
    sync.flags = 2.into();
    assert_eq!(driver.request_with(RequestCode::CLOCK_SYNC, &sync).status, Status::INVALID_PARAMETER);
    sync.flags = 0.into();
    assert_eq!(driver.request_with(RequestCode::CLOCK_SYNC, &sync).status, Status::OK);
}

#[test]
fn volume_is_clamped_and_its_item_checked() {
    let mut driver = opened();
    let volume = |item: u32, hundredths_db: i32| Volume { item: item.into(), hundredths_db: hundredths_db.into() };
    assert_eq!(driver.request_with(RequestCode::VOLUME, &volume(0, -600)).status, Status::OK);
    assert_eq!(driver.request_with(RequestCode::VOLUME, &volume(1, 9999)).status, Status::ALTERED);
    assert_eq!(driver.request_with(RequestCode::VOLUME, &volume(2, 0)).status, Status::INVALID_PARAMETER);
}

#[test]
fn voice_priorities_are_read_and_set() {
    let mut driver = opened();
    let requested = |group: u32, channel: u32, priority: u32, set: u32| VoicePriority {
        channel_group: group.into(),
        channel: channel.into(),
        priority: priority.into(),
        set: set.into(),
    };
    let read: VoicePriority = driver.request_with(RequestCode::VOICE_PRIORITY, &requested(0, 9, 0, 0)).read();
    assert_eq!(read.priority.get(), 0x8000_000F, "the drum channel's standard priority");
    assert_eq!(driver.request_with(RequestCode::VOICE_PRIORITY, &requested(1, 3, 0xF000_0000, 1)).status, Status::OK);
    let read: VoicePriority = driver.request_with(RequestCode::VOICE_PRIORITY, &requested(1, 3, 0, 0)).read();
    assert_eq!(read.priority.get(), 0xF000_0000);
    for wrong in [requested(2, 0, 0, 0), requested(0, 16, 0, 0), requested(0, 0, 0, 2)] {
        assert_eq!(driver.request_with(RequestCode::VOICE_PRIORITY, &wrong).status, Status::INVALID_PARAMETER);
    }
}

#[test]
fn answers_the_offset_in_a_malformed_download_and_not_found_for_an_unknown_handle() {
    let mut driver = opened();
    let response = driver.request(RequestCode::DLS_DOWNLOAD, &[0; 4]);
    assert_eq!(response.status, Status::MALFORMED);
    let reason: DownloadResponse = response.read();
    assert_eq!((reason.handle.get(), reason.reason.get()), (0, 1));
    assert_diagnosed(&mut driver, Diagnosis::DOWNLOAD, Queue::CONTROL.0);
    assert_eq!(driver.request(RequestCode::DLS_UNLOAD, &[1, 0, 0, 0, 0, 0, 0, 0]).status, Status::NOT_FOUND);
}

#[test]
fn answers_statistics_and_latency() {
    let mut driver = opened();
    let statistics: Statistics = driver.request(RequestCode::STATISTICS, &[]).read();
    assert_eq!(statistics.free_memory.get(), limits::DOWNLOAD_MEMORY_BYTES);
    let latency: Latency = driver.request(RequestCode::LATENCY, &[]).read();
    assert_eq!(latency.minimum.get(), 0, "in lockstep nothing moves between an event and its buffer");
}

#[test]
fn the_status_page_is_written_under_its_sequence_lock_and_can_be_taken_back() {
    let mut driver = opened();
    let page = driver.lend_status_page();
    driver.play(48_000);
    driver.record(480);
    let read = |driver: &Driver| StatusPage::read_from_bytes(&driver.machine.ram.read(page, 64)).unwrap();
    driver.machine.wait_until("the status page", |machine| {
        StatusPage::read_from_bytes(&machine.ram.read(page, 64)).unwrap().frame.get() == 480
    });
    let status = read(&driver);
    assert_eq!(status.sequence.get() % 2, 0);
    assert_eq!(status.master_time.get(), 100_000);
    assert_eq!(status.latency_time.get(), 100_000);

    let back = StatusPageLoan { address: 0.into() };
    assert_eq!(driver.request_with(RequestCode::STATUS_PAGE, &back).status, Status::OK);
    let before = read(&driver).sequence.get();
    driver.record(480);
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
    assert_eq!(read(&driver).sequence.get(), before);
}

#[test]
fn a_status_page_must_be_a_page_of_guest_memory() {
    let mut driver = opened();
    for (address, status) in [
        (driver.machine.ram.start() + 8, Status::INVALID_PARAMETER),
        (driver.machine.ram.end(), Status::INVALID_PARAMETER),
        (!0xfff, Status::INVALID_PARAMETER),
    ] {
        let loan = StatusPageLoan { address: address.into() };
        assert_eq!(driver.request_with(RequestCode::STATUS_PAGE, &loan).status, status);
    }
}

#[test]
fn a_write_to_the_configuration_changes_nothing_and_is_diagnosed() {
    use vhost::vhost_user::VhostUserFrontend;
    use vhost::vhost_user::message::VhostUserConfigFlags;
    let mut driver = opened();
    let flags = VhostUserConfigFlags::WRITABLE;
    driver.machine.frontend().set_config(0, flags, &[0xff; 160]).unwrap();
    assert_eq!(driver.machine.identity().magic, MAGIC);
    assert_diagnosed(&mut driver, Diagnosis::CONFIG_WRITE, NO_QUEUE);
}
