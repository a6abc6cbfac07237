//! The MPU-401 miniports, bound to a port, on a double of the device.

#![allow(unsafe_code, reason = "the port and the miniport are called through their vtables, as by a driver")]

use alloc::boxed::Box;
use core::cell::RefCell;
use core::ffi::c_void;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use super::make;
use super::mpu401::Mpu401;
use crate::nt::status::{
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INSUFFICIENT_RESOURCES, STATUS_IO_DEVICE_ERROR, STATUS_SUCCESS,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::KsState;
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::kind::Kind;
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::Foreign;
use crate::portcls::kernel;
use crate::portcls::ks::formats;
use crate::portcls::pin::Pin;
use crate::portcls::pin::delivery::Batch;
use crate::portcls::pin::unpack::{Fragment, Message};
use crate::portcls::port::Port;
use crate::portcls::services::resources::ResourceList;

/// An MPU-401.
#[derive(Default)]
struct Device {
    uart: bool,
    /// It takes nothing.
    busy: bool,
    /// It acknowledges nothing.
    silent: bool,
    for_host: VecDeque<u8>,
    sent: Vec<u8>,
    resets: usize,
}

/// Puts a device at two ports of this thread.
fn device_at(base: u16) -> Rc<RefCell<Device>> {
    let device = Rc::new(RefCell::new(Device::default()));
    let answering = Rc::clone(&device);
    kernel::set_ports(Box::new(move |port, written| {
        let mut device = answering.borrow_mut();
        match (port.wrapping_sub(base), written) {
            (0, None) => device.for_host.pop_front().unwrap_or(0xFF),
            (0, Some(byte)) => {
                assert!(device.uart && !device.busy, "a byte comes when the device takes one");
                device.sent.push(byte);
                0
            }
            (1, None) => 0x3F | u8::from(device.busy) << 6 | u8::from(device.for_host.is_empty()) << 7,
            (1, Some(command)) => {
                let acknowledges = !(device.silent || command == 0xFF && device.uart);
                device.resets += usize::from(command == 0xFF);
                device.uart = command == 0x3F;
                if acknowledges {
                    device.for_host.push_back(0xFE);
                }
                0
            }
            _ => panic!("port {port:#x} is accessed"),
        }
    }));
    device
}

fn bind(class: &GUID, list: &Com<ResourceList>) -> (Com<Port>, NTSTATUS) {
    let port = Port::create(Kind::DMus);
    // SAFETY: a reference of ours; the port's slot 3 is Init.
    let status = unsafe {
        let miniport = Foreign::from_owned(make(class).unwrap());
        let init: unsafe extern "win64" fn(PVOID, PVOID, PVOID, PVOID, PVOID, PVOID) -> NTSTATUS =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(3).read());
        let some = core::ptr::dangling_mut();
        init(port.as_raw(), some, some, miniport.as_raw(), core::ptr::null_mut(), list.as_raw())
    };
    (port, status)
}

fn bound(class: &GUID, base: u16) -> Com<Port> {
    let list = ResourceList::with_ports(base.into(), 2);
    let (port, status) = bind(class, &list);
    assert_eq!(status, STATUS_SUCCESS);
    drop(list);
    port
}

fn running(port: &Com<Port>, id: u32, sub: GUID) -> Box<Pin> {
    let mut pin = Pin::open(port, id, &formats::music(sub)).unwrap();
    pin.set_state(KsState::Run).unwrap();
    pin
}

fn send(pin: &Pin, data: &[u8]) {
    pin.send(&Message { delta: 0, channel_group: 1, data, raw: false }, 1, || false).unwrap();
    pin.flush();
    pin.deliver_until(i64::MAX);
}

/// Lets the device receive bytes, and the miniport's service routine and group do what they do.
fn receive(device: &RefCell<Device>, base: u16, pin: &Pin, bytes: &[u8]) -> Vec<Vec<u8>> {
    device.borrow_mut().for_host.extend(bytes);
    assert!(Mpu401::at(base).unwrap().drain());
    let port = pin.port();
    // SAFETY: the port's slot 6 is Notify.
    unsafe {
        let notify: unsafe extern "win64" fn(PVOID, PVOID) =
            core::mem::transmute(port.as_raw().cast::<*const *const ()>().read().add(6).read());
        notify(port.as_raw(), core::ptr::null_mut());
    }
    pin.take_captured().unwrap().into_iter().map(|event| event.data).collect()
}

const LONG: &[u8] = &[0xF0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xF7];

/// The pins of CLSID_MiniportDriverDMusUART; the other class has the last alone.
const TO_MIDI: u32 = 0;
const TO_DIRECTMUSIC: u32 = 1;
const FROM: u32 = 2;

