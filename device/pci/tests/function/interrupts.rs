//! The interrupt line and MSI-X: what reaches the machine, and when.

use crate::common::client::{BOOL, EVENTFD, INTX, MASK, MSIX, NONE, Raw, TRIGGER, UNMASK};
use crate::common::memory::{eventfd, signal, signals};
use crate::common::{Bench, PENDING, TABLE, VECTORS, until};
use crate::wire;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

const MEMORY: u16 = 2;
const MASTER: u16 = 4;
const NO_LINE: u16 = 1 << 10;

fn status_bit(client: &mut Raw) -> bool {
    client.config(6, 2) & 8 != 0
}

/// Connects the line, unmasked.
fn line(client: &mut Raw) -> OwnedFd {
    let fd = eventfd();
    client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&fd]).unwrap();
    fd
}

/// Connects some vectors from `start` on, and enables MSI-X and bus mastering.
fn vectors(client: &mut Raw, start: u32, count: usize) -> Vec<OwnedFd> {
    let fds: Vec<OwnedFd> = std::iter::repeat_with(eventfd).take(count).collect();
    client.command(MEMORY | MASTER);
    msix_control(client, 0x8000);
    client.set_irqs(MSIX, EVENTFD | TRIGGER, start, count as u32, &fds.iter().collect::<Vec<_>>()).unwrap();
    fds
}

fn msix_control(client: &mut Raw, bits: u16) {
    let control = client.capability(0x11, 0) + 2;
    client.set_config(control, bits.to_le_bytes());
}

fn pending(client: &mut Raw, vector: u64) -> bool {
    let word = client.read(4, PENDING + vector / 64 * 8, 8).unwrap();
    u64::from_le_bytes(word.try_into().unwrap()) & 1 << (vector % 64) != 0
}

#[test]
fn an_asserted_line_interrupts_until_it_is_handled_and_deasserted() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    assert!(!status_bit(&mut client));
    bench.handle.set_line(true);
    assert!(status_bit(&mut client));
    assert_eq!(signals(&fd), 1);
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0, "the guest has not handled the first");
    client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    assert_eq!(signals(&fd), 1, "the line is still asserted");
    bench.handle.set_line(false);
    assert!(!status_bit(&mut client));
    client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    assert_eq!(signals(&fd), 0);
    let status = bench.control().status();
    assert_eq!((&status["interrupts"], &status["counters"]["interrupts-sent"]), (&1.into(), &2.into()));
}

#[test]
fn a_line_that_is_deasserted_before_the_client_has_taken_its_signal_has_not_interrupted() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    for _ in 0..3 {
        bench.handle.set_line(true);
        bench.handle.set_line(false);
        assert_eq!(signals(&fd), 0, "nothing is left to handle");
    }
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 1, "the line is not masked by what was taken back");
    bench.handle.set_line(false);
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0, "the client has taken the signal, and has not unmasked the line");
    client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    assert_eq!(signals(&fd), 1);
    assert_eq!(bench.control().status()["counters"]["interrupts-sent"], 2);
}

#[test]
fn a_masked_line_waits() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    client.plain_irqs(INTX, NONE | MASK, 0, 1).unwrap();
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0);
    let fds: &[&OwnedFd] = &[];
    client
        .ask(crate::common::client::SET_IRQS, &[wire!(20u32, BOOL | UNMASK, INTX, 0u32, 1u32), vec![0]].concat())
        .unwrap();
    assert_eq!(signals(&fd), 0, "the flag says not to");
    client
        .ask(crate::common::client::SET_IRQS, &[wire!(20u32, BOOL | UNMASK, INTX, 0u32, 1u32), vec![1]].concat())
        .unwrap();
    assert_eq!(signals(&fd), 1);
    client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, fds).unwrap();
    bench.handle.set_line(false);
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0, "its eventfd was taken away");
}

#[test]
fn an_eventfd_unmasks_the_line() {
    let bench = Bench::new();
    let mut client = bench.client();
    let (fd, unmask) = (line(&mut client), eventfd());
    client.set_irqs(INTX, EVENTFD | UNMASK, 0, 1, &[&unmask]).unwrap();
    bench.handle.set_line(true);
    for _ in 0..3 {
        until("the line interrupts", || (signals(&fd) == 1).then_some(()));
        signal(&unmask);
    }
    until("the line interrupts", || (signals(&fd) == 1).then_some(()));
    bench.handle.set_line(false);
    signal(&unmask);
    until("the unmask eventfd is read", || (signals(&unmask) == 0).then_some(()));
    assert_eq!(signals(&fd), 0);
}

