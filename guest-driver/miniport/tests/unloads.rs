//! Unloads of what still sounds: each client is answered once, whatever happens first.

mod common;

use card_spec::control::{RequestCode, Status};
use common::Rig;
use dmus_miniport::card::CardError;
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::{Behaviour, Client, deliver_interrupts, dispatch, passive};
use dmus_miniport::unloads::{WAITING_MAX, Wait};
use portcls::NtStatus;

/// A card on which everything sounds for ever.
fn sounding() -> Rig {
    Rig::with(Behaviour { unloads_later: true, ..Behaviour::default() })
}

/// Downloads on a stream, and unloads. Both handles are the same here: the first of a session.
fn unloaded(rig: &Rig, stream: u32, client: &Client) -> (u32, Wait) {
    let handle = rig.card.download(passive(), stream, 8, |window| {
        window.write(0, &1_u8);
        true
    });
    let handle = handle.unwrap();
    (handle, rig.card.unload(passive(), stream, handle, Some(client.clone())).unwrap())
}

#[test]
fn nobody_waits_for_what_does_not_sound() {
    let rig = Rig::new();
    let client = Client::default();
    assert_eq!(unloaded(&rig, 0, &client).1, Wait::Over);
    assert_eq!((client.completed(), rig.card.unloads_waiting(dispatch())), (None, 0));
}

#[test]
fn whatever_ends_the_sound_or_the_waiting_answers_the_client_once() {
    type End = fn(&Rig);
    let ends: [(&str, End, NtStatus); 6] = [
        ("the stream is closed", |rig| rig.card.close_render(passive(), 0), NtStatus::CANCELLED),
        ("the power goes", |rig| rig.card.power_down(passive()), NtStatus::SUCCESS),
        (
            "the card is torn out",
            |rig| {
                rig.fake.with(|card| card.behaviour.gone = true);
                assert!(rig.card.is_gone(dispatch()));
            },
            NtStatus::DEVICE_REMOVED,
        ),
        (
            "the card needs a reset",
            |rig| {
                rig.fake.need_reset();
                deliver_interrupts(&rig.card);
                _ = rig.render();
            },
            NtStatus::SUCCESS,
        ),
        (
            "the sound ends",
            |rig| {
                rig.fake.end_unload(1);
                deliver_interrupts(&rig.card);
            },
            NtStatus::SUCCESS,
        ),
        (
            "news is lost, which may have been that",
            |rig| {
                rig.fake.with(|card| card.news_sent += 1);
                rig.fake.end_unload(77);
                deliver_interrupts(&rig.card);
            },
            NtStatus::SUCCESS,
        ),
    ];
    for (what, end, status) in ends {
        let rig = sounding();
        let stream = rig.render();
        let client = Client::default();
        assert_eq!(unloaded(&rig, stream.id, &client).1, Wait::Begun, "{what}");
        deliver_interrupts(&rig.card);
        assert_eq!(client.completed(), None, "{what}");
        end(&rig);
        assert_eq!(client.completed(), Some(status), "{what}");
        assert!(!client.cancel(), "its canceller does not come any more: {what}");
        assert_eq!(rig.card.unloads_waiting(dispatch()), 0);
    }
}

#[test]
fn the_close_of_another_stream_and_the_end_of_another_sound_answer_nobody() {
    let rig = sounding();
    let (first, second) = (rig.render(), rig.render());
    let client = Client::default();
    assert_eq!(unloaded(&rig, first.id, &client).1, Wait::Begun);
    second.close();
    rig.fake.end_unload(99);
    deliver_interrupts(&rig.card);
    assert_eq!((client.completed(), rig.card.unloads_waiting(dispatch())), (None, 1));
}

#[test]
fn a_client_that_is_cancelled_is_answered_by_its_canceller() {
    let rig = sounding();
    let (client, other) = (Client::default(), Client::default());
    assert_eq!(unloaded(&rig, 0, &client).1, Wait::Begun);
    assert_eq!(unloaded(&rig, 0, &other).1, Wait::Begun);
    assert!(client.cancel());
    // The canceller is on its way, and the sound ends before it comes.
    rig.fake.end_unload(1);
    deliver_interrupts(&rig.card);
    assert_eq!(client.completed(), None);
    rig.card.cancel_unload(dispatch(), |waiting| waiting.is(&client));
    assert_eq!(client.completed(), Some(NtStatus::SUCCESS), "the sound had ended");
    assert!(other.cancel());
    rig.card.cancel_unload(dispatch(), |waiting| waiting.is(&other));
    assert_eq!(other.completed(), Some(NtStatus::CANCELLED));
}

#[test]
fn a_client_that_was_cancelled_before_does_not_wait() {
    let rig = sounding();
    let client = Client::default();
    assert!(!client.cancel());
    assert_eq!(unloaded(&rig, 0, &client).1, Wait::Cancelled);
    assert_eq!((client.completed(), rig.card.unloads_waiting(dispatch())), (None, 0));
}

#[test]
fn a_card_that_refuses_leaves_the_download_and_no_client() {
    let rig = sounding();
    let client = Client::default();
    rig.fake.with(|card| card.behaviour.refuses = Some((RequestCode::DLS_UNLOAD, Status::CARD_FAILED)));
    let handle = rig.card.download(passive(), 0, 8, |window| {
        window.write(0, &1_u8);
        true
    });
    let handle = handle.unwrap();
    let refused = CardError::Control(ControlError::Refused(Status::CARD_FAILED));
    assert_eq!(rig.card.unload(passive(), 0, handle, Some(client.clone())), Err(refused));
    rig.fake.with(|card| card.behaviour.refuses = None);
    assert_eq!(
        rig.card.unload(passive(), 0, handle, Some(client)),
        Ok(Wait::Begun),
        "nothing is left of the first try"
    );
}

#[test]
fn whoever_comes_when_too_many_wait_is_answered_at_once() {
    let rig = sounding();
    for _ in 0..WAITING_MAX {
        assert_eq!(unloaded(&rig, 0, &Client::default()).1, Wait::Begun);
    }
    assert_eq!(unloaded(&rig, 0, &Client::default()).1, Wait::Over);
    rig.card.close_render(passive(), rig.render().id);
    assert_eq!(rig.card.unloads_waiting(dispatch()), 0);
}