#[test]
fn the_dmus_miniport_enters_uart_mode_and_sends_in_order() {
    let device = device_at(0x330);
    let port = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x330);
    assert!(device.borrow().uart);
    let midi = running(&port, TO_MIDI, guids::KSDATAFORMAT_SUBTYPE_MIDI);
    let directmusic = running(&port, TO_DIRECTMUSIC, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    send(&midi, &[0x90, 60, 100]);
    send(&directmusic, LONG);
    assert_eq!(device.borrow().sent, [&[0x90, 60, 100][..], LONG].concat());
    assert_eq!(midi.allocator().events_out() + directmusic.allocator().events_out(), 0);
    midi.close();
    directmusic.close();
    port.shut_down();
}

#[test]
fn a_busy_device_keeps_events_until_it_takes_them_or_the_stream_stops() {
    let device = device_at(0x332);
    let port = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x332);
    let mut pin = running(&port, TO_DIRECTMUSIC, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    device.borrow_mut().busy = true;
    send(&pin, LONG);
    assert_eq!((pin.allocator().events_out(), device.borrow().sent.len()), (1, 0));
    device.borrow_mut().busy = false;
    send(&pin, &[0xF8]);
    assert_eq!(device.borrow().sent, [LONG, &[0xF8]].concat());
    assert_eq!(pin.allocator().events_out(), 0);
    device.borrow_mut().busy = true;
    send(&pin, LONG);
    pin.set_state(KsState::Stop).unwrap();
    assert_eq!(pin.allocator().events_out(), 0);
    pin.close();
    port.shut_down();
}

#[test]
fn what_comes_when_a_stream_has_stopped_goes_back_at_once() {
    let device = device_at(0x350);
    let port = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x350);
    let mut pin = running(&port, TO_DIRECTMUSIC, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    let put = |pin: &Pin| {
        let fragment = Fragment { flags: 0, data: &[0x90, 60, 100] };
        let event = pin.allocator().fill(&fragment, 1, 1).unwrap();
        pin.put(Batch { first: event, count: 1 });
    };
    pin.set_state(KsState::Pause).unwrap();
    put(&pin);
    assert_eq!((pin.allocator().events_out(), device.borrow().sent.len()), (1, 0), "PAUSE holds it");
    pin.set_state(KsState::Stop).unwrap();
    assert_eq!(pin.allocator().events_out(), 0);
    put(&pin);
    assert_eq!((pin.allocator().events_out(), device.borrow().sent.len()), (0, 0), "STOP gives it back");
    pin.close();
}

#[test]
fn what_is_received_is_captured_in_messages() {
    for (class, pin, base) in
        [(guids::CLSID_MINIPORTDRIVERDMUSUART, FROM, 0x334), (guids::CLSID_MINIPORTDRIVERDMUSUARTCAPTURE, 0, 0x336)]
    {
        for sub in [guids::KSDATAFORMAT_SUBTYPE_MIDI, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC] {
            let device = device_at(base);
            let port = bound(&class, base);
            // Nothing that came before a stream runs reaches it.
            device.borrow_mut().for_host.push_back(0xF6);
            assert!(Mpu401::at(base).unwrap().drain());
            let pin = running(&port, pin, sub);
            let taken = receive(&device, base, &pin, &[&[0x90, 60, 100, 61, 0][..], LONG].concat());
            assert_eq!(taken, [vec![0x90, 60, 100], vec![0x90, 61, 0], LONG.to_vec()]);
            pin.close();
            port.shut_down();
        }
    }
}

#[test]
fn two_miniports_with_the_same_ports_share_the_device() {
    let device = device_at(0x338);
    let render = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x338);
    let capture = bound(&guids::CLSID_MINIPORTDRIVERDMUSUARTCAPTURE, 0x338);
    assert_eq!(device.borrow().resets, 1);
    let pin = running(&capture, 0, guids::KSDATAFORMAT_SUBTYPE_MIDI);
    assert!(Pin::open(&render, FROM, &formats::music(guids::KSDATAFORMAT_SUBTYPE_MIDI)).is_err(), "one cable comes in");
    let to = running(&render, TO_MIDI, guids::KSDATAFORMAT_SUBTYPE_MIDI);
    send(&to, &[0xFA]);
    assert_eq!(receive(&device, 0x338, &pin, &[0xF8]), [vec![0xF8]]);
    assert_eq!(device.borrow().sent, [0xFA]);
    [pin, to].into_iter().for_each(Pin::close);
    render.shut_down();
    capture.shut_down();
}

#[test]
fn the_midi_miniport_plays_and_captures() {
    let device = device_at(0x33A);
    let port = bound(&guids::CLSID_MINIPORTDRIVERUART, 0x33A);
    let (to, from) =
        (running(&port, 0, guids::KSDATAFORMAT_SUBTYPE_MIDI), running(&port, 1, guids::KSDATAFORMAT_SUBTYPE_MIDI));
    let long: Vec<u8> = [0xF0].into_iter().chain((0..3000).map(|byte| (byte % 128) as u8)).chain([0xF7]).collect();
    device.borrow_mut().busy = true;
    send(&to, &long);
    assert!(device.borrow().sent.is_empty());
    device.borrow_mut().busy = false;
    for _ in 0..20 {
        to.serve();
    }
    assert_eq!(device.borrow().sent, long);
    assert_eq!(receive(&device, 0x33A, &from, LONG), [LONG.to_vec()]);
    [to, from].into_iter().for_each(Pin::close);
    port.shut_down();
}

