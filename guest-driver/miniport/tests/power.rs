//! Power: without it the card's registers are not accessed, and with it the whole state is restored.

mod common;

use card_spec::control::{PortParameters, RequestCode, Status};
use card_spec::limits;
use common::{NOTE, TestDriver, played};
use dmus_miniport::card::{CardError, VolumeItem};
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::passive;
use portcls::ks::KsState;
use zerocopy::FromZeros;

/// Takes the card's power: it loses its state.
fn lose_power(driver: &TestDriver) {
    driver.fake.with(|card| {
        card.streams.clear();
        card.downloads.clear();
        card.frame = 0;
        card.behaviour.gone = true;
    });
}

fn power_cycle(driver: &TestDriver) {
    driver.card.power_down(passive());
    lose_power(driver);
    driver.fake.with(|card| card.behaviour.gone = false);
    driver.card.power_up(passive()).unwrap();
}

#[test]
fn accesses_no_register_of_a_card_that_is_off() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    driver.card.power_down(passive());
    let before = driver.fake.with(|card| (card.kicks, card.statuses.clone(), card.requests.len()));
    assert_eq!(before.1.last(), Some(&0), "it was reset");
    stream.put(stream.allocator.message(0, NOTE));
    assert!(!driver.card.interrupt());
    let mut pcm = [0xaa; 16];
    driver.card.render(passive(), &mut pcm).unwrap();
    assert_eq!(pcm, [0; 16]);
    assert_eq!(driver.card.statistics(passive()).err(), Some(CardError::Control(ControlError::Off)));
    driver.card.power_down(passive());
    stream.set(KsState::PAUSE);
    let after = driver.fake.with(|card| (card.kicks, card.statuses.clone(), card.requests.len()));
    assert_eq!(after, before);
    assert_eq!(stream.allocator.outstanding(), 1, "the event waits");
}

#[test]
fn restores_streams_in_their_states_and_plays_held_events() {
    let driver = TestDriver::new();
    let (running, paused) = (driver.render().running(), driver.render());
    paused.set(KsState::PAUSE);
    driver.run_wave();
    driver.card.render(passive(), &mut [0; 400]).unwrap();
    driver.card.power_down(passive());
    lose_power(&driver);
    running.put(running.allocator.message(7, NOTE));
    driver.fake.with(|card| card.behaviour.gone = false);
    driver.card.power_up(passive()).unwrap();
    let states = driver.fake.with(|card| card.streams.values().copied().collect::<Vec<_>>());
    assert_eq!(states, [3, 0, 3], "a stream that waits needs no request");
    assert_eq!(played(&driver.fake), [(7, NOTE.to_vec())]);
    assert_eq!(running.allocator.outstanding(), 0);
    driver.card.render(passive(), &mut [0; 400]).unwrap();
    let (anchor, rate) = driver.card.anchor(dmus_miniport::fake::dispatch()).unwrap();
    assert_eq!(anchor.time_of(0, rate), 0, "time goes on");
}

#[test]
fn restores_parameters_and_volume() {
    let driver = TestDriver::new();
    let mut wanted = PortParameters::new_zeroed();
    (wanted.valid, wanted.channel_groups) = (2.into(), 9.into());
    driver.card.set_parameters(passive(), &wanted).unwrap();
    driver.card.set_volume(passive(), VolumeItem::Volume, -600).unwrap();
    let before = driver.fake.with(|card| card.requests.len());
    power_cycle(&driver);
    let codes: Vec<_> = driver.fake.with(|card| card.requests[before..].iter().map(|request| request.code).collect());
    assert_eq!(
        codes,
        [RequestCode::CLOSE, RequestCode::OPEN, RequestCode::STATUS_PAGE, RequestCode::PARAMETERS, RequestCode::VOLUME]
    );
}

/// Downloads 64 bytes: the 1 by which the fake knows good data, and a mark.
fn download(driver: &TestDriver, stream: u32, mark: u8) -> Result<u32, CardError> {
    driver.card.download(passive(), stream, 64, |to| {
        to.write_bytes(0, &[1; 64]);
        to.write_bytes(1, &[mark]);
        true
    })
}

/// Returns the marks of the card's downloads, in the order in which they came.
fn on_card(driver: &TestDriver) -> Vec<u8> {
    driver.fake.with(|card| card.downloads.values().map(|data| data[1]).collect())
}

#[test]
fn sends_downloads_again_in_order_and_keeps_their_handles() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    let handles = [10, 11, 12, 13].map(|mark| download(&driver, stream.id, mark).unwrap());
    driver.card.unload(passive(), 0, handles[1], None).unwrap();
    power_cycle(&driver);
    assert_eq!(on_card(&driver), [10, 12, 13]);
    let codes: Vec<_> = driver.fake.with(|card| card.requests.iter().map(|request| request.code).collect());
    let last = |code| codes.iter().rposition(|seen| *seen == code).unwrap();
    assert!(last(RequestCode::DLS_DOWNLOAD) < last(RequestCode::STREAM_STATE), "they are there before it plays");
    // The card numbers them anew: what was the third is its second.
    driver.card.unload(passive(), 0, handles[2], None).unwrap();
    assert_eq!(on_card(&driver), [10, 13]);
    let next = download(&driver, stream.id, 14).unwrap();
    assert!(!handles.contains(&next), "a handle is not given twice");
    power_cycle(&driver);
    power_cycle(&driver);
    assert_eq!(on_card(&driver), [10, 13, 14]);
    driver.card.unload(passive(), 0, handles[3], None).unwrap();
    assert_eq!(driver.card.unload(passive(), 0, handles[3], None), Err(CardError::NoDownload));
    assert_eq!(on_card(&driver), [10, 14]);
    stream.close();
    assert_eq!(on_card(&driver), []);
}