#[test]
fn an_eventfd_that_is_none_is_given_up() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    let zeroes = std::fs::File::open("/dev/zero").unwrap();
    client.set_irqs(INTX, EVENTFD | UNMASK, 0, 1, &[&zeroes]).unwrap();
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 1);
    client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    assert_eq!(signals(&fd), 1);
    // A trigger that would block does not hold the card.
    let (_full, pipe) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&pipe, true).unwrap();
    while rustix::io::write(&pipe, &[0; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&pipe, false).unwrap();
    client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&pipe]).unwrap();
    assert_eq!(bench.control().status()["counters"]["interrupts-refused"], 1);
}

#[test]
fn the_interrupt_disable_bit_holds_the_line_and_not_the_status() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    client.command(NO_LINE);
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0);
    assert!(status_bit(&mut client));
    client.command(0);
    assert_eq!(signals(&fd), 1, "as soon as it is not disabled");
}

#[test]
fn a_function_that_uses_messages_does_not_use_its_line() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = line(&mut client);
    assert!(!bench.handle.uses_messages());
    msix_control(&mut client, 0x8000);
    assert!(bench.handle.uses_messages());
    bench.handle.set_line(true);
    assert_eq!(signals(&fd), 0);
    msix_control(&mut client, 0);
    assert_eq!(signals(&fd), 1);
}

#[test]
fn a_function_without_a_pin_has_no_line() {
    let bench = Bench::with(vfio_user_card::Description::new("plain", 1, 2), None);
    let mut client = bench.client();
    bench.handle.set_line(true);
    assert!(!status_bit(&mut client));
    let fd = eventfd();
    assert_eq!(client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&fd]), Err(Errno::INVAL));
    bench.handle.trigger(0);
    assert_eq!(bench.control().status()["interrupts"], 0);
}

#[test]
fn each_vector_has_its_own_message() {
    let bench = Bench::new();
    let mut client = bench.client();
    let low = vectors(&mut client, 0, 3);
    let high = vectors(&mut client, u32::from(VECTORS) - 2, 2);
    bench.handle.trigger(1);
    bench.handle.trigger(VECTORS - 1);
    bench.handle.trigger(VECTORS - 1);
    assert_eq!(low.iter().map(signals).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(high.iter().map(signals).collect::<Vec<_>>(), [0, 2]);
    bench.handle.trigger(VECTORS);
    let log = bench.control().ask(&serde_json::json!({"cmd": "log"})).to_string();
    assert!(log.contains("triggers vector 70, which it does not have"), "{log}");
    assert_eq!(bench.control().status()["interrupts"], 3);
}

#[test]
fn a_message_waits_as_a_pending_bit_until_it_may_be_sent() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fds = vectors(&mut client, 64, 2);
    let mut check = |name: &str, hold: &mut dyn FnMut(&mut Raw), release: &mut dyn FnMut(&mut Raw)| {
        hold(&mut client);
        bench.handle.trigger(65);
        bench.handle.trigger(65);
        assert_eq!(signals(&fds[1]), 0, "{name}");
        assert!(pending(&mut client, 65) && !pending(&mut client, 64), "{name}");
        release(&mut client);
        assert_eq!(signals(&fds[1]), 1, "{name}: sent once");
        assert!(!pending(&mut client, 65), "{name}");
        assert_eq!(signals(&fds[0]), 0, "{name}");
    };
    check("function mask", &mut |c| msix_control(c, 0xc000), &mut |c| msix_control(c, 0x8000));
    check("disabled", &mut |c| msix_control(c, 0), &mut |c| msix_control(c, 0x8000));
    check("bus mastering", &mut |c| c.command(MEMORY), &mut |c| c.command(MEMORY | MASTER));
    check("masked by the client", &mut |c| c.plain_irqs(MSIX, NONE | MASK, 65, 1).unwrap(), &mut |c| {
        c.plain_irqs(MSIX, NONE | UNMASK, 65, 1).unwrap();
    });
    check("masked in the table", &mut |c| c.write(4, TABLE + 65 * 16 + 12, &1u32.to_le_bytes()).unwrap(), &mut |c| {
        c.write(4, TABLE + 65 * 16 + 12, &0u32.to_le_bytes()).unwrap();
    });
    let none: &[&OwnedFd] = &[];
    check("without an eventfd", &mut |c| c.set_irqs(MSIX, EVENTFD | TRIGGER, 65, 1, none).unwrap(), &mut |c| {
        c.set_irqs(MSIX, EVENTFD | TRIGGER, 65, 1, &[&fds[1]]).unwrap();
    });
}

