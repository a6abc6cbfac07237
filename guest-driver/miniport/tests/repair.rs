//! Repair: a card in trouble is reset and told everything again, and one that does not come back is waited for by nobody.

mod common;

use card_spec::control::{RequestCode, Status};
use card_spec::notice::{Notice, NoticeKind};
use common::{NOTE, Rig};
use dmus_miniport::card::CardError;
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::{FakeCard, deliver_interrupts, dispatch, passive};
use portcls::ks::KsState;
use zerocopy::FromZeros;

/// The card loses its session, and says so.
fn lose_session(fake: &FakeCard) {
    fake.with(|card| card.streams.clear());
    let mut record = Notice::new_zeroed();
    record.kind = NoticeKind::STATE_CHANGED.0.into();
    fake.send_news(&record);
}

/// How often the card has been brought to life.
fn lives(rig: &Rig) -> usize {
    rig.fake.with(|card| card.requests.iter().filter(|request| request.code == RequestCode::OPEN).count())
}

/// What the deferred procedure call says, once for all that it has to do.
fn wants_repair(rig: &Rig) -> bool {
    rig.card.interrupt();
    rig.card.service(dispatch())
}

#[test]
fn a_session_that_is_lost_comes_back_with_its_streams_without_anybody_asking() {
    let rig = Rig::new();
    let stream = rig.render().running();
    rig.run_wave();
    assert!(!wants_repair(&rig));
    lose_session(&rig.fake);
    assert!(wants_repair(&rig));
    stream.put(stream.home.message(1, NOTE));
    assert_eq!(rig.fake.events(), [], "until it is repaired nothing goes out");
    rig.card.repair(passive());
    assert_eq!((lives(&rig), rig.fake.events().len(), stream.home.outstanding()), (2, 1, 0));
    assert!(!wants_repair(&rig));
    rig.card.render(passive(), &mut [0; 400]).unwrap();
}

#[test]
fn a_request_that_finds_no_session_is_trouble_and_the_next_one_succeeds() {
    let rig = Rig::new();
    rig.fake.with(|card| card.behaviour.refuses = Some((RequestCode::STATISTICS, Status::NO_SESSION)));
    let refused = CardError::Control(ControlError::Refused(Status::NO_SESSION));
    assert_eq!(rig.card.statistics(passive()).err(), Some(refused));
    rig.fake.with(|card| card.behaviour.refuses = None);
    assert!(wants_repair(&rig));
    rig.card.repair(passive());
    assert_eq!(lives(&rig), 2);
    assert!(rig.card.statistics(passive()).is_ok());
}

#[test]
fn a_ring_that_the_card_has_broken_works_again_after_a_reset() {
    let rig = Rig::new();
    rig.run_wave();
    rig.fake.with(|card| card.behaviour.written_too_much = 1 << 20);
    rig.card.render(passive(), &mut [0; 400]).unwrap();
    rig.fake.with(|card| card.behaviour.written_too_much = 0);
    assert!(wants_repair(&rig));
    rig.card.repair(passive());
    let mut pcm = [0xaa; 16];
    assert_eq!(rig.card.render(passive(), &mut pcm).unwrap(), None);
    assert_eq!(lives(&rig), 2);
}

#[test]
fn a_card_that_breaks_again_and_again_is_given_up_and_holds_nothing() {
    let rig = Rig::new();
    let stream = rig.render().running();
    let mut repairs = 0;
    while repairs < 100 {
        lose_session(&rig.fake);
        if !wants_repair(&rig) {
            break;
        }
        let before = lives(&rig);
        rig.card.repair(passive());
        if lives(&rig) == before {
            break;
        }
        repairs += 1;
    }
    assert!((2..20).contains(&repairs), "{repairs} repairs in a row");
    stream.put(stream.home.message(1, NOTE));
    assert_eq!(stream.home.outstanding(), 0, "events go home");
    let off = CardError::Control(ControlError::Off);
    for state in [KsState::STOP, KsState::RUN] {
        assert_eq!(rig.card.set_render_state(passive(), stream.id, state), Err(off));
    }
    // A device that loses its power and gets it back is given another chance.
    rig.card.power_down(passive());
    rig.card.power_up(passive()).unwrap();
    stream.set(KsState::RUN);
    deliver_interrupts(&rig.card);
    stream.put(stream.home.message(2, NOTE));
    assert_eq!(rig.fake.events().len(), 1);
}

#[test]
fn repairs_that_are_far_apart_are_not_in_a_row() {
    let rig = Rig::new();
    for _ in 0..30 {
        lose_session(&rig.fake);
        assert!(wants_repair(&rig));
        rig.card.repair(passive());
        rig.fake.with(|card| card.milliseconds += 61_000);
    }
    assert_eq!(lives(&rig), 31);
}

#[test]
fn a_device_without_power_is_not_repaired() {
    let rig = Rig::new();
    rig.fake.need_reset();
    deliver_interrupts(&rig.card);
    rig.card.power_down(passive());
    let before = rig.fake.with(|card| (card.statuses.len(), card.requests.len()));
    let stream = rig.card.set_wave_state(passive(), KsState::STOP);
    assert_eq!(stream, Err(CardError::State));
    rig.card.repair(passive());
    assert_eq!(rig.fake.with(|card| (card.statuses.len(), card.requests.len())), before, "no register is touched");
    rig.card.power_up(passive()).unwrap();
    assert_eq!(lives(&rig), 2);
}

#[test]
fn a_stream_that_is_stopped_on_a_card_that_cannot_be_repaired_gives_its_events_back() {
    let rig = Rig::new();
    let stream = rig.render();
    stream.set(KsState::PAUSE);
    stream.put(stream.home.message(1, NOTE));
    assert_eq!(stream.home.outstanding(), 1);
    rig.fake.with(|card| card.behaviour.never_resets = true);
    rig.fake.need_reset();
    deliver_interrupts(&rig.card);
    assert!(rig.card.set_render_state(passive(), stream.id, KsState::STOP).is_err());
    assert_eq!(stream.home.outstanding(), 0);
}
