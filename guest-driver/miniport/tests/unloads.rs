//! Unloads of what still sounds: each request is completed once.

mod common;

use card_spec::control::{RequestCode, Status};
use common::TestDriver;
use dmus_miniport::card::CardError;
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::{Behaviour, FakePendingRequest, deliver_interrupts, dispatch, passive};
use dmus_miniport::unloads::{PENDING_UNLOADS_MAX, Unload};
use portcls::NtStatus;

/// Makes a card whose voices never end.
fn sounding() -> TestDriver {
    TestDriver::with(Behaviour { unloads_later: true, ..Behaviour::default() })
}

/// Downloads on a stream, and unloads. Both handles are the same here: the first of a session.
fn unloaded(driver: &TestDriver, stream: u32, client: &FakePendingRequest) -> (u32, Unload) {
    let handle = driver.card.download(passive(), stream, 8, |window| {
        window.write(0, &1_u8);
        true
    });
    let handle = handle.unwrap();
    (handle, driver.card.unload(passive(), stream, handle, Some(client.clone())).unwrap())
}

#[test]
fn completes_an_unload_at_once_when_no_voice_sounds() {
    let driver = TestDriver::new();
    let client = FakePendingRequest::default();
    assert_eq!(unloaded(&driver, 0, &client).1, Unload::Done);
    assert_eq!((client.completed(), driver.card.unloads_pending(dispatch())), (None, 0));
}

#[test]
fn completes_a_pending_unload_once_at_every_end() {
    type End = fn(&TestDriver);
    let ends: [(&str, End, NtStatus); 6] = [
        ("the stream is closed", |driver| driver.card.close_render(passive(), 0), NtStatus::CANCELLED),
        ("the power goes", |driver| driver.card.power_down(passive()), NtStatus::SUCCESS),
        (
            "the card is removed",
            |driver| {
                driver.fake.with(|card| card.behaviour.gone = true);
                assert!(driver.card.is_gone(dispatch()));
            },
            NtStatus::DEVICE_REMOVED,
        ),
        (
            "the card needs a reset",
            |driver| {
                driver.fake.need_reset();
                deliver_interrupts(&driver.card);
                _ = driver.render();
            },
            NtStatus::SUCCESS,
        ),
        (
            "the sound ends",
            |driver| {
                driver.fake.end_unload(1);
                deliver_interrupts(&driver.card);
            },
            NtStatus::SUCCESS,
        ),
        (
            "a notice is lost, which may have been that of the unload",
            |driver| {
                driver.fake.with(|card| card.notices_sent += 1);
                driver.fake.end_unload(77);
                deliver_interrupts(&driver.card);
            },
            NtStatus::SUCCESS,
        ),
    ];
    for (what, end, status) in ends {
        let driver = sounding();
        let stream = driver.render();
        let client = FakePendingRequest::default();
        assert_eq!(unloaded(&driver, stream.id, &client).1, Unload::Pending, "{what}");
        deliver_interrupts(&driver.card);
        assert_eq!(client.completed(), None, "{what}");
        end(&driver);
        assert_eq!(client.completed(), Some(status), "{what}");
        assert!(!client.cancel(), "its canceller does not come any more: {what}");
        assert_eq!(driver.card.unloads_pending(dispatch()), 0);
    }
}

#[test]
fn completes_no_unload_at_the_end_of_another_stream_or_sound() {
    let driver = sounding();
    let (first, second) = (driver.render(), driver.render());
    let client = FakePendingRequest::default();
    assert_eq!(unloaded(&driver, first.id, &client).1, Unload::Pending);
    second.close();
    driver.fake.end_unload(99);
    deliver_interrupts(&driver.card);
    assert_eq!((client.completed(), driver.card.unloads_pending(dispatch())), (None, 1));
}

#[test]
fn a_cancelled_unload_is_completed_by_its_cancel_routine() {
    let driver = sounding();
    let (client, other) = (FakePendingRequest::default(), FakePendingRequest::default());
    assert_eq!(unloaded(&driver, 0, &client).1, Unload::Pending);
    assert_eq!(unloaded(&driver, 0, &other).1, Unload::Pending);
    assert!(client.cancel());
    // The canceller is on its way, and the sound ends before it comes.
    driver.fake.end_unload(1);
    deliver_interrupts(&driver.card);
    assert_eq!(client.completed(), None);
    driver.card.cancel_unload(dispatch(), |waiting| waiting.is(&client));
    assert_eq!(client.completed(), Some(NtStatus::SUCCESS), "the sound had ended");
    assert!(other.cancel());
    driver.card.cancel_unload(dispatch(), |waiting| waiting.is(&other));
    assert_eq!(other.completed(), Some(NtStatus::CANCELLED));
}

#[test]
fn an_unload_that_was_cancelled_before_does_not_become_pending() {
    let driver = sounding();
    let client = FakePendingRequest::default();
    assert!(!client.cancel());
    assert_eq!(unloaded(&driver, 0, &client).1, Unload::Cancelled);
    assert_eq!((client.completed(), driver.card.unloads_pending(dispatch())), (None, 0));
}

#[test]
fn a_refused_unload_keeps_the_download_and_is_not_pending() {
    let driver = sounding();
    let client = FakePendingRequest::default();
    driver.fake.with(|card| card.behaviour.refuses = Some((RequestCode::DLS_UNLOAD, Status::CARD_FAILED)));
    let handle = driver.card.download(passive(), 0, 8, |window| {
        window.write(0, &1_u8);
        true
    });
    let handle = handle.unwrap();
    let refused = CardError::Control(ControlError::Refused(Status::CARD_FAILED));
    assert_eq!(driver.card.unload(passive(), 0, handle, Some(client.clone())), Err(refused));
    driver.fake.with(|card| card.behaviour.refuses = None);
    assert_eq!(
        driver.card.unload(passive(), 0, handle, Some(client)),
        Ok(Unload::Pending),
        "nothing is left of the first try"
    );
}

#[test]
fn completes_unloads_beyond_the_limit_at_once() {
    let driver = sounding();
    for _ in 0..PENDING_UNLOADS_MAX {
        assert_eq!(unloaded(&driver, 0, &FakePendingRequest::default()).1, Unload::Pending);
    }
    assert_eq!(unloaded(&driver, 0, &FakePendingRequest::default()).1, Unload::Done);
    driver.card.close_render(passive(), driver.render().id);
    assert_eq!(driver.card.unloads_pending(dispatch()), 0);
}