#[test]
fn the_table_holds_what_is_written_and_masks_every_vector_at_first() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(MEMORY);
    let entry = TABLE + 3 * 16;
    assert_eq!(client.read(4, entry + 12, 4).unwrap(), [1, 0, 0, 0]);
    client.write(4, entry, &0x1122_3344_5566_7788u64.to_le_bytes()).unwrap();
    client.write(4, entry + 8, &[0xff; 8]).unwrap();
    assert_eq!(client.read(4, entry, 8).unwrap(), 0x1122_3344_5566_7788u64.to_le_bytes());
    assert_eq!(client.read(4, entry + 8, 8).unwrap(), [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0], "the mask bit is there");
    client.write(4, PENDING, &[0xff; 8]).unwrap();
    assert_eq!(client.read(4, PENDING, 8).unwrap(), [0; 8], "pending bits are read only");
    assert_eq!(bench.calls(), [], "the structures are the crate's");
    for (offset, width) in [(TABLE, 2), (TABLE + 2, 4), (PENDING + 4, 8), (TABLE + 70 * 16 - 4, 8)] {
        assert_eq!(client.read(4, offset, width).unwrap(), vec![0xff; width as usize]);
    }
    assert_eq!(bench.control().driver_errors(), ["access"; 4]);
    // The bytes between them are the card's.
    client.read(4, TABLE + 70 * 16, 8).unwrap();
    client.read(4, PENDING + 16, 8).unwrap();
    assert_eq!(bench.calls().len(), 2);
}

#[test]
fn a_client_can_test_its_eventfds() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fds = vectors(&mut client, 0, 2);
    client.plain_irqs(MSIX, NONE | TRIGGER, 0, 2).unwrap();
    assert_eq!(fds.iter().map(signals).collect::<Vec<_>>(), [1, 1]);
    let fd = line(&mut client);
    client.plain_irqs(INTX, NONE | TRIGGER, 0, 1).unwrap();
    assert_eq!(signals(&fd), 1);
    client.plain_irqs(MSIX, NONE | TRIGGER, 0, 0).unwrap();
    bench.handle.trigger(0);
    assert_eq!(signals(&fds[0]), 0, "all vectors of the index were disabled");
}

#[test]
fn a_reset_takes_back_what_was_raised() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fds = vectors(&mut client, 0, 1);
    msix_control(&mut client, 0xc000);
    bench.handle.trigger(0);
    bench.handle.set_line(true);
    client.ask(crate::common::client::RESET, &[]).unwrap();
    assert!(!status_bit(&mut client));
    client.command(MEMORY | MASTER);
    msix_control(&mut client, 0x8000);
    assert!(!pending(&mut client, 0));
    assert_eq!(signals(&fds[0]), 0);
    bench.handle.trigger(0);
    assert_eq!(signals(&fds[0]), 1, "the eventfds are the machine's, and stay");
}

#[test]
fn an_impossible_set_of_interrupts_is_refused() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fd = eventfd();
    let one: &[&OwnedFd] = &[&fd];
    let two: &[&OwnedFd] = &[&fd, &fd];
    let last = u32::from(VECTORS);
    let refused = [
        (INTX, EVENTFD | TRIGGER, 1, 1, one, "a second line"),
        (INTX, EVENTFD | TRIGGER, 0, 1, two, "two eventfds for one line"),
        (1, EVENTFD | TRIGGER, 0, 1, one, "MSI, which is not there"),
        (4, NONE | TRIGGER, 0, 1, &[], "a request interrupt"),
        (99, NONE | TRIGGER, 0, 0, &[], "an index that is not there"),
        (MSIX, EVENTFD | TRIGGER, last, 1, one, "a vector after the last"),
        (MSIX, EVENTFD | TRIGGER, u32::MAX, 2, two, "a range beyond all numbers"),
        (MSIX, NONE | TRIGGER, 0, u32::MAX, &[], "too many"),
        (MSIX, EVENTFD | UNMASK, 0, 1, one, "an eventfd that unmasks a vector"),
        (MSIX, EVENTFD | MASK, 0, 1, one, "an eventfd that masks a vector"),
        (MSIX, NONE, 0, 1, &[], "no action"),
        (MSIX, NONE | BOOL | TRIGGER, 0, 1, &[], "two kinds of data"),
        (MSIX, NONE | MASK | UNMASK, 0, 1, &[], "two actions"),
        (MSIX, BOOL | TRIGGER, 0, 2, &[], "flags without bytes"),
        (MSIX, TRIGGER, 0, 1, &[], "no data"),
        (MSIX, 1 << 31 | NONE | TRIGGER, 0, 1, &[], "an unknown flag"),
    ];
    for (index, flags, start, count, fds, what) in refused {
        assert_eq!(client.set_irqs(index, flags, start, count, fds), Err(Errno::INVAL), "{what}");
    }
    // 16 descriptors come with one message, and no more.
    let fds = vectors(&mut client, 0, 16);
    bench.handle.trigger(15);
    assert_eq!(signals(&fds[15]), 1);
}
