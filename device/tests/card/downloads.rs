//! Downloads: played, kept through a change of settings, and unloaded.

use card_control::Clock;
use card_spec::control::{
    DownloadHandle, DownloadResponse, PortParameters, RequestCode, Statistics, Status, StreamKind, StreamState,
    port_parameter,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{DOWNLOAD_BYTES_MAX, DOWNLOAD_MEMORY_BYTES};
use card_spec::notice::NoticeKind;
use dmus_card::fake::{Driver, Machine, STREAM_RENDER, STREAM_WAVE, no_parameters};

/// The program of the downloaded instrument.
const PROGRAM: u8 = 5;

/// The download id of its wave.
const WAVE_ID: u32 = 77;

/// `DMUS_DOWNLOADINFO`, the offset table and structures in table order.
fn buffer(kind: u32, id: u32, structures: &[Vec<u8>]) -> Vec<u8> {
    let mut offset = 16 + 4 * structures.len();
    let mut words = vec![kind, id, structures.len() as u32, 0];
    for structure in structures {
        words.push(offset as u32);
        offset += structure.len().next_multiple_of(4);
    }
    words[3] = offset as u32;
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    for structure in structures {
        bytes.extend_from_slice(structure);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `DMUS_WAVE` of a looped square, 16 bits, mono.
fn wave() -> Vec<u8> {
    let header = [words(&[0, 0, 1]), halves(&[1, 1]), words(&[48_000, 96_000]), halves(&[2, 16, 0, 0])].concat();
    let samples: Vec<u16> = (0..100).map(|index| if index < 50 { 8000 } else { 0xE0C0 }).collect();
    let data = [words(&[200]), halves(&samples)].concat();
    buffer(2, WAVE_ID, &[header, data])
}

/// `DMUS_INSTRUMENT` with one `DMUS_REGION` over all keys.
fn instrument() -> Vec<u8> {
    let instrument = words(&[PROGRAM.into(), 1, 0, 0, 0, 0]);
    let region = [
        halves(&[0, 127, 0, 127, 0, 0]),
        words(&[0, 0, 0]),
        halves(&[0, 0]),
        words(&[1, WAVE_ID, 20]),
        halves(&[60, 0]),
        words(&[0, 0, 1, 16, 0, 0, 100]),
    ]
    .concat();
    buffer(3, 1000, &[instrument, region])
}

fn opened() -> Driver {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    assert_eq!(driver.open().status, Status::OK);
    driver
}

#[track_caller]
fn download(driver: &mut Driver, bytes: &[u8]) -> u32 {
    let response = driver.request(RequestCode::DLS_DOWNLOAD, bytes);
    let answer: DownloadResponse = response.read();
    assert_eq!((response.status, answer.reason.get()), (Status::OK, 0), "byte {}", answer.offset.get());
    assert_ne!(answer.handle.get(), 0);
    answer.handle.get()
}

fn unload(driver: &mut Driver, handle: u32) -> Status {
    let handle = DownloadHandle { handle: handle.into(), reserved: 0.into() };
    driver.request_with(RequestCode::DLS_UNLOAD, &handle).status
}

fn free_memory(driver: &mut Driver) -> u32 {
    driver.request(RequestCode::STATISTICS, &[]).read::<Statistics>().free_memory.get()
}

/// Returns the frames of a note on the downloaded instrument.
fn sound(driver: &mut Driver) -> Vec<[i16; 2]> {
    driver.send(STREAM_RENDER, &[(0, 1, &[0xC0, PROGRAM]), (0, 1, &[0x90, 60, 127])]);
    driver.record(2000).pcm
}

#[test]
fn a_downloaded_instrument_replaces_the_bank_and_its_memory_is_freed() {
    let mut plain = opened();
    plain.play(48_000);
    let bank = sound(&mut plain);

    let mut driver = opened();
    let (wave, instrument) = (download(&mut driver, &wave()), download(&mut driver, &instrument()));
    assert!(free_memory(&mut driver) < DOWNLOAD_MEMORY_BYTES);
    driver.play(48_000);
    assert!(sound(&mut driver) != bank);
    assert_eq!(driver.request(RequestCode::ALL_SOUND_OFF, &[]).status, Status::OK);
    driver.record(100);
    assert_eq!(unload(&mut driver, instrument), Status::OK);
    assert_eq!(unload(&mut driver, wave), Status::OK);
    assert_eq!(unload(&mut driver, wave), Status::NOT_FOUND);
    assert_eq!(free_memory(&mut driver), DOWNLOAD_MEMORY_BYTES);
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::HANDLE);
}

#[test]
fn an_unload_of_a_sounding_download_is_pending_until_a_notice() {
    let mut driver = opened();
    let (wave, instrument) = (download(&mut driver, &wave()), download(&mut driver, &instrument()));
    driver.play(48_000);
    sound(&mut driver);
    assert_eq!(unload(&mut driver, instrument), Status::PENDING);
    assert_eq!(unload(&mut driver, wave), Status::PENDING);
    assert_eq!(unload(&mut driver, wave), Status::NOT_FOUND);
    driver.send(STREAM_RENDER, &[(0, 1, &[0xB0, 120, 0])]);
    driver.record(48_000);
    let mut done = Vec::new();
    while done.len() < 2 {
        let notice = driver.notice();
        if notice.kind.get() == NoticeKind::UNLOADED.0 {
            done.push(notice.value.get());
        }
    }
    done.sort_unstable();
    assert_eq!(done, [u64::from(wave), u64::from(instrument)]);
}

#[test]
fn downloads_survive_a_change_of_rate_and_voices_with_their_handles() {
    let mut direct = opened();
    download(&mut direct, &wave());
    download(&mut direct, &instrument());
    direct.play(44_100);
    let expected = sound(&mut direct);

    let mut driver = opened();
    let (wave, instrument) = (download(&mut driver, &wave()), download(&mut driver, &instrument()));
    let requested = PortParameters {
        valid: (port_parameter::VOICES | port_parameter::SAMPLE_RATE).into(),
        voices: 40.into(),
        sample_rate: 22_050.into(),
        ..no_parameters()
    };
    assert_eq!(driver.parameters(requested).status, Status::OK);
    // The wave stream changes the rate once more.
    driver.play(44_100);
    assert!(sound(&mut driver) == expected);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::STOP).status, Status::OK);
    assert_eq!(driver.close_stream(STREAM_WAVE).status, Status::OK);
    assert_eq!(unload(&mut driver, instrument), Status::OK);
    assert_eq!(unload(&mut driver, wave), Status::OK);
}

