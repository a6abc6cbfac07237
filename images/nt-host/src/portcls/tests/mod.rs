//! The port against a small miniport of C shape: the whole way of a stream, and what happens when the miniport errs.

#![allow(unsafe_code, reason = "the port of these tests is called through its vtable, as by a driver")]

mod description;
mod events;
mod midi;
mod miniport;
mod playback;
mod ports;
mod violations;

use alloc::boxed::Box;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::vec;
use std::vec::Vec;

use self::miniport::{Behaviour, Fault, Miniport, Recorded};
use super::com::abi::{DONT_HOLD_FOR_SEQUENCING, KsState, property_type};
use super::com::guids;
use super::com::kind::Kind;
use super::com::object::Com;
use super::ks::formats;
use super::pin::unpack::Message;
use super::pin::{Pin, RENDER_GUARD_BYTES};
use super::port::Port;
use super::request::Target;
use super::request::property::{self, Request, Sent};
use crate::contract::rules;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_SUCCESS,
};
use crate::nt::{NTSTATUS, PVOID};

/// Frames a second of the wave pin.
const RATE: u32 = 48_000;

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Returns a port with a miniport of this behaviour, and what its streams hear.
fn port(behaviour: Behaviour) -> (Com<Port>, &'static Recorded) {
    let recorded = leak(Recorded::default());
    let port = Port::create(Kind::DMus);
    let miniport = Com::new(Miniport { port: AtomicPtr::default(), behaviour, recorded });
    // SAFETY: the port's slot 3 is Init.
    let status = unsafe {
        let init: unsafe extern "win64" fn(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID) -> NTSTATUS =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(3).read());
        let some = core::ptr::dangling_mut();
        init(port.as_raw(), some, some, miniport.as_raw(), core::ptr::null_mut(), core::ptr::null_mut())
    };
    assert_eq!(status, STATUS_SUCCESS);
    (port, recorded)
}

fn render_pin(port: &Com<Port>) -> Box<Pin> {
    Pin::open(port, 0, &formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC)).unwrap()
}

fn wave_pin(port: &Com<Port>) -> Box<Pin> {
    Pin::open(port, 1, &formats::pcm(RATE, 2, 16)).unwrap()
}

fn note(delta: i64) -> Message<'static> {
    Message { delta, channel_group: 1, data: &[0x90, 60, 100], raw: false }
}

#[test]
fn a_miniport_is_bound_and_released_without_references_left() {
    let (port, _) = port(Behaviour::default());
    assert_eq!(port.filter().unwrap().pins.len(), 2);
    port.shut_down();
    assert_eq!(port.references(), 1);
}

#[test]
fn events_reach_the_stream_and_come_back() {
    let (port, recorded) = port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps: false, fault: Fault::None });
    let mut pin = render_pin(&port);
    assert_eq!(pin.prefetch(), DONT_HOLD_FOR_SEQUENCING);
    pin.set_state(KsState::Run).unwrap();
    let long = Message { delta: 70, channel_group: 2, data: &[0xF0; 2500], raw: false };
    for message in [note(10), note(10), note(20), long] {
        pin.send(&message, 1000, || false).unwrap();
    }
    pin.flush();
    let events = recorded.events.lock().unwrap();
    let shape: Vec<_> = events.iter().map(|(time, group, data, _)| (*time, *group, data.len())).collect();
    assert_eq!(shape, [(1010, 1, 3), (1010, 1, 3), (1020, 1, 3), (1070, 2, 1000), (1070, 2, 1000), (1070, 2, 500)]);
    assert_eq!(events[0].3, events[1].3, "the two of one time came as a chain");
    drop(events);
    pin.close();
    port.shut_down();
}

