//! Recovery: a card that needs a reset is reset and restored, and no call waits for one that does not come back.

mod common;

use card_spec::control::{RequestCode, Status};
use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::QUEUE_COUNT;
use common::{NOTE, TestDriver};
use dmus_miniport::card::CardError;
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::{Behaviour, FakeCard, deliver_interrupts, dispatch, passive};
use dmus_miniport::wave::Rendered;
use portcls::ks::KsState;
use zerocopy::FromZeros;

/// Makes the card lose its session, and send the notice of it.
fn lose_session(fake: &FakeCard) {
    fake.with(|card| card.streams.clear());
    let mut record = Notice::new_zeroed();
    record.kind = NoticeKind::STATE_CHANGED.0.into();
    fake.send_notice(&record);
}

/// Returns how many sessions the card has had.
fn sessions(driver: &TestDriver) -> usize {
    driver.fake.with(|card| card.requests.iter().filter(|request| request.code == RequestCode::OPEN).count())
}

/// Runs the deferred procedure call once, and returns whether the card needs recovery.
fn wants_recovery(driver: &TestDriver) -> bool {
    driver.card.interrupt();
    driver.card.service(dispatch())
}

#[test]
fn recovers_a_lost_session_with_its_streams() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    assert!(!wants_recovery(&driver));
    lose_session(&driver.fake);
    assert!(wants_recovery(&driver));
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!(driver.fake.events(), [], "no event is sent before the card has recovered");
    driver.card.recover_or_log(passive());
    assert_eq!((sessions(&driver), driver.fake.events().len(), stream.allocator.outstanding()), (2, 1, 0));
    assert!(!wants_recovery(&driver));
    driver.card.render(passive(), &mut [0; 400]).unwrap();
}

#[test]
fn recovers_a_card_whose_process_was_lost() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    assert!(!wants_recovery(&driver), "an interrupt without a cause is none");
    driver.fake.lose_process();
    assert!(wants_recovery(&driver));
    driver.card.recover_or_log(passive());
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!((sessions(&driver), driver.fake.events().len(), stream.allocator.outstanding()), (2, 1, 0));
    driver.card.render(passive(), &mut [0; 400]).unwrap();
}

#[test]
fn notices_a_lost_process_by_its_silence_when_the_interrupt_was_taken_for_another() {
    let driver = TestDriver::new();
    driver.run_wave();
    driver.fake.with(|card| card.behaviour.sends_no_interrupts = true);
    driver.fake.lose_process();
    let mut pcm = [0xaa; 400];
    assert_eq!(driver.card.render(passive(), &mut pcm).unwrap(), Some(Rendered::Timeout));
    assert_eq!(sessions(&driver), 1);
    driver.card.render(passive(), &mut pcm).unwrap();
    assert_eq!(sessions(&driver), 2, "the next request finds the card recovered");
}

#[test]
fn recovers_after_a_request_that_finds_no_session() {
    let driver = TestDriver::new();
    driver.fake.with(|card| card.behaviour.refuses = Some((RequestCode::STATISTICS, Status::NO_SESSION)));
    let refused = CardError::Control(ControlError::Refused(Status::NO_SESSION));
    assert_eq!(driver.card.statistics(passive()).err(), Some(refused));
    driver.fake.with(|card| card.behaviour.refuses = None);
    assert!(wants_recovery(&driver));
    driver.card.recover_or_log(passive());
    assert_eq!(sessions(&driver), 2);
    assert!(driver.card.statistics(passive()).is_ok());
}