#[test]
fn a_pending_unload_is_done_when_the_synthesizer_is_rebuilt() {
    let mut driver = opened();
    let wave = download(&mut driver, &wave());
    download(&mut driver, &instrument());
    driver.play(48_000);
    sound(&mut driver);
    assert_eq!(unload(&mut driver, wave), Status::PENDING);
    assert_eq!(driver.close_stream(STREAM_WAVE).status, Status::OK);
    assert_eq!(driver.open_stream(STREAM_WAVE, StreamKind::WAVE, 22_050, 2).status, Status::OK);
    let notice = driver.notice();
    assert_eq!((notice.kind.get(), notice.value.get()), (NoticeKind::UNLOADED.0, u64::from(wave)));
}

#[test]
fn downloads_end_with_the_session() {
    let mut driver = opened();
    let wave = download(&mut driver, &wave());
    assert_eq!(driver.open().status, Status::OK);
    assert_eq!(free_memory(&mut driver), DOWNLOAD_MEMORY_BYTES);
    assert_eq!(unload(&mut driver, wave), Status::NOT_FOUND);
}

#[test]
fn a_download_beyond_the_bound_is_refused_by_its_length() {
    let mut driver = opened();
    let response = driver.request(RequestCode::DLS_DOWNLOAD, &vec![0; DOWNLOAD_BYTES_MAX as usize + 1]);
    assert_eq!(response.status, Status::MALFORMED);
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::LENGTH);
    assert_eq!((first.expected.get(), first.got.get()), (DOWNLOAD_BYTES_MAX, DOWNLOAD_BYTES_MAX + 1));
}

#[test]
fn download_memory_ends_at_the_bound_of_the_identity_block() {
    let mut driver = opened();
    let samples = vec![0_u8; 3 << 20];
    let header = [words(&[0, 0, 1]), halves(&[1, 1]), words(&[48_000, 96_000]), halves(&[2, 16, 0, 0])].concat();
    let data = [words(&[samples.len() as u32]), samples].concat();
    let mut taken = 0;
    let refused = loop {
        let bytes = buffer(2, 100 + taken, &[header.clone(), data.clone()]);
        let response = driver.request(RequestCode::DLS_DOWNLOAD, &bytes);
        if response.status != Status::OK {
            break response;
        }
        taken += 1;
        assert!(taken < 10, "the bound does not hold");
    };
    assert_eq!(refused.status, Status::NO_RESOURCES);
    assert_eq!(refused.read::<DownloadResponse>().reason.get(), 9);
    assert_eq!(taken, 5, "five times 3 MiB fit in 16 MiB");
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::NONE, "a limit is no error of the driver");
}
