//! Whatever a client sends, the server serves the next one.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::common::client::{
    CONFIG, DMA_MAP, DMA_UNMAP, GET_INFO, GET_IRQ_INFO, GET_REGION_INFO, NO_REPLY, REGION_READ, REGION_WRITE, RESET,
    Raw, SET_IRQS, VERSION,
};
use crate::common::memory::{eventfd, file};
use crate::common::{Bench, until};
use crate::wire;
use rustix::io::Errno;

/// Checks that another client is served: the server is alive, and as after power-on.
fn serves(bench: &Bench, after: &str) {
    let mut client = until(after, || {
        let mut client = Raw::connect(&bench.socket());
        let mut hello = wire!(0u16, 0u16);
        hello.extend_from_slice(b"{}\0");
        client.send(VERSION, &hello, 0, &[]);
        // The one before may not be gone yet.
        client.reply().map(|reply| reply.map(|_| client).unwrap())
    });
    assert_eq!(client.config(0, 4), 0x1001_4242, "{after}");
    assert_eq!(client.config(4, 2), 0, "{after}");
}

#[test]
fn what_is_no_message_ends_the_connection() {
    let bench = Bench::new();
    for bytes in [0, 1, 15, (1 << 20) + 65, u32::MAX] {
        let mut client = Raw::connect(&bench.socket());
        let header = client.header(GET_INFO, bytes, 0);
        client.stream.write_all(&header).unwrap();
        assert!(client.reply().is_none(), "a message of {bytes} bytes");
        serves(&bench, "a wrong length");
    }
    for (bytes, sent) in [(16, 7), (32, 16), (32, 31)] {
        let mut client = bench.client();
        let mut message = client.header(GET_INFO, bytes, 0);
        message.resize(bytes as usize, 0);
        client.stream.write_all(&message[..sent]).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(client.reply().is_none(), "{sent} of {bytes} bytes");
        serves(&bench, "a message that was cut short");
    }
    let mut client = bench.client();
    let fd = eventfd();
    let many: Vec<BorrowedFd<'_>> = std::iter::repeat_n(fd.as_fd(), 17).collect();
    client.send(SET_IRQS, &wire!(20u32, 36u32, 2u32, 0u32, 17u32), 0, &many);
    assert!(client.reply().is_none(), "more descriptors than a message has");
    serves(&bench, "too many descriptors");
}