#[test]
fn restores_no_download_or_stream_that_was_closed_without_power() {
    let driver = TestDriver::new();
    let (first, second) = (driver.render(), driver.render());
    let handles =
        [(first.id, 20), (second.id, 21), (first.id, 22)].map(|(id, mark)| download(&driver, id, mark).unwrap());
    driver.card.power_down(passive());
    lose_power(&driver);
    let before = driver.fake.with(|card| (card.kicks, card.requests.len()));
    driver.card.unload(passive(), 0, handles[0], None).unwrap();
    assert_eq!(driver.card.unload(passive(), 0, handles[0], None), Err(CardError::NoDownload));
    second.close();
    assert_eq!(download(&driver, first.id, 23), Err(CardError::Control(ControlError::Off)));
    assert_eq!(driver.fake.with(|card| (card.kicks, card.requests.len())), before, "the card was left alone");
    driver.fake.with(|card| card.behaviour.gone = false);
    driver.card.power_up(passive()).unwrap();
    assert_eq!(on_card(&driver), [22]);
}

#[test]
fn keeps_the_handle_of_a_download_that_the_card_refuses_to_restore() {
    let driver = TestDriver::new();
    let handle = download(&driver, 0, 30).unwrap();
    driver.fake.with(|card| card.behaviour.refuses = Some((RequestCode::DLS_DOWNLOAD, Status::NO_RESOURCES)));
    power_cycle(&driver);
    assert!(driver.fake.with(|card| card.log.iter().any(|line| line.contains("is not restored"))));
    driver.fake.with(|card| card.behaviour.refuses = None);
    power_cycle(&driver);
    assert_eq!(on_card(&driver), [30], "it is tried each time");
    driver.card.unload(passive(), 0, handle, None).unwrap();
    assert_eq!(on_card(&driver), []);
}

#[test]
fn repeats_a_restore_that_the_card_does_not_answer() {
    let driver = TestDriver::new();
    let handles = [40, 41].map(|mark| download(&driver, 0, mark).unwrap());
    driver.card.power_down(passive());
    lose_power(&driver);
    // The answer's tag is another's: the session does not even open.
    driver.fake.with(|card| (card.behaviour.gone, card.behaviour.wrong_tag) = (false, true));
    assert!(driver.card.power_up(passive()).is_err());
    // It opens, but a download is never answered.
    driver.fake.with(|card| (card.behaviour.wrong_tag, card.behaviour.keeps_downloads) = (false, true));
    assert_eq!(driver.card.power_up(passive()), Err(CardError::Control(ControlError::Timeout)));
    driver.fake.with(|card| card.behaviour.keeps_downloads = false);
    driver.card.power_up(passive()).unwrap();
    assert_eq!(on_card(&driver), [40, 41]);
    for handle in handles {
        driver.card.unload(passive(), 0, handle, None).unwrap();
    }
    assert_eq!(on_card(&driver), []);
}

#[test]
fn keeps_no_more_downloads_than_the_card_has_room_for() {
    let driver = TestDriver::new();
    let whole = || {
        driver.card.download(passive(), 0, limits::DOWNLOAD_BYTES_MAX as usize, |to| {
            to.write_bytes(0, &[1]);
            true
        })
    };
    let fits = limits::DOWNLOAD_MEMORY_BYTES / limits::DOWNLOAD_BYTES_MAX;
    let handles: Vec<_> = (0..fits).map(|_| whole().unwrap()).collect();
    assert_eq!(download(&driver, 0, 50), Err(CardError::NoMemory));
    driver.card.unload(passive(), 0, handles[0], None).unwrap();
    let small: Vec<_> = (handles.len() - 1..limits::DOWNLOADS_MAX).map(|_| download(&driver, 0, 51).unwrap()).collect();
    assert_eq!(download(&driver, 0, 52), Err(CardError::NoMemory));
    driver.card.unload(passive(), 0, small[0], None).unwrap();
    download(&driver, 0, 53).unwrap();
}

#[test]
fn survives_any_number_of_power_cycles() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    for time in 0..50 {
        power_cycle(&driver);
        driver.card.power_up(passive()).unwrap();
        stream.put(stream.allocator.message(time, NOTE));
    }
    assert_eq!(played(&driver.fake).len(), 50);
    assert_eq!(stream.close().outstanding(), 0);
}

#[test]
fn a_card_that_does_not_come_back_stays_off() {
    let driver = TestDriver::new();
    driver.card.power_down(passive());
    lose_power(&driver);
    assert!(driver.card.power_up(passive()).is_err());
    assert_eq!(driver.card.statistics(passive()).err(), Some(CardError::Control(ControlError::Off)));
    driver.fake.with(|card| card.behaviour.gone = false);
    driver.card.power_up(passive()).unwrap();
    assert!(driver.card.statistics(passive()).is_ok());
}