#[test]
fn recovers_after_an_answer_that_cannot_be_read_or_does_not_come() {
    for (behaviour, error) in [
        (Behaviour { wrong_tag: true, ..Behaviour::default() }, ControlError::BadAnswer),
        (Behaviour { misplaced_bytes: 8, ..Behaviour::default() }, ControlError::BadAnswer),
        (Behaviour { answer_bytes: Some(8), ..Behaviour::default() }, ControlError::BadAnswer),
        (Behaviour { answer_bytes: Some(0), ..Behaviour::default() }, ControlError::BadAnswer),
        (Behaviour { ignores_kicks: [true; QUEUE_COUNT], ..Behaviour::default() }, ControlError::Timeout),
    ] {
        let driver = TestDriver::new();
        let stream = driver.render().running();
        driver.fake.with(|card| card.behaviour = behaviour);
        assert_eq!(driver.card.statistics(passive()).err(), Some(CardError::Control(error)));
        driver.fake.with(|card| card.behaviour = Behaviour::default());
        assert!(wants_recovery(&driver), "what the card has done is not known");
        driver.card.recover_or_log(passive());
        assert!(driver.card.statistics(passive()).is_ok());
        stream.put(stream.allocator.message(1, NOTE));
        assert_eq!((sessions(&driver), driver.fake.events().len(), stream.allocator.outstanding()), (2, 1, 0));
    }
}

#[test]
fn recovers_a_ring_that_the_card_has_broken() {
    let driver = TestDriver::new();
    driver.run_wave();
    driver.fake.with(|card| card.behaviour.written_too_much = 1 << 20);
    driver.card.render(passive(), &mut [0; 400]).unwrap();
    driver.fake.with(|card| card.behaviour.written_too_much = 0);
    assert!(wants_recovery(&driver));
    driver.card.recover_or_log(passive());
    let mut pcm = [0xaa; 16];
    assert_eq!(driver.card.render(passive(), &mut pcm).unwrap(), None);
    assert_eq!(sessions(&driver), 2);
}

#[test]
fn leaves_a_card_off_that_fails_again_and_again_and_holds_no_event() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    let mut recoveries = 0;
    while recoveries < 100 {
        lose_session(&driver.fake);
        if !wants_recovery(&driver) {
            break;
        }
        let before = sessions(&driver);
        driver.card.recover_or_log(passive());
        if sessions(&driver) == before {
            break;
        }
        recoveries += 1;
    }
    assert!((2..20).contains(&recoveries), "{recoveries} recoveries in a row");
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!(stream.allocator.outstanding(), 0, "events go allocator");
    let off = CardError::Control(ControlError::Off);
    for state in [KsState::STOP, KsState::RUN] {
        assert_eq!(driver.card.set_render_state(passive(), stream.id, state), Err(off));
    }
    // A device that loses its power and gets it back is given another chance.
    driver.card.power_down(passive());
    driver.card.power_up(passive()).unwrap();
    stream.set(KsState::RUN);
    deliver_interrupts(&driver.card);
    stream.put(stream.allocator.message(2, NOTE));
    assert_eq!(driver.fake.events().len(), 1);
}

#[test]
fn counts_no_recoveries_in_a_row_that_are_far_apart() {
    let driver = TestDriver::new();
    for _ in 0..30 {
        lose_session(&driver.fake);
        assert!(wants_recovery(&driver));
        driver.card.recover_or_log(passive());
        driver.fake.with(|card| card.milliseconds += 61_000);
    }
    assert_eq!(sessions(&driver), 31);
}

#[test]
fn recovers_no_device_without_power() {
    let driver = TestDriver::new();
    driver.fake.need_reset();
    deliver_interrupts(&driver.card);
    driver.card.power_down(passive());
    let before = driver.fake.with(|card| (card.statuses.len(), card.requests.len()));
    let stream = driver.card.set_wave_state(passive(), KsState::STOP);
    assert_eq!(stream, Err(CardError::State));
    driver.card.recover_or_log(passive());
    assert_eq!(driver.fake.with(|card| (card.statuses.len(), card.requests.len())), before, "no register is touched");
    driver.card.power_up(passive()).unwrap();
    assert_eq!(sessions(&driver), 2);
}

#[test]
fn gives_events_back_when_a_stream_stops_on_a_card_that_cannot_recover() {
    let driver = TestDriver::new();
    let stream = driver.render();
    stream.set(KsState::PAUSE);
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!(stream.allocator.outstanding(), 1);
    driver.fake.with(|card| card.behaviour.never_resets = true);
    driver.fake.need_reset();
    deliver_interrupts(&driver.card);
    assert!(driver.card.set_render_state(passive(), stream.id, KsState::STOP).is_err());
    assert_eq!(stream.allocator.outstanding(), 0);
}