#[test]
fn a_greeting_must_be_one() {
    let bench = Bench::new();
    let mut client = Raw::connect(&bench.socket());
    assert_eq!(client.ask(GET_INFO, &[0; 16]), Err(Errno::INVAL), "before the greeting");
    let refused: [&[u8]; 9] = [
        b"",
        b"\0\0\0",
        b"\x01\0\0\0",
        b"\0\0\0\0{",
        b"\0\0\0\0{\"a\0b\":1}\0",
        b"\0\0\0\0\xff\xff\0",
        b"\0\0\0\0[]\0",
        b"\0\0\0\0{}\0\0",
        b"\0\0\0\0\0\0\0\0",
    ];
    for payload in refused {
        assert_eq!(client.ask(VERSION, payload), Err(Errno::INVAL), "{payload:?}");
    }
    let reply = client.ask(VERSION, b"\0\0\xff\xff{\"capabilities\":{\"new\":[1,2]}}\0").unwrap();
    assert_eq!(reply[..4], [0; 4], "version 0.0, whatever the client's minor version");
    assert_eq!(reply.last(), Some(&0));
    let capabilities: serde_json::Value = serde_json::from_slice(&reply[4..reply.len() - 1]).unwrap();
    assert_eq!(capabilities["capabilities"]["max_msg_fds"], 16);
    assert_eq!(client.ask(VERSION, b"\0\0\0\0{}\0"), Err(Errno::INVAL), "twice");
    assert_eq!(client.config(0, 2), 0x4242);
    // Capabilities may be absent.
    drop(client);
    until("the place is free", || {
        let mut client = Raw::connect(&bench.socket());
        client.send(VERSION, b"\0\0\0\0", 0, &[]);
        client.reply().map(Result::unwrap)
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_the_next_one_answered() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(3);
    let refused: [(u16, Vec<u8>, Errno); 21] = [
        (0, vec![], Errno::OPNOTSUPP),
        (6, vec![0; 64], Errno::OPNOTSUPP),
        (11, vec![0; 64], Errno::OPNOTSUPP),
        (12, vec![0; 64], Errno::OPNOTSUPP),
        (14, vec![0; 64], Errno::OPNOTSUPP),
        (15, vec![0; 64], Errno::OPNOTSUPP),
        (u16::MAX, vec![0xff; 1000], Errno::OPNOTSUPP),
        (GET_INFO, vec![], Errno::INVAL),
        (GET_REGION_INFO, vec![0; 31], Errno::INVAL),
        (GET_REGION_INFO, wire!(32u32, 0u32, 9u32, 0u32, 0u64, 0u64), Errno::INVAL),
        (GET_IRQ_INFO, wire!(16u32, 0u32, 5u32, 0u32), Errno::INVAL),
        (GET_IRQ_INFO, vec![0; 15], Errno::INVAL),
        (DMA_MAP, vec![0; 31], Errno::INVAL),
        (DMA_UNMAP, vec![0; 23], Errno::INVAL),
        (SET_IRQS, vec![0; 19], Errno::INVAL),
        (REGION_READ, wire!(0u64, 7u32), Errno::INVAL),
        (REGION_READ, wire!(0u64, 7u32, 0u32), Errno::INVAL),
        (REGION_READ, wire!(0u64, 7u32, u32::MAX), Errno::INVAL),
        (REGION_READ, wire!(0u64, 1u32, (1u32 << 20) + 1), Errno::INVAL),
        (REGION_WRITE, wire!(0u64, 7u32, 4u32, 0u16), Errno::INVAL),
        (REGION_WRITE, wire!(0u64, 7u32, u32::MAX, 0u32), Errno::INVAL),
    ];
    for (command, payload, errno) in refused {
        assert_eq!(client.ask(command, &payload), Err(errno), "command {command}, {} bytes", payload.len());
        assert_eq!(client.config(0, 2), 0x4242, "after command {command}");
    }
    // What no region has reads as ones, and takes nothing.
    for (region, offset) in [(0, 16), (1, 0xfff), (3, 0), (4, u64::MAX), (6, 0), (7, 0x1000), (8, 0)] {
        assert_eq!(client.read(region, offset, 4).unwrap()[1..], [0xff; 3], "{offset:#x} of region {region}");
        client.write(region, offset, &[0; 4]).unwrap();
    }
    assert_eq!(client.read(9, 0, 4), Err(Errno::INVAL));
    // The longest transfer of all, from the only region that has its bytes.
    client.write(4, 0x10, &vec![7; (1 << 20) - 0x10]).unwrap();
    assert_eq!(client.read(4, 0, 1 << 20).unwrap(), vec![0xff; 1 << 20], "no register has this width");
}

#[test]
fn a_request_without_a_reply_gets_none() {
    let bench = Bench::new();
    let mut client = bench.client();
    let write = [wire!(0x3cu64, CONFIG, 1u32), vec![9]].concat();
    client.send(REGION_WRITE, &write, NO_REPLY, &[]);
    client.send(REGION_READ, &wire!(0u64, 99u32, 1u32), NO_REPLY, &[]);
    client.send(RESET + 100, &[1, 2, 3], NO_REPLY, &[]);
    // A reply to nothing is passed over.
    client.send(REGION_READ, &[0; 7], 1, &[]);
    assert_eq!(client.config(0x3c, 1), 9, "the first reply that comes is this one's");
}

#[test]
fn a_client_that_stalls_or_does_not_read_is_disconnected() {
    let bench = Bench::new();
    let begun = Instant::now();
    let mut stalled = bench.client();
    stalled.stream.write_all(&[1, 2, 3]).unwrap();
    assert!(stalled.reply().is_none());
    assert!(begun.elapsed() >= Duration::from_secs(5));
    serves(&bench, "a stalled message");
    let mut unread = bench.client();
    unread.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut request = unread.header(REGION_READ, 32, 0);
    request.extend_from_slice(&wire!(0u64, 4u32, 1u32 << 20));
    while unread.stream.write(&request).is_ok() {}
    assert_eq!(bench.control().status()["ok"], true, "meanwhile a harness is answered");
    serves(&bench, "replies that were not read");
}

/// A generator of numbers, xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number that is often at an edge.
    fn edge(&mut self) -> u64 {
        let edges = [0, 1, 2, 4, 15, 16, 255, 256, 0x800, 0x1000, 0x10_0000, u32::MAX.into(), u64::MAX, u64::MAX - 3];
        match self.below(3) {
            0 => self.next(),
            1 => self.below(4096),
            _ => edges[self.below(edges.len() as u64) as usize],
        }
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }

    /// The payload of a command, of the right form with wild numbers, or of no form at all.
    fn payload(&mut self, command: u16) -> Vec<u8> {
        let (a, b, c) = (self.edge(), self.edge(), self.edge());
        let mut payload = match command {
            DMA_MAP => wire!(32u32, self.below(8) as u32, a, b, c),
            DMA_UNMAP => wire!(24u32, self.below(8) as u32, a, b),
            GET_REGION_INFO => wire!(32u32, 0u32, self.below(12) as u32, 0u32, a, b),
            GET_IRQ_INFO => wire!(16u32, 0u32, self.below(7) as u32, 0u32),
            SET_IRQS => wire!(20u32, self.below(64) as u32, self.below(6) as u32, self.below(80) as u32, a as u32),
            REGION_READ => wire!(a, self.below(10) as u32, b as u32),
            REGION_WRITE => {
                let data = self.bytes(32);
                [wire!(a, self.below(10) as u32, data.len() as u32), data].concat()
            }
            _ => self.bytes(64),
        };
        match self.below(8) {
            0 => payload.truncate(self.below(payload.len() as u64 + 1) as usize),
            1 => payload.extend(self.bytes(32)),
            _ => {}
        }
        payload
    }
}

/// Messages of each client.
const MESSAGES: usize = 120;

#[test]
fn random_messages_neither_end_nor_hold_the_server() {
    let bench = Bench::new();
    let (memory, pipe) = (file(0x4000), std::io::pipe().unwrap());
    let mut answered = [0u32; 2];
    for seed in 1..=60u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut client = bench.client();
        // Replies are read in between, in the order of the requests, so that nothing fills up.
        for _ in 0..MESSAGES {
            let command = [
                VERSION,
                DMA_MAP,
                DMA_UNMAP,
                GET_INFO,
                GET_REGION_INFO,
                GET_IRQ_INFO,
                SET_IRQS,
                REGION_READ,
                REGION_WRITE,
                RESET,
                6,
                99,
            ][random.below(12) as usize];
            let payload = random.payload(command);
            let event = eventfd();
            let some = [memory.as_fd(), event.as_fd(), pipe.0.as_fd(), pipe.1.as_fd()];
            let fds: Vec<BorrowedFd<'_>> = (0..random.below(4)).map(|_| some[random.below(4) as usize]).collect();
            client.send(command, &payload, 0, &fds);
            match client.reply() {
                Some(reply) => answered[usize::from(reply.is_ok())] += 1,
                None => panic!("seed {seed}: command {command} with {payload:?} has ended the connection"),
            }
            if random.below(16) == 0 {
                bench.handle.trigger(random.below(80) as u16);
                bench.handle.set_line(random.below(2) == 0);
                let _ = bench.handle.write_memory(random.edge(), b"hostile");
                let _ = bench.handle.read_memory(random.edge(), &mut [0; 64]);
            }
        }
        // The last words are bytes without a form.
        let _ = client.stream.write_all(&random.bytes(600));
        drop(client);
        serves(&bench, &format!("seed {seed}"));
    }
    let [refused, done] = answered;
    assert!(refused > 500 && done > 500, "{refused} refused, {done} done: both kinds are tried");
    assert_eq!(bench.control().status()["ok"], true);
}