#[test]
fn held_events_are_delivered_by_the_dpc_their_prefetch_early() {
    let (port, recorded) = port(Behaviour { prefetch: 100, keeps: false, fault: Fault::None });
    let mut pin = render_pin(&port);
    pin.set_state(KsState::Run).unwrap();
    for delta in [5000, 200, 300] {
        pin.send(&note(delta), 0, || false).unwrap();
    }
    let times = || recorded.events.lock().unwrap().iter().map(|event| event.0).collect::<Vec<_>>();
    pin.deliver_until(99);
    assert_eq!(times(), []);
    pin.deliver_until(200);
    assert_eq!(times(), [200, 300]);
    // What is still held goes back to the pool.
    pin.set_state(KsState::Stop).unwrap();
    assert_eq!(times(), [200, 300]);
    pin.close();
    port.shut_down();
}

#[test]
fn a_pool_that_is_empty_makes_the_sender_wait() {
    let (port, _) = port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps: true, fault: Fault::None });
    let mut pin = render_pin(&port);
    pin.set_state(KsState::Run).unwrap();
    let sent = (0..).take_while(|delta| pin.send(&note(*delta), 0, || false).is_ok()).count();
    assert_eq!(pin.send(&note(0), 0, || false), Err(sent));
    pin.set_state(KsState::Stop).unwrap();
    pin.expect_returned(rules::CONSERVATION, 0, || ());
    assert!(pin.send(&note(0), 0, || false).is_ok());
    pin.close();
    port.shut_down();
}

#[test]
fn a_wave_pin_renders_frames_from_its_anchor_on() {
    let (port, recorded) = port(Behaviour::default());
    let mut pin = wave_pin(&port);
    assert_eq!(pin.wave_format(), Some((RATE, 4)));
    pin.set_state(KsState::Run).unwrap();
    pin.sync_to_master(77).unwrap();
    let mut pcm = vec![0; 4800 + RENDER_GUARD_BYTES];
    pin.render(&mut pcm, 400);
    pin.render(&mut pcm[1600..], 800);
    assert!(pcm[..4800].iter().all(|&byte| byte == 0x11));
    assert_eq!((recorded.rendered.load(Ordering::Relaxed), recorded.sync.lock().unwrap().last()), (1200, Some(&77)));
    pin.close();
    port.shut_down();
}

#[test]
fn formats_and_instances_are_checked_before_new_stream() {
    let (port, _) = port(Behaviour::default());
    let refused = |id, format: &[u8]| Pin::open(&port, id, format).err();
    assert_eq!(refused(9, &[]), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(refused(0, &[0; 10]), Some(STATUS_INVALID_PARAMETER));
    assert_eq!(refused(0, &formats::pcm(RATE, 2, 16)), Some(STATUS_NO_MATCH));
    let pin = render_pin(&port);
    let music = formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    assert_eq!(refused(0, &music), Some(STATUS_INSUFFICIENT_RESOURCES));
    pin.close();
    render_pin(&port).close();
    port.shut_down();
}

#[test]
fn a_node_property_reaches_its_handler_by_the_size_protocol() {
    let (port, _) = port(Behaviour::default());
    let request =
        Request { node: Some(0), set: guids::KSPROPSETID_SYNTH, id: 2, verb: property_type::GET, instance: &[] };
    let ask = |request: &Request<'_>, room: usize| {
        let mut value = vec![0xEE; room];
        let Sent::Answered((status, length)) =
            property::send(Target::Filter(&port), request, &mut value, core::ptr::null_mut())
        else {
            panic!("without a packet nothing stays pending");
        };
        (status, length, value)
    };
    assert_eq!(ask(&request, 0), (STATUS_BUFFER_OVERFLOW, 8, vec![]));
    assert_eq!(ask(&request, 7).0, STATUS_BUFFER_TOO_SMALL);
    let (status, length, value) = ask(&request, 10);
    assert_eq!((status, length, value), (STATUS_SUCCESS, 8, vec![0, 0, 0, 0, 0, 0, 0, 0, 0xEE, 0xEE]));
    let set = Request { verb: property_type::SET, ..request };
    assert_eq!(ask(&set, 8).0, STATUS_INVALID_DEVICE_REQUEST);
    let nowhere = Request { node: Some(5), ..request };
    assert_eq!(ask(&nowhere, 8).0, STATUS_INVALID_PARAMETER);
    port.shut_down();
}
