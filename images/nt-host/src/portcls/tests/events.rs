//! Events of the test miniport, enabled, generated and disabled.

#![allow(unsafe_code, reason = "clients' data is passed by address")]

use std::vec;

use super::description::{EVENT_SET, PORT_EVENTS, VERBS};
use super::miniport::Behaviour;
use super::{port, render_pin};
use crate::ks::layout::{KSEVENTDATA, notification};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_NOT_FOUND, STATUS_PROPSET_NOT_FOUND, STATUS_SUCCESS};
use crate::portcls::com::abi::{event_type, event_verb};
use crate::portcls::com::object::Com;
use crate::portcls::com::{guids, slots};
use crate::portcls::ks::event_list::{self, Generated};
use crate::portcls::port::Port;
use crate::portcls::request::{Target, event};

/// Returns a client's data. The double of the kernel counts its notifications in `notified`.
fn client(notified: &mut u32) -> KSEVENTDATA {
    let object = core::ptr::from_mut(notified) as usize;
    KSEVENTDATA { NotificationType: notification::EVENT_OBJECT, Object: object, Detail: 0, Reserved: 0 }
}

fn request(verb: u32) -> event::Request {
    event::Request { node: Some(0), set: EVENT_SET, id: 1, verb }
}

fn generated(port: &Com<Port>, node: u32) -> Generated {
    Generated { port: port.as_raw() as usize, set: None, id: 1, pin: None, node: Some(node) }
}

fn enable(target: Target<'_>, request: &event::Request, data: &mut KSEVENTDATA) -> NTSTATUS {
    // SAFETY: the data outlives the event in each test.
    unsafe { event::request(target, request, data, core::ptr::null_mut()) }
}

/// Returns a port whose handler knows its list of events.
fn with_list() -> Com<Port> {
    let (port, _) = port(Behaviour::default());
    let mut list = core::ptr::null_mut();
    // SAFETY: a live port.
    let status = unsafe { slots::unknown::query_interface(port.as_raw(), &guids::IID_IPORTEVENTS, &mut list) };
    assert_eq!(status, STATUS_SUCCESS);
    // SAFETY: the test's own reference keeps the port.
    unsafe { slots::unknown::release(list) };
    PORT_EVENTS.set(list);
    port
}

#[test]
fn signals_an_enabled_event_until_it_is_disabled() {
    let port = with_list();
    let (mut notified, target) = (0, Target::Filter(&port));
    let mut data = client(&mut notified);
    assert_eq!(enable(target, &request(event_type::ENABLE), &mut data), STATUS_SUCCESS);
    assert_eq!([1, 0, 0].map(|node| event_list::generate(&generated(&port, node))), [0, 1, 1]);
    assert_eq!(event::disable(target, &raw const data), STATUS_SUCCESS);
    assert_eq!((event_list::generate(&generated(&port, 0)), event_list::count(port.as_raw() as usize)), (0, 0));
    assert_eq!(event::disable(target, &raw const data), STATUS_NOT_FOUND);
    assert_eq!((notified, VERBS.take()), (2, vec![event_verb::ADD, event_verb::REMOVE]));
    port.shut_down();
}

#[test]
fn signals_a_oneshot_event_once_and_lets_it_be_disabled() {
    let port = with_list();
    let (mut notified, target) = (0, Target::Filter(&port));
    let mut data = client(&mut notified);
    assert_eq!(enable(target, &request(event_type::ONESHOT), &mut data), STATUS_SUCCESS);
    assert_eq!([0, 0].map(|node| event_list::generate(&generated(&port, node))), [1, 0]);
    assert_eq!(event::disable(target, core::ptr::null()), STATUS_SUCCESS);
    assert_eq!((notified, event_list::count(port.as_raw() as usize)), (1, 0));
    port.shut_down();
}

#[test]
fn an_event_of_a_pin_ends_with_the_pin() {
    let port = with_list();
    let pin = render_pin(&port);
    let mut notified = 0;
    let mut data = client(&mut notified);
    assert_eq!(enable(Target::Pin(&pin), &request(event_type::ENABLE), &mut data), STATUS_SUCCESS);
    assert_eq!(event::disable(Target::Filter(&port), &raw const data), STATUS_NOT_FOUND, "another handle's");
    pin.close();
    assert_eq!(
        (event_list::count(port.as_raw() as usize), VERBS.take()),
        (0, vec![event_verb::ADD, event_verb::REMOVE])
    );
    port.shut_down();
}

#[test]
fn does_not_find_an_event_that_is_in_no_table() {
    let port = with_list();
    let (mut notified, target) = (0, Target::Filter(&port));
    let mut data = client(&mut notified);
    let other = event::Request { id: 2, ..request(event_type::ENABLE) };
    assert_eq!(enable(target, &other, &mut data), STATUS_NOT_FOUND);
    let elsewhere = event::Request { node: None, ..request(event_type::ENABLE) };
    assert_eq!(enable(target, &elsewhere, &mut data), STATUS_PROPSET_NOT_FOUND);
    port.shut_down();
}

#[test]
#[should_panic(expected = "rule 203")]
fn an_event_that_is_accepted_and_put_on_no_list_breaks_a_rule() {
    let (port, _) = port(Behaviour::default());
    // The port is bound when the test ends.
    let port = core::mem::ManuallyDrop::new(port);
    PORT_EVENTS.set(core::ptr::null_mut());
    let mut notified = 0;
    let mut data = client(&mut notified);
    enable(Target::Filter(&port), &request(event_type::ENABLE), &mut data);
}