#[test]
fn a_stuck_device_is_an_error_and_no_endless_wait() {
    let device = device_at(0x33C);
    let port = bound(&guids::CLSID_MINIPORTDRIVERUART, 0x33C);
    let pin = running(&port, 0, guids::KSDATAFORMAT_SUBTYPE_MIDI);
    device.borrow_mut().busy = true;
    send(&pin, &[0x55; 2000]);
    (0..10_000).for_each(|_| kernel::pause());
    pin.serve();
    assert_eq!(pin.refused(), Some(STATUS_IO_DEVICE_ERROR));
    pin.close();
    port.shut_down();
}

#[test]
fn init_fails_without_ports_or_without_a_device() {
    let device = device_at(0x33E);
    for (list, expected) in [
        (ResourceList::sublist(1), STATUS_DEVICE_CONFIGURATION_ERROR),
        (ResourceList::with_ports(0x33E, 1), STATUS_DEVICE_CONFIGURATION_ERROR),
        (ResourceList::with_ports(0x1_0000, 2), STATUS_DEVICE_CONFIGURATION_ERROR),
    ] {
        assert_eq!(bind(&guids::CLSID_MINIPORTDRIVERDMUSUART, &list).1, expected);
    }
    let list = ResourceList::with_ports(0x33E, 2);
    device.borrow_mut().silent = true;
    assert_eq!(bind(&guids::CLSID_MINIPORTDRIVERDMUSUART, &list).1, STATUS_IO_DEVICE_ERROR);
    *device.borrow_mut() = Device { busy: true, ..Device::default() };
    assert_eq!(bind(&guids::CLSID_MINIPORTDRIVERUART, &list).1, STATUS_IO_DEVICE_ERROR);
    assert_eq!(list.references(), 1);
}

#[test]
fn power_comes_back_in_uart_mode() {
    let device = device_at(0x340);
    let port = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x340);
    let pin = running(&port, TO_MIDI, guids::KSDATAFORMAT_SUBTYPE_MIDI);
    let power = |state| {
        for listener in port.power_listeners() {
            // SAFETY: the reference keeps the object.
            unsafe { crate::portcls::com::slots::power_notify::power_change_notify(listener.as_raw(), state) };
        }
    };
    power(4);
    *device.borrow_mut() = Device { busy: true, ..Device::default() };
    send(&pin, &[0xF8]);
    device.borrow_mut().busy = false;
    power(1);
    assert!(device.borrow().uart);
    assert_eq!(device.borrow().sent, [0xF8]);
    power(1);
    assert_eq!(device.borrow().resets, 1);
    pin.close();
    port.shut_down();
}

#[test]
fn a_pin_opens_once() {
    let _device = device_at(0x342);
    let port = bound(&guids::CLSID_MINIPORTDRIVERDMUSUART, 0x342);
    let format = formats::music(guids::KSDATAFORMAT_SUBTYPE_MIDI);
    let first = Pin::open(&port, TO_MIDI, &format).unwrap();
    assert_eq!(Pin::open(&port, TO_MIDI, &format).err(), Some(STATUS_INSUFFICIENT_RESOURCES));
    first.close();
    Pin::open(&port, TO_MIDI, &format).unwrap().close();
    port.shut_down();
}

#[test]
fn set_technology_overwrites_each_music_range() {
    let _device = device_at(0x344);
    // SAFETY: a reference of ours; slot 3 of IMusicTechnology is SetTechnology.
    unsafe {
        let miniport = Foreign::from_owned(make(&guids::CLSID_MINIPORTDRIVERDMUSUART).unwrap());
        let technology = miniport.query(&guids::IID_IMUSICTECHNOLOGY).unwrap();
        let set: unsafe extern "win64" fn(PVOID, *const GUID) -> NTSTATUS =
            core::mem::transmute(technology.as_raw().cast::<*const *const ()>().read().add(3).read());
        assert_eq!(set(technology.as_raw(), &guids::KSDATAFORMAT_TYPE_MUSIC), STATUS_SUCCESS);
        let mut description = core::ptr::null();
        crate::portcls::com::slots::miniport::get_description(miniport.as_raw(), &raw mut description);
        let pins: *const c_void = (*description).pins.cast();
        let range = pins.cast::<crate::portcls::com::abi::PinDescriptor>().read_unaligned().ks.data_ranges.read();
        assert_eq!(range.add(1).cast::<GUID>().read(), guids::KSDATAFORMAT_TYPE_MUSIC);
    }
}
