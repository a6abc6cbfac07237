//! Power: without it the card is not touched, and with it everything is as it was.

mod common;

use card_spec::control::{PortParameters, RequestCode};
use common::{NOTE, Rig, played};
use dmus_miniport::card::{CardError, VolumeItem};
use dmus_miniport::control::ControlError;
use dmus_miniport::fake::passive;
use portcls::ks::KsState;
use zerocopy::FromZeros;

/// What the card loses with its power.
fn lose_power(rig: &Rig) {
    rig.fake.with(|card| {
        card.streams.clear();
        card.downloads.clear();
        card.frame = 0;
        card.behaviour.gone = true;
    });
}

fn power_cycle(rig: &Rig) {
    rig.card.power_down(passive());
    lose_power(rig);
    rig.fake.with(|card| card.behaviour.gone = false);
    rig.card.power_up(passive()).unwrap();
}

#[test]
fn a_card_that_is_off_is_not_touched() {
    let rig = Rig::new();
    let stream = rig.render().running();
    rig.run_wave();
    rig.card.power_down(passive());
    let before = rig.fake.with(|card| (card.kicks, card.statuses.clone(), card.requests.len()));
    assert_eq!(before.1.last(), Some(&0), "it was reset");
    stream.put(stream.home.message(0, NOTE));
    assert!(!rig.card.interrupt());
    let mut pcm = [0xaa; 16];
    rig.card.render(passive(), &mut pcm).unwrap();
    assert_eq!(pcm, [0; 16]);
    assert_eq!(rig.card.statistics(passive()).err(), Some(CardError::Control(ControlError::Off)));
    rig.card.power_down(passive());
    stream.set(KsState::PAUSE);
    let after = rig.fake.with(|card| (card.kicks, card.statuses.clone(), card.requests.len()));
    assert_eq!(after, before);
    assert_eq!(stream.home.outstanding(), 1, "the event waits");
}

#[test]
fn streams_come_back_in_their_states_and_held_events_play() {
    let rig = Rig::new();
    let (running, paused) = (rig.render().running(), rig.render());
    paused.set(KsState::PAUSE);
    rig.run_wave();
    rig.card.render(passive(), &mut [0; 400]).unwrap();
    rig.card.power_down(passive());
    lose_power(&rig);
    running.put(running.home.message(7, NOTE));
    rig.fake.with(|card| card.behaviour.gone = false);
    rig.card.power_up(passive()).unwrap();
    let states = rig.fake.with(|card| card.streams.values().copied().collect::<Vec<_>>());
    assert_eq!(states, [3, 2, 3]);
    assert_eq!(played(&rig.fake), [(7, NOTE.to_vec())]);
    assert_eq!(running.home.outstanding(), 0);
    rig.card.render(passive(), &mut [0; 400]).unwrap();
    let (anchor, rate) = rig.card.anchor(dmus_miniport::fake::dispatch()).unwrap();
    assert_eq!(anchor.time_of(0, rate), 0, "time goes on");
}

#[test]
fn parameters_and_volume_are_told_again() {
    let rig = Rig::new();
    let mut wanted = PortParameters::new_zeroed();
    (wanted.valid, wanted.channel_groups) = (2.into(), 9.into());
    rig.card.set_parameters(passive(), &wanted).unwrap();
    rig.card.set_volume(passive(), VolumeItem::Volume, -600).unwrap();
    let before = rig.fake.with(|card| card.requests.len());
    power_cycle(&rig);
    let codes: Vec<_> = rig.fake.with(|card| card.requests[before..].iter().map(|request| request.code).collect());
    assert_eq!(
        codes,
        [RequestCode::CLOSE, RequestCode::OPEN, RequestCode::STATUS_PAGE, RequestCode::PARAMETERS, RequestCode::VOLUME]
    );
}

#[test]
fn downloads_are_gone_and_their_handles_with_them() {
    let rig = Rig::new();
    let handle = rig.card.download(passive(), 0, 64, |to| {
        to.write_bytes(0, &[1; 64]);
        true
    });
    power_cycle(&rig);
    assert!(rig.card.unload(passive(), handle.unwrap()).is_err());
}

#[test]
fn power_comes_and_goes_any_number_of_times() {
    let rig = Rig::new();
    let stream = rig.render().running();
    for time in 0..50 {
        power_cycle(&rig);
        rig.card.power_up(passive()).unwrap();
        stream.put(stream.home.message(time, NOTE));
    }
    assert_eq!(played(&rig.fake).len(), 50);
    assert_eq!(stream.close().outstanding(), 0);
}

#[test]
fn a_card_that_does_not_come_back_stays_off() {
    let rig = Rig::new();
    rig.card.power_down(passive());
    lose_power(&rig);
    assert!(rig.card.power_up(passive()).is_err());
    assert_eq!(rig.card.statistics(passive()).err(), Some(CardError::Control(ControlError::Off)));
    rig.fake.with(|card| card.behaviour.gone = false);
    rig.card.power_up(passive()).unwrap();
    assert!(rig.card.statistics(passive()).is_ok());
}
