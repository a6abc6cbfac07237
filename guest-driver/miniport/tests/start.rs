//! Start of the card, and cards that do not keep to the datasheet.

mod common;

use card_spec::control::{RequestCode, Status};
use card_spec::feature;
use card_spec::queue::Queue;
use common::{NOTE, TestDriver, start};
use dmus_miniport::card::CardError;
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::{Behaviour, FakeCard, dispatch, passive};
use dmus_miniport::transport::{Interrupt, TransportError};
use portcls::NtStatus;
use portcls::ks::KsState;

fn start_with(behaviour: Behaviour) -> (FakeCard, Option<CardError>) {
    let fake = FakeCard::new(behaviour);
    let error = start(&fake).err();
    (fake, error)
}

fn transport_error(behaviour: Behaviour) -> TransportError {
    let (fake, error) = start_with(behaviour);
    assert_ne!(fake.with(|card| card.statuses.last().copied()), Some(0xf), "a card that failed is not left running");
    match error {
        Some(CardError::Transport(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn initialises_the_function_in_virtios_order() {
    let driver = TestDriver::new();
    assert_eq!(driver.fake.with(|card| card.statuses.clone()), [0, 1, 3, 11, 15]);
}

#[test]
fn opens_the_session_and_then_lends_the_status_page() {
    let driver = TestDriver::new();
    let codes: Vec<_> = driver.fake.with(|card| card.requests.iter().map(|request| request.code).collect());
    assert_eq!(codes, [RequestCode::OPEN, RequestCode::STATUS_PAGE]);
}

#[test]
fn stopping_ends_the_session_and_resets_the_card() {
    let driver = TestDriver::new();
    driver.card.power_down(passive());
    driver.fake.with(|card| {
        assert_eq!(card.requests.last().unwrap().code, RequestCode::CLOSE);
        assert_eq!(card.statuses.last(), Some(&0));
    });
}

#[test]
fn a_card_works_without_event_indices_and_with_small_rings() {
    for queue_size in [4, 5, 8, 100, 128, 1024] {
        for features in [feature::VERSION_1, feature::VERSION_1 | feature::EVENT_IDX] {
            let driver = TestDriver::with(Behaviour { features, queue_size, ..Behaviour::default() });
            assert_eq!(driver.fake.with(|card| card.requests.len()), 2, "{queue_size}");
        }
    }
}

#[test]
fn refuses_functions_that_are_not_the_card() {
    let default = Behaviour::default;
    assert_eq!(transport_error(Behaviour { magic: *b"SMUD", ..default() }), TransportError::Magic);
    assert_eq!(transport_error(Behaviour { abi_major: 2, ..default() }), TransportError::Abi(2));
    assert_eq!(transport_error(Behaviour { gone: true, ..default() }), TransportError::Absent);
    assert_eq!(transport_error(Behaviour { never_resets: true, ..default() }), TransportError::ResetTimeout);
    assert_eq!(transport_error(Behaviour { features: 0, ..default() }), TransportError::NotModern);
    assert_eq!(transport_error(Behaviour { accepts_features: false, ..default() }), TransportError::Features);
    assert_eq!(transport_error(Behaviour { queue_size: 0, ..default() }), TransportError::QueueSize(0));
    assert_eq!(transport_error(Behaviour { queue_size: 2, ..default() }), TransportError::QueueSize(Queue::WAVE.0));
}

#[test]
fn leaves_the_card_reset_after_any_failed_allocation() {
    for allocations in 0.. {
        let (fake, error) = start_with(Behaviour { allocations_left: Some(allocations), ..Behaviour::default() });
        let Some(error) = error else {
            assert!(allocations > 5, "there are several things to allocate");
            break;
        };
        assert_eq!(error, CardError::NoMemory);
        assert!(fake.with(|card| card.statuses.last().is_none_or(|status| *status == 0)), "after {allocations}");
        assert_eq!(fake.dma_bytes(), 0);
    }
}

fn open_error(behaviour: Behaviour) -> ControlError {
    let fake = FakeCard::new(behaviour);
    match start(&fake).unwrap().open(passive()) {
        Err(CardError::Control(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_malformed_responses() {
    let default = Behaviour::default;
    assert_eq!(open_error(Behaviour { wrong_tag: true, ..default() }), ControlError::BadAnswer);
    for bytes in [0, 1, 15, 16, 17, 55] {
        let behaviour = Behaviour { answer_bytes: Some(bytes), ..default() };
        assert_eq!(open_error(behaviour), ControlError::BadAnswer, "{bytes}");
    }
    let refused = Some((RequestCode::OPEN, Status::ABI_MISMATCH));
    let error = open_error(Behaviour { refuses: refused, ..default() });
    assert_eq!(NtStatus::from(CardError::from(error)), NtStatus::REVISION_MISMATCH);
}

#[test]
fn does_not_use_a_broken_ring_again() {
    for behaviour in [
        Behaviour { wrong_id: Some(1), ..Behaviour::default() },
        Behaviour { wrong_id: Some(2), ..Behaviour::default() },
        Behaviour { wrong_id: Some(u32::MAX), ..Behaviour::default() },
        Behaviour { written_too_much: 1, ..Behaviour::default() },
        Behaviour { written_too_much: u32::MAX / 2, ..Behaviour::default() },
        Behaviour { used_index_ahead: 1, ..Behaviour::default() },
        Behaviour { used_index_ahead: 0x8000, ..Behaviour::default() },
    ] {
        let fake = FakeCard::new(behaviour.clone());
        let card = start(&fake).unwrap();
        let first = card.open(passive()).unwrap_err();
        assert!(matches!(first, CardError::Control(ControlError::Ring(_))), "{behaviour:?}: {first:?}");
        let kicks = fake.with(|card| card.kicks);
        assert_eq!(card.open(passive()).unwrap_err(), first);
        assert_eq!(fake.with(|card| card.kicks), kicks);
    }
}

#[test]
fn times_out_on_a_card_that_does_not_answer() {
    let mut behaviour = Behaviour::default();
    behaviour.ignores_kicks[Queue::CONTROL.index()] = true;
    let fake = FakeCard::new(behaviour);
    let card = start(&fake).unwrap();
    assert_eq!(card.open(passive()), Err(CardError::Control(ControlError::Timeout)));
    let waited = fake.with(|card| card.milliseconds);
    assert!((2000..2100).contains(&waited), "{waited}");
    // The first request is still the card's: no second one is sent, and no call waits again.
    assert_eq!(card.open(passive()), Err(CardError::Control(ControlError::Timeout)));
    assert!(fake.with(|card| card.milliseconds) < 2100);
    // Once it has been answered after all, everything works.
    fake.serve_kicks();
    fake.with(|card| card.behaviour.ignores_kicks = Default::default());
    assert_eq!(card.open(passive()), Ok(()));
}

#[test]
fn a_lost_interrupt_costs_one_slice_of_time() {
    let mut behaviour = Behaviour { sends_no_interrupts: true, serves_kicks_after: Some(10), ..Behaviour::default() };
    behaviour.ignores_kicks[Queue::CONTROL.index()] = true;
    let driver = TestDriver::with(behaviour);
    let waited = driver.fake.with(|card| card.milliseconds);
    assert!(waited < 100, "{waited}");
}

#[test]
fn interrupts_are_claimed_once_and_only_when_they_are_the_cards() {
    let driver = TestDriver::new();
    driver.card.service(dmus_miniport::fake::dispatch());
    while driver.card.interrupt() {}
    assert!(!driver.card.interrupt(), "nothing is raised");
    driver.fake.with(|card| card.behaviour.gone = true);
    assert!(!driver.card.interrupt(), "all ones is a card that is gone");
}

#[test]
fn uses_one_message_for_all_interrupts() {
    let interrupt = Interrupt::Message { vector: 0 };
    let driver = TestDriver::with(Behaviour { interrupt, ..Behaviour::default() });
    let sent = driver.fake.with(|card| card.messages.clone());
    assert_eq!(sent.into_keys().collect::<Vec<_>>(), [0], "answers were interrupted for");
    assert!(driver.card.interrupt(), "a message is this card's alone");
    driver.card.power_down(passive());
    assert!(!driver.card.interrupt());
    driver.fake.with(|card| card.messages.clear());
    driver.card.power_up(passive()).unwrap();
    assert!(driver.fake.with(|card| card.messages[&0] > 0), "and again after the power was gone");

    let none = Behaviour { interrupt, vectors: 0, ..Behaviour::default() };
    assert_eq!(transport_error(none), TransportError::Vector(0));
}

#[test]
fn resets_a_card_that_needs_it_and_restores_its_streams() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.fake.need_reset();
    assert!(driver.card.interrupt());
    driver.card.service(dispatch());
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!(driver.fake.events(), [], "until then nothing goes out");
    stream.set(KsState::RUN);
    assert_eq!(driver.fake.events().len(), 1);
    driver.fake.with(|card| {
        assert_eq!(card.streams.get(&stream.id), Some(&3));
        assert_eq!(card.log.iter().filter(|line| line.starts_with("the card needs a reset")).count(), 1);
    });
}
